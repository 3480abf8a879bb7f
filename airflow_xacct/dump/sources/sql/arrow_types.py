"""The Arrow types of columns: decimals of any size, and the names that a DAG may give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.arrow_constants import integer
from airflow_xacct.dump.rows import CHECKED_JSON, DATABASE_TYPE
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["DATABASE_TYPE", "MAX_EXACT_INTEGER", "arrow_field", "decimal_type", "family", "in_our_era", "named_types"]

MAX_EXACT_INTEGER = 2**53
"""Up to here a float64 holds every integer (IEEE 754)."""

_MAX_PRECISION = 76
_MOST_READ_DIGITS = 38
"""Of a decimal in Parquet: what has more, DuckDB reads as DOUBLE without a word, and polars and Spark refuse."""

_MICROSECONDS = pa.timestamp("us")
_FIRST_OF_OUR_ERA = -719_162 * 86_400 * 10**6  # 0001-01-01, in microseconds before 1970

_DECIMAL = re.compile(r"(?:decimal|decimal128|decimal256|numeric)\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_OTHERS = {
    "json": pa.string(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us"),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
_ALIASES = (
    "bool",
    "binary",
    "string",
    "date32",
    "time64[us]",
    "timestamp[us]",
    "float",
    "float32",
    "double",
    "float64",
)
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


def arrow_field(name: str, kind: pa.DataType, database_type: str = "", *, is_json: bool = False) -> pa.Field:
    """The field of a column, with what its type does not say in its metadata.

    :param database_type: the name of its type in the database.
    :param is_json: whether its text is JSON, which the database has checked.
    """
    metadata = {DATABASE_TYPE: database_type.encode()} if database_type else {}
    if is_json and pa.types.is_string(kind):
        metadata |= CHECKED_JSON
    return pa.field(name, kind, metadata=metadata or None)


def decimal_type(precision: int, scale: int) -> pa.DataType:
    """The decimal of these digits; text where readers have none (more than 38 digits, a scale below zero)."""
    digits = max(precision, scale)
    return pa.decimal128(digits, scale) if scale >= 0 and 0 < digits <= _MOST_READ_DIGITS else pa.string()


def family(kind: pa.DataType) -> str:
    """What values of a type have in common, ``""`` for one that no column here has."""
    tests: Mapping[str, Callable[[pa.DataType], bool]] = {
        "bool": pa.types.is_boolean,
        "int": pa.types.is_integer,
        "float": pa.types.is_floating,
        "decimal": pa.types.is_decimal,
        "string": pa.types.is_string,
        "binary": pa.types.is_binary,
        "timestamp": pa.types.is_timestamp,
        "date": pa.types.is_date,
        "time": pa.types.is_time,
    }
    return next((name for name, test in tests.items() if test(kind)), "")


def in_our_era(array: pa.Array) -> pa.Array:
    """The array, unless a date in it lies before the year 1, which Arrow parses and Python and most readers refuse.

    :raises pyarrow.ArrowInvalid: one does.
    """
    has_dates = pa.types.is_date(array.type) or pa.types.is_timestamp(array.type)
    first = integer(_FIRST_OF_OUR_ERA, _MICROSECONDS)
    if has_dates and pc.any(pc.less(array.cast(_MICROSECONDS), first)).as_py():
        raise pa.ArrowInvalid("a date before the year 1")
    return array


def named_types(types: Mapping[str, str], columns: Sequence[str]) -> dict[str, pa.DataType]:
    """The Arrow types that a DAG asks for, by column.

    :raises InvalidArgumentError: a column that the query does not return, or a type that is not known.
    """
    problems = []
    found = {}
    for column, name in types.items():
        kind = _named(name)
        if column not in columns:
            problems.append(f"the query returns no column {column!r}")
        elif kind is None:
            problems.append(f"{name!r} (of {column!r}) is no type")
        else:
            found[column] = kind
    if problems:
        known = ", ".join([*_ALIASES, *_INTEGERS, *_OTHERS, "decimal128(38, 9)"])
        raise InvalidArgumentError("; ".join(problems), where="column_types", remedy=f"Known types: {known}.")
    return found


def _named(name: str) -> pa.DataType | None:
    if match := _DECIMAL.fullmatch(name):
        precision, scale = int(match[1]), int(match[2] or 0)
        if not 0 < precision <= _MAX_PRECISION or scale > precision:
            return None
        return pa.decimal128(precision, scale) if precision <= _MOST_READ_DIGITS else pa.decimal256(precision, scale)
    if name in _ALIASES or name in _INTEGERS:
        return pa.type_for_alias(name)
    return _OTHERS.get(name)
