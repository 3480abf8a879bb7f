"""Rows as Python has them, dicts and tuples, gathered into Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import pyarrow as pa

from airflow_xacct.dump.sources.python.column import PythonColumn
from airflow_xacct.dump.sources.python.declared import DeclaredColumns, check_names
from airflow_xacct.dump.sources.python.guess import guessed_type
from airflow_xacct.dump.sources.python.problems import other_columns
from airflow_xacct.dump.sources.python.types import family
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["BATCH_BYTES", "BATCH_ROWS", "RowBatches"]

BATCH_ROWS = 8_192
"""A batch has no more rows than this,"""

BATCH_BYTES = 4 * 1024 * 1024
"""and ends with the row that brings its texts and bytes to this."""

_SMALL = ("null", "bool", "int", "float", "decimal", "timestamp", "date", "time", "duration", "uuid")

_Row = tuple[Any, ...]


class RowBatches:
    """Batches of one schema, which is what was declared, or what the rows of the first batch are.

    Memory: one batch of rows, as Python and as Arrow, and one row more than :data:`BATCH_BYTES` allows.

    :param rows: dicts only, or tuples only.
    :param declared: the columns, as far as the task names them.
    :raises InvalidArgumentError: there is no row and no type, or tuples whose columns nobody named.
    :raises SourceUnreadableError: a value or row that does not fit.
    """

    def __init__(self, rows: Iterator[Any], declared: DeclaredColumns | None) -> None:
        self._rows = rows
        self._declared = declared
        self._names: list[str] = declared.names if declared else []
        self._values: Callable[[Any, int], _Row] = self._first_values
        self._fields_of: type | None = None
        self._get: Callable[[Any], Any] = tuple
        self._count = 0
        self._long: Sequence[int] | None = None
        self._first = self._gather()
        self._columns = [PythonColumn(field) for field in self._fields()]
        self._long = [index for index, column in enumerate(self._columns) if family(column.type) not in _SMALL]
        self.schema = pa.schema([pa.field(field.name, field.type, field.nullable) for field in self._fields_made])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        rows, self._first = self._first, []
        first_row = 1
        while rows:
            yield self._batch(rows, first_row)
            first_row += len(rows)
            rows = self._gather()

    def _fields(self) -> list[pa.Field]:
        given: Mapping[str, pa.Field | None] = self._declared.fields if self._declared else dict.fromkeys(self._names)
        if not given:
            raise InvalidArgumentError(
                "there was no row, and no schema was given, so that nobody knows the columns",
                where="schema",
                remedy="Give schema, so that an empty dump has its columns too.",
            )
        columns = list(zip(*self._first, strict=True)) or [()] * len(given)
        self._fields_made = [
            field if field is not None else pa.field(name, guessed_type(name, values, 1))
            for (name, field), values in zip(given.items(), columns, strict=True)
        ]
        return self._fields_made

    def _gather(self) -> list[_Row]:
        gathered: list[_Row] = []
        size_bytes = 0
        for row in self._rows:
            self._count += 1
            values = self._values(row, self._count)
            gathered.append(values)
            size_bytes += self._size_bytes(values)
            if len(gathered) == BATCH_ROWS or size_bytes >= BATCH_BYTES:
                break
        return gathered

    def _size_bytes(self, values: _Row) -> int:
        """What the texts and bytes of a row take; whatever else it holds is small."""
        if self._long is None:
            return _long_bytes(values)
        size_bytes = 0
        for index in self._long:
            value = values[index]
            if type(value) is str:
                size_bytes += len(value)
            elif value is not None:
                size_bytes += _long_bytes(value)
        return size_bytes

    def _batch(self, rows: Sequence[_Row], first_row: int) -> pa.RecordBatch:
        def row_of(index: int) -> int:
            return first_row + index

        columns = zip(*rows, strict=True)
        arrays = [column.array(values, row_of) for column, values in zip(self._columns, columns, strict=True)]
        return pa.record_batch(arrays, schema=self.schema)

    def _first_values(self, row: Any, number: int) -> _Row:
        """The first row says how all of them are read."""
        if isinstance(row, tuple):
            names = list(getattr(row, "_fields", ()))
            if not self._names:
                if not names:
                    raise InvalidArgumentError(
                        "rows are tuples, and nobody named their columns",
                        where="schema",
                        remedy="Give schema=[...] with the names, or yield dicts.",
                    )
                check_names(names, "python_callable")
                self._names = names
            self._values = self._of_tuple
        else:
            if not self._names:
                self._names = list(row.keys())
                check_names(self._names, "python_callable")
            get = itemgetter(*self._names)
            self._get = get if len(self._names) > 1 else lambda row: (get(row),)
            self._values = self._of_mapping
        return self._values(row, number)

    def _of_mapping(self, row: Any, number: int) -> _Row:
        try:
            values: _Row = self._get(row)
        except (KeyError, IndexError):
            missing = [name for name in self._names if name not in row.keys()]  # noqa: SIM118 - not every one is a dict
            raise other_columns(f"row {number:,} has no {', '.join(map(repr, missing))}") from None
        if len(row) != len(self._names):
            more = [name for name in row.keys() if name not in self._names]  # noqa: SIM118
            raise other_columns(f"row {number:,} has also {', '.join(map(repr, more))}, which is no column")
        return values

    def _of_tuple(self, row: _Row, number: int) -> _Row:
        if len(row) != len(self._names):
            raise other_columns(f"row {number:,} has {len(row):,} values, and there are {len(self._names):,} columns")
        if type(row) is not self._fields_of:
            names = getattr(row, "_fields", self._names)
            if list(names) != self._names:
                raise other_columns(f"row {number:,} has the fields {', '.join(names)}, not {', '.join(self._names)}")
            self._fields_of = type(row)
        return row


def _long_bytes(value: Any) -> int:
    """What the texts and bytes in a value take."""
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    if isinstance(value, memoryview):
        return value.nbytes
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return sum(map(_long_bytes, inside))
