"""Hive partitions from the data: which rows belong to which path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_xacct.dump.naming import HIVE_NULL, PartitionValue, partition_path
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HivePartitions"]

_WHERE = "partition_by"


class HivePartitions:
    """The partitions of rows that come sorted by them.

    Memory: the paths of all partitions so far, at most ``max_partitions``.

    :param schema: of the rows.
    :param columns: which columns make the partitions, the outermost first.
    :param drop: leave these columns out of the rows.
    :param max_partitions: more are an error.
    :raises InvalidArgumentError: a column that does not exist, comes twice, cannot name a partition, or has a type
        that has no text for it; or no column would be left.
    """

    def __init__(self, schema: pa.Schema, columns: Sequence[str], *, drop: bool, max_partitions: int) -> None:
        missing = [name for name in columns if name not in schema.names]
        if missing:
            raise InvalidArgumentError(
                f"there is no column {', '.join(map(repr, missing))} to partition by",
                where=_WHERE,
                remedy=f"There are {', '.join(map(repr, schema.names))}.",
            )
        _check_names(columns)
        for name in columns:
            if not _can_name(schema.field(name).type):
                raise InvalidArgumentError(
                    f"the column {name!r} is of the type {schema.field(name).type}, which names no partition",
                    where=_WHERE,
                    remedy="Cast it at its source to text, a whole number, a date or a boolean.",
                )
        self._columns = tuple(columns)
        self._kept = [name for name in schema.names if not (drop and name in columns)]
        if not self._kept:
            raise InvalidArgumentError(
                "no column would be left without those of the partitions",
                where="drop_partition_columns",
                remedy="Keep them, or select more columns.",
            )
        self._max_partitions = max_partitions
        self._seen: set[str] = set()
        self._current: str | None = None

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The schema of the rows in the objects."""
        import pyarrow as pa

        return pa.schema([schema.field(name) for name in self._kept])

    def segments(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.RecordBatch]]:
        """The rows, cut where the partition changes, each with the path of its partition.

        :raises SourceError: a partition comes back after it ended, there are too many, or a value names none.
        """
        for batch in batches:
            starts = [0, *self._changes(batch)] if batch.num_rows else []
            for start, stop in zip(starts, [*starts[1:], batch.num_rows], strict=True):
                path = self._enter(batch, start)
                yield path, batch.slice(start, stop - start).select(self._kept)

    def _changes(self, batch: pa.RecordBatch) -> list[int]:
        """The rows, but for the first, whose partition is not that of the row before."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from airflow_xacct.dump.arrow_constants import truth

        changed = truth(False)
        for name in self._columns:
            column = batch.column(name)
            if pa.types.is_null(column.type):
                continue
            now, before = column.slice(1), column.slice(0, len(column) - 1)
            differs = pc.fill_null(pc.not_equal(now, before), truth(False))
            differs = pc.or_(differs, pc.not_equal(pc.is_null(now), pc.is_null(before)))
            changed = pc.or_(changed, differs)
        if isinstance(changed, pa.Scalar):
            return []
        return [row + 1 for row in pc.indices_nonzero(changed).to_pylist()]

    def _enter(self, batch: pa.RecordBatch, row: int) -> str:
        values = {name: _value(name, batch.column(name)[row].as_py()) for name in self._columns}
        try:
            path = partition_path(values)
        except InvalidArgumentError as error:
            raise SourceError(
                f"a partition cannot be named: {error.what}",
                where=_WHERE,
                remedy="Give the column other values at its source.",
            ) from error
        if path == self._current:
            return path
        if path in self._seen:
            raise SourceError(
                f"the partition {path} comes back after it ended",
                where=_WHERE,
                remedy=f"Rows must come sorted by {', '.join(self._columns)}, byte by byte: a collation that takes "
                "different values for equal is not enough.",
            )
        if len(self._seen) >= self._max_partitions:
            raise SourceError(
                f"there are more than {self._max_partitions:,} partitions",
                where=_WHERE,
                remedy="Partition by something coarser, or raise max_partitions.",
            )
        self._seen.add(path)
        self._current = path
        return path


def _check_names(columns: Sequence[str]) -> None:
    try:
        for name in columns:
            partition_path({name: "x"})
    except InvalidArgumentError as error:
        raise InvalidArgumentError(error.what, where=_WHERE, remedy=error.remedy) from error
    folded = [name.lower() for name in columns]
    twice = sorted({name for name in folded if folded.count(name) > 1})
    if twice:
        raise InvalidArgumentError(
            f"the column {twice[0]!r} comes twice",
            where=_WHERE,
            remedy="Case does not count in Hive: name each column once.",
        )


def _can_name(kind: pa.DataType) -> bool:
    import pyarrow.types as T  # noqa: N812

    if T.is_decimal(kind):
        return bool(kind.scale <= 0)
    checks = (T.is_string, T.is_large_string, T.is_integer, T.is_boolean, T.is_date32, T.is_null)
    return any(check(kind) for check in checks)


def _value(name: str, value: Any) -> PartitionValue:
    if isinstance(value, Decimal):
        return int(value)
    if value == HIVE_NULL:
        raise SourceError(
            f"the column {name!r} holds {HIVE_NULL!r}, which Hive reads as NULL",
            where=_WHERE,
            remedy="Make it NULL at its source.",
        )
    given: PartitionValue = value
    return given
