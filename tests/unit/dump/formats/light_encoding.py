"""Run as a process of its own: dump the rows of an Arrow file in many ways, and tell what that took.

``light_encoding.py FILE [WAY ...]`` prints JSON: which ways imported pandas, the high-water marks of
Arrow's pools, and the most that waited between two threads, all in bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from airflow_xacct.destination import parse
from airflow_xacct.dump.arrow_pool import POOL
from airflow_xacct.dump.dump_spec import DumpSpec
from airflow_xacct.dump.formats import CsvOptions, JsonLinesOptions, ParquetOptions
from airflow_xacct.dump.pipeline import dump_objects

DESTINATION = parse(
    "acme",
    {
        "role_arn": "arn:aws:iam::222222222222:role/DataDumpRole",
        "external_id": "acme-3f9c",
        "region_name": "eu-central-1",
        "bucket": "acme-landing",
    },
)
WAYS: dict[str, dict[str, Any]] = {
    "csv": {"format": "csv"},
    "csv, gzip, all quoted": {"format": "csv", "compression": "gzip", "options": CsvOptions(quoting="all")},
    "csv, nonnumeric": {"format": "csv", "options": CsvOptions(quoting="nonnumeric", formulas="escape")},
    "csv, NULL as text": {"format": "csv", "options": CsvOptions(null_text="NULL", boolean_texts=("yes", "no"))},
    "csv, no quotes": {
        "format": "csv",
        "options": CsvOptions(quoting="none", escape_char="\\", null_text="NULL", binary="base64", timestamps="iso"),
    },
    "csv, latin-1": {"format": "csv", "options": CsvOptions(encoding="latin-1", encoding_errors="replace")},
    "csv, partitions": {"format": "csv", "partition_by": ("i8",)},
    "jsonl": {"format": "jsonl"},
    "jsonl, zstd, without NULL": {
        "format": "jsonl",
        "compression": "zstd",
        "options": JsonLinesOptions(nulls="omit", exact_numbers="text", binary="hex", non_finite="null"),
    },
    "jsonl, partitions": {"format": "jsonl", "partition_by": ("flag",), "drop_partition_columns": True},
    "parquet": {"format": "parquet"},
    "parquet, milliseconds": {
        "format": "parquet",
        "options": ParquetOptions(timestamp_unit="ms", truncate_timestamps=True, dictionaries=("text",)),
    },
}


class FileRows:
    """The batches of a file. See :class:`~airflow_xacct.dump.rows.RowSource`."""

    def __init__(self, path: str, without: tuple[str, ...] = ()) -> None:
        self.name = path
        with pa.memory_map(path) as file, pa.ipc.open_file(file) as reader:
            self._kept = [name for name in reader.schema.names if name not in without]
            self._batches = [reader.get_batch(number).select(self._kept) for number in range(reader.num_record_batches)]
            self._schema = pa.schema([reader.schema.field(name) for name in self._kept])

    def schema(self) -> pa.Schema:
        return self._schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from self._batches

    def close(self) -> None:
        """It is in memory."""


def run(path: str, ways: list[str]) -> dict[str, Any]:
    """Dump the rows in each way, and say what happened."""
    pandas_after, most_waiting = [], 0
    for way in ways:
        settings = WAYS[way]
        # Parquet has no struct without fields
        source = FileRows(path, ("empty",) if settings["format"] == "parquet" else ())
        with dump_objects(source, DumpSpec(key="t/", **settings), DESTINATION) as made:
            for plan in made:
                reader = plan.payload.open()
                while reader.read(64 * 1024):
                    pass
            most_waiting = max(most_waiting, *(layer.peak_bytes for layer in made._layers))
        if "pandas" in sys.modules:
            pandas_after.append(way)
    return {
        "pandas": pandas_after,
        "pool": POOL.max_memory(),
        "default": pa.default_memory_pool().max_memory(),
        "waiting": most_waiting,
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2:] or list(WAYS))))
