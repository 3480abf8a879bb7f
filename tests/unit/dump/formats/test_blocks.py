"""Blocks depend on the rows alone; text is cut only where a row ends."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from airflow_xacct.dump.blocks import Cutter, text_row_end


@dataclass(frozen=True)
class Sizes:
    """Rows of these sizes."""

    sizes: tuple[int, ...]

    @property
    def rows(self) -> int:
        return len(self.sizes)

    def size_bytes(self, rows: int, /) -> int:
        return sum(self.sizes[:rows])


def _blocks(batches: list[list[int]], limit: int, max_rows: int | None, take: int | None = None) -> list[list[int]]:
    cutter: Cutter[Sizes] = Cutter(limit, max_rows)
    found = []

    def drain(*, final: bool) -> None:
        while block := cutter.take(take, final=final):
            found.append([size for held in block for size in held.piece.sizes[held.start : held.stop]])

    for batch in batches:
        cutter.feed(Sizes(tuple(batch)))
        drain(final=False)
    drain(final=True)
    return found


def test_a_block_ends_with_the_row_that_fills_it() -> None:
    """Larger than asked for by less than one row; a huge row ends the block it is in."""
    assert _blocks([[4, 4, 4], [1, 90, 3]], 10, None) == [[4, 4, 4], [1, 90], [3]]


def test_a_block_ends_after_so_many_rows() -> None:
    assert _blocks([[1, 1, 1, 1, 1]], 10, 2) == [[1, 1], [1, 1], [1]]
    assert _blocks([[1, 1, 1, 1, 1]], 10, 4, take=3) == [[1, 1, 1], [1, 1]]


def test_no_rows_no_blocks() -> None:
    assert _blocks([[], []], 10, None) == []


@given(
    sizes=st.lists(st.integers(0, 9), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    limit=st.integers(1, 30),
    max_rows=st.none() | st.integers(1, 10),
)
def test_blocks_do_not_depend_on_batches(sizes: list[int], cuts: list[int], limit: int, max_rows: int | None) -> None:
    """The same rows give the same blocks, nothing is lost, and nothing holds more than asked for."""
    ends = sorted({min(cut, len(sizes)) for cut in cuts} | {0, len(sizes)})
    batches = [sizes[start:stop] for start, stop in itertools.pairwise(ends)]
    whole, split = _blocks([sizes], limit, max_rows), _blocks(batches, limit, max_rows)
    assert whole == split
    assert [size for block in whole for size in block] == sizes
    for block in whole:
        assert sum(block[:-1]) < limit
        assert max_rows is None or len(block) <= max_rows


TEXT = st.text(st.sampled_from('a",\n'), max_size=6)


@given(rows=st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=1, max_size=12), data=st.data())
def test_text_is_cut_between_rows(rows: list[list[str]], data: st.DataObject) -> None:
    """The csv module says where rows end."""
    ends = [0]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        writer.writerow(row)
        ends.append(len(buffer.getvalue()))
    text = buffer.getvalue().encode()
    start = data.draw(st.integers(0, len(rows) - 1))
    count = data.draw(st.integers(1, len(rows) - start))
    assert text_row_end(text, ends[start], count) == ends[start + count]
