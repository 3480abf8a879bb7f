"""Python values, as drivers return them, to Arrow columns: exact, or an error that names row and column.

The type of a column is what the driver declares, else what the first rows hold, and stays so: a value that does
not fit is refused, never rounded, cut or turned into text, unless the DAG asked for a type that says so.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.sources.sql.arrow_types import MAX_EXACT_INTEGER, decimal_type, family
from airflow_xacct.dump.sources.sql.asked_values import as_asked
from airflow_xacct.exceptions import SourceUnreadableError

__all__ = ["ColumnWriter", "as_text", "guessed_type"]

_REMEDY = "Cast it in the query, or give column_types={%r: 'string'} or another Arrow type that holds every value."

_TIMESTAMP = pa.timestamp("us")
_TIMESTAMP_UTC = pa.timestamp("us", tz="UTC")

# what a type accepts; a subclass counts as its base only where that is listed, for a datetime is also a date
_ACCEPTS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "decimal": (Decimal, int),
    "string": (str, uuid.UUID, dict, list, tuple, dt.timedelta, Decimal),
    "binary": (bytes, bytearray, memoryview),
    "timestamp": (dt.datetime,),
    "date": (dt.date,),
    "time": (dt.time,),
}


@dataclass(frozen=True, slots=True)
class ColumnWriter:
    """Makes Arrow arrays of one column.

    :param name: of the column.
    :param type: every array has it.
    :param asked: the DAG asked for the type: values of others become it by the rules of ``column_types``, and text
        takes whatever comes.
    :param naive_is_utc: timestamps without a zone are instants in UTC.
    """

    name: str
    type: pa.DataType
    asked: bool = False
    naive_is_utc: bool = False

    def array(self, values: Sequence[Any], first_row: int) -> pa.Array:
        """The values as Arrow.

        :param first_row: the number of the first value's row, from 1, for messages.
        :raises SourceUnreadableError: a value that does not fit.
        """
        kinds = set(map(type, values)) - {type(None)}
        is_text = pa.types.is_string(self.type)
        strange = set() if is_text and self.asked else {kind for kind in kinds if not self._accepts(kind)}
        if self.asked and pa.types.is_floating(self.type):
            strange |= kinds & {int}
        if strange and self.asked:
            values = [self._converted(v, first_row + i) if type(v) in strange else v for i, v in enumerate(values)]
        elif strange:
            self._refuse(values, first_row, lambda value: type(value) in strange)
        if is_text and kinds - {str}:
            values = [None if value is None else self._text(value, first_row + i) for i, value in enumerate(values)]
        elif kinds:
            self._check(values, first_row, kinds)
        try:
            made = pa.array(values, type=self.type, from_pandas=False)
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            self._refuse(values, first_row, self._does_not_fit)
        if pa.types.is_float32(self.type) and pc.any(pc.is_inf(made)).as_py():
            self._refuse_overflow(values, first_row)
        return made

    def _check(self, values: Sequence[Any], first_row: int, kinds: set[type]) -> None:
        """Refuse what Arrow would take, and change."""
        is_timestamp = pa.types.is_timestamp(self.type)
        is_instant = is_timestamp and self.type.tz is not None
        if is_timestamp or pa.types.is_time(self.type):
            zoned = {value.tzinfo is not None for value in values if value is not None}
            if zoned - {is_instant} and not self.naive_is_utc:
                self._refuse(values, first_row, lambda value: (value.tzinfo is not None) is not is_instant)
        elif pa.types.is_floating(self.type) and int in kinds and any(map(_is_inexact, values)):
            self._refuse(values, first_row, _is_inexact)

    def _accepts(self, kind: type) -> bool:
        accepted = _ACCEPTS.get(family(self.type), ())
        if kind in accepted:
            return True
        if issubclass(kind, bool) or (issubclass(kind, dt.datetime) and dt.date in accepted):
            return False
        return issubclass(kind, accepted)

    def _text(self, value: Any, row: int) -> str:
        try:
            return as_text(value)
        except (TypeError, ValueError):
            self._refuse([value], row, lambda _: True)

    def _converted(self, value: Any, row: int) -> Any:
        try:
            return as_asked(value, self.type)
        except (ValueError, OverflowError):
            self._refuse([value], row, lambda _: True)

    def _does_not_fit(self, value: Any) -> bool:
        try:
            pa.array([value], type=self.type, from_pandas=False)
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            return True
        return False

    def _refuse_overflow(self, values: Sequence[Any], first_row: int) -> None:
        def is_wrong(value: Any) -> bool:
            return math.isfinite(value) and math.isinf(pa.array([value], self.type)[0].as_py())

        if any(value is not None and is_wrong(value) for value in values):
            self._refuse(values, first_row, is_wrong)

    def _refuse(self, values: Sequence[Any], first_row: int, is_wrong: Callable[[Any], bool]) -> NoReturn:
        wrong = ((i, value) for i, value in enumerate(values) if value is not None and is_wrong(value))
        index, value = next(wrong, (0, None))
        raise SourceUnreadableError(
            f"row {first_row + index:,} holds a {type(value).__name__} that column {self.name!r} of type "
            f"{self.type} cannot hold unchanged",
            where=f"column {self.name!r}",
            remedy=_REMEDY % self.name,
        )


def _is_inexact(value: Any) -> bool:
    return type(value) is int and abs(value) > MAX_EXACT_INTEGER


def guessed_type(name: str, values: Iterable[Any], decimals: tuple[int, int] | None = None) -> pa.DataType | None:
    """The type that holds these values exactly, ``None`` when all are NULL.

    :param decimals: precision and scale, where the driver tells; a ``Decimal`` without is text, since a later one
        may have more digits than any that was seen.
    :raises SourceUnreadableError: values of types that no one column can hold.
    """
    present = [value for value in values if value is not None]
    kinds = {_base(type(value)) for value in present}
    if not kinds:
        return None
    if kinds == {Decimal}:
        return decimal_type(*decimals) if decimals else pa.string()
    if kinds == {dt.datetime}:
        return _TIMESTAMP_UTC if present[0].tzinfo is not None else _TIMESTAMP
    if kinds == {int}:
        return pa.int64() if all(-(2**63) <= value < 2**63 for value in present) else pa.decimal128(38, 0)
    if kinds == {int, float}:
        return pa.float64()
    found = {_GUESSES.get(kind) for kind in kinds}
    if len(found) == 1 and (only := found.pop()) is not None:
        return only
    names = " and ".join(sorted(kind.__name__ for kind in kinds))
    raise SourceUnreadableError(
        f"the first rows of column {name!r} hold values of type {names}, which no Arrow type holds unchanged",
        where=f"column {name!r}",
        remedy=_REMEDY % name,
    )


_GUESSES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    bytes: pa.binary(),
    dt.date: pa.date32(),
    dt.time: pa.time64("us"),
    dt.timedelta: pa.string(),
    dict: pa.string(),
    float: pa.float64(),
    list: pa.string(),
    str: pa.string(),
    uuid.UUID: pa.string(),
}


def _base(kind: type) -> type:
    """The type that stands for its subclasses; the order tells apart what inherits from one another."""
    if kind in _GUESSES or kind in (int, Decimal, dt.datetime):
        return kind
    if issubclass(kind, (bytearray, memoryview)):
        return bytes
    if issubclass(kind, tuple):
        return list
    order: tuple[type, ...] = (bool, int, float, Decimal, dt.datetime, dt.date, dt.time, dt.timedelta, str, bytes)
    return next((base for base in (*order, dict, list, uuid.UUID) if issubclass(kind, base)), kind)


def as_text(value: Any) -> str:
    """One text for each value, as CSV has it: all digits of a decimal, the shortest of a float, ISO 8601 for times.

    Mappings and lists are JSON.

    :raises TypeError: a type that has no such text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else _NOT_FINITE[str(float(value))]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat(" ") if isinstance(value, dt.datetime) else value.isoformat()
    if isinstance(value, dt.timedelta):
        return _hours(value)
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=as_text)
    if isinstance(value, (int, uuid.UUID)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    raise TypeError(type(value).__name__)


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _hours(value: dt.timedelta) -> str:
    """``[-]HH:MM:SS[.ffffff]``, hours above 24 included: how SQL databases write a TIME or an interval."""
    sign, value = ("-", -value) if value < dt.timedelta() else ("", value)
    seconds = value.days * 86_400 + value.seconds
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"
