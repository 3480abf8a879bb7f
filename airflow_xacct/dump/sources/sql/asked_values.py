"""Values in the type that a DAG asks for: what its rule says, or an error, never something near it.

The rules are those of ``column_types`` (``docs/types.md``). Text is read as PostgreSQL, Arrow and ISO 8601 write it.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from airflow_xacct.dump.sources.sql.arrow_types import family

__all__ = ["as_asked"]

_WHOLE = re.compile(r"-?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_NOT_FINITE = re.compile(r"nan|[+-]?inf(inity)?", re.IGNORECASE)
_DATE = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?"  # Python would cut a seventh digit
_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)?"
_BOOLS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}


def as_asked(value: Any, kind: pa.DataType) -> Any:
    """What an Arrow array of the type takes for a value.

    :param value: not of a Python type that the array takes by itself.
    :raises ValueError: the type has nothing for it.
    """
    convert = _CONVERT.get(family(kind))
    if convert is None:
        raise ValueError
    return convert(value.strip(" \t") if isinstance(value, str) and convert is not _binary else value)


def _bool(value: Any) -> bool:
    if isinstance(value, str) and value in _BOOLS:
        return _BOOLS[value]
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise ValueError


def _int(value: Any) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        return int(value)
    raise ValueError


def _float(value: Any) -> float:
    """The nearest: who asks for floating point asks for that."""
    if isinstance(value, str) and _NOT_FINITE.fullmatch(value):
        return float(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise ValueError  # noqa: TRY004 - one error for all that it has nothing for
    found = float(value)
    if math.isinf(found) and not (isinstance(value, Decimal) and value.is_infinite()):
        raise ValueError
    return found


def _decimal(value: Any) -> Decimal:
    """Of a float, its shortest digits, which are those that its database shows."""
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(repr(value))
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    raise ValueError


def _binary(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    raise ValueError


def _date(value: Any) -> dt.date:
    if isinstance(value, str) and re.fullmatch(_DATE, value):
        return dt.date.fromisoformat(value)
    raise ValueError


def _timestamp(value: Any) -> dt.datetime:
    if isinstance(value, str) and re.fullmatch(rf"{_DATE}([ T]{_CLOCK}{_ZONE})?", value):
        return dt.datetime.fromisoformat(value)
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    raise ValueError


def _time(value: Any) -> dt.time:
    if isinstance(value, str) and re.fullmatch(_CLOCK, value):
        return dt.time.fromisoformat(value)
    if isinstance(value, dt.timedelta) and dt.timedelta() <= value < dt.timedelta(days=1):
        return (dt.datetime(1, 1, 1) + value).time()  # noqa: DTZ001 - only its time counts
    raise ValueError


_CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "decimal": _decimal,
    "binary": _binary,
    "date": _date,
    "timestamp": _timestamp,
    "time": _time,
}
