"""Several connections that read one query between them, as of one moment.

The first exports its snapshot, the others take it (PostgreSQL: *Snapshot Synchronization Functions*), and each reads a
range of the table's pages. A row that the snapshot sees has exactly one place in the table, which is in exactly one
range, whatever others write meanwhile: new versions of rows are invisible to it, and the old ones stay while it lives.
Each connection holds a lock on the table that keeps whatever would move rows (VACUUM FULL, CLUSTER, TRUNCATE) away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_xacct.dump.read_ahead import ReadAhead
from airflow_xacct.dump.sources.sql.postgres_split import (
    CannotSplit,
    Pages,
    check_functions,
    check_table,
    scan_of,
    with_condition,
)
from airflow_xacct.dump.sources.sql.session import Session
from airflow_xacct.exceptions import ConfigurationError, SourceError

if TYPE_CHECKING:
    from airflow_xacct.dump.sources.sql.postgres import PostgresSession

__all__ = ["SessionGroup", "in_turn", "read_parts", "share_out"]

T = TypeVar("T")

_SINCE = 140_000
_LEAST_BLOCK_BYTES = 256 * 1024  # in smaller ones, the cost of a block shows
_PAGES_EACH = 64  # 512 KiB: less is read faster than a connection is made


class SessionGroup(Session):
    """Sessions that read parts of one query, taken for one.

    :param sessions: open; the first one's errors, name and options speak for all.
    """

    def __init__(self, sessions: Sequence[PostgresSession]) -> None:
        first = sessions[0]
        super().__init__(first.hook, first.query, first.options)
        self.sessions = sessions

    def cancel(self) -> None:
        """Cancel what each of them runs; one that cannot be reached keeps no other from it."""
        errors = [error for session in self.sessions if (error := _error_of(session.cancel)) is not None]
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Close all connections; the one whose snapshot the others read comes last."""
        for session in reversed(self.sessions):
            session.close()


def _error_of(work: Callable[[], None]) -> Exception | None:
    try:
        work()
    except Exception as exc:  # noqa: BLE001 - raised when the others were asked too
        return exc
    return None


def share_out(session: PostgresSession, text: Callable[[PostgresSession], str]) -> list[PostgresSession]:
    """Let several connections read a query, as far as its options ask for them and it can be.

    :param session: open, and in no other state when this raises.
    :param text: the statement that a session will read with.
    :return: the session and others, each for a range of pages.
    :raises CannotSplit: one connection must do, for the reason given.
    """
    others: list[PostgresSession] = []
    try:
        with session.translating():
            return _share_out(session, text, others)
    except BaseException as exc:
        for other in others:
            other.close()
        if not isinstance(exc, (CannotSplit, SourceError, ConfigurationError)):
            raise
        session.pages = None
        with session.translating():
            session.begin_again()
        if isinstance(exc, CannotSplit):
            raise
        raise CannotSplit(f"the database did not let it be shared out: {exc.what}") from exc


def _share_out(
    session: PostgresSession, text: Callable[[PostgresSession], str], others: list[PostgresSession]
) -> list[PostgresSession]:
    if session.connection.info.server_version < _SINCE:
        raise CannotSplit("ranges of pages need PostgreSQL 14")
    if session.query.order_by:
        raise CannotSplit("its rows must come sorted, for partition_by")
    if not session.options.read_only:
        raise CannotSplit("read_only=False, so it may write")
    with_condition(session.bound(), "true")
    whole = scan_of(session, text(session))
    pages = check_table(session, whole)
    check_functions(session, whole)
    count = min(session.options.connections, pages // _PAGES_EACH)
    if count < 2:
        raise CannotSplit(f"its table is small ({pages} pages)")
    snapshot = str(session.look_up("SELECT pg_catalog.pg_export_snapshot()")[0][0])
    for _ in range(count - 1):
        other = type(session)(session.hook, session.query, session.options, snapshot=snapshot)
        others.append(other)
        other.open()
    everyone = [session, *others]
    for one, part in zip(everyone, Pages.split(pages, count), strict=True):
        _see_the_same(one, session)
        # blocks of several connections wait at once, and take the memory of one's
        size = session.options.block_bytes
        one.pages, one.block_bytes = part, min(size, max(_LEAST_BLOCK_BYTES, size // count))
        if not scan_of(one, text(one), part=True).is_part_of(whole):
            raise CannotSplit("the server reads a part of it in another way than the whole")
    return everyone


def _see_the_same(one: PostgresSession, first: PostgresSession) -> None:
    """See that another session has the state of the same server before it."""
    if one is not first and (one.columns != first.columns or _moment(one) != _moment(first)):
        raise CannotSplit("the connections do not lead to one state of one server")


def _moment(session: PostgresSession) -> tuple[Any, ...]:
    """What the session sees, and of which server."""
    return tuple(
        session.look_up(
            "SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_postmaster_start_time()::text, "
            "pg_catalog.current_database()::text, current_user::text"
        )[0]
    )


def read_parts(group: SessionGroup, read: Callable[[PostgresSession], Iterator[T]]) -> Iterator[T]:
    """What one session reads, or several in turn.

    :param read: a session's part, in items that may be handed on in any order.
    """
    if len(group.sessions) == 1:
        return read(group.sessions[0])
    return in_turn([read(session) for session in group.sessions], group.cancel)


def in_turn(parts: Sequence[Iterator[T]], stop: Callable[[], None]) -> Iterator[T]:
    """Items of several iterators, one of each in turn, while the next ones are made.

    The order depends on what they yield alone, so that it is the same when nothing changed. Each is read in a thread
    of its own, by one item further than was asked for.

    :param stop: ends what the iterators wait for; called before their threads are joined, when not all was read.
    """
    readers = [ReadAhead(part, lambda _: 1, 1, f"xacct-part-{number}") for number, part in enumerate(parts)]
    for reader in readers:
        reader.start()
    ended = False
    try:
        going = list(readers)
        while going:
            for reader in list(going):
                try:
                    item = next(reader)
                except StopIteration:
                    going.remove(reader)
                else:
                    yield item
        ended = True
    finally:
        for reader in readers:
            reader.stop()
        if not ended:
            stop()
        for reader in readers:
            reader.join()
