"""The type of a column by its first values, where nobody gave one."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from airflow_xacct.dump.sources.python.own import owned
from airflow_xacct.dump.sources.python.problems import column_misfit

__all__ = ["guessed_type"]

_MAX_DIGITS = 38
"""What every reader of decimals holds."""

# a subclass stands behind what it must not be taken for: a bool is an int, a datetime a date
_BASES: tuple[type, ...] = (
    bool,
    int,
    float,
    Decimal,
    dt.datetime,
    dt.date,
    dt.time,
    dt.timedelta,
    str,
    bytes,
    bytearray,
    memoryview,
    uuid.UUID,
    dict,
    list,
    tuple,
)
_SAME: dict[type, type] = {bytearray: bytes, memoryview: bytes, tuple: list, dict: list}
_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    bytes: pa.binary(),
    dt.date: pa.date32(),
    dt.time: pa.time64("us"),
    dt.timedelta: pa.duration("us"),
    float: pa.float64(),
    list: pa.json_(),
    str: pa.string(),
    uuid.UUID: pa.string(),
}


def guessed_type(name: str, values: Sequence[Any], first_row: int) -> pa.DataType:
    """The type that holds these values unchanged; text when all of them are NULL.

    Whole numbers are ``int64``, decimals ``decimal128`` with 38 digits and the scale of the finest one, times are in
    microseconds and those with a zone in UTC, dicts and lists are JSON.

    :param first_row: number of the first value's row, from 1.
    :raises SourceUnreadableError: values that no one type holds.
    """
    values = owned(values)
    firsts: dict[type, int] = {}
    for index, value in enumerate(values):
        if value is not None and type(value) not in firsts:
            firsts[type(value)] = index
    bases: dict[type, int] = {}
    for kind, index in firsts.items():
        bases.setdefault(_base(kind), index)
    found = set(bases)
    if not found:
        return pa.string()
    if found == {int}:
        in_range = all(value is None or -(2**63) <= value < 2**63 for value in values)
        return pa.int64() if in_range else pa.decimal128(_MAX_DIGITS, 0)
    if found == {int, float}:
        return pa.float64()
    if found in ({Decimal}, {Decimal, int}):
        return _decimal_type(name, values, first_row)
    if found == {dt.datetime}:
        return pa.timestamp("us", tz="UTC" if values[firsts[next(iter(firsts))]].tzinfo is not None else None)
    if len(found) == 1 and (only := _TYPES.get(next(iter(found)))) is not None:
        return only
    raise _mixed(name, values, bases, first_row)


def _base(kind: type) -> type:
    base = next((base for base in _BASES if issubclass(kind, base)), kind)
    return _SAME.get(base, base)


def _decimal_type(name: str, values: Sequence[Any], first_row: int) -> pa.DataType:
    scale = digits = 0
    for index, value in enumerate(values):
        if isinstance(value, Decimal):
            exponent = value.as_tuple().exponent
            if not isinstance(exponent, int):
                raise column_misfit(f"row {first_row + index:,} holds a Decimal that is no number", name)
            scale = max(scale, -exponent)
            digits = max(digits, value.adjusted() + 1)
    if scale + digits > _MAX_DIGITS:
        raise column_misfit(
            f"column {name!r} needs {scale + digits} digits in its first rows, and decimals have {_MAX_DIGITS}", name
        )
    return pa.decimal128(_MAX_DIGITS, scale)


def _mixed(name: str, values: Sequence[Any], bases: dict[type, int], first_row: int) -> Exception:
    """Which two rows contradict each other, or which one has what no column holds."""
    in_order = sorted(bases.items(), key=lambda pair: pair[1])
    _, index = in_order[-1] if len(in_order) > 1 else in_order[0]
    what = f"row {first_row + index:,} holds a {type(values[index]).__name__}"
    if len(in_order) == 1:
        return column_misfit(f"{what} in column {name!r}, which no column holds", name)
    _, other = in_order[0]
    return column_misfit(
        f"{what} in column {name!r}, and row {first_row + other:,} a {type(values[other]).__name__}: no type holds "
        "both unchanged",
        name,
    )
