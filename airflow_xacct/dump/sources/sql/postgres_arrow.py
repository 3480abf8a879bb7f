"""PostgreSQL's CSV, parsed into Arrow by Arrow's own parser.

Text carries every value exactly: all digits of a numeric, the shortest text that is one float and no other. NULL
is an empty field, the empty string a quoted one, and the parser is told to keep them apart.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from airflow_xacct.dump.sources.sql.arrow_types import arrow_field
from airflow_xacct.dump.sources.sql.postgres import PostgresSession
from airflow_xacct.dump.sources.sql.postgres_copy import copy_blocks
from airflow_xacct.dump.sources.sql.postgres_types import PgColumn
from airflow_xacct.dump.sources.sql.session import Stream
from airflow_xacct.exceptions import SourceUnreadableError

__all__ = ["CopyArrowSource"]

_UTC = pa.timestamp("us", tz="UTC")
_NAIVE = pa.timestamp("us")
_BOOLS = {"true_values": ["t"], "false_values": ["f"]}


class CopyArrowSource:
    """The rows of a query, through ``COPY`` and a CSV parser that knows the types of the columns.

    :param session: open; closed by this source.
    """

    def __init__(self, session: PostgresSession) -> None:
        self.name = f"the query of {session.where}"
        self._session = session
        self._parser = _CsvParser(session.columns, session.where)
        self._stream: Stream[pa.RecordBatch] = Stream(session, lambda batch: batch.num_rows)

    def schema(self) -> pa.Schema:
        """The columns."""
        return self._parser.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, one batch for each block of text."""
        return self._stream.items(self._read())

    def close(self) -> None:
        """Cancel the query if it runs, and close the connection."""
        self._stream.close()

    def _read(self) -> Iterator[pa.RecordBatch]:
        first_row = 1
        for block in copy_blocks(self._session, lambda: self._session.selecting_exact(as_csv=True)):
            yield self._parser.batch(block.data, first_row)
            first_row += block.rows


class _CsvParser:
    """Whole rows of CSV to a batch."""

    def __init__(self, columns: Sequence[PgColumn], where: str) -> None:
        self._columns = columns
        self._where = where
        self.schema = pa.schema(
            [arrow_field(column.name, column.type, column.type_name, is_json=column.is_json) for column in columns]
        )
        self._parse = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        self._convert = pa_csv.ConvertOptions(
            column_types={column.name: self._converting(column) for column in columns},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            timestamp_parsers=[pa_csv.ISO8601],
            **_BOOLS,
        )

    def batch(self, data: bytes, first_row: int) -> pa.RecordBatch:
        """The rows of ``data``.

        :param first_row: the number of its first row, from 1, for messages.
        :raises SourceUnreadableError: a value that the column's type cannot hold.
        """
        reading = pa_csv.ReadOptions(
            column_names=[column.name for column in self._columns], use_threads=False, block_size=len(data) + 1
        )
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(data), read_options=reading, parse_options=self._parse, convert_options=self._convert
            )
        except pa.ArrowInvalid as exc:
            raise self._refused(str(exc), first_row) from None
        arrays = []
        for i, column in enumerate(self._columns):
            try:
                arrays.append(self._finished(column, table.column(i).combine_chunks()))
            except pa.ArrowInvalid:
                raise self._refused(f"CSV column #{i}", first_row) from None
        return pa.record_batch(arrays, schema=self.schema)

    @staticmethod
    def _converting(column: PgColumn) -> pa.DataType:
        """The type that the parser makes of it; :meth:`_finished` does the rest."""
        if (column.is_bytea and pa.types.is_binary(column.type)) or pa.types.is_decimal256(column.type):
            return pa.string()
        return _NAIVE if column.is_instant else column.type

    @staticmethod
    def _finished(column: PgColumn, array: pa.Array) -> pa.Array:
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
        if column.is_instant:
            return array.cast(_UTC)
        if column.is_bytea and pa.types.is_binary(column.type):
            return _from_hex(array)
        return array if array.type == column.type else array.cast(column.type)

    def _refused(self, words: str, first_row: int) -> SourceUnreadableError:
        r"""Arrow says ``In CSV column #3: Row #17: CSV conversion error to date32[day]: invalid value '...'``."""
        row = re.search(r"Row #(\d+)", words)
        index = re.search(r"CSV column #(\d+)", words)
        column = self._columns[int(index[1])] if index else None
        at = f"row {first_row + int(row[1]) - 1:,}" if row else f"a row after the {first_row - 1:,}th"
        if column is None:
            return SourceUnreadableError(
                f"{at} could not be parsed: {re.sub('[:].*', '', words)}",
                where=self._where,
                remedy="Say fast_path='forbid' to read through a cursor, and report this as a bug.",
            )
        return SourceUnreadableError(
            f"{at} holds a value that column {column.name!r} ({column.type_name}, Arrow {column.type}) cannot hold",
            where=self._where,
            remedy=(
                "Infinity, years outside 1 to 9999 and NaN in a numeric have no place there. Cast it in the query, or "
                f"give column_types={{{column.name!r}: 'string'}} to deliver the server's own text."
            ),
        )


def _from_hex(array: pa.StringArray) -> pa.BinaryArray:
    r"""``\x00ff`` to two bytes, for all values at once: one buffer of digits without the marks."""
    lengths = pc.divide(pc.subtract(pc.fill_null(pc.binary_length(array), 2), 2), 2)
    ends = pc.cumulative_sum(pc.cast(lengths, pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    digits = "".join(pc.drop_null(array).to_pylist()).replace("\\x", "")
    validity = pc.is_valid(array)
    mask = pa.array([None]).buffers()[0] if len(array) == 0 else pc.if_else(validity, True, None).buffers()[0]
    return pa.Array.from_buffers(
        pa.binary(), len(array), [mask, offsets.buffers()[1], pa.py_buffer(binascii.unhexlify(digits))]
    )
