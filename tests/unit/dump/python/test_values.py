"""Python values in Arrow columns: unchanged, or an error that names row and column."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_xacct.exceptions import InvalidArgumentError, SourceUnreadableError
from tests.unit.dump.python.made_tables import one, read

UTC = dt.UTC
BERLIN = dt.timezone(dt.timedelta(hours=1))
ID = uuid.UUID("6f1f3a1e-8f39-4a4e-9a59-0f1d3c0f4b11")


class Colour(enum.IntEnum):
    """An int by another name."""

    RED = 1


class Plain(enum.Enum):
    """No int at all."""

    RED = 1


GUESSES: list[tuple[str, list[Any], str, list[Any]]] = [
    ("int", [1, None, -(2**63)], "int64", [1, None, -(2**63)]),
    ("large int", [2**63], "decimal128(38, 0)", [Decimal(2**63)]),
    ("int enum", [Colour.RED], "int64", [1]),
    ("float", [0.1, None], "double", [0.1, None]),
    ("int and float", [1, 0.5], "double", [1.0, 0.5]),
    ("bool", [True, None], "bool", [True, None]),
    ("text", ["", "ä🌍", None], "string", ["", "ä🌍", None]),
    ("bytes", [b"\x00\xff", bytearray(b"a"), memoryview(b"b")], "binary", [b"\x00\xff", b"a", b"b"]),
    (
        "decimal",
        [Decimal("1.5"), Decimal("-0.25"), None],
        "decimal128(38, 2)",
        [Decimal("1.50"), Decimal("-0.25"), None],
    ),
    ("decimal and int", [Decimal("1.5"), 2], "decimal128(38, 1)", [Decimal("1.5"), Decimal("2.0")]),
    ("date", [dt.date(1, 1, 1), dt.date(9999, 12, 31)], "date32[day]", [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    ("time", [dt.time(1, 2, 3, 4)], "time64[us]", [dt.time(1, 2, 3, 4)]),
    ("naive", [dt.datetime(2013, 1, 1, 0, 0, 0, 1)], "timestamp[us]", [dt.datetime(2013, 1, 1, 0, 0, 0, 1)]),
    (
        "aware",
        [dt.datetime(2013, 1, 1, 1, tzinfo=BERLIN)],
        "timestamp[us, tz=UTC]",
        [dt.datetime(2013, 1, 1, tzinfo=UTC)],
    ),
    ("timedelta", [dt.timedelta(days=-1, microseconds=1)], "duration[us]", [dt.timedelta(days=-1, microseconds=1)]),
    ("uuid", [ID], "string", [str(ID)]),
    ("nothing", [None, None], "string", [None, None]),
    ("numpy", [np.int32(5), np.int64(6)], "int64", [5, 6]),
    ("numpy float", [np.float32(0.1)], "double", [float(np.float32(0.1))]),
    ("numpy text", [np.str_("a"), "b"], "string", ["a", "b"]),
    ("numpy bool", [np.True_, False], "bool", [True, False]),
    ("pandas missing", [pd.NA, pd.NaT, 1], "int64", [None, None, 1]),
    ("pandas timestamp", [pd.Timestamp("2013-01-01"), pd.NaT], "timestamp[us]", [dt.datetime(2013, 1, 1), None]),
]


@pytest.mark.parametrize(("values", "kind", "expected"), [g[1:] for g in GUESSES], ids=[g[0] for g in GUESSES])
def test_the_first_rows_tell_the_type(values: list[Any], kind: str, expected: list[Any]) -> None:
    """And it holds each of them unchanged."""
    table = one(values)
    assert str(table.schema.field("x").type) == kind
    assert table.column("x").to_pylist() == expected


def test_dicts_and_lists_are_json() -> None:
    """Dates in ISO 8601, text as it is."""
    table = one([{"a": [1, None, "ä"]}, [], None, {"t": dt.datetime(2013, 1, 1), "u": ID, "n": np.int64(3)}])
    assert table.schema.field("x").type == pa.json_()
    assert table.column("x").cast(pa.string()).to_pylist() == [
        '{"a":[1,null,"ä"]}',
        "[]",
        None,
        f'{{"t":"2013-01-01T00:00:00","u":"{ID}","n":3}}',
    ]


MISFITS: list[tuple[str, list[Any], Any, str]] = [
    ("float in int", [1, 2.0], "int64", "float"),
    ("text in int", [1, "2"], "int64", "str"),
    ("bool in int", [1, True], "int64", "bool"),
    ("numpy bool in int", [1, np.True_], "int64", "bool"),
    ("int in bool", [True, 1], "bool", "int"),
    ("bool in float", [1.5, True], "double", "bool"),
    ("int that a float has not", [1.5, 2**53 + 1], "double", "int"),
    ("int that a float32 has not", [1.5, 2**24 + 1], "float", "int"),
    ("float that a float32 has not", [1.5, 1e300], "float", "float"),
    ("int above its width", [1, 128], "int8", "int"),
    ("negative in unsigned", [1, -1], "uint64", "int"),
    ("int above int64", [1, 2**63], "int64", "int"),
    ("larger scale", [Decimal("1.5"), Decimal("1.25")], "decimal128(10, 1)", "Decimal"),
    ("more digits", [Decimal("1.5"), Decimal("1000.0")], "decimal128(4, 1)", "Decimal"),
    ("decimal NaN", [Decimal("1.5"), Decimal("NaN")], "decimal128(10, 1)", "Decimal"),
    ("float in decimal", [Decimal("1.5"), 1.5], "decimal128(10, 1)", "float"),
    ("decimal in float", [1.5, Decimal("1.5")], "double", "Decimal"),
    ("decimal in text", ["a", Decimal("1.5")], "string", "Decimal"),
    ("int in text", ["a", 1], "string", "int"),
    ("dict in text", ["a", {}], "string", "dict"),
    ("bytes in text", ["a", b"a"], "string", "bytes"),
    ("text in bytes", [b"a", "a"], "binary", "str"),
    ("lone surrogate", ["a", "\ud800"], "string", "str"),
    ("aware among naive", [dt.datetime(2013, 1, 1), dt.datetime(2013, 1, 1, tzinfo=UTC)], "timestamp", "datetime with"),
    (
        "naive among aware",
        [dt.datetime(2013, 1, 1, tzinfo=UTC), dt.datetime(2013, 1, 1)],
        "timestamptz",
        "datetime with",
    ),
    ("date among timestamps", [dt.datetime(2013, 1, 1), dt.date(2013, 1, 1)], "timestamp", "date"),
    ("datetime among dates", [dt.date(2013, 1, 1), dt.datetime(2013, 1, 1)], "date32", "datetime"),
    (
        "microseconds in seconds",
        [dt.datetime(2013, 1, 1), dt.datetime(2013, 1, 1, 0, 0, 0, 1)],
        pa.timestamp("s"),
        "datetime",
    ),
    ("nanoseconds in microseconds", [dt.datetime(2013, 1, 1), pd.Timestamp(1)], "timestamp", "Timestamp"),
    ("out of range of nanoseconds", [dt.datetime(2013, 1, 1), dt.datetime(1500, 1, 1)], pa.timestamp("ns"), "datetime"),
    ("time with a zone", [dt.time(1), dt.time(1, tzinfo=UTC)], "time64[us]", "time with"),
    ("microseconds in a time of seconds", [dt.time(1), dt.time(1, 2, 3, 4)], pa.time32("s"), "time"),
    (
        "microseconds in a duration of seconds",
        [dt.timedelta(1), dt.timedelta(microseconds=1)],
        pa.duration("s"),
        "timedelta",
    ),
    ("wrong width", [b"abcd", b"abc"], pa.binary(4), "bytes"),
    ("text in json", [{}, "a"], "json", "str"),
    ("NaN in json", [{}, {"a": float("nan")}], "json", "dict"),
    ("decimal in json", [{}, [Decimal("1.5")]], "json", "list"),
    ("an enum", [1, Plain.RED], "int64", "Plain"),
    ("numpy date", [dt.datetime(2013, 1, 1), np.datetime64("2013-01-01")], "timestamp", "datetime64"),
    ("long double", [1.5, np.longdouble(1.5)], "double", "longdouble"),
]


@pytest.mark.parametrize(("values", "kind", "found"), [m[1:] for m in MISFITS], ids=[m[0] for m in MISFITS])
def test_a_later_value_that_does_not_fit_is_an_error(values: list[Any], kind: Any, found: str) -> None:
    """It names the row, the column and what to do, and shows no value."""
    with pytest.raises(SourceUnreadableError) as caught:
        one(values, kind)
    text = str(caught.value)
    assert f"row 2 holds a {found}" in text
    assert "column 'x'" in text
    assert "schema" in text


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([1, "a"], "row 2 holds a str in column 'x', and row 1 a int"),
        ([None, "a", "b", 1.5], "row 4 holds a float in column 'x', and row 2 a str"),
        ([dt.date(2013, 1, 1), dt.datetime(2013, 1, 1)], "row 2 holds a datetime"),
        ([True, 1], "row 2 holds a int"),
        ([object()], "row 1 holds a object in column 'x', which no column holds"),
        ([1j], "row 1 holds a complex"),
        ([Decimal("NaN")], "row 1 holds a Decimal that is no number"),
        ([Decimal("1e30"), Decimal("1e-30")], "needs 61 digits"),
    ],
    ids=["text", "float", "datetime", "bool", "object", "complex", "nan", "digits"],
)
def test_first_rows_of_no_one_type_are_an_error(values: list[Any], what: str) -> None:
    """Both rows are named."""
    with pytest.raises(SourceUnreadableError) as caught:
        one(values)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.0, None, 3], "float"),
        ([Decimal("1.2300")], "decimal128(10, 2)"),
        ([dt.datetime(2013, 1, 1)], pa.timestamp("s")),
        ([pd.Timestamp(1)], pa.timestamp("ns")),
        (["a", None], pa.large_string()),
        (["a", None], pa.string_view()),
        (["a", None], pa.dictionary(pa.int32(), pa.string())),
        ([ID], pa.uuid()),
        ([b"abcd"], pa.binary(4)),
        ([None], pa.null()),
    ],
    ids=str,
)
def test_a_declared_type_is_kept(values: list[Any], kind: Any) -> None:
    """As far as formats know it."""
    assert one(values, kind).column("x").to_pylist() == values


NESTED: list[tuple[str, pa.DataType, list[Any], list[Any]]] = [
    ("list", pa.list_(pa.int64()), [[1, None], None, [], (2,)], [[1, None], None, [], [2]]),
    ("large list", pa.large_list(pa.string()), [["a"], None], [["a"], None]),
    ("fixed list", pa.list_(pa.int64(), 2), [[1, 2], None], [[1, 2], None]),
    (
        "struct",
        pa.struct({"a": pa.int64(), "b": pa.string()}),
        [{"a": 1, "b": None}, None],
        [{"a": 1, "b": None}, None],
    ),
    ("map", pa.map_(pa.string(), pa.int64()), [{"k": 1}, None, {}], [[("k", 1)], None, []]),
    (
        "deep",
        pa.list_(pa.struct({"d": pa.decimal128(5, 2), "l": pa.list_(pa.date32())})),
        [[{"d": Decimal("1.5"), "l": [dt.date(2013, 1, 1)]}], None],
        [[{"d": Decimal("1.50"), "l": [dt.date(2013, 1, 1)]}], None],
    ),
]


@pytest.mark.parametrize(("kind", "values", "expected"), [n[1:] for n in NESTED], ids=[n[0] for n in NESTED])
def test_nested_values_with_a_declared_type(kind: pa.DataType, values: list[Any], expected: list[Any]) -> None:
    """Lists, structs and maps, in each other."""
    table = one(values, kind)
    assert table.schema.field("x").type == kind
    assert table.column("x").to_pylist() == expected


@pytest.mark.parametrize(
    ("kind", "value", "column"),
    [
        (pa.list_(pa.int64()), [1, True], "x[]"),
        (pa.list_(pa.float64()), [2**60 + 1], "x[]"),
        (pa.list_(pa.int64(), 2), [1], "x"),
        (pa.struct({"a": pa.int64()}), {"a": 1, "b": 2}, "x"),
        (pa.struct({"a": pa.int64()}), {}, "x"),
        (pa.struct({"a": pa.int64()}), {"a": 1.5}, "x.a"),
        (pa.struct([pa.field("a", pa.int64(), nullable=False)]), {"a": None}, "x.a"),
        (pa.map_(pa.string(), pa.int64()), {"k": "v"}, "x (values)"),
        (pa.map_(pa.string(), pa.int64()), {1: 1}, "x (keys)"),
        (pa.list_(pa.list_(pa.date32())), [[], [dt.datetime(2013, 1, 1)]], "x[][]"),
    ],
    ids=str,
)
def test_what_is_wrong_inside_is_named(kind: pa.DataType, value: Any, column: str) -> None:
    """pyarrow alone would drop the extra key, fill the missing one, and round the number."""
    with pytest.raises(SourceUnreadableError) as caught:
        one([None, None, value], kind)
    assert "row 3 " in str(caught.value)
    assert f"column {column!r}" in str(caught.value)


def test_none_where_nothing_may_be_null() -> None:
    """Of a schema that says so."""
    schema = pa.schema([pa.field("x", pa.int64(), nullable=False)])
    with pytest.raises(SourceUnreadableError, match="row 2 holds None in column 'x', which may not be NULL"):
        read([{"x": 1}, {"x": None}], schema)


def test_a_type_that_is_not_made_of_python_values() -> None:
    """Is refused before the first row."""
    with pytest.raises(InvalidArgumentError, match="not made of Python values"):
        one([1], pa.month_day_nano_interval())


def test_nan_in_rows_is_a_number() -> None:
    """Only pandas calls it missing."""
    (value,) = one([float("nan")]).column("x").to_pylist()
    assert value != value
