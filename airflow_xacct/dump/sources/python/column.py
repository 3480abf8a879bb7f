"""Python values to an Arrow column: unchanged, or an error that names row and column.

pyarrow itself would, without a word, cut a time to a coarser unit, let a float overflow, drop keys that a struct has
not, and take a missing one for NULL.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.sources.python.own import owned, owned_value
from airflow_xacct.dump.sources.python.problems import column_misfit
from airflow_xacct.dump.sources.python.types import family
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["PythonColumn", "RowOf"]

RowOf = Callable[[int], int]
"""From the index of a value to the number of its row, from 1."""

T = pa.types

# a subclass counts as its base, but for a bool among numbers and a datetime among dates
_ACCEPTS: dict[str, tuple[type, ...]] = {
    "null": (),
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "decimal": (Decimal, int),
    "string": (str, uuid.UUID),
    "binary": (bytes, bytearray, memoryview),
    "timestamp": (dt.datetime,),
    "date": (dt.date,),
    "time": (dt.time,),
    "duration": (dt.timedelta,),
    "struct": (Mapping,),
    "map": (Mapping,),
    "list": (list, tuple),
    "json": (dict, list, tuple),
    "uuid": (uuid.UUID,),
}
_REFUSALS = (pa.ArrowException, OverflowError, ValueError, TypeError)


class PythonColumn:
    """Makes arrays of one column.

    :param field: name, type, and whether there may be NULL.
    :raises InvalidArgumentError: a type that is not made of Python values.
    """

    def __init__(self, field: pa.Field) -> None:
        self.name = str(field.name)
        self.type = field.type
        self._nullable = field.nullable
        self._family = family(field.type)
        self._accepted: dict[type, bool] = {}
        convert = {
            "string": self._strings,
            "timestamp": self._moments,
            "time": self._moments,
            "duration": self._moments,
            "float": self._floats,
            "json": self._json,
            "list": self._lists,
            "struct": self._structs,
            "map": self._maps,
        }
        if not self._family:
            raise InvalidArgumentError(
                f"column {self.name!r} has the type {field.type}, which is not made of Python values",
                where="schema",
                remedy="Name another type, or hand over Arrow data.",
            )
        self._convert: Callable[[Sequence[Any], set[type], RowOf], pa.Array] = convert.get(self._family, self._plain)
        self._inner = self._inner_columns()

    def array(self, values: Sequence[Any], row_of: RowOf) -> pa.Array:
        """The values as Arrow.

        Values of numpy count as the Python values they hold, ``pandas.NA`` and ``NaT`` as NULL.

        :raises SourceUnreadableError: a value that does not fit.
        """
        values = owned(values)
        kinds = set(map(type, values))
        if type(None) in kinds:
            kinds.remove(type(None))
            if not self._nullable:
                row = row_of(next(index for index, value in enumerate(values) if value is None))
                raise column_misfit(f"row {row:,} holds None in column {self.name!r}, which may not be NULL", self.name)
        for kind in kinds:
            if not self._accepts(kind):
                self._refuse(values, row_of, partial(_is_exactly, kind))
        try:
            return self._convert(values, kinds, row_of)
        except _REFUSALS:
            self._refuse(values, row_of, partial(self._does_not_fit, kinds))

    def _accepts(self, kind: type) -> bool:
        known = self._accepted.get(kind)
        if known is None:
            bases = _ACCEPTS[self._family]
            known = kind in bases or (
                issubclass(kind, bases)
                and not issubclass(kind, bool)
                and not (self._family == "date" and issubclass(kind, dt.datetime))
            )
            self._accepted[kind] = known
        return known

    def _plain(self, values: Sequence[Any], kinds: set[type], row_of: RowOf) -> pa.Array:  # noqa: ARG002
        return pa.array(values, type=self.type, from_pandas=False)

    def _strings(self, values: Sequence[Any], kinds: set[type], row_of: RowOf) -> pa.Array:
        if any(issubclass(kind, uuid.UUID) for kind in kinds):
            values = [str(value) if isinstance(value, uuid.UUID) else value for value in values]
        return self._plain(values, kinds, row_of)

    def _floats(self, values: Sequence[Any], kinds: set[type], row_of: RowOf) -> pa.Array:
        made = self._plain(values, kinds, row_of)
        if self.type.bit_width < 64:
            # rounding to the nearest is what the type means; infinity is another value
            wide = pa.array(values, type=pa.float64(), from_pandas=False)
            if pc.any(pc.and_(pc.is_inf(made), pc.is_finite(wide))).as_py():
                raise OverflowError
        return made

    def _moments(self, values: Sequence[Any], kinds: set[type], row_of: RowOf) -> pa.Array:
        if self._family != "duration":
            aware = self._family == "timestamp" and self.type.tz is not None

            def is_wrong(value: Any) -> bool:
                return (value.tzinfo is not None) is not aware

            if any(value is not None and is_wrong(value) for value in values):
                self._refuse(values, row_of, is_wrong, "with a time zone" if not aware else "without a time zone")
        if self.type.unit == "ns":
            return self._plain(values, kinds, row_of)
        if any(hasattr(kind, "nanosecond") or hasattr(kind, "nanoseconds") for kind in kinds) and any(
            map(_has_nanoseconds, values)
        ):
            raise ValueError
        # pyarrow cuts microseconds that a coarser unit has not, so the cast has to see them
        return pa.array(values, type=_in_microseconds(self.type), from_pandas=False).cast(self.type)

    def _json(self, values: Sequence[Any], kinds: set[type], row_of: RowOf) -> pa.Array:  # noqa: ARG002
        texts = [None if value is None else _json_text(value) for value in values]
        return pa.ExtensionArray.from_storage(self.type, pa.array(texts, type=self.type.storage_type))

    def _lists(self, values: Sequence[Any], kinds: set[type], row_of: RowOf) -> pa.Array:  # noqa: ARG002
        offsets, parents, flat = _flattened(values)
        items = self._inner[0].array(flat, lambda index: row_of(parents[index]))
        mask = pa.array([value is None for value in values])
        if T.is_large_list(self.type):
            return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), items, type=self.type, mask=mask)
        lists = pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), items, type=pa.list_(self.type.value_field), mask=mask
        )
        return lists.cast(self.type)

    def _structs(self, values: Sequence[Any], kinds: set[type], row_of: RowOf) -> pa.Array:  # noqa: ARG002
        names = [field.name for field in self.type]
        expected = set(names)
        if any(value is not None and value.keys() != expected for value in values):
            self._refuse(values, row_of, lambda value: value.keys() != expected, "with other keys")
        present = [value is not None for value in values]
        rows = [index for index, is_there in enumerate(present) if is_there]
        # what stands below a NULL is nobody's: it may not trip over a field that holds no NULL
        places = [place if there else None for there, place in zip(present, _counted(present), strict=True)]
        where = pa.array(places, pa.int64())
        children = [
            column.array([values[row][column_name] for row in rows], lambda index: row_of(rows[index])).take(where)
            for column_name, column in zip(names, self._inner, strict=True)
        ]
        mask = pa.array([not there for there in present], pa.bool_())
        return pa.StructArray.from_arrays(children, fields=list(self.type), mask=mask)

    def _maps(self, values: Sequence[Any], kinds: set[type], row_of: RowOf) -> pa.Array:  # noqa: ARG002
        pairs = [None if value is None else list(value.items()) for value in values]
        offsets, parents, flat = _flattened(pairs)
        keys = self._inner[0].array([key for key, _ in flat], lambda index: row_of(parents[index]))
        items = self._inner[1].array([item for _, item in flat], lambda index: row_of(parents[index]))
        mask = pa.array([value is None for value in values])
        return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items, self.type, None, mask)

    def _inner_columns(self) -> list[PythonColumn]:
        kind = self.type
        if self._family == "list":
            return [self._child(kind.value_field, "[]")]
        if self._family == "struct":
            return [self._child(field, f".{field.name}") for field in kind]
        if self._family == "map":
            return [self._child(kind.key_field, " (keys)"), self._child(kind.item_field, " (values)")]
        return []

    def _child(self, field: pa.Field, path: str) -> PythonColumn:
        return PythonColumn(pa.field(self.name + path, field.type, field.nullable))

    def _does_not_fit(self, kinds: set[type], value: Any) -> bool:
        try:
            self._convert([value], kinds, lambda _: 0)
        except _REFUSALS:
            return True
        return False

    def _refuse(self, values: Sequence[Any], row_of: RowOf, is_wrong: Callable[[Any], bool], how: str = "") -> NoReturn:
        wrong = ((i, value) for i, value in enumerate(values) if value is not None and is_wrong(value))
        index, value = next(wrong, (0, None))
        held = f"{type(value).__name__} {how}".strip()
        raise column_misfit(
            f"row {row_of(index):,} holds a {held} that column {self.name!r} of type {self.type} cannot hold unchanged",
            self.name,
        )


def _is_exactly(kind: type, value: Any) -> bool:
    return type(value) is kind


def _has_nanoseconds(value: Any) -> bool:
    """Whether a Timestamp or Timedelta of pandas holds what Python's own types have not."""
    return bool(getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0))


def _in_microseconds(kind: pa.DataType) -> pa.DataType:
    if T.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    return pa.time64("us") if T.is_time(kind) else pa.duration("us")


def _json_text(value: Any) -> str:
    """JSON of dicts and lists: no number that JSON has not, dates and times in ISO 8601."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_json_scalar)


def _json_scalar(value: Any) -> Any:
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if (own := owned_value(value)) is not value:
        return own
    raise TypeError(type(value).__name__)


def _flattened(values: Sequence[Any]) -> tuple[list[int], list[int], list[Any]]:
    """Lists behind one another: where each begins, which list each item is of, the items."""
    offsets, parents, flat = [0], [], []
    for index, value in enumerate(values):
        if value is not None:
            flat.extend(value)
            parents.extend([index] * len(value))
        offsets.append(len(flat))
    return offsets, parents, flat


def _counted(present: Sequence[bool]) -> list[int]:
    """How many were there before each."""
    counts, count = [], 0
    for is_there in present:
        counts.append(count)
        count += is_there
    return counts
