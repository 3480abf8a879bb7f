"""A SQLite connection, used by one thread only, as the module demands."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from airflow_xacct.dump.sources.sql.hints import ColumnHint
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import Hook, ReadOptions, Session

__all__ = ["SqliteSession"]

_T = TypeVar("_T")

_STEPS_BETWEEN_LOOKS = 100_000  # instructions of SQLite's machine: some milliseconds


class SqliteSession(Session):
    """A connection that may only read. The steps of a query run in one thread of its own."""

    database = "SQLite"
    fetch_rows = 2_048

    def __init__(self, hook: Hook, query: SqlQuery, options: ReadOptions) -> None:
        super().__init__(hook, query, options)
        self._hints: Mapping[str, ColumnHint] = {}
        self._thread = ThreadPoolExecutor(1, "xacct-sqlite")

    def run(self, work: Callable[[], _T]) -> _T:
        """Do it in the thread of the connection."""
        return self._thread.submit(contextvars.copy_context().run, work).result()

    def begin(self) -> None:
        """Set the deadline, look up the columns and forbid writing; one SELECT sees one state of the database."""
        seconds = self.options.statement_timeout_seconds
        self.connection.row_factory = None
        if seconds is not None:
            deadline = time.monotonic() + seconds
            self.connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
        if self.query.can_be_wrapped and self.query.parameters is None:
            self._hints = self._declared()
        if self.options.read_only:
            self.connection.execute("PRAGMA query_only = ON")

    def column_hints(self, cursor: Any) -> Mapping[str, ColumnHint]:  # noqa: ARG002 - known before
        """The declared types of the columns, for those whose first values are all NULL."""
        return self._hints

    def cancel(self) -> None:
        """Interrupt the query; the one call that another thread may make."""
        self.connection.interrupt()

    def close(self) -> None:
        """Close the connection and end its thread."""
        super().close()
        self._thread.shutdown(wait=False)

    def _declared(self) -> dict[str, ColumnHint]:
        """What a view of the query would declare: SQLite traces each column to its table."""
        execute = self.connection.execute
        try:
            execute(f"CREATE TEMP VIEW xacct_columns AS\n{self.query.text}")
            rows = execute("PRAGMA temp.table_info(xacct_columns)").fetchall()
            execute("DROP VIEW temp.xacct_columns")
        except self.connection.Error:
            return {}  # whatever is wrong with the query, running it tells better
        return {name: _hint(kind or "") for _, name, kind, *_ in rows}


def _hint(declared: str) -> ColumnHint:
    """What the declared type of a column tells of its values (SQLite: *Datatypes*, section 3.1)."""
    import pyarrow as pa

    kind, name = declared.upper(), declared.lower()
    if "INT" in kind:
        return ColumnHint(otherwise=pa.int64(), database_type=name)
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return ColumnHint(otherwise=pa.string(), database_type=name)
    if "BLOB" in kind:
        return ColumnHint(otherwise=pa.binary(), database_type=name)
    if any(word in kind for word in ("REAL", "FLOA", "DOUB", "NUM", "DEC")):
        return ColumnHint(otherwise=pa.float64(), fractions=True, database_type=name)
    return ColumnHint(database_type=name)
