"""Columns as formats take them: what they are, not how they were stored."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from airflow_xacct.dump.formats.columns import plain_batch, plain_schema
from airflow_xacct.dump.rows import CHECKED_JSON
from airflow_xacct.exceptions import InvalidArgumentError, SourceError


def _made(batch: pa.RecordBatch) -> pa.RecordBatch:
    return plain_batch(batch, batch.schema, plain_schema(batch.schema))


@pytest.mark.parametrize(
    ("array", "kind", "values"),
    [
        (pa.array(["a", None, "a"]).dictionary_encode(), pa.string(), ["a", None, "a"]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], [5, 6]), pa.int64(), [5, 5, 6]),
        (pa.array(["x", None], pa.string_view()), pa.string(), ["x", None]),
        (pa.array([b"x", None], pa.binary_view()), pa.binary(), [b"x", None]),
        (pa.array([dt.date(2013, 1, 1), None], pa.date64()), pa.date32(), [dt.date(2013, 1, 1), None]),
        (
            pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())),
            pa.bool_(),
            [True, False, None],
        ),
        (
            pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "numeric", "PostgreSQL"), pa.array(["1.5", None])),
            pa.string(),
            ["1.5", None],
        ),
        (pa.array([1, None]), pa.int64(), [1, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_storage_is_undone(array: pa.Array, kind: pa.DataType, values: list[object]) -> None:
    made = _made(pa.RecordBatch.from_arrays([array], names=["a"]))
    assert made.schema.field("a").type == kind
    assert made.column(0).to_pylist() == values


def test_checked_json_becomes_json() -> None:
    schema = pa.schema([pa.field("a", pa.string(), metadata={**CHECKED_JSON, b"other": b"x"})])
    made = _made(pa.RecordBatch.from_arrays([pa.array(["{}"])], schema=schema))
    assert made.schema.field("a").type == pa.json_()
    assert made.schema.field("a").metadata is None


def test_text_that_is_no_utf8_is_an_error() -> None:
    """A database without an encoding may hold any bytes; no format may."""
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    with pytest.raises(SourceError, match=r"column 'a' holds a value that is not a valid string: .*UTF8"):
        _made(pa.RecordBatch.from_arrays([broken], names=["a"]))


def test_a_date64_that_is_no_day_is_an_error() -> None:
    odd = pa.array([1], pa.int64()).view(pa.date64())
    with pytest.raises(SourceError, match="column 'a' holds a value that date32"):
        _made(pa.RecordBatch.from_arrays([odd], names=["a"]))


def test_null_that_was_not_announced_is_an_error() -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    with pytest.raises(SourceError, match="column 'a' holds NULL although"):
        _made(pa.RecordBatch.from_arrays([pa.array([1, None])], schema=schema))


def test_another_schema_than_announced_is_an_error() -> None:
    batch = pa.record_batch({"a": [1]})
    given = pa.schema({"a": pa.int32()})
    with pytest.raises(SourceError, match="other columns than announced: a int64 instead of a int32"):
        plain_batch(batch, given, plain_schema(given))


def test_no_columns_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match="no column"):
        plain_schema(pa.schema([]))
