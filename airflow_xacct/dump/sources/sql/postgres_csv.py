"""PostgreSQL's CSV, parsed into Arrow by Arrow's own parser.

Text carries every value exactly: all digits of a numeric, the shortest text that is one float and no other. NULL
is an empty field, the empty string a quoted one, and the parser is told to keep them apart.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from airflow_xacct.dump.arrow_constants import bytes_like
from airflow_xacct.dump.arrow_pool import POOL
from airflow_xacct.dump.sources.sql.arrow_types import in_our_era
from airflow_xacct.dump.sources.sql.postgres import PostgresSession
from airflow_xacct.dump.sources.sql.postgres_reader import CopyBlock
from airflow_xacct.dump.sources.sql.postgres_rows import not_read, refused, schema_of, where_of
from airflow_xacct.dump.sources.sql.postgres_types import PgColumn
from airflow_xacct.exceptions import SourceUnreadableError

__all__ = ["CsvRows", "csv_text"]

_UTC = pa.timestamp("us", tz="UTC")
_NAIVE = pa.timestamp("us")
_BOOLS = {"true_values": ["t", "true", "1"], "false_values": ["f", "false", "0"]}
_BYTE_ORDER_MARK = "\ufeff".encode()


def csv_text(session: PostgresSession) -> str:
    """The query, with what this parser would not read unchanged made into what it does."""
    return session.selecting_exact(as_csv=True)


class CsvRows:
    """Whole rows of CSV to a batch.

    :param session: open, whose rows they are.
    """

    def __init__(self, session: PostgresSession) -> None:
        self._columns = columns = session.columns
        self._where = where_of(session)
        self.schema = schema_of(columns)
        # found once: to ask each column anew for each block takes a sixth of the parser's time
        self._finishing = [_finishing(column) for column in columns]
        self._parse = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        self._convert = pa_csv.ConvertOptions(
            column_types={column.name: self._converting(column) for column in columns},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            timestamp_parsers=[pa_csv.ISO8601],
            **_BOOLS,
        )

    def batch(self, block: CopyBlock, first_row: int) -> pa.RecordBatch:
        """The rows of a block.

        :param first_row: the number of its first row, from 1, for messages.
        :raises SourceUnreadableError: a value that the column's type cannot hold.
        """
        data = block.data
        if data[: len(_BYTE_ORDER_MARK)] == _BYTE_ORDER_MARK:
            data = _BYTE_ORDER_MARK + bytes(data)  # the parser drops one, which here is the beginning of a value
        reading = pa_csv.ReadOptions(
            column_names=[column.name for column in self._columns], use_threads=False, block_size=len(data) + 1
        )
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(data),
                read_options=reading,
                parse_options=self._parse,
                convert_options=self._convert,
                memory_pool=POOL,
            )
        except pa.ArrowInvalid as exc:
            raise self._refused(str(exc), first_row) from None
        arrays = []
        for i, finish in enumerate(self._finishing):
            try:
                arrays.append(finish(_whole(table.column(i))))
            except pa.ArrowInvalid:
                raise self._refused(f"CSV column #{i}", first_row) from None
        return pa.record_batch(arrays, schema=self.schema)

    @staticmethod
    def _converting(column: PgColumn) -> pa.DataType:
        """The type that the parser makes of it; :func:`_finishing` does the rest."""
        if (column.is_bytea and pa.types.is_binary(column.type)) or pa.types.is_decimal256(column.type):
            return pa.string()
        if pa.types.is_floating(column.type) and column.type != column.own_type:
            return pa.string()
        return _NAIVE if column.is_instant else column.type

    def _refused(self, words: str, first_row: int) -> SourceUnreadableError:
        r"""Arrow says ``In CSV column #3: Row #17: CSV conversion error to date32[day]: invalid value '...'``."""
        row = re.search(r"Row #(\d+)", words)
        index = re.search(r"CSV column #(\d+)", words)
        column = self._columns[int(index[1])] if index else None
        at = f"row {first_row + int(row[1]) - 1:,}" if row else f"a row after the {first_row - 1:,}th"
        if column is None:
            return not_read(f"{at} could not be parsed: {re.sub('[:].*', '', words)}", self._where)
        return refused(column, at, self._where)


def _finishing(column: PgColumn) -> Callable[[pa.Array], pa.Array]:
    """What makes the column of what the parser made."""
    kind = column.type
    if column.is_instant:
        return lambda array: array.cast(_UTC)
    if column.is_bytea and pa.types.is_binary(kind):
        return _from_hex
    is_asked = kind != column.own_type
    if pa.types.is_floating(kind) and is_asked:
        return lambda array: _nearest(array, kind)

    def finished(array: pa.Array) -> pa.Array:
        found = array if array.type == kind else array.cast(kind)
        return in_our_era(found) if is_asked else found

    return finished


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def _nearest(texts: pa.StringArray, kind: pa.DataType) -> pa.FloatingPointArray:
    """Numbers in the floating point type that was asked for, as long as it is large enough."""
    trimmed = pc.ascii_trim(texts, " \t")
    made = trimmed.cast(pa.float64()).cast(kind, safe=False)
    if pc.any(pc.and_(pc.is_inf(made), pc.invert(pc.match_substring(trimmed, "inf", ignore_case=True)))).as_py():
        raise pa.ArrowInvalid("a number that is too large")
    return made


def _from_hex(array: pa.StringArray) -> pa.BinaryArray:
    r"""``\x00ff`` to two bytes."""
    values = ["" if text is None else text.removeprefix("\\x") for text in array.to_pylist()]
    return bytes_like([binascii.unhexlify(digits) for digits in values], array, pa.binary())
