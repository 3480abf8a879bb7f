"""A MySQL or MariaDB connection, of mysqlclient, PyMySQL or MySQL Connector/Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_xacct.dump.sources.sql.errors import is_database_error
from airflow_xacct.dump.sources.sql.hints import ColumnHint
from airflow_xacct.dump.sources.sql.mysql_types import MyColumn, keep_odd_values, keep_text, my_columns
from airflow_xacct.dump.sources.sql.session import Session
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["MySqlSession"]

_SLOWEST_READER_SECONDS = 6 * 3600
"""A server gives up a client that takes no rows for 60 s by default, and an upload may well pause for longer."""


class MySqlSession(Session):
    """A read-only transaction, whose rows stay on the server until they are fetched."""

    database = "MySQL"
    no_fast_path = "column_types asks for other types than those of its columns"
    quote_mark = "`"
    fetch_rows = 2_048
    _number = 0
    _keeps_text = False
    _pymysql_cursor: Any = None
    _rewritten: Sequence[MyColumn] = ()

    def begin(self) -> None:
        """Begin the transaction, in UTF-8, and wait for slow readers."""
        connection, options = self.connection, self.options
        self._use_utf8()
        keep_odd_values(connection, self._driver)
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
        self._rewritten = self._described()

    def statement(self) -> str:
        """The query, with what the server would cut short made into what it does not."""
        if not self._rewritten:
            return super().statement()
        if self.query.is_sorted and not self.query.order_by:
            self._check_cut(self._rewritten)  # the order of a derived table is nobody's
            return super().statement()
        items = [
            column.selected(self.quote(column.name)) if self._must_rewrite(column) else self.quote(column.name)
            for column in self._rewritten
        ]
        exact = f"SELECT {', '.join(items)} FROM (\n{self.query.text}\n) xacct_exact"  # noqa: S608 - the DAG's own
        return self.query.ordered(self.quote, exact)

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
        columns = self._rewritten or list(my_columns(cursor))
        if not self._rewritten:
            self._check_cut(columns)
        return {column.name: column.text_hint if self._keeps_text else column.hint for column in columns}

    def keep_text(self) -> None:
        """Let Arrow, not the driver, make values of what the query returns."""
        keep_text(self.connection, self._driver)
        self._keeps_text = True

    def cancel(self) -> None:
        """Kill the query over a second connection: the first is busy with it."""
        with contextlib.closing(self.hook.get_conn()) as other, contextlib.closing(other.cursor()) as cursor:
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

    def _described(self) -> list[MyColumn]:
        """The columns of the query, if it must be rewritten for one of them; it is planned for this and not run."""
        if not self.query.can_be_wrapped:
            return []
        text = f"SELECT * FROM (\n{self.query.text}\n) xacct_columns LIMIT 0"  # noqa: S608 - the DAG's own query
        try:
            with contextlib.closing(self.connection.cursor()) as cursor:
                cursor.execute(text, *([] if self.query.parameters is None else [self.query.parameters]))
                columns = list(my_columns(cursor))
                cursor.fetchall()
        except Exception as exc:
            if not is_database_error(exc):
                raise
            return []  # whatever is wrong with the query, running it tells better
        return columns if any(self._must_rewrite(column) for column in columns) else []

    def _must_rewrite(self, column: MyColumn) -> bool:
        return column.is_cut and self.options.column_types.get(column.name) != "string"

    def _check_cut(self, columns: Iterable[MyColumn]) -> None:
        cut = [column.name for column in columns if column.is_cut and column.name not in self.options.column_types]
        if cut:
            raise InvalidArgumentError(
                f"MySQL writes six digits of a FLOAT, and {', '.join(map(repr, cut))} may have nine",
                where=self.where,
                remedy=f"Select {cut[0]} * 1e0 AS {cut[0]}, leave ORDER BY out (partition_by sorts too), or take the "
                f"six digits with column_types={{{cut[0]!r}: 'float'}}.",
            )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
