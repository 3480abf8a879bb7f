"""MySQL's and MariaDB's types in Arrow, and what each driver must be told so that values arrive unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_xacct.dump.sources.sql.hints import ColumnHint

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MyColumn", "keep_odd_values", "keep_text", "my_columns"]

# codes of column types (MySQL: Client/Server Protocol, enum_field_types)
_TINY, _SHORT, _LONG, _FLOAT, _DOUBLE, _LONGLONG, _INT24, _YEAR = 1, 2, 3, 4, 5, 8, 9, 13
_DECIMALS, _DATES, _TIMESTAMPS, _TIME, _BIT, _JSON = (0, 246), (10, 14), (7, 12), 11, 16, 245
_INTEGER_BITS = {_TINY: 8, _SHORT: 16, _YEAR: 16, _INT24: 32, _LONG: 32, _LONGLONG: 64}
_UNSIGNED = 32  # the flag of a column (MySQL: C API, MYSQL_FIELD)
_DECIMALS_NOT_FIXED = 31
_PARSED = frozenset({*_INTEGER_BITS, *_DECIMALS, *_DATES, *_TIMESTAMPS, _FLOAT, _DOUBLE})
"""What Arrow reads from the server's text, as exactly as a driver does and several times as fast."""


@dataclass(frozen=True, slots=True)
class MyColumn:
    """A column of a result, as far as the driver tells.

    :param length: in characters, ``None`` where the driver does not tell; so are the others.
    :param scale: digits behind the point.
    """

    name: str
    code: int
    length: int | None = None
    scale: int | None = None
    flags: int | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the server's text has fewer digits than the value: six of a FLOAT (FLT_DIG), which may need nine."""
        return self.code == _FLOAT and self.scale in (None, _DECIMALS_NOT_FIXED)

    def selected(self, identifier: str) -> str:
        """How it is selected so that its values arrive unchanged.

        :param identifier: its name, quoted.
        """
        # a DOUBLE is written with all its digits, and holds every FLOAT
        return f"{identifier} * 1e0 AS {identifier}" if self.is_cut else identifier

    @property
    def type(self) -> pa.DataType | None:
        """Its Arrow type, ``None`` where only the values tell."""
        import pyarrow as pa

        from airflow_xacct.dump.sources.sql.arrow_types import decimal_type

        if self.code in _INTEGER_BITS:
            if self.flags is None:
                return None
            unsigned = self.flags & _UNSIGNED and self.code != _YEAR
            return pa.type_for_alias(f"{'u' if unsigned else ''}int{_INTEGER_BITS[self.code]}")
        if self.code in _DECIMALS:
            if self.length is None or self.scale is None:
                return None
            # the length counts the point, and a sign if there can be one
            signed = self.flags is not None and not self.flags & _UNSIGNED
            return decimal_type(self.length - (self.scale > 0) - signed, self.scale)
        types = {
            _FLOAT: pa.float32(),
            _DOUBLE: pa.float64(),
            _BIT: pa.binary(),
            _TIME: pa.string(),
            _JSON: pa.string(),
            **dict.fromkeys(_DATES, pa.date32()),
            **dict.fromkeys(_TIMESTAMPS, pa.timestamp("us")),
        }
        return types.get(self.code)

    @property
    def text_hint(self) -> ColumnHint:
        """Likewise, where :func:`keep_text` has been called."""
        import pyarrow as pa

        if self.code not in _PARSED:
            return self.hint
        # of a decimal whose digits the driver does not tell, text is what a Decimal would become
        kind = self.type or (pa.string() if self.code in _DECIMALS else pa.int64())
        return replace(self.hint, type=kind, as_text=True)

    @property
    def hint(self) -> ColumnHint:
        """What it tells before its values do."""
        import pyarrow as pa

        otherwise = pa.int64() if self.code in _INTEGER_BITS else None
        return ColumnHint(type=self.type, otherwise=otherwise, is_json=self.code == _JSON)


def my_columns(cursor: Any) -> Iterator[MyColumn]:
    """The columns of what a cursor executed.

    :param cursor: of mysqlclient, PyMySQL or MySQL Connector/Python, which has the flags and nothing else.
    """
    # PyMySQL has the flags, but only in what the server sent
    fields = getattr(getattr(cursor, "_result", None), "fields", None)
    flags = getattr(cursor, "description_flags", None)
    for i, (name, code, _, length, _, scale, *more) in enumerate(cursor.description):
        flag = fields[i].flags if fields else flags[i] if flags else more[1] if len(more) > 1 else None
        yield MyColumn(str(name), code, length, scale, flag)


def keep_odd_values(connection: Any, driver: str) -> None:
    """Have returned as the server's text what Python has no value for, or only after a change.

    Of ``0000-00-00`` two drivers make NULL. A TIME of more than a day, or below zero, is none of Python's; the text of
    its ``timedelta`` would have other digits than the server's.

    :param driver: the first part of its module's name.
    """
    if driver == "MySQLdb":
        converters = connection.converter
        for code in (*_DATES, *_TIMESTAMPS):
            if callable(convert := converters.get(code)):
                converters[code] = _or_text(convert)
        converters[_TIME] = _text
    elif driver == "pymysql":
        connection.decoders = {code: convert for code, convert in connection.decoders.items() if code != _TIME}
    elif driver == "mysql":
        from airflow_xacct.dump.sources.sql.mysql_connector import converter_class

        connection.converter_class = converter_class()


def keep_text(connection: Any, driver: str) -> None:
    """Have numbers, decimals and dates returned as the server wrote them, for Arrow to parse."""
    if driver == "MySQLdb":
        for code in _PARSED:
            connection.converter.pop(code, None)
    elif driver == "pymysql":
        connection.decoders = {code: convert for code, convert in connection.decoders.items() if code not in _PARSED}
    elif driver == "mysql":
        from airflow_xacct.dump.sources.sql.mysql_connector import text_converter_class

        connection.converter_class = text_converter_class()


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _or_text(convert: Any) -> Any:
    def converted(value: Any) -> Any:
        found = convert(value)
        return _text(value) if found is None and value is not None else found

    return converted
