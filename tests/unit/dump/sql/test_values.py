"""Python values to Arrow: exact or refused, never in between."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from airflow_xacct.dump.sources.sql.arrow_types import decimal_type, in_our_era, named_types
from airflow_xacct.dump.sources.sql.values import ColumnWriter, as_text, guessed_type
from airflow_xacct.exceptions import InvalidArgumentError, SourceUnreadableError

TOKYO = dt.timezone(dt.timedelta(hours=9))
NAIVE = dt.datetime(2024, 1, 2, 3, 4, 5, 6)


class Moment(dt.datetime):
    """A subclass, as some drivers and pendulum have."""


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, None, -(2**63)], pa.int64(), [1, None, -(2**63)]),
        ([2**64 - 1], pa.decimal128(38, 0), [Decimal(2**64 - 1)]),
        ([True, False], pa.bool_(), [True, False]),
        ([0.1, float("inf")], pa.float64(), [0.1, float("inf")]),
        ([0.5, 2], pa.float64(), [0.5, 2.0]),
        (["", None, "💥"], pa.string(), ["", None, "💥"]),
        ([b"\0", bytearray(b"a"), memoryview(b"b")], pa.binary(), [b"\0", b"a", b"b"]),
        ([dt.date(1, 1, 1)], pa.date32(), [dt.date(1, 1, 1)]),
        ([dt.time(23, 59, 59, 999999)], pa.time64("us"), [dt.time(23, 59, 59, 999999)]),
        ([NAIVE], pa.timestamp("us"), [NAIVE]),
        ([Moment(1800, 1, 1)], pa.timestamp("us"), [dt.datetime(1800, 1, 1)]),
        ([NAIVE.replace(tzinfo=TOKYO)], pa.timestamp("us", tz="UTC"), [NAIVE.replace(tzinfo=TOKYO)]),
        ([dt.timedelta(days=-1, seconds=1)], pa.string(), ["-23:59:59"]),
        ([Decimal("1E+3"), Decimal("0.10")], pa.string(), ["1000", "0.10"]),
        ([uuid.UUID(int=1)], pa.string(), ["00000000-0000-0000-0000-000000000001"]),
        ([{"a": [1, None, "ü"]}], pa.string(), ['{"a":[1,null,"ü"]}']),
        ([(1, 2), [3]], pa.string(), ["[1,2]", "[3]"]),
        ([OrderedDict(a=1)], pa.string(), ['{"a":1}']),
    ],
)
def test_the_guessed_type_holds_the_values(values: list[Any], kind: pa.DataType, found: list[Any]) -> None:
    """Without any loss, subclasses included."""
    assert guessed_type("c", values) == kind
    array = ColumnWriter("c", kind).array(values, 1)
    array.validate(full=True)
    assert array.to_pylist() == found


def test_nothing_is_guessed_from_nothing() -> None:
    """The caller knows better, or takes text."""
    assert guessed_type("c", []) is None
    assert guessed_type("c", [None]) is None
    assert guessed_type("c", [Decimal("1.5")], (5, 2)) == pa.decimal128(5, 2)


@pytest.mark.parametrize("values", [[1, "a"], [b"", ""], [object()], [dt.date(1, 1, 1), NAIVE], [True, 1], [{1}]])
def test_values_of_two_minds_are_refused(values: list[Any]) -> None:
    """No common type would hold them unchanged."""
    with pytest.raises(SourceUnreadableError, match=r"no Arrow type holds unchanged.*column_types"):
        guessed_type("c", values)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int64(), 1.0),
        (pa.int64(), True),
        (pa.int64(), "1"),
        (pa.int64(), 2**63),
        (pa.int64(), Decimal(1)),
        (pa.int16(), 40_000),
        (pa.float64(), 2**53 + 1),
        (pa.float64(), Decimal("0.1")),
        (pa.float64(), True),
        (pa.decimal128(5, 2), Decimal("1.234")),
        (pa.decimal128(5, 2), Decimal(12345)),
        (pa.decimal128(5, 2), Decimal("NaN")),
        (pa.string(), 777),
        (pa.string(), b"x"),
        (pa.string(), "\ud800"),
        (pa.binary(), "x"),
        (pa.date32(), NAIVE),
        (pa.date32(), "2024-01-01"),
        (pa.timestamp("us"), dt.date(2024, 1, 1)),
        (pa.timestamp("us"), NAIVE.replace(tzinfo=TOKYO)),
        (pa.timestamp("us", tz="UTC"), NAIVE),
        (pa.time64("us"), dt.time(1, tzinfo=TOKYO)),
    ],
)
def test_a_later_value_that_does_not_fit_is_refused(kind: pa.DataType, value: Any) -> None:
    """With its row, its column, and without the value, which is the owner's business."""
    with pytest.raises(SourceUnreadableError) as caught:
        ColumnWriter("c", kind).array([None, value, None], 101)
    message = str(caught.value)
    for words in ("row 102 ", "'c'", "column_types={'c': 'string'}"):
        assert words in message
    assert repr(value) not in message


def test_text_that_was_asked_for_takes_anything() -> None:
    """The way out of dynamic types."""
    values = [1, True, 0.5, None, Decimal("1E+2"), b"\xff", NAIVE, dt.date(1, 1, 1), dt.time(1), "x"]
    found = ColumnWriter("c", pa.string(), asked=True).array(values, 1).to_pylist()
    assert found[:6] == ["1", "true", "0.5", None, "100", "\\xff"]
    assert found[6:] == ["2024-01-02 03:04:05.000006", "0001-01-01", "01:00:00", "x"]
    with pytest.raises(SourceUnreadableError, match="row 1 holds a object"):
        ColumnWriter("c", pa.string(), asked=True).array([object()], 1)
    with pytest.raises(TypeError):
        as_text(object())


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (pa.bool_(), 1, True),
        (pa.bool_(), "f", False),
        (pa.int64(), 2.0, 2),
        (pa.int64(), Decimal("7.0"), 7),
        (pa.int8(), " -5 ", -5),
        (pa.float64(), 2**53 + 1, float(2**53)),
        (pa.float64(), Decimal("0.1"), 0.1),
        (pa.float64(), "-Infinity", -math.inf),
        (pa.float32(), "1e-3", pa.scalar(0.001, pa.float32()).as_py()),
        (pa.decimal128(5, 2), 0.1, Decimal("0.10")),
        (pa.decimal128(5, 2), "1e2", Decimal("100.00")),
        (pa.binary(), "ü", "ü".encode()),
        (pa.date32(), "2024-02-29", dt.date(2024, 2, 29)),
        (pa.timestamp("us"), dt.date(2024, 2, 29), dt.datetime(2024, 2, 29)),
        (pa.timestamp("us"), "2024-02-29T01:02:03.5", dt.datetime(2024, 2, 29, 1, 2, 3, 500000)),
        (pa.timestamp("us", tz="UTC"), "2024-02-29 01:02Z", dt.datetime(2024, 2, 29, 1, 2, tzinfo=dt.UTC)),
        (pa.time64("us"), dt.timedelta(hours=23), dt.time(23)),
        (pa.time64("us"), "01:02", dt.time(1, 2)),
    ],
)
def test_a_type_that_was_asked_for_takes_more(kind: pa.DataType, value: Any, found: Any) -> None:
    """By the rules of ``column_types``; without being asked it takes none of these."""
    assert ColumnWriter("c", kind, asked=True).array([None, value], 1).to_pylist() == [None, found]
    with pytest.raises(SourceUnreadableError, match="row 2 "):
        ColumnWriter("c", kind).array([None, value], 1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.bool_(), 2),
        (pa.bool_(), "yes"),
        (pa.int64(), 0.5),
        (pa.int64(), math.inf),
        (pa.int64(), True),
        (pa.int64(), "1_000"),
        (pa.int8(), "128"),
        (pa.float64(), "0x10"),
        (pa.float64(), 10**400),
        (pa.float64(), True),
        (pa.float32(), 1e300),
        (pa.decimal128(5, 2), math.nan),
        (pa.decimal128(5, 2), "0.123"),
        (pa.binary(), 5),
        (pa.date32(), "2024-2-9"),
        (pa.timestamp("us"), "2024-02-29 01:02:03.1234567"),
        (pa.timestamp("us"), "2024-02-29 01:02:03+01:00"),
        (pa.time64("us"), dt.timedelta(days=1)),
        (pa.list_(pa.int8()), 1),
    ],
)
def test_a_type_that_was_asked_for_does_not_take_anything(kind: pa.DataType, value: Any) -> None:
    """What would change, beyond what was asked for, is refused with its row."""
    with pytest.raises(SourceUnreadableError, match=r"row 2 .*column 'c'"):
        ColumnWriter("c", kind, asked=True).array([None, value], 1)


def test_dates_before_the_year_1_are_refused() -> None:
    """Arrow parses the year 0, and most readers have none."""
    assert in_our_era(pa.array(["0001-01-01", None]).cast(pa.date32())).to_pylist() == [dt.date(1, 1, 1), None]
    for kind in (pa.date32(), pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
        zone = "Z" if str(kind).endswith("UTC]") else ""
        with pytest.raises(pa.ArrowInvalid, match="year 1"):
            in_our_era(pa.array(["0000-12-31" + (" 00:00:00" + zone if zone else "")]).cast(kind))


@pytest.mark.parametrize(
    ("precision", "scale", "kind"),
    [
        (12, 2, pa.decimal128(12, 2)),
        (38, 38, pa.decimal128(38, 38)),
        (39, 0, pa.string()),
        (3, 5, pa.decimal128(5, 5)),
        (77, 0, pa.string()),
        (5, -2, pa.string()),
    ],
)
def test_decimals_of_any_size(precision: int, scale: int, kind: pa.DataType) -> None:
    """What readers have no decimal for is text."""
    assert decimal_type(precision, scale) == kind


def test_types_that_a_dag_names() -> None:
    """All problems at once, and the known names."""
    names = {"a": "int64", "b": "decimal128(38, 9)", "c": "timestamptz", "d": "numeric(5)", "e": "decimal(60, 20)"}
    assert named_types(names, list("abcde")) == {
        "a": pa.int64(),
        "b": pa.decimal128(38, 9),
        "c": pa.timestamp("us", tz="UTC"),
        "d": pa.decimal128(5, 0),
        "e": pa.decimal256(60, 20),
    }
    with pytest.raises(InvalidArgumentError, match=r"no column 'x'; 'int' \(of 'a'\) is no type.*Known types: bool"):
        named_types({"x": "int64", "a": "int"}, ["a"])
