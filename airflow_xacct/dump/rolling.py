"""Where one object ends and the next begins: partitions of the data, and rows or bytes for each object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_xacct.dump.blocks import Cutter, Data, Slice, text_row_end
from airflow_xacct.dump.formats.spec import ObjectEncoder, RowEncoder
from airflow_xacct.dump.formats.text import TextEncoder, WholeText
from airflow_xacct.dump.rows import TextBlock

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Begin", "Chunk", "End", "Event", "Limits", "Roller", "event_size_bytes", "roll_text"]


@dataclass(frozen=True, slots=True)
class Begin:
    """A new object.

    :param partition: its path, such as ``month=1/``; empty where the data has none.
    :param number: counts the objects of its partition from 0.
    """

    partition: str
    number: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the object that began last.

    :param rows: how many it holds so far.
    """

    data: Data
    rows: int


@dataclass(frozen=True, slots=True)
class End:
    """The object that began last is whole.

    :param rows: how many it holds.
    """

    rows: int


Event = Begin | Chunk | End


def event_size_bytes(event: Event) -> int:
    """What an event takes while it waits."""
    return len(event.data) if isinstance(event, Chunk) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an object is full.

    :param max_rows: of an object, at least 1; ``None`` for any number.
    :param max_bytes: of an object; ``None`` for any size. A block that is larger makes an object of its own.
    """

    max_rows: int | None = None
    max_bytes: int | None = None


class _Object:
    """The object that is being written."""

    def __init__(self, encoder: ObjectEncoder) -> None:
        self.encoder = encoder
        self.rows = 0
        self.bytes = 0
        self.blocks = 0


class _Writer:
    """Turns blocks into the events of objects, beginning a new one where a limit asks for it."""

    def __init__(self, encoder: TextEncoder | RowEncoder, limits: Limits) -> None:
        self._encoder: RowEncoder | TextEncoder = encoder
        self._limits = limits
        self._object: _Object | None = None
        self._partition = ""
        self._number = 0

    @property
    def room_rows(self) -> int | None:
        """How many rows the object takes yet; ``None`` for any number."""
        most = self._limits.max_rows
        return None if most is None else most - (self._object.rows if self._object else 0)

    def begin_partition(self, partition: str) -> None:
        """The objects that follow belong to a partition."""
        self._partition = partition
        self._number = 0

    def write(self, block: list[Slice[Any]]) -> Iterator[Event]:
        """A block of at most :attr:`room_rows` rows."""
        size_bytes = sum(held.size_bytes for held in block)
        most = self._limits.max_bytes
        now = self._object
        if now and now.rows and most is not None:
            bound_bytes = now.bytes + self._encoder.bound_bytes(size_bytes, now.blocks)
            if bound_bytes > most:
                yield from self.end()
        yield from self.begin()
        assert self._object is not None  # noqa: S101 - begun just now
        self._object.rows += sum(held.rows for held in block)
        for data in self._object.encoder.add(block):
            yield from self._chunk(data)
        self._object.blocks += 1
        if self.room_rows == 0:
            yield from self.end()

    def begin(self) -> Iterator[Event]:
        """Begin an object, if none is open."""
        if self._object is None:
            self._object = _Object(self._encoder.open())
            yield Begin(self._partition, self._number)
            self._number += 1
            yield from self._chunk(self._object.encoder.start())

    def end(self) -> Iterator[Event]:
        """End the object, if one is open."""
        if self._object is not None:
            yield from self._chunk(self._object.encoder.finish())
            yield End(self._object.rows)
            self._object = None

    def _chunk(self, data: Data) -> Iterator[Event]:
        assert self._object is not None  # noqa: S101 - there is one for whoever has bytes
        if len(data):
            self._object.bytes += len(data)
            yield Chunk(data, self._object.rows)


class Roller:
    """Makes objects of Arrow rows."""

    def __init__(self, encoder: RowEncoder, limits: Limits) -> None:
        self._encoder = encoder
        self._writer = _Writer(encoder, limits)
        self._cutter: Cutter[Any] = Cutter(encoder.block_bytes, encoder.block_rows)

    def events(self, segments: Iterable[tuple[str, pa.RecordBatch]]) -> Iterator[Event]:
        """The objects of all rows; one without rows where there are none.

        :param segments: rows and the path of the partition they belong to; those of one partition without others in
            between.
        """
        current: str | None = None
        for partition, batch in segments:
            if not batch.num_rows:
                continue
            if partition != current:
                yield from self._end_partition()
                self._writer.begin_partition(partition)
                current = partition
            for piece in self._encoder.pieces(batch):
                self._cutter.feed(piece)
                yield from self._drain(final=False)
        if current is None:
            yield from self._writer.begin()
        yield from self._end_partition()

    def _end_partition(self) -> Iterator[Event]:
        yield from self._drain(final=True)
        yield from self._writer.end()

    def _drain(self, *, final: bool) -> Iterator[Event]:
        while block := self._cutter.take(self._writer.room_rows, final=final):
            yield from self._writer.write(block)


def roll_text(blocks: Iterable[TextBlock], encoder: TextEncoder, limits: Limits) -> Iterator[Event]:
    """Make objects of CSV that a server wrote; one without rows where there are none."""
    writer = _Writer(encoder, limits)
    empty = True
    for block in blocks:
        for data, rows in _pieces(block, writer):
            empty = False
            yield from writer.write([Slice(WholeText(data, rows), 0, rows)])
    if empty:
        yield from writer.begin()
    yield from writer.end()


def _pieces(block: TextBlock, writer: _Writer) -> Iterator[tuple[Data, int]]:
    """The block, cut where the object is full; how much room there is may change with each piece that was written."""
    view, start, left = memoryview(block.data), 0, block.rows
    while start < len(view):
        room = writer.room_rows
        rows = left if room is None else min(left, room)
        end = len(view) if rows == left else text_row_end(block.data, start, rows)
        yield view[start:end], rows
        start, left = end, left - rows
