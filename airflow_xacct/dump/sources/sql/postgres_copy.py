"""What PostgreSQL sends itself: ``COPY (query) TO STDOUT``, in blocks that end where a row ends.

The server sends one row with each message (PostgreSQL: *Frontend/Backend Protocol*, COPY operations), so rows are
counted without reading them.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from airflow_xacct.dump.rows import TextBlock
from airflow_xacct.dump.sources.sql.postgres import PostgresSession
from airflow_xacct.dump.sources.sql.postgres_parallel import SessionGroup, read_parts
from airflow_xacct.dump.sources.sql.postgres_reader import CopyBlock, CopyReader, CopyRows
from airflow_xacct.dump.sources.sql.session import Stream

__all__ = ["AS_BINARY", "AS_CSV", "CopyTextSource", "copy_blocks", "text_as_it_is"]

AS_CSV = "FORMAT csv, HEADER false, ENCODING 'UTF8'"
AS_BINARY = "FORMAT binary"  # text in it is in the encoding of the client, which is UTF-8 in each of our sessions

_BINARY_BLOCKS = 2
"""So much larger are blocks of the binary form, which takes as long for a short block's columns as for its rows."""
_BLOCKS_AHEAD = 1
_LOOK_SECONDS = 0.2


class CopyTextSource:
    """The CSV of a query as the server wrote it: no header, NULL is nothing at all, ``""`` the empty string.

    :param sessions: open, one for each part; closed by this source.
    """

    def __init__(self, sessions: Sequence[PostgresSession]) -> None:
        first = sessions[0]
        self.name = f"the query of {first.where}"
        self.columns: Sequence[str] = [column.name for column in first.columns]
        self.database_types: Sequence[str] = [column.type_name for column in first.columns]
        self._group = SessionGroup(sessions)
        self._stream: Stream[TextBlock] = Stream(self._group, lambda block: block.rows)

    def blocks(self) -> Iterator[TextBlock]:
        """The text, cut at row ends."""
        return self._stream.items(read_parts(self._group, _text_blocks))

    def close(self) -> None:
        """Cancel the query if it runs, and close the connection."""
        self._stream.close()


def _text_blocks(session: PostgresSession) -> Iterator[TextBlock]:
    return (TextBlock(bytes(block.data), block.rows) for block in copy_blocks(session, text_as_it_is, AS_CSV))


def text_as_it_is(session: PostgresSession) -> str:
    """The query, whose values the server may write as it likes."""
    return session.query.ordered(session.quote, session.bound())


def copy_blocks(session: PostgresSession, query: Callable[[PostgresSession], str], options: str) -> Iterator[CopyBlock]:
    """The rows of a query, block by block.

    :param query: makes its text, with bound parameters; called when the first block is read.
    :param options: of COPY, such as :data:`AS_CSV`.
    """
    # a line break ends a comment in the query's last line
    statement = f"COPY (\n{query(session)}\n) TO STDOUT ({options})"
    size = session.block_bytes * (_BINARY_BLOCKS if options == AS_BINARY else 1)
    if session.is_psycopg3:
        yield from _pull(session.connection, statement, size)
    else:
        yield from _pump(session.connection, statement, size)


def _pull(connection: Any, statement: str, block_bytes: int) -> Iterator[CopyBlock]:
    """Blocks through psycopg 3, by its layer of libpq: its ``Copy`` takes twice the time, most of it between rows."""
    from psycopg import errors, generators, pq

    pgconn = connection.pgconn
    pgconn.send_query(statement.encode())
    result = connection.wait(generators.execute(pgconn))[0]
    if result.status != pq.ExecStatus.COPY_OUT:
        raise errors.error_from_result(result)
    rows, reader = CopyRows(block_bytes), CopyReader(pgconn)
    while connection.wait(reader.gather(rows)):
        yield from rows.lend()
    yield from rows.lend()
    result = connection.wait(generators.fetch_many(pgconn))[0]
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise errors.error_from_result(result)


def _pump(connection: Any, statement: str, block_bytes: int) -> Iterator[CopyBlock]:
    """Blocks through psycopg2, which pushes rows: a thread takes them, and waits when nobody wants more."""
    pump = _Pump(connection, statement, block_bytes)
    try:
        yield from pump.blocks()
    finally:
        pump.stop()


class _Stopped(Exception):  # noqa: N818 - it is no error
    """Nobody wants the rest."""


class _Pump:
    def __init__(self, connection: Any, statement: str, block_bytes: int) -> None:
        self._connection = connection
        self._statement = statement
        self._rows = CopyRows(block_bytes)
        self._found: queue.Queue[CopyBlock | BaseException | None] = queue.Queue(_BLOCKS_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xacct-copy", daemon=True)

    def blocks(self) -> Iterator[CopyBlock]:
        self._thread.start()
        while (found := self._found.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            # without this the driver would first read all that the server still sends
            with contextlib.suppress(Exception):
                self._connection.cancel()
            self._thread.join()

    def write(self, row: bytes) -> None:
        """What psycopg2 calls with each row."""
        if self._rows.add(row):
            self._put_rows()

    def _run(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.copy_expert(self._statement, self)
            self._put_rows()
            self._put(None)
        except _Stopped:
            pass
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it is raised where the blocks are read
            with contextlib.suppress(_Stopped):
                self._put(exc)

    def _put_rows(self) -> None:
        for block in self._rows.lend():
            # more rows come while it waits
            self._put(CopyBlock(bytes(block.data), list(block.ends)))

    def _put(self, item: CopyBlock | BaseException | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._found.put(item, timeout=_LOOK_SECONDS)
                return
        raise _Stopped
