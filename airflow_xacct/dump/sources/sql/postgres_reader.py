"""The rows of a COPY out of libpq, in few and large reads."""

from __future__ import annotations

import io
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CopyBlock", "CopyReader", "CopyRows"]

_MOST_ROWS = 65_536
_GATHERING_SECONDS = 0.0005
_DOUBLINGS = 4  # from 16 KiB to 256 KiB
_BUFFER_BYTES = 256 * 1024
_NEARLY_FULL_BYTES = 12 * 1024


@dataclass(frozen=True, slots=True)
class CopyBlock:
    """Whole rows, as the server sent them.

    :param data: theirs only until the next block is asked for: then it holds that one's, or nothing.
    :param ends: where in ``data`` each of them ends; likewise.
    """

    data: bytes | memoryview
    ends: Sequence[int]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.ends)


class CopyRows:
    """Rows that wait to become a block.

    They are kept in one buffer, which every block uses again: the memory of a new one would have to be fetched from
    the operating system page by page, for which a block of 1 MiB takes a third longer.

    :param block_bytes: a block ends with the row that brings it to this size, or with its 65,536th row.
    """

    def __init__(self, block_bytes: int) -> None:
        self.block_bytes = block_bytes
        # copied at once: a list of the drivers' own small buffers takes twice the time
        self.data = io.BytesIO(bytes(block_bytes))
        self.ends: list[int] = []

    def add(self, row: bytes) -> bool:
        """Take a row, and say whether it is time for a block."""
        self.data.write(row)
        self.ends.append(self.data.tell())
        return self.ends[-1] >= self.block_bytes or len(self.ends) >= _MOST_ROWS

    def lend(self) -> Iterator[CopyBlock]:
        """What has gathered, as one block, or none."""
        if not self.ends:
            return
        whole = self.data.getbuffer()
        part, capacity = whole[: self.ends[-1]], len(whole)
        yield CopyBlock(part, self.ends)
        # while anything still points into it, which would see other rows, no more can be written
        part.release()
        whole.release()
        self.ends.clear()
        self.data.seek(0)
        if capacity > 2 * self.block_bytes + _BUFFER_BYTES:
            self.data = io.BytesIO(bytes(self.block_bytes))  # the other was made for a long row


class CopyReader:
    """Takes rows out of psycopg 3's ``PGconn``.

    A server sends 8 KiB at a time. To wake up for each of them takes as long as all that is done with the rows here,
    and the server as long to wake the reader. So the reader waits only where nothing is left, then a moment more while
    the kernel gathers what comes, and has libpq make its buffer larger than 16 KiB: that doubles when it is asked to
    read on while the buffer is full (PostgreSQL: ``pqReadData`` in ``fe-misc.c``).

    Memory: 256 KiB, or what the longest row takes.

    :param pgconn: its statement is a COPY to the client, under way.
    """

    def __init__(self, pgconn: Any) -> None:
        self._pgconn = pgconn
        self._doublings = _DOUBLINGS

    def gather(self, rows: CopyRows) -> Generator[Any, Any, bool]:
        """Take rows until there is a block, or until there are no more, which is ``False``; it yields to wait.

        :param rows: none yet.
        """
        receive, write, ended, most_bytes = (
            self._pgconn.get_copy_data,
            rows.data.write,
            rows.ends.append,
            rows.block_bytes,
        )
        end = seen_bytes = 0
        # neither a call of ours nor an attribute for each row: they take half as long again
        for _ in range(_MOST_ROWS):
            size, row = receive(1)
            while not size:
                found_bytes = end - seen_bytes
                if not found_bytes:
                    yield from _more()
                self._read(found_bytes)
                seen_bytes = end
                size, row = receive(1)
            if size < 0:
                return False
            write(row)
            end += size
            ended(end)
            if end >= most_bytes:
                break
        return True

    def _read(self, found_bytes: int) -> None:
        """Read on.

        :param found_bytes: what the read before brought.
        """
        self._pgconn.consume_input()
        if self._doublings and found_bytes > _NEARLY_FULL_BYTES:
            self._doublings -= 1
            self._pgconn.consume_input()


def _more() -> Generator[Any, Any, None]:
    """Wait until there is something to read, and a little longer."""
    from psycopg.waiting import Wait

    while not (yield Wait.R):
        continue
    time.sleep(_GATHERING_SECONDS)
