"""Encoding a batch as one object, and rows of every type."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from airflow_xacct.dump.blocks import Cutter
from airflow_xacct.dump.formats import format_spec
from airflow_xacct.dump.formats.columns import plain_batch, plain_schema

Encode = Callable[..., bytes]


def _encode(name: str, *batches: pa.RecordBatch, **settings: Any) -> bytes:
    given = batches[0].schema
    plain = plain_schema(given)
    encoder = format_spec(name).encoder(plain, **settings)
    cutter: Cutter[Any] = Cutter(encoder.block_bytes, encoder.block_rows)
    made = encoder.open()
    parts = [made.start()]
    for batch in batches:
        for piece in encoder.pieces(plain_batch(batch, given, plain)):
            cutter.feed(piece)
            while block := cutter.take():
                parts += made.add(block)
    while block := cutter.take(final=True):
        parts += made.add(block)
    parts.append(made.finish())
    return b"".join(parts)


@pytest.fixture(scope="session")
def encode() -> Encode:
    """The bytes of one object of a format, with some rows in it."""
    return _encode


@pytest.fixture(scope="session")
def every_type() -> pa.RecordBatch:
    """Three rows of every type there is, the middle one mostly NULL."""
    zoned = dt.datetime(2013, 1, 1, 5, 0, 0, 120000, tzinfo=dt.UTC)
    local = dt.datetime.fromisoformat("2013-01-01T05:00")
    columns = {
        "i8": pa.array([1, None, -128], pa.int8()),
        "i64": pa.array([2**63 - 1, None, -(2**63)], pa.int64()),
        "u64": pa.array([2**64 - 1, None, 0], pa.uint64()),
        "f64": pa.array([0.1, None, 1e20], pa.float64()),
        "f32": pa.array([0.1, None, 16777216.0], pa.float32()),
        "money": pa.array([Decimal("1234567890.12"), None, Decimal("-0.01")], pa.decimal128(12, 2)),
        "tiny": pa.array([Decimal("0.0000000001"), None, Decimal("-12.5")], pa.decimal128(20, 10)),
        "huge": pa.array([Decimal(9) * 10**37, None, Decimal(0)], pa.decimal128(38, 0)),
        "huger": pa.array([Decimal("1e-30"), None, Decimal(-7)], pa.decimal256(60, 30)),
        "small": pa.array([Decimal("1.5"), None, Decimal("-1.25")], pa.decimal32(5, 2)),
        "text": pa.array(["a,b", None, 'said "é😀"\nand\r\\'], pa.string()),
        "large": pa.array(["", None, "\\."], pa.large_string()),
        "blob": pa.array([b"\xff\x00", None, b""], pa.binary()),
        "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
        "local": pa.array([local, None, dt.datetime.fromisoformat("0001-01-01")], pa.timestamp("us")),
        "instant": pa.array([zoned, None, zoned], pa.timestamp("us", "Europe/Berlin")),
        "nanos": pa.array([1, None, -1], pa.timestamp("ns")),
        "day": pa.array([dt.date(2013, 1, 1), None, dt.date(9999, 12, 31)], pa.date32()),
        "time": pa.array([dt.time(1, 2, 3, 450000), None, dt.time(0)], pa.time64("us")),
        "seconds": pa.array([dt.time(1, 2, 3), None, dt.time(0)], pa.time32("s")),
        "span": pa.array([0, None, -5_400_500], pa.duration("ms")),
        "flag": pa.array([True, None, False], pa.bool_()),
        "nothing": pa.nulls(3),
        "id": pa.array([uuid.UUID(int=1).bytes, None, uuid.UUID(int=2).bytes], pa.uuid()),
        "doc": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":\n1}', None, "[1]"])),
        "list": pa.array([[1, None], None, []], pa.list_(pa.int64())),
        "deep": pa.array([[['a"']], None, [None]], pa.list_(pa.large_list(pa.string()))),
        "pair": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
        "struct": pa.array([{"a": Decimal("1.50"), "b": "x"}, None, {"a": None, "b": None}],
                           pa.struct({"a": pa.decimal128(5, 2), "b": pa.string()})),
        "empty": pa.array([{}, None, {}], pa.struct([])),
        "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "pairs": pa.array([[(1, 1.5)], None, []], pa.map_(pa.int32(), pa.float64())),
    }  # fmt: skip
    return pa.record_batch(columns)
