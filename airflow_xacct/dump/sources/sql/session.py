"""One connection of a hook, which reads one query and is closed with it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from airflow_xacct.dump.sources.sql.errors import SecretWords, is_database_error, translated
from airflow_xacct.dump.sources.sql.hints import ColumnHint
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.exceptions import InvalidArgumentError, SourceUnreadableError

__all__ = ["MOST_CONNECTIONS", "Hook", "ReadOptions", "Session", "Stream", "checked_names"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

MOST_CONNECTIONS = 16
"""That one task may make to a database."""

_CANCELS, _CANCEL_SECONDS = 10, 1.0


class Hook(Protocol):
    """What is used of Airflow's ``DbApiHook``."""

    def get_conn(self) -> Any:
        """A new connection, by PEP 249."""
        ...


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a query is read.

    :param fetch_rows: rows asked of a cursor at a time; ``None``: what is fastest with the driver.
    :param block_bytes: text is cut into blocks of about this size.
    :param read_only: let the database refuse to write, where it has such a transaction.
    :param statement_timeout_seconds: for the whole statement, reading included; ``None``: as the database is set.
    :param connections: PostgreSQL: how many connections may read a query between them, where it is of one table.
    :param column_types: the Arrow types of columns by name, such as ``{"n": "decimal128(38, 9)"}``, where the
        declared or guessed one does not fit; ``"string"`` takes any value, as text.
    """

    fetch_rows: int | None = None
    block_bytes: int = 512 * 1024
    read_only: bool = True
    statement_timeout_seconds: float | None = None
    connections: int = 1
    column_types: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("fetch_rows", "block_bytes", "statement_timeout_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InvalidArgumentError(f"{value!r} is not above zero", where=name, remedy="Give a larger number.")
        if isinstance(self.connections, bool) or self.connections not in range(1, MOST_CONNECTIONS + 1):
            raise InvalidArgumentError(
                f"{self.connections!r} is not a whole number from 1 to {MOST_CONNECTIONS}",
                where="connections",
                remedy="Two are mostly as fast as more: the server has a process for each.",
            )


class Session:
    """A connection that reads one query; the form for a database that nothing more is known of.

    :param hook: hands out the connection.

    ``no_fast_path`` says why there is none. ``describes_late`` says that a cursor knows its columns only after the
    first fetch. ``fetch_rows`` is how many are fetched at a time: many where each fetch is a round trip, few where it
    is none, since the tuples of a small fetch stay in the processor's cache (measured: twice as fast).
    """

    database = "this database"
    no_fast_path = "none is known for such a database"
    quote_mark = '"'
    describes_late = False
    fetch_rows = 8_192

    def __init__(self, hook: Hook, query: SqlQuery, options: ReadOptions) -> None:
        self.query = query
        self.options = options
        self.where = f"connection {_conn_id(hook)!r}"
        self.hook = hook
        self.connection: Any = None

    def open(self) -> None:
        """Connect, and set what holds for the query.

        :raises SourceError: the database refused.
        """
        with self.translating():
            self.connection = self.run(self.hook.get_conn)
            try:
                self.run(self.begin)
            except BaseException:
                self.close()
                raise

    def begin(self) -> None:
        """Set what holds for the query: read-only, timeout."""
        if self.options.statement_timeout_seconds is not None:
            raise InvalidArgumentError(
                f"no way is known to limit the time of a statement in {self.database}",
                where="statement_timeout",
                remedy="Leave it out and set one in the connection or the database.",
            )
        log.info("Reading in an ordinary transaction: no read-only one is known for %s", self.where)

    def cursor(self) -> Any:
        """A cursor whose rows stay on the server until they are fetched, where the driver has one."""
        return self.connection.cursor()

    def execute(self) -> Any:
        """A cursor that has executed the query."""
        cursor = self.cursor()
        text = self.statement()
        if self.query.parameters is None:
            cursor.execute(text)
        else:
            cursor.execute(text, self.query.parameters)
        return cursor

    def statement(self) -> str:
        """The query as it is executed."""
        return self.query.ordered(self.quote)

    def column_hints(self, cursor: Any) -> Mapping[str, ColumnHint]:
        """What the database tells of the columns, by name; all else comes from the values.

        :param cursor: one that has executed the query and fetched once.
        """
        hints = {}
        for name, *_, precision, scale, _null_ok in cursor.description:
            # PEP 249 has no word for "unknown": drivers put None, 0 or nonsense
            if isinstance(precision, int) and isinstance(scale, int) and 0 <= scale <= precision and precision > 0:
                hints[name] = ColumnHint(decimals=(precision, scale))
        return hints

    def run(self, work: Callable[[], _T]) -> _T:
        """Do what uses the connection, in the thread that it is bound to."""
        return work()

    def quote(self, name: str) -> str:
        """The name of a column as an identifier."""
        mark = self.quote_mark
        return f"{mark}{name.replace(mark, mark * 2)}{mark}"

    def cancel(self) -> None:
        """End a statement that runs in another thread, as far as the driver can."""
        if callable(cancel := getattr(self.connection, "cancel", None)):
            cancel()

    def close(self) -> None:
        """Give up the transaction and the connection; never raises, for nothing depends on it any more."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                self.run(connection.close)

    @contextlib.contextmanager
    def translating(self, rows: Callable[[], int | None] = lambda: None) -> Iterator[None]:
        """Raise errors of the driver as ours.

        :param rows: how many rows were read by now.
        """
        try:
            yield
        except Exception as exc:
            if not is_database_error(exc):
                raise
            secrets = SecretWords(self.query.parameters, _password(self.hook))
            found, may_show = translated(exc, self.where, secrets, rows=rows())
            raise found from exc if may_show else None


class Stream(Generic[_T]):
    """Hands out what an iterator reads from a session, and can be closed from another thread.

    :param rows_of: how many rows an item holds.
    """

    def __init__(self, session: Session, rows_of: Callable[[_T], int]) -> None:
        self._session = session
        self._rows_of = rows_of
        self._busy = threading.Lock()
        self._reader: int | None = None
        self._iterator: Iterator[_T] | None = None
        self._closed = threading.Event()
        self._ended = False
        self.rows = 0

    def items(self, iterator: Iterator[_T]) -> Iterator[_T]:
        """What the iterator reads, item by item; the connection is closed after the last.

        :raises SourceUnreadableError: it was closed before or meanwhile: never a short result as a whole one.
        """
        self._iterator = iterator
        while (item := self._next(iterator)) is not None:
            self.rows += self._rows_of(item)
            yield item
        self._ended = True
        self.close()

    def close(self) -> None:
        """Cancel what runs and close the connection. May be called at any time, more than once."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._cancel()
        if self._reader == threading.get_ident():
            return  # a signal handler, in the middle of a step: the step ends with an error, and closes
        for _ in range(_CANCELS):
            # closing a socket under a driver that reads from it would crash the process
            if self._busy.acquire(timeout=_CANCEL_SECONDS):
                try:
                    self._release()
                finally:
                    self._busy.release()
                return
            self._cancel()  # the one before may have come too early for the step that it should end
        log.warning("The query of %s did not end after %d cancels", self._session.where, _CANCELS)

    def _cancel(self) -> None:
        if not self._ended:
            with contextlib.suppress(Exception):
                self._session.cancel()

    def _next(self, iterator: Iterator[_T]) -> _T | None:
        with self._busy:
            if self._closed.is_set():
                raise self._was_closed()
            self._reader = threading.get_ident()
            try:
                with self._session.translating(lambda: self.rows):
                    return self._session.run(lambda: next(iterator, None))
            except BaseException as exc:
                was_closed = self._closed.is_set()
                self._closed.set()
                self._release()
                if was_closed and isinstance(exc, Exception):
                    raise self._was_closed() from exc
                raise
            finally:
                self._reader = None

    def _release(self) -> None:
        # the iterator first: it may hold a thread that uses the connection
        if (close := getattr(self._iterator, "close", None)) is not None:
            with contextlib.suppress(Exception):
                self._session.run(close)
        self._session.close()

    def _was_closed(self) -> SourceUnreadableError:
        return SourceUnreadableError(
            f"reading was stopped after {self.rows:,} rows",
            where=self._session.where,
            remedy="Nothing was delivered; a retry reads from the start.",
        )


def checked_names(names: Sequence[str], where: str) -> list[str]:
    """The names of the columns, which no format could do without.

    :raises InvalidArgumentError: none, an empty one, or two of one name.
    """
    seen: set[str] = set()
    twice = sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
    if twice:
        raise InvalidArgumentError(
            f"the query returns more than one column named {', '.join(map(repr, twice))}",
            where=where,
            remedy="Name each column of the query with AS; 'SELECT *' over a join repeats the keys.",
        )
    if not names or not all(names):
        what = "a column without a name" if names else "no columns"
        raise InvalidArgumentError(f"the query returns {what}", where=where, remedy="Name each column with AS.")
    return list(names)


def _conn_id(hook: Hook) -> str:
    get_conn_id = getattr(hook, "get_conn_id", None)
    return str(get_conn_id()) if callable(get_conn_id) else type(hook).__name__


def _password(hook: Hook) -> str | None:
    """The password, if the hook has already read its connection; nobody is asked for it here."""
    return getattr(vars(hook).get("_connection"), "password", None)
