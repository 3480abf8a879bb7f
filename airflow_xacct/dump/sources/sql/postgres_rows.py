"""What both forms of COPY have in common where batches are made of them: the schema, and how a value is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from airflow_xacct.dump.sources.sql.arrow_types import arrow_field
from airflow_xacct.dump.sources.sql.postgres import PostgresSession
from airflow_xacct.dump.sources.sql.postgres_types import PgColumn
from airflow_xacct.exceptions import SourceUnreadableError

__all__ = ["not_read", "refused", "schema_of", "where_of"]


def schema_of(columns: Sequence[PgColumn]) -> pa.Schema:
    """The columns in Arrow."""
    return pa.schema(
        [arrow_field(column.name, column.type, column.type_name, is_json=column.is_json) for column in columns]
    )


def where_of(session: PostgresSession) -> str:
    """Where the rows are; in a part of a table they are counted from where the part begins."""
    return session.where if session.pages is None else f"{session.where}, {session.pages} of its table"


def refused(column: PgColumn, at: str, where: str) -> SourceUnreadableError:
    """A value that its column cannot hold.

    :param at: the row, in words.
    """
    return SourceUnreadableError(
        f"{at} holds a value that column {column.name!r} ({column.type_name}, Arrow {column.type}) cannot hold",
        where=where,
        remedy=(
            "Infinity, years outside 1 to 9999 and NaN in a numeric have no place there. Cast it in the query, or "
            f"give column_types={{{column.name!r}: 'string'}} to deliver the server's own text."
        ),
    )


def not_read(what: str, where: str) -> SourceUnreadableError:
    """Rows that are not as the server's documentation has them."""
    return SourceUnreadableError(
        what,
        where=where,
        remedy="Say fast_path='forbid' to read through a cursor, and report this as a bug.",
    )
