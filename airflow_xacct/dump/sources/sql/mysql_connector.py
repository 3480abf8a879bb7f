"""What MySQL Connector/Python must be told for dates that are no dates."""

from __future__ import annotations

from typing import Any

from mysql.connector.conversion import MySQLConverter

__all__ = ["converter_class"]


class _Converter(MySQLConverter):  # type: ignore[misc, unused-ignore]
    """Returns a date that Python cannot hold as text, where the base class returns NULL."""

    def _date_to_python(self, value: Any, dsc: Any = None) -> Any:  # type: ignore[override, unused-ignore]
        found = super()._date_to_python(value, dsc)
        return found if found is not None or value is None else bytes(value).decode()

    def _datetime_to_python(self, value: Any, dsc: Any = None) -> Any:  # type: ignore[override, unused-ignore]
        found = super()._datetime_to_python(value, dsc)
        return found if found is not None or value is None else bytes(value).decode()

    _timestamp_to_python = _datetime_to_python


def converter_class() -> type[MySQLConverter]:
    """The class for a connection's ``converter_class``."""
    return _Converter
