"""Parquet from Arrow batches. A block is a row group; what it holds is written out before the next one begins.

Types stay what they are: decimals exact, timestamps in their unit (seconds become milliseconds, since Parquet has no
seconds), with zone as instants in UTC. A duration is a 64-bit integer of its unit, which only readers of Arrow's schema
(pyarrow, polars) take for a duration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_xacct.dump.blocks import Data, Slice
from airflow_xacct.dump.compression import check_level
from airflow_xacct.dump.formats.options import OUR_METADATA, ParquetOptions
from airflow_xacct.dump.formats.parquet_columns import (
    ColumnPlan,
    bloom_filter_bytes,
    cast_batch,
    dictionary_columns,
    is_sorted,
    with_timestamp_unit,
)
from airflow_xacct.dump.formats.spec import EncoderSettings
from airflow_xacct.exceptions import SourceError

__all__ = ["ArrowRows", "ParquetEncoder", "ParquetObject", "make_encoder"]

T = pa.types

FOOTER_BYTES = 1024
"""What one column of one row group takes in the footer, unless its least and greatest values are long."""

_PAGE_INDEX_BYTES = 2048
"""Likewise for its pages, of which a row group of the usual size has seven."""

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

    def taken(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts


class ParquetObject:
    """One file. See :class:`~airflow_xacct.dump.formats.spec.ObjectEncoder`.

    :param metadata: key-value metadata of the file.
    """

    def __init__(
        self,
        schema: pa.Schema,
        plan: ColumnPlan,
        options: ParquetOptions,
        compression: str,
        level: int | None,
        metadata: dict[str, str],
    ) -> None:
        self._schema = schema
        self._plan = plan
        self._options = options
        self._compression = compression
        self._level = level
        self._metadata = metadata
        self._sink = _Sink()
        self._writer: pq.ParquetWriter | None = None

    def start(self) -> Data:
        """Nothing yet: how columns are written depends on the first rows."""
        return b""

    def add(self, block: Sequence[Slice[ArrowRows]], /) -> Sequence[Data]:
        """The rows of a block, as one row group.

        :raises SourceError: Parquet cannot hold them, or they are not sorted as was said.
        """
        batches = [held.piece.batch.slice(held.start, held.rows) for held in block]
        table = pa.Table.from_batches(batches, self._schema)
        sorted_by = self._options.sorted_by
        if sorted_by and not is_sorted(table, sorted_by):
            raise SourceError(
                f"the rows are not sorted by {', '.join(map(repr, sorted_by))}",
                where="sorted_by",
                remedy="They must ascend without NULL, text byte by byte: correct ORDER BY, or leave sorted_by out.",
            )
        if self._writer is None:
            named = self._plan.dictionaries
            self._writer = self._open(dictionary_columns(table) if named is None else named)
        try:
            self._writer.write_table(table, row_group_size=table.num_rows)
        except pa.ArrowException as error:
            raise SourceError(
                f"rows cannot be written as Parquet: {error}",
                remedy="Cast the column at its source, or use another format.",
            ) from error
        return self._sink.taken()

    def finish(self) -> Data:
        """The footer."""
        if self._writer is None:
            self._writer = self._open(self._plan.dictionaries or [])
        self._writer.close()
        return b"".join(self._sink.taken())

    def _open(self, dictionaries: list[str]) -> pq.ParquetWriter:
        options = self._options
        writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            self._schema,
            compression=self._compression,
            compression_level=self._level,
            use_dictionary=dictionaries,
            write_statistics=self._plan.statistics,
            write_page_index=options.page_index,
            write_page_checksum=options.page_checksums,
            data_page_version=options.data_page_version,
            data_page_size=options.data_page_bytes,
            sorting_columns=_sorting(self._schema, options.sorted_by),
            version="2.6",
            **self._bloom_filters(),
        )
        if self._metadata:
            writer.add_key_value_metadata(self._metadata)
        return writer

    def _bloom_filters(self) -> dict[str, Any]:
        """An argument that older releases do not have, so only where it is needed."""
        if not self._plan.bloom_filters:
            return {}
        chosen = {
            "ndv": self._options.bloom_filter_values or self._options.row_group_rows,
            "fpp": self._options.bloom_filter_false_positives,
        }
        return {"bloom_filter_options": dict.fromkeys(self._plan.bloom_filters, chosen)}


def _sorting(schema: pa.Schema, names: Sequence[str]) -> list[pq.SortingColumn] | None:
    return list(pq.SortingColumn.from_ordering(schema, list(names))) if names else None


class ParquetEncoder:
    """Parquet of rows of one schema. See :class:`~airflow_xacct.dump.formats.spec.RowEncoder`.

    :raises InvalidArgumentError: a column whose type Parquet cannot hold, options that name no column, or a level out
        of range.
    """

    def __init__(self, schema: pa.Schema, options: ParquetOptions, settings: EncoderSettings) -> None:
        self.schema = with_timestamp_unit(schema, options.timestamp_unit)
        self._same_types = self.schema.equals(schema)
        self._plan = ColumnPlan.of(self.schema, options)
        self.parquet_types: Sequence[str] | None = self._plan.types
        self._options = options
        self._compression = settings.compression
        level = check_level(settings.compression, settings.level, otherwise="the fastest")
        self._level = 1 if level is None and settings.compression in ("zstd", "gzip") else level
        ours = {OUR_METADATA + name: text for name, text in sorted(settings.provenance.items())}
        self._metadata = {**ours, **(options.metadata or {})}
        self.block_rows: int | None = options.row_group_rows
        self.block_bytes = options.row_group_bytes
        if settings.max_object_bytes is not None:
            self.block_bytes = max(1, min(self.block_bytes, settings.max_object_bytes // _GROUPS_PER_OBJECT))

    def pieces(self, batch: pa.RecordBatch, /) -> Iterator[ArrowRows]:
        """The batch as it is, or with its timestamps in the unit that was asked for."""
        if not self._same_types:
            batch = cast_batch(batch, self.schema, truncate=self._options.truncate_timestamps)
        yield ArrowRows(batch)

    def open(self) -> ParquetObject:
        """Begin a file."""
        return ParquetObject(
            self.schema, self._plan, self._options, self._compression, self._level, dict(self._metadata)
        )

    def bound_bytes(self, size_bytes: int, blocks: int, /) -> int:
        """The plain encoding, and what the end of the file says of all row groups."""
        options = self._options
        column = FOOTER_BYTES + (_PAGE_INDEX_BYTES if options.page_index else 0)
        group = column * len(self.schema)
        if self._plan.bloom_filters:
            values = options.bloom_filter_values or options.row_group_rows
            one = bloom_filter_bytes(values, options.bloom_filter_false_positives)
            group += one * len(self._plan.bloom_filters)
        metadata = sum(len(text) * 4 for item in self._metadata.items() for text in item)
        return size_bytes + group * (blocks + 1) + metadata


def make_encoder(schema: pa.Schema, settings: EncoderSettings) -> ParquetEncoder:
    """See :meth:`~airflow_xacct.dump.formats.spec.FormatSpec.encoder`."""
    assert isinstance(settings.options, ParquetOptions)  # noqa: S101 - the spec names the type
    return ParquetEncoder(schema, settings.options, settings)
