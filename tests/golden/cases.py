"""What a golden case is: a column of one type, values as SQL, and what the server, CSV, JSON and Arrow make of them.

The tables of cases are data, in ``postgres_cases.py``, ``mariadb_cases.py`` and ``sqlite_cases.py``. What is not said
of a value follows from the server's own text of it and the column's Arrow type, by the few lines below, which share
nothing with the package.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

__all__ = ["JSON", "UTC", "Column", "Refused", "Token", "Value", "column", "decimal", "same"]

JSON = pa.json_()
UTC = pa.timestamp("us", tz="UTC")
_FOLLOWS: Any = object()


@dataclass(frozen=True)
class Value:
    """One value.

    :param literal: in SQL.
    :param text: the server's own, on the wire.
    :param csv: where CSV that comes through Arrow has another; where the server writes CSV itself, it is ``text``.
    :param json: what a JSON parser makes of it, numbers as :class:`Token`; where it does not follow from the type.
    :param value: in Arrow and Parquet; where it does not follow from the type.
    """

    literal: str
    text: str
    csv: str | None = None
    json: Any = _FOLLOWS
    value: Any = _FOLLOWS


@dataclass(frozen=True)
class Column:
    """A column of a table.

    :param name: of the column and the case.
    :param type: in the database.
    :param arrow: of the column in Parquet.
    :param asked: what the DAG says in ``column_types``, if anything.
    """

    name: str
    type: str
    arrow: pa.DataType
    values: tuple[Value, ...]
    asked: str | None = None

    def csv(self, value: Value, *, untouched: bool) -> str:
        """What CSV has for a value."""
        return value.text if untouched or value.csv is None else value.csv

    def parquet(self, value: Value) -> Any:
        """What Arrow has for a value."""
        if value.value is not _FOLLOWS:
            return value.value
        return _arrow_value(self.csv(value, untouched=False), self.arrow)

    def json(self, value: Value) -> Any:
        """What a JSON parser that keeps the text of numbers makes of a value."""
        if value.json is not _FOLLOWS:
            return value.json
        kind, found = self.arrow, self.parquet(value)
        if kind == JSON:
            return json.loads(value.text, parse_int=Token, parse_float=Token)
        if pa.types.is_floating(kind):
            return found if math.isfinite(found) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(found)]
        if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            return Token(format(found, "f") if isinstance(found, Decimal) else str(found))
        if pa.types.is_binary(kind):
            return base64.b64encode(found).decode()
        if pa.types.is_timestamp(kind):
            return self.csv(value, untouched=False).replace(" ", "T").replace("+00", "+00:00")
        return found if pa.types.is_boolean(kind) or pa.types.is_string(kind) else self.csv(value, untouched=False)


class Token(str):
    """A number in JSON, as it is written."""

    __slots__ = ()


@dataclass(frozen=True)
class Refused:
    """A value that a format cannot hold, and the way out.

    :param type: in the database.
    :param literal: in SQL.
    :param formats: that refuse it; where the rows come through Arrow, all of them do.
    :param words: of the message, beside the column and its row.
    :param remedy: ``column_types`` or options that deliver it.
    :param text: what is delivered then.
    """

    name: str
    type: str
    literal: str
    text: str
    words: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("jsonl", "parquet")
    remedy: Mapping[str, Any] = field(default_factory=lambda: {"column_types": {"v": "string"}})


def column(name: str, type_: str, arrow: pa.DataType, *values: str | Value, asked: str | None = None) -> Column:
    """A column whose values are the server's own texts, or more than that."""
    made = [Value("'" + v.replace("'", "''") + "'", v) if isinstance(v, str) else v for v in values]
    return Column(name, type_, arrow, tuple(made), asked)


def decimal(precision: int, scale: int) -> pa.DataType:
    """Short for the tables."""
    return pa.decimal128(precision, scale)


def _arrow_value(text: str, kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return {"t": True, "f": False}[text]
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_float32(kind):
        return struct.unpack("f", struct.pack("f", float(text)))[0]
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_decimal(kind):
        return Decimal(text)
    if pa.types.is_binary(kind):
        return bytes.fromhex(text.removeprefix("\\x"))
    if pa.types.is_date(kind):
        return dt.date.fromisoformat(text)
    if pa.types.is_time(kind):
        return dt.time.fromisoformat(text)
    if pa.types.is_timestamp(kind):
        return dt.datetime.fromisoformat(text)
    return text


def same(one: Any, other: Any) -> bool:
    """Equal, with NaN equal to itself, the two zeros told apart, and no two types that only look alike."""
    if isinstance(one, float) and isinstance(other, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return format(one, "f") == format(other, "f")
    if isinstance(one, dt.datetime) and isinstance(other, dt.datetime):
        return one == other and (one.tzinfo is None) is (other.tzinfo is None)
    return type(one) is type(other) and one == other
