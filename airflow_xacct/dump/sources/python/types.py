"""Arrow types, as far as what Python makes is concerned: their families, and what is how a value is stored only."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

__all__ = ["family", "is_list_like", "settled_type"]

T = pa.types


def is_list_like(kind: pa.DataType) -> bool:
    """Whether values are lists with offsets, or of one length."""
    return bool(T.is_list(kind) or T.is_large_list(kind) or T.is_fixed_size_list(kind))


_FAMILIES: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("null", T.is_null),
    ("bool", T.is_boolean),
    ("int", T.is_integer),
    ("float", T.is_floating),
    ("decimal", T.is_decimal),
    ("string", lambda kind: bool(T.is_string(kind) or T.is_large_string(kind))),
    (
        "binary",
        lambda kind: bool(T.is_binary(kind) or T.is_large_binary(kind) or T.is_fixed_size_binary(kind)),
    ),
    ("timestamp", T.is_timestamp),
    ("date", T.is_date),
    ("time", T.is_time),
    ("duration", T.is_duration),
    ("struct", T.is_struct),
    ("map", T.is_map),
    ("list", is_list_like),
    ("json", lambda kind: isinstance(kind, pa.JsonType)),
    ("uuid", lambda kind: isinstance(kind, pa.UuidType)),
)


def family(kind: pa.DataType) -> str:
    """What values of a type have in common; ``""`` for a type that has no family."""
    return next((name for name, test in _FAMILIES if test(kind)), "")


def settled_type(kind: pa.DataType) -> pa.DataType:
    """The type without what says only how values are stored: dictionaries, runs and views, nested ones too."""
    if T.is_dictionary(kind) or T.is_run_end_encoded(kind):
        return settled_type(kind.value_type)
    if T.is_string_view(kind):
        return pa.string()
    if T.is_binary_view(kind):
        return pa.binary()
    if T.is_map(kind):
        return pa.map_(settled_type(kind.key_type), _settled_field(kind.item_field), keys_sorted=kind.keys_sorted)
    if T.is_struct(kind):
        return pa.struct([_settled_field(field) for field in kind])
    if T.is_fixed_size_list(kind):
        return pa.list_(_settled_field(kind.value_field), kind.list_size)
    if T.is_large_list(kind) or T.is_large_list_view(kind):
        return pa.large_list(_settled_field(kind.value_field))
    if T.is_list(kind) or T.is_list_view(kind):
        return pa.list_(_settled_field(kind.value_field))
    return kind


def _settled_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, settled_type(field.type), field.nullable)
