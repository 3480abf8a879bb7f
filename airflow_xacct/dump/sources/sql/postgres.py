"""A PostgreSQL connection, of psycopg 3 or psycopg2, whichever the hook hands out."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_xacct.dump.sources.sql.hints import ColumnHint
from airflow_xacct.dump.sources.sql.postgres_dates import keep_odd_dates
from airflow_xacct.dump.sources.sql.postgres_types import PgColumn
from airflow_xacct.dump.sources.sql.session import Session, checked_names

__all__ = ["PostgresSession"]

log = logging.getLogger(__name__)

_COPIES_CSV_SINCE = 90_000  # Redshift calls itself 8.0.2


class PostgresSession(Session):
    """A transaction that reads. Time zone, date order and search path stay the session's: the query may mean them."""

    database = "PostgreSQL"
    describes_late = True
    columns: Sequence[PgColumn] = ()
    _cursor: Any = None

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
        with connection.cursor() as cursor:
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

    def bound(self) -> str:
        """The query with its parameters bound by the driver, for COPY takes none."""
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
            column.name: ColumnHint(type=column.type, database_type=column.type_name, is_json=column.is_json)
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
        with self.connection.cursor() as cursor:
            numbers = ", ".join(str(int(oid)) for oid in sorted(oids))
            cursor.execute(f"SELECT oid, format_type(oid, NULL) FROM pg_type WHERE oid IN ({numbers})")  # noqa: S608
            rows = cursor.fetchall()
        pairs = [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in rows]
        return {int(oid): str(name) for oid, name in pairs}
