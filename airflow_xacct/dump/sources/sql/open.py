"""Which way a query is read: the fastest one that is exact, and why, in one line of the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import Hook, ReadOptions, Session
from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    from airflow_xacct.dump.rows import RowSource, TextSource

__all__ = ["FastPath", "Wants", "open_sql_source"]

log = logging.getLogger(__name__)

FastPath = Literal["auto", "forbid", "require"]
Wants = Literal["arrow", "text_csv"]

_EXTRA = "Install airflow-provider-xacct[sql]."


def open_sql_source(
    hook: Hook,
    query: SqlQuery,
    *,
    wants: Wants,
    fast_path: FastPath = "auto",
    options: ReadOptions | None = None,
) -> RowSource | TextSource:
    """Begin to read a query; the database has accepted it when this returns, or an error says why not.

    :param hook: a ``DbApiHook`` of Airflow, or whatever has its ``get_conn``.
    :param wants: ``"text_csv"`` where CSV will be delivered: a server that writes it hands it over untouched, with
        its own texts for values. Where none does, and for ``"arrow"``, the rows come as Arrow batches.
    :param fast_path: ``"auto"`` takes one where there is one, ``"require"`` makes its absence an error, ``"forbid"``
        reads through a cursor.
    :param options: how it is read.
    :raises ConfigurationError: the query, an argument or the installation is at fault.
    :raises SourceError: the database refused.
    """
    for value, known, where in ((wants, Wants, "wants"), (fast_path, FastPath, "fast_path")):
        if value not in get_args(known):
            raise InvalidArgumentError(f"{value!r} is not known", where=where, remedy=f"Use one of {get_args(known)}.")
    session = _session(hook, query, options or ReadOptions())
    session.open()
    try:
        source, way, is_fast = _choose(session, wants, fast_path)
    except BaseException:
        session.close()
        raise
    log.info("Reading %s through %s (%s, fast_path=%r)", session.where, way, session.database, fast_path)
    if fast_path == "require" and not is_fast:
        source.close()
        raise InvalidArgumentError(
            f"there is no fast path for this query in {session.database}",
            where="fast_path",
            remedy="Say fast_path='auto' to read it through a cursor.",
        )
    return source


def _session(hook: Hook, query: SqlQuery, options: ReadOptions) -> Session:
    kind = str(getattr(hook, "conn_type", ""))
    if kind == "postgres":
        from airflow_xacct.dump.sources.sql.postgres import PostgresSession

        return PostgresSession(hook, query, options)
    if kind == "sqlite":
        from airflow_xacct.dump.sources.sql.sqlite import SqliteSession

        return SqliteSession(hook, query, options)
    if kind == "mysql":
        from airflow_xacct.dump.sources.sql.mysql import MySqlSession

        return MySqlSession(hook, query, options)
    return Session(hook, query, options)


def _choose(session: Session, wants: Wants, fast_path: FastPath) -> tuple[RowSource | TextSource, str, bool]:
    from airflow_xacct.dump.sources.sql.postgres import PostgresSession

    if fast_path != "forbid" and isinstance(session, PostgresSession) and session.can_copy:
        if wants == "text_csv" and not session.options.column_types:
            from airflow_xacct.dump.sources.sql.postgres_copy import CopyTextSource

            return CopyTextSource(session), "COPY, its CSV untouched", True
        _need_arrow()
        from airflow_xacct.dump.sources.sql.postgres_arrow import CopyArrowSource

        return CopyArrowSource(session), "COPY, its CSV parsed by Arrow", True
    _need_arrow()
    from airflow_xacct.dump.sources.sql.cursor import CursorSource

    return CursorSource(session), "a cursor and fetchmany", False


def _need_arrow() -> None:
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError as exc:
        raise MissingDependencyError("the package pyarrow is not installed", where="sql", remedy=_EXTRA) from exc
