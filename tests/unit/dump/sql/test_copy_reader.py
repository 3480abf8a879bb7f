"""Rows out of libpq: none is lost or moved, however they arrive, and its buffer stays small."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest

from airflow_xacct.dump.rows import TextBlock
from airflow_xacct.dump.sources.sql.postgres_reader import CopyReader, CopyRows

KIB = 1024
BLOCK_BYTES = 64 * KIB


class Libpq:
    """As libpq reads: no more than its buffer has room for, which doubles when less than 8 KiB of it are free.

    :param arriving: how many bytes reach the socket together; every third wait is in vain.
    """

    def __init__(self, rows: Sequence[bytes], arriving: int) -> None:
        self.rows = deque(rows)
        self.arriving = arriving
        self.arrived = self.buffered = self.socket = 0
        self.capacity = 16 * KIB
        self.reads = self.waits = 0
        self.sent = sum(map(len, rows))

    def arrive(self) -> bool:
        """The next piece reaches the socket; every third time it does not."""
        self.waits += 1
        if self.waits % 3 == 0:
            return False
        more = min(self.arriving, self.sent - self.arrived)
        self.arrived += more
        self.socket += more
        return True

    def consume_input(self) -> None:
        self.reads += 1
        if self.capacity - self.buffered < 8 * KIB:
            self.capacity *= 2
        taken = min(self.socket, self.capacity - self.buffered)
        self.socket -= taken
        self.buffered += taken

    def get_copy_data(self, _: int) -> tuple[int, bytes]:
        if not self.rows:
            return -1, b""
        row = self.rows[0]
        if len(row) > self.buffered:
            self.capacity = max(self.capacity, len(row))
            return 0, b""
        self.buffered -= len(row)
        return len(row), self.rows.popleft()


def read(libpq: Libpq) -> list[TextBlock]:
    """All blocks, waited for as a connection does."""
    rows, reader, blocks = CopyRows(BLOCK_BYTES), CopyReader(libpq), []
    more = True
    while more:
        gathering = reader.gather(rows)
        try:
            next(gathering)
            while True:
                gathering.send(libpq.arrive())
        except StopIteration as ended:
            more = ended.value
        blocks += [TextBlock(bytes(block.data), block.rows) for block in rows.lend()]
    return blocks


def some_rows(count: int) -> list[bytes]:
    """Of one to a thousand bytes."""
    return [b"%d," % number + b"x" * (number * 7919 % 1000) + b"\n" for number in range(count)]


@pytest.mark.parametrize("arriving", [777, 8 * KIB, 100 * KIB, 10_000 * KIB])
def test_blocks_do_not_depend_on_how_rows_arrive(arriving: int) -> None:
    """They end with the row that fills them, whatever the network does; no row is lost."""
    rows = some_rows(2_000)
    blocks = read(Libpq(rows, arriving))
    assert b"".join(block.data for block in blocks) == b"".join(rows)
    left = iter(rows)
    for number, block in enumerate(blocks, 1):
        mine = [next(left) for _ in range(block.rows)]
        assert block.data == b"".join(mine)
        assert number == len(blocks) or len(block.data) - len(mine[-1]) < BLOCK_BYTES <= len(block.data)


def test_a_block_of_many_short_rows() -> None:
    """Ends with its 65,536th row."""
    assert [block.rows for block in read(Libpq([b"\n"] * 70_000, 8 * KIB))] == [65_536, 4_464]


def test_no_rows() -> None:
    """There is no block."""
    assert read(Libpq([], KIB)) == []


def test_the_buffer_grows_where_much_arrives() -> None:
    """To a few times its size and no further, however much waits in the socket."""
    much = Libpq(some_rows(20_000), 10_000 * KIB)
    read(much)
    assert 64 * KIB <= much.capacity <= 256 * KIB
    little = Libpq(some_rows(2_000), 4 * KIB)
    read(little)
    assert little.capacity == 16 * KIB


def test_waits_only_where_nothing_is_left() -> None:
    """What has arrived is read in large pieces without a wait in between."""
    libpq = Libpq(some_rows(20_000), 1_000 * KIB)
    read(libpq)
    pieces = libpq.sent // (1_000 * KIB) + 1
    assert libpq.waits <= 3 * pieces
    assert libpq.reads <= libpq.sent // (50 * KIB) + 3 * pieces


def test_a_row_longer_than_the_buffer() -> None:
    """Is a block of its own, whole."""
    long = b"y" * (3 * 1024 * KIB) + b"\n"
    blocks = read(Libpq([b"a\n", long, b"b\n"], 50 * KIB))
    assert [(block.rows, len(block.data)) for block in blocks] == [(2, len(long) + 2), (1, 2)]


def test_a_block_is_lent() -> None:
    """Its bytes are the next one's afterwards, so whoever still points into them is told, and sees no other rows."""
    rows = CopyRows(4)
    assert not rows.add(b"a\n")
    assert rows.add(b"bb\n")
    lent = rows.lend()
    block = next(lent)
    assert (bytes(block.data), list(block.ends)) == (b"a\nbb\n", [2, 5])
    kept = memoryview(block.data)[1:]
    assert next(lent, None) is None
    with pytest.raises(BufferError):
        rows.add(b"c\n")
    assert bytes(kept) == b"\nbb\n"
    kept.release()
    rows.add(b"c\n")


def test_a_long_row_leaves_no_long_buffer() -> None:
    """The one after it is as short as the first."""
    rows = CopyRows(1024)
    rows.add(b"x" * 2_000_000)
    for block in rows.lend():
        assert block.rows == 1
    assert len(rows.data.getbuffer()) == 1024
    rows.add(b"y")
    assert [bytes(block.data) for block in rows.lend()] == [b"y"]
