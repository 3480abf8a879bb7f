"""What Parquet makes of columns: their leaves, their types, and what was asked of each by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_xacct.dump.formats.columns import unknown_type
from airflow_xacct.dump.formats.option_checks import refused
from airflow_xacct.dump.formats.options import ParquetOptions
from airflow_xacct.exceptions import SourceError

__all__ = [
    "ColumnPlan",
    "bloom_filter_bytes",
    "cast_batch",
    "dictionary_columns",
    "is_sorted",
    "with_timestamp_unit",
]

T = pa.types

SAMPLE_ROWS = 16_384
FEW_VALUES = 8
"""A column gets a dictionary when each of its values comes this often in the first rows."""

_LEAST_FILTER_BYTES, _MOST_FILTER_BYTES = 32, 128 * 1024 * 1024
_FILTER_HEADER_BYTES = 64


def _leaves(schema: pa.Schema) -> dict[str, list[pq.ColumnSchema]]:
    """The columns of Parquet that each column becomes, as an empty file has them.

    :raises InvalidArgumentError: a column whose type Parquet cannot hold.
    """
    found = {}
    for field in schema:
        sink = pa.BufferOutputStream()
        try:
            pq.ParquetWriter(sink, pa.schema([field])).close()
        except (pa.ArrowException, OSError) as error:
            raise unknown_type(field, "Parquet") from error
        made = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
        found[field.name] = [made.column(index) for index in range(len(made))]
    return found


def _type_name(leaf: pq.ColumnSchema) -> str:
    logical = str(leaf.logical_type)
    return leaf.physical_type if logical == "None" else f"{leaf.physical_type} ({logical})"


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What was asked of columns, by the paths of their leaves.

    :param types: what each column is called in Parquet, such as ``INT64`` or ``BYTE_ARRAY (String)``; the leaves of
        nested ones.
    :param dictionaries: ``None`` to decide by the first rows.
    """

    types: list[str]
    dictionaries: list[str] | None
    statistics: bool | list[str]
    bloom_filters: list[str]

    @classmethod
    def of(cls, schema: pa.Schema, options: ParquetOptions) -> ColumnPlan:
        """The plan for the columns of the rows.

        :raises InvalidArgumentError: a type that Parquet does not have, a name that is none of theirs, or a column
            that cannot have what was asked for it.
        """
        leaves = _leaves(schema)

        def paths(names: Sequence[str], where: str, fits: Callable[[pa.DataType], bool]) -> list[str]:
            for name in names:
                if name not in leaves:
                    raise refused(
                        f"there is no column {name!r}", where, f"The objects have {', '.join(map(repr, leaves))}."
                    )
                kind = schema.field(name).type
                if not fits(kind):
                    raise refused(f"the column {name!r} of the type {kind} can have none", where, "Leave it out.")
            return [leaf.path for name in names for leaf in leaves[name]]

        paths(options.sorted_by, "sorted_by", _is_ordered)
        named = None if isinstance(options.dictionaries, str) else options.dictionaries
        statistics = options.statistics
        return cls(
            types=[", ".join(map(_type_name, found)) for found in leaves.values()],
            dictionaries=None if named is None else paths(named, "dictionaries", _is_wide),
            statistics=statistics if isinstance(statistics, bool) else paths(statistics, "statistics", _anything),
            bloom_filters=paths(options.bloom_filters, "bloom_filters", _is_flat),
        )


def _anything(_: pa.DataType) -> bool:
    return True


def _is_wide(kind: pa.DataType) -> bool:
    return not (T.is_boolean(kind) or T.is_null(kind))


def _is_flat(kind: pa.DataType) -> bool:
    return _is_wide(kind) and not T.is_nested(kind)


def _is_ordered(kind: pa.DataType) -> bool:
    empty = pa.nulls(0, kind) if not isinstance(kind, pa.BaseExtensionType) else None
    try:
        return empty is not None and not T.is_nested(kind) and len(pc.less_equal(empty, empty)) == 0
    except pa.ArrowNotImplementedError:
        return False


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


def bloom_filter_bytes(values: int, false_positives: float) -> int:
    """The size of one filter, as Parquet's split block Bloom filters have it: bits by the formula, a power of two."""
    bits = -8 * values / math.log(1 - false_positives**0.125)
    size = 1 << max(0, math.ceil(math.log2(max(1.0, bits / 8))))
    return min(max(size, _LEAST_FILTER_BYTES), _MOST_FILTER_BYTES) + _FILTER_HEADER_BYTES


def is_sorted(table: pa.Table, names: Sequence[str]) -> bool:
    """Whether rows ascend by these columns, none of which is NULL (or NaN)."""
    alike: pa.Array | None = None
    for name in names:
        column = table.column(name).combine_chunks()
        if column.null_count:
            return False
        before, after = column.slice(0, len(column) - 1), column.slice(1)
        fits = pc.less_equal(before, after)
        if alike is not None:
            fits = pc.or_(fits, pc.invert(alike))
        if not pc.all(fits, min_count=0).as_py():
            return False
        same = pc.equal(before, after)
        alike = same if alike is None else pc.and_(alike, same)
    return True


def with_timestamp_unit(schema: pa.Schema, unit: str | None) -> pa.Schema:
    """The schema with all timestamps in one unit."""
    if unit is None:
        return schema
    return pa.schema([field.with_type(_in_unit(field.type, unit)) for field in schema])


def _in_unit(kind: pa.DataType, unit: str) -> pa.DataType:
    if T.is_timestamp(kind):
        return pa.timestamp(unit, kind.tz)
    if T.is_struct(kind):
        return pa.struct([inner.with_type(_in_unit(inner.type, unit)) for inner in kind])
    if T.is_map(kind):
        return pa.map_(_in_unit(kind.key_type, unit), _in_unit(kind.item_type, unit))
    if T.is_fixed_size_list(kind):
        return pa.list_(_in_unit(kind.value_type, unit), kind.list_size)
    if T.is_list(kind) or T.is_large_list(kind):
        make = pa.list_ if T.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_in_unit(kind.value_type, unit)))
    return kind


def cast_batch(batch: pa.RecordBatch, schema: pa.Schema, *, truncate: bool) -> pa.RecordBatch:
    """The batch with the types of a schema from :func:`with_timestamp_unit`.

    :param truncate: cut what does not fit, towards 1970.
    :raises SourceError: a timestamp that does not fit.
    """
    columns = []
    for field, column in zip(schema, batch.columns, strict=True):
        if column.type == field.type:
            columns.append(column)
            continue
        try:
            columns.append(pc.cast(column, options=pc.CastOptions(field.type, allow_time_truncate=truncate)))
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"the column {field.name!r} holds a timestamp that does not fit into {field.type}: {error}",
                where="timestamp_unit",
                remedy="Choose a finer unit or none, or truncate_timestamps=True.",
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)
