"""The schema of a dump: what a receiver makes a table of."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from airflow_xacct.destination import Destination, parse
from airflow_xacct.dump.formats import CsvOptions, JsonLinesOptions
from airflow_xacct.dump.pipeline import DumpSpec, dump_objects
from airflow_xacct.dump.rows import TextBlock
from airflow_xacct.dump.schema import Column, DumpSchema, PartitionColumn, schema_document
from airflow_xacct.dump.sources.sql.arrow_types import arrow_field


@pytest.fixture(scope="module")
def destination() -> Destination:
    return parse(
        "acme",
        {"role_arn": "arn:aws:iam::222222222222:role/DataDumpRole", "external_id": "ext-1", "bucket": "acme-landing"},
    )


class Query:
    """Columns of every kind, and no rows."""

    name = "the query"

    def schema(self) -> pa.Schema:
        return pa.schema(
            [
                pa.field("id", pa.int64(), nullable=False),
                arrow_field("price", pa.decimal128(12, 2), "numeric"),
                arrow_field("doc", pa.string(), "jsonb", is_json=True),
                arrow_field("at", pa.timestamp("us", "UTC"), "timestamp with time zone"),
                arrow_field("month", pa.int32(), "integer"),
                pa.field("tags", pa.list_(pa.string())),
                pa.field("key", pa.uuid()),
            ]
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from ()

    def close(self) -> None:
        """Nothing is held."""


class Server:
    """A server that writes CSV."""

    name = "the server"
    columns = ("id", "name")
    database_types = ("bigint", "")

    def blocks(self) -> Iterator[TextBlock]:
        yield from ()

    def close(self) -> None:
        """Nothing is held."""


def schema_of(source: Any, destination: Destination, **spec: Any) -> DumpSchema:
    """Known before the first row."""
    with dump_objects(source, DumpSpec(key="t/", **spec), destination) as dump:
        return dump.schema


def test_parquet(destination: Destination) -> None:
    """Arrow's types as they are written, Parquet's, the database's, and the partitions in the order of the path."""
    schema = schema_of(
        Query(),
        destination,
        format="parquet",
        partitions={"ds": dt.date(2013, 1, 1), "region": "eu", "n": 1, "b": True, "none": None},
        partition_by=["month"],
        drop_partition_columns=True,
        options={"timestamp_unit": "ms"},
    )
    assert (schema.format, schema.compression) == ("parquet", "zstd")
    assert list(schema.columns) == [
        Column(name="id", type="int64", nullable=False, parquet_type="INT64"),
        Column(
            name="price",
            type="decimal128(12, 2)",
            database_type="numeric",
            parquet_type="FIXED_LEN_BYTE_ARRAY (Decimal(precision=12, scale=2))",
        ),
        Column(name="doc", type="json", database_type="jsonb", parquet_type="BYTE_ARRAY (JSON)"),
        Column(
            name="at",
            type="timestamp[ms, tz=UTC]",
            database_type="timestamp with time zone",
            parquet_type=schema.columns[3].parquet_type,
        ),
        Column(name="tags", type=str(pa.list_(pa.string())), parquet_type="BYTE_ARRAY (String)"),
        Column(name="key", type="uuid", parquet_type="FIXED_LEN_BYTE_ARRAY (UUID)"),
    ]
    assert "Timestamp(isAdjustedToUTC=true, timeUnit=milliseconds" in (schema.columns[3].parquet_type or "")
    assert list(schema.partition_columns) == [
        PartitionColumn(name="ds", type="date32[day]", in_objects=False),
        PartitionColumn(name="region", type="string", in_objects=False),
        PartitionColumn(name="n", type="int64", in_objects=False),
        PartitionColumn(name="b", type="bool", in_objects=False),
        PartitionColumn(name="none", type="string", in_objects=False),
        PartitionColumn(name="month", type="int32", in_objects=False),
    ]


def test_text(destination: Destination) -> None:
    """How it is written stands beside the columns, the defaults included."""
    schema = schema_of(Query(), destination, options={"delimiter": ";"}, compression="gzip", partition_by=["month"])
    assert schema.options == CsvOptions(delimiter=";")
    assert schema.compression == "gzip"
    assert [column.parquet_type for column in schema.columns] == [None] * 7
    assert list(schema.partition_columns) == [PartitionColumn(name="month", type="int32", in_objects=True)]
    lines = schema_of(Query(), destination, format="jsonl")
    assert (lines.format, lines.options) == ("jsonl", JsonLinesOptions())


def test_text_of_a_server(destination: Destination) -> None:
    """Arrow has not seen it, but the database told its types."""
    schema = schema_of(Server(), destination)
    assert list(schema.columns) == [Column(name="id", database_type="bigint"), Column(name="name")]


def test_the_document() -> None:
    """JSON with what is known; the same bytes at every try."""
    schema = DumpSchema(
        format="csv",
        compression="zstd",
        options=CsvOptions(encoding="latin-1"),
        columns=(Column(name="größe", type="int32", database_type="integer", nullable=False), Column(name="b")),
        partition_columns=(PartitionColumn(name="ds", type="string", in_objects=False),),
    )
    body = schema_document(schema)
    assert body == schema_document(schema)
    assert "größe" in body.decode()
    assert body.endswith(b"}\n")
    assert json.loads(body) == {
        "format_version": 1,
        "format": "csv",
        "compression": "zstd",
        "options": {
            "header": True,
            "delimiter": ",",
            "quoting": "minimal",
            "quote_char": '"',
            "null_text": "",
            "line_terminator": "\n",
            "encoding": "iso8859-1",
            "encoding_errors": "error",
            "formulas": "keep",
            "boolean_texts": ["t", "f"],
            "timestamps": "sql",
            "binary": "hex",
        },
        "columns": [
            {"name": "größe", "type": "int32", "database_type": "integer", "nullable": False},
            {"name": "b", "nullable": True},
        ],
        "partition_columns": [{"name": "ds", "type": "string", "in_objects": False}],
    }
    assert json.loads(json.dumps(schema.as_dict())) == {
        name: value for name, value in json.loads(body).items() if name != "format_version"
    }
