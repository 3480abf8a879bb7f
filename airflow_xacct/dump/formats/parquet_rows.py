"""Parquet from Arrow batches. A block is a row group; what it holds is written out before the next one begins.

Types stay what they are: decimals exact, timestamps in their unit (seconds become milliseconds, since Parquet has no
seconds), with zone as instants in UTC. A duration is a 64-bit integer of its unit, which only readers of Arrow's schema
(pyarrow, polars) take for a duration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_xacct.dump.blocks import Data, Slice
from airflow_xacct.dump.formats.columns import unknown_type
from airflow_xacct.dump.formats.compressors import check_level
from airflow_xacct.dump.formats.options import FormatOptions, ParquetOptions
from airflow_xacct.exceptions import SourceError

__all__ = ["ArrowRows", "ParquetEncoder", "ParquetObject", "make_encoder"]

T = pa.types

SAMPLE_ROWS = 16_384
FEW_VALUES = 8
"""A column gets a dictionary when each of its values comes this often in the first rows."""

FOOTER_BYTES = 1024
"""What one column of one row group takes in the footer, unless its least and greatest values are long."""

_LEAST_WIDTH = 4  # Parquet's smallest plain integer
_GROUPS_PER_OBJECT = 4


class ArrowRows:
    """Rows of a batch, with a size that is about that of their plain Parquet encoding."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.rows = batch.num_rows
        self._widths, sized = 0, []
        for column in batch.columns:
            measure = _measure(column)
            if isinstance(measure, int):
                self._widths += measure
            else:
                sized.append(measure)
        self._sized: list[Callable[[int], int]] = sized

    def size_bytes(self, rows: int, /) -> int:
        """See :class:`~airflow_xacct.dump.blocks.Piece`."""
        return self._widths * rows + sum(measure(rows) for measure in self._sized)


def _measure(column: pa.Array) -> int | Callable[[int], int]:
    """The bytes of each value; or what tells those of the first so many."""
    kind = column.type.storage_type if isinstance(column.type, pa.BaseExtensionType) else column.type
    try:
        return max(int(kind.bit_width) // 8, _LEAST_WIDTH)
    except ValueError:
        pass
    if T.is_string(kind) or T.is_binary(kind) or T.is_large_string(kind) or T.is_large_binary(kind):
        offsets = memoryview(column.buffers()[1]).cast("B")
        large = T.is_large_string(kind) or T.is_large_binary(kind)
        ends = (offsets.cast("q") if large else offsets.cast("i"))[column.offset :]
        return lambda rows: ends[rows] - ends[0] + _LEAST_WIDTH * rows
    # nested: near enough, though a bit or two depend on where the batch begins
    return lambda rows: column.slice(0, rows).nbytes + _LEAST_WIDTH * rows


class _Sink:
    """A file of which what was written is taken away at once."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to close."""

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class ParquetObject:
    """One file. See :class:`~airflow_xacct.dump.formats.spec.ObjectEncoder`."""

    def __init__(self, schema: pa.Schema, options: ParquetOptions, compression: str, level: int | None) -> None:
        self._schema = schema
        self._options = options
        self._compression = compression
        self._level = level
        self._sink = _Sink()
        self._writer: pq.ParquetWriter | None = None

    def start(self) -> Data:
        """Nothing yet: how columns are written depends on the first rows."""
        return b""

    def add(self, block: Sequence[Slice[ArrowRows]], /) -> Data:
        """The rows of a block, as one row group."""
        batches = [held.piece.batch.slice(held.start, held.rows) for held in block]
        table = pa.Table.from_batches(batches, self._schema)
        if self._writer is None:
            self._writer = self._open(dictionary_columns(table))
        try:
            self._writer.write_table(table, row_group_size=table.num_rows)
        except pa.ArrowException as error:
            raise SourceError(
                f"rows cannot be written as Parquet: {error}",
                remedy="Cast the column in the query, or use another format.",
            ) from error
        return self._sink.taken()

    def finish(self) -> Data:
        """The footer."""
        if self._writer is None:
            self._writer = self._open([])
        self._writer.close()
        return self._sink.taken()

    def _open(self, dictionaries: list[str]) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            self._schema,
            compression=self._compression,
            compression_level=self._level,
            use_dictionary=dictionaries,
            write_statistics=self._options.statistics,
            version="2.6",
        )


def dictionary_columns(table: pa.Table) -> list[str]:
    """The columns that a dictionary makes smaller, as far as the first rows show."""
    sample = table.slice(0, SAMPLE_ROWS)
    return [
        field.name
        for field, column in zip(sample.schema, sample.columns, strict=True)
        if _countable(field.type) and pc.count_distinct(column, mode="all").as_py() * FEW_VALUES <= len(column)
    ]


def _countable(kind: pa.DataType) -> bool:
    """Whether values of a type may have a dictionary: not bits, and nothing that is more than one column."""
    return not (T.is_boolean(kind) or T.is_nested(kind) or T.is_null(kind) or isinstance(kind, pa.BaseExtensionType))


class ParquetEncoder:
    """Parquet of rows of one schema. See :class:`~airflow_xacct.dump.formats.spec.RowEncoder`.

    :raises InvalidArgumentError: a column whose type Parquet cannot hold, or a level out of range.
    """

    def __init__(
        self,
        schema: pa.Schema,
        options: ParquetOptions,
        compression: str,
        level: int | None,
        max_object_bytes: int | None,
    ) -> None:
        for field in schema:
            try:
                pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
            except (pa.ArrowException, OSError) as error:
                raise unknown_type(field, "Parquet") from error
        self._schema = schema
        self._options = options
        self._compression = compression
        level = check_level(compression, level)
        self._level = 1 if level is None and compression in ("zstd", "gzip") else level
        self.block_rows: int | None = options.row_group_rows
        self.block_bytes = options.row_group_bytes
        if max_object_bytes is not None:
            self.block_bytes = max(1, min(self.block_bytes, max_object_bytes // _GROUPS_PER_OBJECT))

    def pieces(self, batch: pa.RecordBatch, /) -> Iterator[ArrowRows]:
        """The batch as it is."""
        yield ArrowRows(batch)

    def open(self) -> ParquetObject:
        """Begin a file."""
        return ParquetObject(self._schema, self._options, self._compression, self._level)

    def bound_bytes(self, size_bytes: int, blocks: int, /) -> int:
        """The plain encoding, and what the footer says of all row groups."""
        return size_bytes + FOOTER_BYTES * len(self._schema) * (blocks + 1)


def make_encoder(
    schema: pa.Schema,
    options: FormatOptions,
    compression: str,
    level: int | None,
    max_object_bytes: int | None,
) -> ParquetEncoder:
    """See :meth:`~airflow_xacct.dump.formats.spec.FormatSpec.encoder`."""
    assert isinstance(options, ParquetOptions)  # noqa: S101 - the spec names the type
    return ParquetEncoder(schema, options, compression, level, max_object_bytes)
