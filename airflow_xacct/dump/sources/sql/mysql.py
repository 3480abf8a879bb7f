"""A MySQL or MariaDB connection, of mysqlclient, PyMySQL or MySQL Connector/Python."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from airflow_xacct.dump.sources.sql.hints import ColumnHint
from airflow_xacct.dump.sources.sql.session import Session

__all__ = ["MySqlSession"]

# codes of column types (MySQL: Client/Server Protocol, enum_field_types)
_TINY, _SHORT, _LONG, _FLOAT, _DOUBLE, _LONGLONG, _INT24, _YEAR = 1, 2, 3, 4, 5, 8, 9, 13
_DECIMALS, _DATES, _TIMESTAMPS, _TIME, _JSON = (0, 246), (10, 14), (7, 12), 11, 245
_INTEGER_BITS = {_TINY: 8, _SHORT: 16, _YEAR: 16, _INT24: 32, _LONG: 32, _LONGLONG: 64}
_UNSIGNED = 32  # the flag of a column (MySQL: C API, MYSQL_FIELD)

_SLOWEST_READER_SECONDS = 6 * 3600
"""A server gives up a client that takes no rows for 60 s by default, and an upload may well pause for longer."""


class MySqlSession(Session):
    """A read-only transaction, whose rows stay on the server until they are fetched."""

    database = "MySQL"
    quote_mark = "`"
    fetch_rows = 2_048
    _number = 0
    _pymysql_cursor: Any = None

    def begin(self) -> None:
        """Begin the transaction, in UTF-8, and wait for slow readers."""
        connection, options = self.connection, self.options
        self._use_utf8()
        self._keep_zero_dates()
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("SELECT CONNECTION_ID() AS a, VERSION() AS b")
            row = cursor.fetchone()
            number, version = row.values() if isinstance(row, dict) else row
            self._number = int(number)
            cursor.execute(f"SET SESSION net_write_timeout = {_SLOWEST_READER_SECONDS}")
            if options.statement_timeout_seconds is not None:
                seconds = options.statement_timeout_seconds
                is_mariadb = "MariaDB" in str(version)
                limit = f"max_statement_time = {seconds}" if is_mariadb else f"max_execution_time = {_ms(seconds)}"
                cursor.execute(f"SET SESSION {limit}")
            cursor.execute("START TRANSACTION READ ONLY" if options.read_only else "START TRANSACTION")

    def cursor(self) -> Any:
        """A cursor of plain tuples that holds no rows itself."""
        if self._driver == "MySQLdb":
            from MySQLdb.cursors import SSCursor

            return self.connection.cursor(SSCursor)
        if self._driver == "pymysql":
            from pymysql.cursors import SSCursor as PySSCursor

            self._pymysql_cursor = self.connection.cursor(PySSCursor)
            return self._pymysql_cursor
        return self.connection.cursor(buffered=False, dictionary=False)

    def column_hints(self, cursor: Any) -> Mapping[str, ColumnHint]:
        """The declared types of the columns."""
        flags = getattr(cursor, "description_flags", None)
        return {
            column[0]: _hint(column, flags[i] if flags else column[7] if len(column) > 7 else None)
            for i, column in enumerate(cursor.description)
        }

    def cancel(self) -> None:
        """Kill the query over a second connection: the first is busy with it."""
        with contextlib.closing(self._hook.get_conn()) as other, contextlib.closing(other.cursor()) as cursor:
            cursor.execute(f"KILL QUERY {self._number}")

    def close(self) -> None:
        """Close the connection, without reading first what the server has still to send."""
        result: Any = getattr(self._pymysql_cursor, "_result", None)
        if getattr(result, "unbuffered_active", False):
            result.unbuffered_active = False  # PyMySQL would read on when the cursor is dropped, from a closed socket
        super().close()

    @property
    def _driver(self) -> str:
        return type(self.connection).__module__.split(".")[0]

    def _use_utf8(self) -> None:
        """Otherwise the server would replace what the session's charset lacks by question marks."""
        for name in ("set_character_set", "set_charset", "set_charset_collation"):
            if callable(change := getattr(self.connection, name, None)):
                change("utf8mb4")
                return

    def _keep_zero_dates(self) -> None:
        """Have ``0000-00-00`` returned as text, to be refused with its row: two drivers make NULL of it."""
        converter = getattr(self.connection, "converter", None)
        if self._driver == "MySQLdb" and isinstance(converter, dict):
            for code in (*_DATES, *_TIMESTAMPS):
                if callable(convert := converter.get(code)):
                    converter[code] = _or_text(convert)
        elif self._driver == "mysql":
            from airflow_xacct.dump.sources.sql.mysql_connector import converter_class

            self.connection.converter_class = converter_class()


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _or_text(convert: Any) -> Any:
    def converted(value: Any) -> Any:
        found = convert(value)
        if found is None and value is not None:
            return value.decode() if isinstance(value, bytes) else value
        return found

    return converted


def _hint(column: Any, flags: int | None) -> ColumnHint:
    import pyarrow as pa

    from airflow_xacct.dump.sources.sql.arrow_types import decimal_type

    code, length, scale = column[1], column[3], column[5]
    if code in _INTEGER_BITS:
        bits = _INTEGER_BITS[code]
        if flags is not None:
            return ColumnHint(type=pa.type_for_alias(f"{'u' if flags & _UNSIGNED and code != _YEAR else ''}int{bits}"))
        # without flags it may be unsigned, for which the next wider type has room; the widest is read off the values
        return ColumnHint(type=pa.int64()) if bits < 64 else ColumnHint(otherwise=pa.int64())
    if code in _DECIMALS and isinstance(length, int) and isinstance(scale, int):
        # the length counts the point, and a sign if there can be one
        signed = flags is not None and not flags & _UNSIGNED
        return ColumnHint(type=decimal_type(length - (scale > 0) - signed, scale))
    return ColumnHint(type=_types().get(code), is_json=code == _JSON)


def _types() -> dict[int, Any]:
    import pyarrow as pa

    return {
        _FLOAT: pa.float32(),
        _DOUBLE: pa.float64(),
        _TIME: pa.string(),
        _JSON: pa.string(),
        **dict.fromkeys(_DATES, pa.date32()),
        **dict.fromkeys(_TIMESTAMPS, pa.timestamp("us")),
    }
