"""Blocks: runs of whole rows, cut by the rows alone.

The same rows give the same blocks, however a source happened to batch them, so that objects roll at the same rows and
compressors see the same input at every try: a later try may compare its parts with those of an earlier one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["Cutter", "Data", "Piece", "Slice", "text_row_end"]

Data = bytes | memoryview
"""Bytes that nobody changes any more."""


class Piece(Protocol):
    """Rows that have a size: encoded text, or an Arrow batch."""

    @property
    def rows(self) -> int:
        """How many."""
        ...

    def size_bytes(self, rows: int, /) -> int:
        """The size of the first ``rows`` rows. Never falls as ``rows`` grows."""
        ...


PieceT = TypeVar("PieceT", bound=Piece)


@dataclass(frozen=True, slots=True)
class Slice(Generic[PieceT]):
    """The rows from ``start`` to before ``stop`` of a piece."""

    piece: PieceT
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.stop - self.start

    @property
    def size_bytes(self) -> int:
        """Their size."""
        return self.piece.size_bytes(self.stop) - self.piece.size_bytes(self.start)


class Cutter(Generic[PieceT]):
    """Cuts pieces into blocks. A block ends with the row that brings it to ``block_bytes`` or to ``block_rows``.

    Holds what was fed and not taken: less than a block and one piece.

    :param block_bytes: at least 1. A block is larger by less than one row.
    :param block_rows: the most rows of a block; ``None`` for any number.
    """

    def __init__(self, block_bytes: int, block_rows: int | None = None) -> None:
        self._block_bytes = block_bytes
        self._block_rows = block_rows
        self._pending: deque[Slice[PieceT]] = deque()
        self._rows = self._size_bytes = 0

    def feed(self, piece: PieceT) -> None:
        """More rows. Those of earlier pieces should be taken first."""
        if piece.rows:
            held = Slice(piece, 0, piece.rows)
            self._pending.append(held)
            self._rows += held.rows
            self._size_bytes += held.size_bytes

    def take(self, max_rows: int | None = None, *, final: bool = False) -> list[Slice[PieceT]]:
        """The next block, or nothing when it is not full yet.

        :param max_rows: a block of this many rows is full, whatever its size; at least 1.
        :param final: there are no more rows, so that whatever is left is a block.
        """
        limits = [limit for limit in (max_rows, self._block_rows) if limit is not None]
        row_limit = min(limits) if limits else None
        if self._size_bytes < self._block_bytes and (row_limit is None or self._rows < row_limit):
            # not looked at one by one: a source may send many small batches
            return self._all() if final else []
        taken: list[Slice[PieceT]] = []
        rows = size = 0
        while True:
            held = self._pending.popleft()
            wanted = self._first_full(held, self._block_bytes - size)
            if row_limit is not None:
                wanted = min(wanted, row_limit - rows)
            if wanted <= held.rows:
                break
            taken.append(held)
            rows += held.rows
            size += held.size_bytes
        return self._counted([*taken, self._split(held, wanted)])

    @staticmethod
    def _first_full(held: Slice[PieceT], missing_bytes: int) -> int:
        """How many rows of a slice it takes to reach a size; one more than there are if they do not."""
        goal = held.piece.size_bytes(held.start) + missing_bytes
        ends = range(held.start + 1, held.stop + 1)
        return bisect_left(ends, goal, key=held.piece.size_bytes) + 1

    def _split(self, held: Slice[PieceT], rows: int) -> Slice[PieceT]:
        """The first rows of a slice; the rest waits."""
        cut = held.start + rows
        if cut < held.stop:
            self._pending.appendleft(Slice(held.piece, cut, held.stop))
        return Slice(held.piece, held.start, cut)

    def _all(self) -> list[Slice[PieceT]]:
        taken = list(self._pending)
        self._pending.clear()
        return self._counted(taken)

    def _counted(self, taken: list[Slice[PieceT]]) -> list[Slice[PieceT]]:
        self._rows -= sum(held.rows for held in taken)
        self._size_bytes -= sum(held.size_bytes for held in taken)
        return taken


def text_row_end(data: bytes, start: int, rows: int) -> int:
    """Where so many rows of CSV text end; what stands in quotes ends no row.

    :param data: whole rows, ``"`` as quote, doubled where it is part of a value, ``\\n`` after each row.
    :param start: where the first of the rows begins.
    :param rows: at least 1; no more than there are.
    """
    at = start
    while rows:
        end = data.index(b"\n", at)
        quote = data.find(b'"', at, end)
        if quote < 0:
            at = end + 1
            rows -= 1
        else:
            # two quotes in a row end a quoted run and begin the next one, so runs can be skipped one by one
            at = data.index(b'"', quote + 1) + 1
    return at
