"""Arrow values as JSON, a column at a time, nested ones too.

Numbers keep every digit, integers of 64 bits and decimals included, which can be text on request; dates and times are
ISO 8601 in quotes, binary is base64 or hexadecimal, NULL is ``null``. Maps are objects when their keys are text, else
arrays of ``{"key": ..., "value": ...}``.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.arrow_constants import constant, null
from airflow_xacct.dump.formats import text_functions as texts
from airflow_xacct.dump.formats.options import JsonLinesOptions
from airflow_xacct.dump.formats.scalar_text import JSON_DIALECT, has_scalar_text, scalar_text
from airflow_xacct.dump.formats.text_rows import special_bytes
from airflow_xacct.exceptions import SourceError

__all__ = ["bare_json", "has_json", "is_nested", "json_text"]

T = pa.types

_HEX_DIALECT = replace(JSON_DIALECT, binary=binascii.hexlify)

_SPECIAL = bytes(range(32)) + b'"\\'
_SHORT = {ord("\b"): "\\b", ord("\t"): "\\t", ord("\n"): "\\n", ord("\f"): "\\f", ord("\r"): "\\r"}


def is_nested(kind: pa.DataType) -> bool:
    """Whether values of a type are JSON wherever they are text."""
    return bool(T.is_nested(kind)) or isinstance(kind, pa.JsonType)


def has_json(kind: pa.DataType) -> bool:
    """Whether :func:`json_text` knows a type."""
    if isinstance(kind, pa.JsonType) or has_scalar_text(kind):
        return True
    if T.is_struct(kind):
        # fields that share a name would be one
        names = [kind.field(index).name for index in range(kind.num_fields)]
        return len(names) == len(set(names)) and all(has_json(kind.field(name).type) for name in names)
    if T.is_map(kind):
        return has_json(kind.key_type) and has_json(kind.item_type)
    return _is_list(kind) and has_json(kind.value_type)


def json_text(array: pa.Array, column: str, options: JsonLinesOptions) -> pa.Array:
    """Values as JSON, NULL as NULL.

    :param column: for messages.
    :param options: all but ``nulls``, which is up to whoever makes rows.
    :raises SourceError: a value that JSON cannot hold.
    """
    text, quoted = bare_json(array, column, options)
    return texts.join('"', text, '"') if quoted else text


def bare_json(array: pa.Array, column: str, options: JsonLinesOptions) -> tuple[pa.Array, bool]:
    """Values as JSON without the quotes around them, NULL as NULL; and whether there must be quotes around them.

    Parameters and errors are those of :func:`json_text`.
    """
    kind = array.type
    if isinstance(kind, pa.JsonType):
        return _one_line(texts.as_text(array.storage)), False
    if T.is_floating(kind):
        return _float(array, column, options.non_finite), False
    if has_scalar_text(kind):
        text = scalar_text(array, _HEX_DIALECT if options.binary == "hex" else JSON_DIALECT, column)
        if T.is_string(kind) or T.is_large_string(kind):
            return _escaped(text), True
        if options.exact_numbers == "text" and _is_exact_number(kind):
            return text, True
        return text, not (T.is_integer(kind) or T.is_decimal(kind) or T.is_boolean(kind) or T.is_null(kind))

    def inner(values: pa.Array) -> pa.Array:
        return texts.coalesce(json_text(values, column, options), constant("null"))

    if T.is_struct(kind):
        made = _struct(array, inner)
    elif T.is_map(kind):
        made = _map(array, inner)
    else:
        made = _list(array, inner)
    return texts.if_else(pc.is_null(array), null(texts.TEXT), made), False


def _escaped(text: pa.Array) -> pa.Array:
    found = special_bytes(text, _SPECIAL)
    # the backslash first: the others bring new ones
    for code in sorted(found, key=lambda code: code != ord("\\")):
        written = _SHORT.get(code) or ("\\" + chr(code) if code >= ord(" ") else f"\\u{code:04x}")
        text = texts.replace_substring(text, chr(code), written)
    return text


def _one_line(text: pa.Array) -> pa.Array:
    """JSON that came as JSON: its strings hold no raw line ends, so those there are stand between tokens."""
    for code in special_bytes(text, b"\r\n"):
        text = texts.replace_substring(text, chr(code), " ")
    return text


def _float(array: pa.Array, column: str, non_finite: str) -> pa.Array:
    text = scalar_text(array, JSON_DIALECT, column)
    # without a fraction it is an integer to most readers, and those have no negative zero
    negative_zero = pc.equal(text, constant("-0"))
    if pc.any(negative_zero, min_count=0).as_py():
        text = texts.if_else(negative_zero, constant("-0.0"), text)
    finite = pc.is_finite(array)
    if pc.all(finite, min_count=0).as_py():
        return text
    if non_finite == "error":
        raise SourceError(
            f"the column {column!r} holds NaN or infinity, which JSON has no number for",
            remedy="Replace them at their source, or choose what becomes of them: "
            f"{JsonLinesOptions.__name__}(non_finite='text') or 'null'.",
        )
    if non_finite == "null":
        return texts.if_else(finite, text, null(texts.TEXT))
    return texts.if_else(finite, text, texts.join('"', text, '"'))


_Inner = Callable[[pa.Array], pa.Array]


def _struct(array: pa.Array, inner: _Inner) -> pa.Array:
    if not array.type.num_fields:
        return pa.repeat(constant("{}"), len(array))
    parts: list[pa.Array | str] = []
    for number, (field, values) in enumerate(zip(array.type, array.flatten(), strict=True)):
        parts += [("," if number else "{") + json.dumps(field.name, ensure_ascii=False) + ":", inner(values)]
    return texts.join(*parts, "}")


def _map(array: pa.Array, inner: _Inner) -> pa.Array:
    keys, items = inner(_visible(array, array.keys)), inner(_visible(array, array.items))
    if T.is_string(array.type.key_type) or T.is_large_string(array.type.key_type):
        return _gathered(array, texts.join(keys, ":", items), "{}")
    return _gathered(array, texts.join('{"key":', keys, ',"value":', items, "}"), "[]")


def _list(array: pa.Array, inner: _Inner) -> pa.Array:
    if T.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    return _gathered(array, inner(_visible(array, array.values)), "[]")


def _visible(array: pa.Array, values: pa.Array) -> pa.Array:
    """The part of the values that a slice of lists refers to."""
    first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
    return values.slice(first, last - first)


def _gathered(array: pa.Array, values: pa.Array, brackets: str) -> pa.Array:
    """The texts of the values of each list, behind one another."""
    offsets = pc.subtract(array.offsets, array.offsets[0]).cast(pa.int32())
    inside = texts.join_lists(pa.ListArray.from_arrays(offsets, values), constant(","))
    return texts.join(brackets[0], inside, brackets[1])


def _is_exact_number(kind: pa.DataType) -> bool:
    """Whether a type has numbers that no double holds."""
    return bool(T.is_decimal(kind) or T.is_int64(kind) or T.is_uint64(kind))


def _is_list(kind: pa.DataType) -> bool:
    # not the views, whose offsets are in no order
    return bool(T.is_list(kind) or T.is_large_list(kind) or T.is_fixed_size_list(kind))
