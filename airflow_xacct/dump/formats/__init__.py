"""CSV, JSON Lines and Parquet: one spec each. A new format is a new module and a line in :data:`FORMATS`."""

from __future__ import annotations

from airflow_xacct.dump.formats.option_checks import check_choice
from airflow_xacct.dump.formats.options import (
    CsvOptions,
    FormatOptions,
    JsonLinesOptions,
    ParquetOptions,
    options_from,
)
from airflow_xacct.dump.formats.spec import EncoderSettings, FormatSpec, ObjectEncoder, RowEncoder, need_pyarrow

__all__ = [
    "FORMATS",
    "CsvOptions",
    "EncoderSettings",
    "FormatOptions",
    "FormatSpec",
    "JsonLinesOptions",
    "ObjectEncoder",
    "ParquetOptions",
    "RowEncoder",
    "check_choice",
    "format_spec",
    "need_pyarrow",
    "options_from",
]

_TEXT_COMPRESSIONS = ("none", "gzip", "zstd")

FORMATS = {
    spec.name: spec
    for spec in (
        FormatSpec(
            name="csv",
            suffix=".csv",
            content_type="text/csv",
            compressions=_TEXT_COMPRESSIONS,
            wraps=True,
            options_type=CsvOptions,
            module="airflow_xacct.dump.formats.csv_rows",
        ),
        FormatSpec(
            name="jsonl",
            suffix=".jsonl",
            content_type="application/x-ndjson",
            compressions=_TEXT_COMPRESSIONS,
            wraps=True,
            options_type=JsonLinesOptions,
            module="airflow_xacct.dump.formats.json_rows",
        ),
        FormatSpec(
            name="parquet",
            suffix=".parquet",
            content_type="application/vnd.apache.parquet",
            compressions=("zstd", "snappy", "gzip", "none"),
            wraps=False,
            options_type=ParquetOptions,
            module="airflow_xacct.dump.formats.parquet_rows",
        ),
    )
}
"""Every format by its name."""


def format_spec(name: str) -> FormatSpec:
    """The format of that name.

    :raises InvalidArgumentError: there is none.
    """
    return FORMATS[check_choice(name, FORMATS, "format")]
