"""Tables of all kinds, Arrow, pandas, polars, as Arrow batches of one schema.

Neither pandas nor polars is imported here: whoever hands over their frames has done so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from airflow_xacct.dump.sources.python.column import PythonColumn
from airflow_xacct.dump.sources.python.declared import DeclaredColumns, check_names
from airflow_xacct.dump.sources.python.fit import fitted
from airflow_xacct.dump.sources.python.guess import guessed_type
from airflow_xacct.dump.sources.python.problems import no_rows, other_columns
from airflow_xacct.dump.sources.python.types import settled_type
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["FRAME_ROWS", "FrameBatches"]

FRAME_ROWS = 65_536
"""Larger frames are cut."""

_WHERE = "python_callable or data"

_Columns = dict[str, "pa.Array | list[Any]"]
"""The columns of a piece of a frame; as a list where pandas holds Python objects."""


class FrameBatches:
    """Batches of one schema, which is what was declared, or that of the first frame.

    Memory: the frame at hand, and :data:`FRAME_ROWS` rows of it as Arrow.

    :param frames: of one kind, at least one.
    :param kind: ``"arrow"``, ``"pandas"`` or ``"polars"``.
    :param declared: the columns, as far as the task names them.
    :raises InvalidArgumentError: names that cannot be those of columns.
    :raises SourceUnreadableError: a frame that does not fit.
    """

    def __init__(self, frames: Iterator[Any], kind: str, declared: DeclaredColumns | None) -> None:
        pieces = {"arrow": _arrow_pieces, "pandas": _pandas_pieces, "polars": _polars_pieces}[kind]
        self._pieces: Iterator[_Columns] = (piece for frame in frames for piece in pieces(frame))
        self._whole_floats = kind == "pandas"
        self._first = next(self._pieces)
        check_names(list(self._first), _WHERE)
        if declared:
            self._check_columns(self._first, declared.names, 1)
        fields = declared.fields if declared else dict.fromkeys(self._first)
        self.schema = pa.schema(
            [field if field is not None else self._field(name, self._first[name]) for name, field in fields.items()]
        )
        self._objects: dict[str, PythonColumn] = {}

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        piece: _Columns | None = self._first
        first_row = 1
        while piece is not None:
            self._first = {}
            batch = self._batch(piece, first_row)
            first_row += batch.num_rows
            yield batch
            piece = next(self._pieces, None)

    def _batch(self, piece: _Columns, first_row: int) -> pa.RecordBatch:
        self._check_columns(piece, self.schema.names, first_row)
        return pa.record_batch([self._array(field, piece[field.name], first_row) for field in self.schema], self.schema)

    def _array(self, field: pa.Field, column: pa.Array | list[Any], first_row: int) -> pa.Array:
        if not isinstance(column, list):
            return fitted(column, field, first_row, whole_floats=self._whole_floats)
        if field.name not in self._objects:
            self._objects[field.name] = PythonColumn(field)
        return self._objects[field.name].array(column, lambda index: first_row + index)

    @staticmethod
    def _field(name: str, column: pa.Array | list[Any]) -> pa.Field:
        kind = guessed_type(name, column, 1) if isinstance(column, list) else settled_type(column.type)
        return pa.field(name, kind)

    @staticmethod
    def _check_columns(piece: _Columns, names: list[str], first_row: int) -> None:
        if missing := [name for name in names if name not in piece]:
            raise other_columns(f"the frame from row {first_row:,} on has no column {', '.join(map(repr, missing))}")
        if more := [name for name in piece if name not in names]:
            raise other_columns(f"the frame from row {first_row:,} on has also the column {', '.join(map(repr, more))}")


def _arrow_pieces(frame: Any) -> Iterator[_Columns]:
    if isinstance(frame, pa.RecordBatch):
        batches: Iterable[pa.RecordBatch] = [frame]
        schema = frame.schema
    else:
        reader = _reader(frame)
        batches, schema = reader, reader.schema
    check_names(schema.names, _WHERE)
    empty = True
    for batch in batches:
        # an empty frame has columns all the same
        for start in range(0, max(batch.num_rows, 1), FRAME_ROWS):
            piece = batch.slice(start, FRAME_ROWS)
            yield dict(zip(schema.names, piece.columns, strict=True))
            empty = False
    if empty:
        yield {field.name: pa.array([], field.type) for field in schema}


def _reader(frame: Any) -> pa.RecordBatchReader:
    """Tables, readers, and whatever else hands itself over as an Arrow stream (DuckDB's relations, for one)."""
    if isinstance(frame, pa.RecordBatchReader):
        return frame
    try:
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(frame)
        batch = pa.record_batch(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise no_rows(f"a {type(frame).__name__} is Arrow data and no table") from error
    return pa.RecordBatchReader.from_batches(batch.schema, [batch])


def _polars_pieces(frame: Any) -> Iterator[_Columns]:
    odd = [name for name, kind in frame.schema.items() if str(kind) in ("Object", "Int128", "UInt128")]
    if odd:
        # polars hands the addresses of objects over, as bytes
        raise InvalidArgumentError(
            f"the column {odd[0]!r} of a polars DataFrame has the type {frame.schema[odd[0]]}, which Arrow has not",
            where=_WHERE,
            remedy="Cast it to a decimal, to text, or to whatever it holds.",
        )
    import polars as pl

    oldest = pl.CompatLevel.oldest()
    for start in range(0, max(len(frame), 1), FRAME_ROWS):
        yield from _arrow_pieces(frame.slice(start, FRAME_ROWS).to_arrow(compat_level=oldest))


def _pandas_pieces(frame: Any) -> Iterator[_Columns]:
    names = list(frame.columns)
    check_names(names, _WHERE)
    for start in range(0, max(len(frame), 1), FRAME_ROWS):
        part = frame.iloc[start : start + FRAME_ROWS]
        yield {name: _pandas_column(part.iloc[:, number], name) for number, name in enumerate(names)}


def _pandas_column(series: Any, name: str) -> pa.Array | list[Any]:
    if str(series.dtype) == "object":
        # NaN is what pandas calls missing
        return [None if is_missing else value for value, is_missing in zip(series, _missing(series), strict=True)]
    try:
        made = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError) as error:
        raise InvalidArgumentError(
            f"the column {name!r} of a pandas DataFrame has the type {series.dtype}, which Arrow has not",
            where=_WHERE,
            remedy="Cast it with astype, for example to str.",
        ) from error
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def _missing(series: Any) -> list[bool]:
    missing: list[bool] = series.isna().tolist()
    return missing
