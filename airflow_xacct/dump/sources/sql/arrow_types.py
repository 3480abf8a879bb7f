"""The Arrow types of columns: decimals of any size, and the names that a DAG may give."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa

from airflow_xacct.dump.rows import CHECKED_JSON
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["DATABASE_TYPE", "MAX_EXACT_INTEGER", "arrow_field", "decimal_type", "named_types"]

DATABASE_TYPE = b"database_type"
"""Metadata of a field: the name of the column's type in the database, such as ``jsonb``."""

MAX_EXACT_INTEGER = 2**53
"""Up to here a float64 holds every integer (IEEE 754)."""

_MAX_PRECISION = 76
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
    """The decimal of these digits; text where Arrow has none (more than 76 digits, a scale below zero)."""
    digits = max(precision, scale)
    if scale < 0 or not 0 < digits <= _MAX_PRECISION:
        return pa.string()
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


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
        return decimal_type(precision, scale) if 0 < precision <= _MAX_PRECISION and scale <= precision else None
    if name in _ALIASES or name in _INTEGERS:
        return pa.type_for_alias(name)
    return _OTHERS.get(name)
