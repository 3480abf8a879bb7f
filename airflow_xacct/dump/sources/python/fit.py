"""Arrow arrays in the type of their column: cast where every value stays what it is, refused otherwise."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.sources.python.problems import column_misfit
from airflow_xacct.dump.sources.python.types import family, settled_type

__all__ = ["fitted"]

T = pa.types

_EXACT = {("int", "float"), ("int", "decimal")}
"""Casts between families that pyarrow refuses for a value that would change."""


def fitted(array: pa.Array, field: pa.Field, first_row: int, *, whole_floats: bool = False) -> pa.Array:
    """The array in the type of a field.

    :param first_row: number of the first value's row, from 1.
    :param whole_floats: whether a float without fraction is a whole number, as pandas has them beside missing values.
    :raises SourceUnreadableError: another kind of type, or a value that would change.
    """
    made = _settled(array)
    name, kind = str(field.name), field.type
    if made.type != kind:
        if not _can_become(made.type, kind, whole_floats=whole_floats):
            raise column_misfit(
                f"the rows from {first_row:,} on have the type {made.type} in column {name!r} of type {kind}", name
            )
        given = made
        try:
            made = _cast(given, kind)
        except (pa.ArrowException, OverflowError):
            row = first_row + _first_refused(given, kind)
            raise column_misfit(
                f"row {row:,} holds a value of type {given.type} that column {name!r} of type {kind} cannot hold "
                "unchanged",
                name,
            ) from None
    if made.null_count and not field.nullable:
        row = first_row + pc.index(pc.is_null(made), True).as_py()
        raise column_misfit(f"row {row:,} holds NULL in column {name!r}, which may not be NULL", name)
    return made


def _settled(array: pa.Array) -> pa.Array:
    if T.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    kind = settled_type(array.type)
    return array if array.type == kind else array.cast(kind)


def _can_become(given: pa.DataType, wanted: pa.DataType, *, whole_floats: bool = False) -> bool:
    """Whether a cast keeps every value, or fails."""
    if given == wanted or T.is_null(given):
        return True
    ours, theirs = family(given), family(wanted)
    if (ours, theirs) in _EXACT or (whole_floats and (ours, theirs) == ("float", "int")):
        return True
    if not ours or ours != theirs:
        return False
    if ours == "timestamp":
        return (given.tz is None) is (wanted.tz is None)
    if ours == "list":
        return _nested_can_become(given.value_type, wanted.value_type)
    if ours == "struct":
        return [field.name for field in given] == [field.name for field in wanted] and all(
            _nested_can_become(mine.type, other.type) for mine, other in zip(given, wanted, strict=True)
        )
    if ours == "map":
        return _nested_can_become(given.key_type, wanted.key_type) and _nested_can_become(
            given.item_type, wanted.item_type
        )
    return True


def _nested_can_become(given: pa.DataType, wanted: pa.DataType) -> bool:
    # a float in a narrower type is looked at one by one, which is done for whole columns only
    narrows = T.is_floating(given) and T.is_floating(wanted) and wanted.bit_width < given.bit_width
    return _can_become(given, wanted) and not narrows


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    made = array.cast(kind)
    if T.is_floating(array.type) and T.is_floating(kind) and kind.bit_width < array.type.bit_width:
        same = pc.or_(pc.equal(made.cast(array.type), array), pc.is_nan(array))
        if not pc.all(same, min_count=0).as_py():
            raise pa.ArrowInvalid(f"not exact in {kind}")
    return made


def _first_refused(array: pa.Array, kind: pa.DataType) -> int:
    """The index of the first value that cannot be cast, found by halves."""
    start, length = 0, len(array)
    while length > 1:
        half = length // 2
        if _is_refused(array.slice(start, half), kind):
            length = half
        else:
            start, length = start + half, length - half
    return start


def _is_refused(array: pa.Array, kind: pa.DataType) -> bool:
    try:
        _cast(array, kind)
    except (pa.ArrowException, OverflowError):
        return True
    return False
