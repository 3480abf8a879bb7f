"""Arrow values as text, a column at a time: every digit, the shortest float that reads back the same, ISO 8601.

What CSV and JSON write differently about the same value is a :class:`Dialect`.
"""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.arrow_constants import bytes_like, constant
from airflow_xacct.dump.formats import text_functions as texts
from airflow_xacct.exceptions import SourceError

__all__ = ["CSV_DIALECT", "JSON_DIALECT", "Dialect", "has_scalar_text", "scalar_text"]

T = pa.types

_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31, in days since 1970
_DAY = 86_400
_DATE_LENGTH = len("0001-01-01")
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_INT64_DIGITS = 19
# Arrow writes a decimal in scientific notation once its first digit stands further than this behind the point
_PLAIN_SCALE = 6


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between text formats.

    :param date_time_separator: one character.
    :param utc: what stands behind a timestamp with zone; all of them are written in UTC.
    :param binary: a binary value as ASCII.
    """

    date_time_separator: str
    utc: str
    binary: Callable[[bytes], bytes]


def _hex(value: bytes) -> bytes:
    return b"\\x" + binascii.hexlify(value)


CSV_DIALECT = Dialect(date_time_separator=" ", utc="+00", binary=_hex)
"""As PostgreSQL writes CSV, so that a file does not depend on who wrote it."""

JSON_DIALECT = Dialect(date_time_separator="T", utc="+00:00", binary=base64.b64encode)


def has_scalar_text(kind: pa.DataType) -> bool:
    """Whether :func:`scalar_text` knows a type."""
    return isinstance(kind, pa.UuidType) or _writer(kind) is not None


def scalar_text(array: pa.Array, dialect: Dialect, column: str) -> pa.Array:
    """Values as text, NULL as NULL.

    :param array: of a type that :func:`has_scalar_text` knows.
    :param column: for messages.
    :raises SourceError: a date or time outside the years 1 to 9999.
    """
    if isinstance(array.type, pa.UuidType):
        return _uuid(array.storage)
    write = _writer(array.type)
    assert write is not None  # noqa: S101 - has_scalar_text() said so
    return write(array, dialect, column)


@functools.lru_cache(maxsize=256)
def _writer(kind: pa.DataType) -> _Writer | None:
    return next((write for check, write in _WRITERS if check(kind)), None)


def _cast(array: pa.Array, *_: object) -> pa.Array:
    return texts.as_text(array)


def _float(array: pa.Array, *_: object) -> pa.Array:
    """Shortest digits that read back the same; NaN and infinity in PostgreSQL's words."""
    text = texts.as_text(array)
    if pc.all(pc.is_finite(array), min_count=0).as_py():
        return text
    for arrow, postgres in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
        text = texts.if_else(pc.equal(text, constant(arrow)), constant(postgres), text)
    return text


def _decimal(array: pa.Array, *_: object) -> pa.Array:
    kind = array.type
    if kind.scale < 0:
        return texts.as_text(array.cast(pa.decimal256(kind.precision - kind.scale, 0)))
    if kind.scale <= _PLAIN_SCALE:
        return texts.as_text(array)
    unscaled = type(array).from_buffers(
        _DECIMALS[kind.bit_width](kind.precision, 0), len(array), array.buffers(), offset=array.offset
    )
    digits = texts.as_text(unscaled)
    sign = texts.if_else(pc.starts_with(digits, "-"), constant("-"), constant(""))
    digits = texts.ascii_lpad(texts.ascii_ltrim(digits, "-"), kind.scale + 1, "0")
    whole = texts.utf8_slice_codeunits(digits, 0, -kind.scale)
    return texts.join(sign, whole, ".", texts.utf8_slice_codeunits(digits, -kind.scale))


_DECIMALS = {32: pa.decimal32, 64: pa.decimal64, 128: pa.decimal128, 256: pa.decimal256}


def _trimmed(text: pa.Array) -> pa.Array:
    """Fractions without their trailing zeros; every value has a fraction."""
    return texts.ascii_rtrim(texts.ascii_rtrim(text, "0"), ".")


def _date(array: pa.Array, _: Dialect, column: str) -> pa.Array:
    _check_years(array.view(pa.int32()), 1, column, array.type)
    return texts.as_text(array)


def _timestamp(array: pa.Array, dialect: Dialect, column: str) -> pa.Array:
    kind = array.type
    ticks = array.view(pa.int64())
    _check_years(ticks, _UNITS[kind.unit] * _DAY, column, kind)
    local = ticks.view(pa.timestamp(kind.unit))
    try:
        text = texts.as_text(local.cast(pa.timestamp("s")))
    except pa.ArrowInvalid:  # it has fractions of a second
        text = _trimmed(texts.as_text(local))
    if dialect.date_time_separator != " ":
        # by its place, which is the same in each: to look for it takes four times as long
        text = texts.binary_replace_slice(text, _DATE_LENGTH, _DATE_LENGTH + 1, dialect.date_time_separator)
    return text if kind.tz is None else texts.join(text, dialect.utc)


def _check_years(ticks: pa.Array, per_day: int, column: str, kind: pa.DataType) -> None:
    """Text with other than four digits for the year is read wrongly, or not at all."""
    span = pc.min_max(ticks)
    least, most = span["min"].as_py(), span["max"].as_py()
    if least is not None and (least < _FIRST_DAY * per_day or most >= (_LAST_DAY + 1) * per_day):
        raise SourceError(
            f"the column {column!r} of the type {kind} holds a date outside the years 1 to 9999",
            remedy="Cast the column to text at its source, or use Parquet.",
        )


def _time(array: pa.Array, *_: object) -> pa.Array:
    text = texts.as_text(array)
    return text if array.type.unit == "s" else _trimmed(text)


def _duration(array: pa.Array, *_: object) -> pa.Array:
    """ISO 8601 in seconds, such as ``PT-5400.5S``: an Arrow duration has no days or months."""
    digits = _DIGITS[array.type.unit]
    whole = array.view(pa.int64()).cast(pa.decimal128(_INT64_DIGITS, 0))
    ticks = pa.Array.from_buffers(
        pa.decimal128(_INT64_DIGITS, digits), len(whole), whole.buffers(), offset=whole.offset
    )
    seconds = _decimal(ticks)
    return texts.join("PT", _trimmed(seconds) if digits else seconds, "S")


def _interval(array: pa.Array, *_: object) -> pa.Array:
    """ISO 8601, such as ``P1M2DT3.5S``; months, days and nanoseconds do not become one another."""
    made = [b"" if value is None else _iso_interval(*value).encode() for value in array.to_pylist()]
    return bytes_like(made, array, texts.TEXT)


def _iso_interval(months: int, days: int, nanoseconds: int) -> str:
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), _UNITS["ns"])
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    date = (f"{months}M" if months else "") + (f"{days}D" if days else "")
    time = f"T{sign}{seconds}{digits}S" if nanoseconds or not date else ""
    return f"P{date}{time}"


def _binary(array: pa.Array, dialect: Dialect, _: str) -> pa.Array:
    made = [b"" if value is None else dialect.binary(value) for value in array.to_pylist()]
    return bytes_like(made, array, texts.TEXT)


def _uuid(array: pa.Array) -> pa.Array:
    made = []
    for value in array.to_pylist():
        digits = value.hex() if value is not None else ""
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        made.append("-".join(parts).encode() if digits else b"")
    return bytes_like(made, array, texts.TEXT)


def _is_text(kind: pa.DataType) -> bool:
    return bool(T.is_string(kind) or T.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(T.is_binary(kind) or T.is_large_binary(kind) or T.is_fixed_size_binary(kind))


def _is_interval(kind: pa.DataType) -> bool:
    return bool(kind == pa.month_day_nano_interval())


_Check = Callable[[pa.DataType], bool]
_Writer = Callable[[pa.Array, Dialect, str], pa.Array]
_WRITERS: tuple[tuple[_Check, _Writer], ...] = (
    (_is_text, _cast),
    (T.is_integer, _cast),
    (T.is_boolean, _cast),
    (T.is_null, _cast),
    (T.is_floating, _float),
    (T.is_decimal, _decimal),
    (T.is_date32, _date),
    (T.is_timestamp, _timestamp),
    (T.is_time, _time),
    (T.is_duration, _duration),
    (_is_interval, _interval),
    (_is_bytes, _binary),
)
