"""Rows of Arrow batches as text: what the encoders of CSV and JSON Lines share."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Iterator, Sequence

import pyarrow as pa

from airflow_xacct.dump.blocks import Data
from airflow_xacct.dump.formats.text import TextEncoder
from airflow_xacct.exceptions import SourceError

__all__ = ["EncodedRows", "RowTextEncoder", "special_bytes"]

BATCH_BYTES = 2 * 1024 * 1024
"""Larger batches are encoded in halves, since text and what it is made of are in memory together."""


class EncodedRows:
    """One string for each row, of which Arrow keeps the bytes behind one another.

    :param lines: an array of strings without NULL, each with its line end; or of what an encoding made of them.
    """

    def __init__(self, lines: pa.Array) -> None:
        if lines.null_count:
            raise ValueError("a row without text would be lost")
        _, offsets, data = lines.buffers()
        self.rows = len(lines)
        self._offsets = memoryview(offsets).cast("B").cast("i")[lines.offset :]
        self._data = memoryview(data if data is not None else b"")

    def size_bytes(self, rows: int, /) -> int:
        """See :class:`~airflow_xacct.dump.formats.text.TextPiece`."""
        return int(self._offsets[rows] - self._offsets[0])

    def cut(self, start: int, stop: int, /) -> Data:
        """See :class:`~airflow_xacct.dump.formats.text.TextPiece`."""
        return self._data[self._offsets[start] : self._offsets[stop]]


class RowTextEncoder(TextEncoder):
    """A text format that makes its rows from Arrow batches.

    :param header: what every object begins with.
    """

    parquet_types: Sequence[str] | None = None

    def __init__(self, schema: pa.Schema, header: bytes, compression: str, level: int | None) -> None:
        super().__init__(header, compression, level)
        self.schema = schema

    def pieces(self, batch: pa.RecordBatch, /) -> Iterator[EncodedRows]:
        """See :class:`~airflow_xacct.dump.formats.spec.RowEncoder`."""
        # the size of a slice takes long to find out, and need not where all it is of is small
        large = batch.get_total_buffer_size() > BATCH_BYTES and batch.nbytes > BATCH_BYTES
        if large and batch.num_rows > 1:
            half = batch.num_rows // 2
            yield from self.pieces(batch.slice(0, half))
            yield from self.pieces(batch.slice(half))
        elif batch.num_rows:
            yield EncodedRows(self._lines(batch))

    def _lines(self, batch: pa.RecordBatch) -> pa.Array:
        try:
            return self.lines(batch)
        except pa.ArrowException as error:
            raise SourceError(
                f"rows cannot be written as text: {error}",
                remedy="Cast the column at its source, or take less of it: a row has at most 2 GiB of text.",
            ) from error

    @abstractmethod
    def lines(self, batch: pa.RecordBatch, /) -> pa.Array:
        """One string for each row, with its line end; or its bytes, where they are not in UTF-8."""


def special_bytes(array: pa.Array, special: bytes) -> set[int]:
    """Which of these bytes occur anywhere in a column of text.

    One pass over the bytes that is an order of magnitude cheaper than to look at value after value, and mostly there
    is nothing to do.

    :param array: of the type ``string``.
    """
    _, offsets, data = array.buffers()
    if data is None:
        return set()
    ends = memoryview(offsets).cast("B").cast("i")
    text = bytes(memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]])
    return set(text.translate(None, _all_but(special)))


@functools.cache
def _all_but(special: bytes) -> bytes:
    return bytes(set(range(256)) - set(special))
