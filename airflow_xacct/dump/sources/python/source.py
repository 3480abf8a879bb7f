"""What a function made, as rows of one schema. It is read in the thread of whoever reads, which is the task's own."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_xacct.dump.sources.python.declared import declared_columns
from airflow_xacct.dump.sources.python.frames import FrameBatches
from airflow_xacct.dump.sources.python.problems import no_rows
from airflow_xacct.dump.sources.python.rows import RowBatches
from airflow_xacct.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from airflow_xacct.dump.sources.python.made import Made

__all__ = ["PythonSource"]

_WORDS = {
    "mapping": "dicts",
    "tuple": "tuples",
    "arrow": "Arrow data",
    "pandas": "pandas DataFrames",
    "polars": "polars DataFrames",
}
_FRAMES = ("arrow", "pandas", "polars")


class PythonSource:
    """Rows that a function yields or returns. See :class:`~airflow_xacct.dump.rows.RowSource`.

    Its first batch was drawn when it is made, since the schema may come from there. Everything it draws, it draws in
    the thread that asks: what a function opens may belong to its thread, and a signal or a time-out of the task has to
    reach it.

    :param made: what the function made; closed with this.
    :param schema: the argument of the operator.
    :raises InvalidArgumentError: what it made is no rows, is of several kinds, or has no columns that anybody knows.
    :raises SourceUnreadableError: a value that no column holds.
    """

    def __init__(self, made: Made, schema: Any = None) -> None:
        self.name = made.name
        self._made = made
        self._kind = ""
        try:
            self._batches = self._read(schema)
        except BaseException:
            self.close()
            raise

    def schema(self) -> pa.Schema:
        """The columns."""
        return self._batches.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, some thousands at a time."""
        return iter(self._batches)

    def close(self) -> None:
        """Close the generator, so that what stands in its ``finally`` is done."""
        self._made.close()

    def _read(self, schema: Any) -> RowBatches | FrameBatches:
        declared = declared_columns(schema)
        items = self._items()
        first = next(items, None)
        if first is None:
            return RowBatches(iter(()), declared)
        together = itertools.chain([first], items)
        if self._kind in _FRAMES:
            return FrameBatches(together, self._kind, declared)
        return RowBatches(together, declared)

    def _items(self) -> Iterator[Any]:
        """Rows or frames, all of one kind; a list stands for what is in it."""
        same: set[type] = set()
        number = 0
        for given in _top(self._made.value):
            for item in given if type(given) is list else (given,):
                number += 1
                if type(item) not in same:
                    self._check(item, number)
                    same.add(type(item))
                yield item

    def _check(self, item: Any, number: int) -> None:
        kind = _kind_of(item)
        if self._kind and kind != self._kind:
            raise InvalidArgumentError(
                f"item {number:,} is a {type(item).__name__}, and those before were {_WORDS[self._kind]}",
                where=self.name,
                remedy="Yield one kind of thing: all dicts, all tuples, or all frames of one library.",
            )
        self._kind = kind


def _top(value: Any) -> Iterator[Any]:
    """The items of what a function made as a whole."""
    if isinstance(value, list):
        return iter(value)
    if isinstance(value, tuple) or _is_mapping(value):
        raise no_rows(f"a {type(value).__name__} by itself is one row, or something else")
    kind = _frame_kind(value)
    if kind:
        return iter([value])
    if isinstance(value, (set, frozenset)) or not isinstance(value, Iterable) or _is_content(value):
        raise no_rows(_refusal(value))
    return iter(value)


def _kind_of(item: Any) -> str:
    if isinstance(item, tuple):
        return "tuple"
    if kind := _frame_kind(item):
        return kind
    if _is_mapping(item):
        return "mapping"
    raise no_rows(_refusal(item))


def _is_mapping(item: Any) -> bool:
    """Dicts, and rows of drivers that know their columns by name (``sqlite3.Row``)."""
    return isinstance(item, Mapping) or (
        callable(getattr(item, "keys", None)) and hasattr(item, "__getitem__") and not _frame_kind(item)
    )


def _frame_kind(item: Any) -> str:
    kind = type(item)
    for library in ("pandas", "polars"):
        frame = getattr(sys.modules.get(library), "DataFrame", None)
        if isinstance(frame, type) and isinstance(item, frame):
            return library
    if kind.__name__ == "LazyFrame" and kind.__module__.startswith("polars"):
        raise InvalidArgumentError(
            "a polars LazyFrame is a plan and no rows",
            where="python_callable or data",
            remedy="Yield its batches (lazy.collect_batches(maintain_order=True)), or collect() it if it fits in "
            "memory.",
        )
    if kind.__name__ == "Series" and kind.__module__.startswith(("pandas", "polars")):
        raise no_rows(f"a Series of {kind.__module__.partition('.')[0]} is one column and no table")
    if isinstance(item, (pa.Array, pa.ChunkedArray)):
        raise no_rows(f"a {kind.__name__} is one column and no table")
    streams = isinstance(item, (pa.RecordBatch, pa.RecordBatchReader)) or hasattr(item, "__arrow_c_stream__")
    return "arrow" if streams or hasattr(item, "__arrow_c_array__") else ""


def _is_content(value: Any) -> bool:
    return isinstance(value, (str, bytes, bytearray, memoryview)) or callable(getattr(value, "read", None))


def _refusal(value: Any) -> str:
    if value is None:
        return "None was yielded or returned, which is no row"
    if isinstance(value, (set, frozenset)):
        return "a set has no order, so that two tries would not deliver the same"
    return f"a {type(value).__name__} is no row"
