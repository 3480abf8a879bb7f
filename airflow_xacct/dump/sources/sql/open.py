"""Which way a query is read: the fastest one that is exact, and why, in one line of the log."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from airflow_xacct.dump.sources.sql.heeding import heeding_signals
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import Hook, ReadOptions, Session
from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    from airflow_xacct.dump.rows import RowSource, TextSource
    from airflow_xacct.dump.sources.sql.postgres import PostgresSession
    from airflow_xacct.dump.sources.sql.sqlite import SqliteSession

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
    way = heeding_signals(
        lambda: _opened(session, wants, fast_path), cancel=session.cancel, discard=lambda made: made.source.close()
    )
    log.info(
        "Reading %s through %s (%s, fast_path=%r)%s", session.where, way.name, session.database, fast_path, way.why
    )
    if fast_path == "require" and (problem := _not_as_required(session, way)) is not None:
        way.source.close()
        raise problem
    return way.source


def _opened(session: Session, wants: Wants, fast_path: FastPath) -> _Way:
    session.open()
    try:
        return _choose(session, wants, fast_path)
    except BaseException:
        session.close()
        raise


@dataclass(frozen=True, slots=True)
class _Way:
    """How a query is read.

    :param slow_because: why not through a fast path; empty where it is one.
    :param alone_because: why through one connection, where more were asked for.
    """

    source: RowSource | TextSource
    name: str
    slow_because: str = ""
    alone_because: str = ""

    @property
    def why(self) -> str:
        """For the end of the line of the log."""
        because = (("no fast path", self.slow_because), ("one connection", self.alone_because))
        return "".join(f"; {what}: {reason}" for what, reason in because if reason)


def _not_as_required(session: Session, way: _Way) -> InvalidArgumentError | None:
    if way.slow_because:
        return InvalidArgumentError(
            f"there is no fast path for this query in {session.database}: {way.slow_because}",
            where="fast_path",
            remedy="Say fast_path='auto' to read it through a cursor.",
        )
    if way.alone_because:
        return InvalidArgumentError(
            f"one connection must read this query, not {session.options.connections}: {way.alone_because}",
            where="connections",
            remedy="Say connections=1, or fast_path='auto' to have as many as can be.",
        )
    return None


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


def _choose(session: Session, wants: Wants, fast_path: FastPath) -> _Way:
    from airflow_xacct.dump.sources.sql.mysql import MySqlSession
    from airflow_xacct.dump.sources.sql.postgres import PostgresSession
    from airflow_xacct.dump.sources.sql.sqlite import SqliteSession

    if isinstance(session, PostgresSession) and session.can_copy and fast_path != "forbid":
        return _copied(session, wants)
    _need_arrow()
    from airflow_xacct.dump.sources.sql.cursor import CursorSource

    alone = "its rows come through a cursor" if session.options.connections > 1 else ""
    if isinstance(session, MySqlSession) and not session.options.column_types and fast_path != "forbid":
        session.keep_text()
        return _Way(CursorSource(session), "a cursor, its text parsed by Arrow", alone_because=alone)
    if isinstance(session, SqliteSession) and fast_path != "forbid":
        return _through_adbc(session, alone, required=fast_path == "require")
    slow = "it is forbidden" if fast_path == "forbid" else session.no_fast_path
    return _Way(CursorSource(session), "a cursor and fetchmany", slow, alone)


def _through_adbc(session: SqliteSession, alone: str, *, required: bool) -> _Way:
    from airflow_xacct.dump.sources.sql.cursor import CursorSource

    first = CursorSource(session)
    try:
        from airflow_xacct.dump.sources.sql.sqlite_arrow import AdbcSource, NotForAdbc
    except ImportError as exc:
        if required:
            first.close()
            raise MissingDependencyError(
                "the package adbc-driver-sqlite is not installed",
                where="fast_path",
                remedy="Install airflow-provider-xacct[sqlite], or say fast_path='auto' to read through a cursor.",
            ) from exc
        return _Way(first, "a cursor and fetchmany", "airflow-provider-xacct[sqlite] is not installed", alone)
    try:
        return _Way(AdbcSource(session, first, required=required), "ADBC", alone_because=alone)
    except NotForAdbc as reason:
        return _Way(first, "a cursor and fetchmany", str(reason), alone)


def _copied(session: PostgresSession, wants: Wants) -> _Way:
    from airflow_xacct.dump.sources.sql.postgres_copy import CopyTextSource, text_as_it_is
    from airflow_xacct.dump.sources.sql.postgres_parallel import share_out
    from airflow_xacct.dump.sources.sql.postgres_split import CannotSplit

    as_text = wants == "text_csv" and not session.options.column_types
    if not as_text:
        _need_arrow()
        from airflow_xacct.dump.sources.sql.postgres_arrow import CopyArrowSource, copy_form

        with session.translating():
            form = copy_form(session)
    sessions, alone = [session], ""
    if session.options.connections > 1:
        try:
            sessions = share_out(session, text_as_it_is if as_text else form.text)
        except CannotSplit as reason:
            alone = str(reason)
    many = f" over {len(sessions)} connections" if len(sessions) > 1 else ""
    if as_text:
        return _Way(CopyTextSource(sessions), f"COPY{many}, its CSV untouched", alone_because=alone)
    return _Way(CopyArrowSource(sessions, form), f"COPY{many}, {form.what}", alone_because=alone)


def _need_arrow() -> None:
    for package in ("pyarrow", "numpy"):
        try:
            importlib.import_module(package)
        except ImportError as exc:
            raise MissingDependencyError(f"the package {package} is not installed", where="sql", remedy=_EXTRA) from exc
