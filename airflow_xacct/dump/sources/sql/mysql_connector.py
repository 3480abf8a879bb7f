"""What MySQL Connector/Python must be told so that values arrive as the server sent them."""

from __future__ import annotations

from typing import Any

from mysql.connector.conversion import MySQLConverter

__all__ = ["converter_class", "text_converter_class"]


class _Converter(MySQLConverter):  # type: ignore[misc, unused-ignore]
    """Returns text where the base class returns less.

    That is NULL for a date that Python cannot hold, a ``timedelta`` for a TIME, a ``set``, which has no order, for a
    SET, and a number without its width for a BIT.
    """

    def _date_to_python(self, value: Any, dsc: Any = None) -> Any:  # type: ignore[override, unused-ignore]
        found = super()._date_to_python(value, dsc)
        return found if found is not None or value is None else bytes(value).decode()

    def _datetime_to_python(self, value: Any, dsc: Any = None) -> Any:  # type: ignore[override, unused-ignore]
        found = super()._datetime_to_python(value, dsc)
        return found if found is not None or value is None else bytes(value).decode()

    _timestamp_to_python = _datetime_to_python

    def _time_to_python(self, value: Any, _dsc: Any = None) -> Any:  # type: ignore[override, unused-ignore]
        return bytes(value).decode()

    def _set_to_python(self, value: Any, _dsc: Any = None) -> Any:  # type: ignore[override, unused-ignore]
        return bytes(value).decode()

    def _bit_to_python(self, value: Any, _dsc: Any = None) -> Any:  # type: ignore[override, unused-ignore]
        return bytes(value)


_NUMBERS = ("tiny", "short", "int24", "long", "longlong", "year", "float", "double", "decimal", "newdecimal")
_DATES = ("date", "newdate", "datetime", "timestamp")


def _as_it_is(_converter: MySQLConverter, value: Any, _dsc: Any = None) -> Any:
    return value


_TextConverter: type[MySQLConverter] = type(
    "_TextConverter", (_Converter,), {f"_{name}_to_python": _as_it_is for name in (*_NUMBERS, *_DATES)}
)


def text_converter_class() -> type[MySQLConverter]:
    """The class for a connection's ``converter_class`` whose rows Arrow will parse."""
    return _TextConverter


def converter_class() -> type[MySQLConverter]:
    """The class for a connection's ``converter_class``."""
    return _Converter
