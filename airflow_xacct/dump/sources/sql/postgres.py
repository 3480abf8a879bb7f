"""A PostgreSQL connection, of psycopg 3 or psycopg2, whichever the hook hands out."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_xacct.dump.sources.sql.hints import ColumnHint
from airflow_xacct.dump.sources.sql.postgres_dates import keep_odd_dates
from airflow_xacct.dump.sources.sql.postgres_split import Pages, with_condition
from airflow_xacct.dump.sources.sql.postgres_types import PgColumn
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import Hook, ReadOptions, Session, checked_names

__all__ = ["LOCK_TIMEOUT", "PostgresSession"]

log = logging.getLogger(__name__)

LOCK_TIMEOUT = "5s"

_COPIES_CSV_SINCE = 90_000  # Redshift calls itself 8.0.2


class PostgresSession(Session):
    """A transaction that reads. Time zone, date order and search path stay the session's: the query may mean them.

    :param snapshot: what another session exported, to see what it sees; only while its transaction lasts.
    """

    database = "PostgreSQL"
    no_fast_path = "COPY does not take it"
    describes_late = True

    def __init__(self, hook: Hook, query: SqlQuery, options: ReadOptions, *, snapshot: str = "") -> None:
        super().__init__(hook, query, options)
        self.columns: Sequence[PgColumn] = ()
        self.pages: Pages | None = None
        """The part of the table that it reads; ``None`` for all of it."""
        self.block_bytes = options.block_bytes
        self._snapshot = snapshot
        self._cursor: Any = None

    @property
    def is_psycopg3(self) -> bool:
        """Whether the connection is of psycopg 3, not psycopg2."""
        return type(self.connection).__module__.split(".")[0] == "psycopg"

    @property
    def can_copy(self) -> bool:
        """Whether the server writes CSV of this query itself."""
        return self.query.can_be_wrapped and self.connection.info.server_version >= _COPIES_CSV_SINCE

    def begin(self) -> None:
        """Begin the transaction that the query will read in."""
        connection, options = self.connection, self.options
        connection.autocommit = False
        if not self.is_psycopg3:
            connection.set_client_encoding("UTF8")  # what the session's encoding lacks would be an error
        with connection.cursor() as cursor:
            if self.is_psycopg3:
                cursor.execute("SET client_encoding = 'UTF8'")
            if options.connections > 1:
                # before the first query: that takes the snapshot which others are to share
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if self._snapshot:
                cursor.execute(f"SET TRANSACTION SNAPSHOT '{self._snapshot}'")
                # whoever waits to change the table would have this session wait too, and waits for the other one
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            if options.read_only:
                cursor.execute("SET TRANSACTION READ ONLY")
            if options.statement_timeout_seconds is not None:
                cursor.execute(f"SET statement_timeout = {max(1, round(options.statement_timeout_seconds * 1000))}")
            # how values are written, not what they are: ISO keeps the order in which input dates are read
            cursor.execute("SET datestyle = ISO")
            if connection.info.server_version >= _COPIES_CSV_SINCE:
                cursor.execute("SET bytea_output = hex")
                cursor.execute("SET extra_float_digits = 3")
        if self.query.can_be_wrapped:
            self.columns = self._describe()

    def begin_again(self) -> None:
        """Forget the transaction, and begin another."""
        self.connection.rollback()
        self.begin()

    def bound(self) -> str:
        """The query with its parameters bound by the driver, for COPY takes none; of its part of the table alone."""
        text = self._bound()
        return text if self.pages is None else with_condition(text, self.pages.condition)

    def _bound(self) -> str:
        text, parameters = self.query.text, self.query.parameters
        if parameters is None:
            return text
        if self.is_psycopg3:
            import psycopg

            return str(psycopg.ClientCursor(self.connection).mogrify(text, parameters))
        import psycopg2.extensions

        with self.connection.cursor() as cursor:
            words: bytes = cursor.mogrify(text, parameters)
        return words.decode(psycopg2.extensions.encodings[self.connection.encoding])

    def selecting_exact(self, *, as_csv: bool) -> str:
        """The query, with what no parser or driver would return unchanged made into what they do.

        :param as_csv: for COPY.
        """
        inner = self.query.ordered(self.quote, self.bound())
        quoted = [self.quote(column.name) for column in self.columns]
        items = [column.selected(name, as_csv=as_csv) for column, name in zip(self.columns, quoted, strict=True)]
        if items == quoted:
            return inner
        return f"SELECT {', '.join(items)} FROM (\n{inner}\n) xacct_exact"  # noqa: S608 - the DAG's own query

    def execute(self) -> Any:
        """A server-side cursor that has executed the query."""
        if not self.columns:
            return super().execute()
        cursor = self.cursor()
        keep_odd_dates(cursor, is_psycopg3=self.is_psycopg3)
        cursor.execute(self.selecting_exact(as_csv=False))
        return cursor

    def cursor(self) -> Any:
        """A server-side cursor of plain tuples, whatever the connection's extras say."""
        name = f"xacct_{uuid.uuid4().hex}" if self.query.can_be_wrapped else None
        options: dict[str, Any] = {"name": name} if name else {}
        if self.is_psycopg3:
            import psycopg.rows

            self._cursor = self.connection.cursor(row_factory=psycopg.rows.tuple_row, **options)
        else:
            import psycopg2.extensions

            self._cursor = self.connection.cursor(cursor_factory=psycopg2.extensions.cursor, **options)
        return self._cursor

    def column_hints(self, cursor: Any) -> Mapping[str, ColumnHint]:  # noqa: ARG002 - known before
        """The types of the columns, for certain."""
        return {
            column.name: ColumnHint(
                type=column.type,
                database_type=column.type_name,
                is_json=column.is_json,
                naive_is_utc=column.is_instant,
            )
            for column in self.columns
        }

    def cancel(self) -> None:
        """Ask the server to cancel, over a connection of its own."""
        safe = getattr(self.connection, "cancel_safe", None)
        if safe is not None:
            safe(timeout=5.0)
        else:
            self.connection.cancel()

    def close(self) -> None:
        """Close the cursor, which psycopg 3 misses otherwise, and the connection."""
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            with contextlib.suppress(Exception):
                cursor.close()
        super().close()

    def _describe(self) -> list[PgColumn]:
        """The columns of the query, which is planned for this and not run."""
        text = f"SELECT * FROM (\n{self.bound()}\n) xacct_query LIMIT 0"  # noqa: S608 - the DAG's own query
        with self.connection.cursor() as cursor:
            cursor.execute(text)
            description = cursor.description or ()
            names = checked_names([column[0] for column in description], self.where)
            types = self._type_names({column[1] for column in description})
        asked: Mapping[str, Any] = {}
        if self.options.column_types:
            from airflow_xacct.dump.sources.sql.arrow_types import named_types

            asked = named_types(self.options.column_types, names)
        return [
            PgColumn(name, oid, types.get(oid, ""), precision, scale, asked.get(name))
            for name, oid, _, _, precision, scale, _ in description
        ]

    def _type_names(self, oids: set[int]) -> dict[int, str]:
        if not oids:
            return {}
        rows = self.look_up("SELECT oid, format_type(oid, NULL) FROM pg_type WHERE oid = ANY(%s)", sorted(oids))
        return {int(oid): str(name) for oid, name in rows}

    def look_up(self, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a short query in the same transaction, whatever kind of rows the connection's extras ask for."""
        with self.connection.cursor() as cursor:
            # without parameters, a percent sign is one
            cursor.execute(text, *([parameters] if parameters else []))
            rows = cursor.fetchall()
        return [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in rows]
