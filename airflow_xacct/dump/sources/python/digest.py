"""A digest of what a task declares to be made: when it changes, a committed dump is made anew."""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

__all__ = ["declaration_digest"]

_DEEPEST = 8
"""A structure that holds itself has to end somewhere."""

_PLAIN = (str, int, float, bool, type(None))
_TEXTS = (Decimal, dt.date, dt.time, dt.timedelta, uuid.UUID)


def declaration_digest(*facts: Any) -> str:
    """A digest of plain values, mappings, sequences, functions and types.

    Of a function it sees the name, the text of its source, its defaults and what it closes over; not what it calls. Of
    an object that is none of these only the type counts: two tries have to find the same.

    :return: SHA-256 in hexadecimal.
    """
    return hashlib.sha256(json.dumps(_described(facts, 0)).encode()).hexdigest()


def _described(value: Any, depth: int) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if depth > _DEEPEST:
        return type(value).__qualname__
    if isinstance(value, _TEXTS):
        return [type(value).__name__, str(value)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, Mapping):
        return ["mapping", [[_described(k, depth + 1), _described(v, depth + 1)] for k, v in value.items()]]
    if isinstance(value, partial):
        return ["partial", *(_described(part, depth + 1) for part in (value.func, value.args, value.keywords))]
    if isinstance(value, Sequence):
        return [type(value).__name__, [_described(item, depth + 1) for item in value]]
    if inspect.isroutine(value):
        return _described_function(value, depth)
    shape = getattr(value, "shape", None)  # of a frame
    named = value if isinstance(value, type) else type(value)
    return [f"{named.__module__}.{named.__qualname__}", repr(shape), _source(named)]


def _described_function(function: Callable[..., Any], depth: int) -> Any:
    plain: Any = inspect.unwrap(function)
    plain = getattr(plain, "__func__", plain)
    cells = [_cell(cell) for cell in getattr(plain, "__closure__", None) or ()]
    around = [getattr(plain, "__defaults__", None), getattr(plain, "__kwdefaults__", None), cells]
    name = getattr(plain, "__qualname__", type(plain).__qualname__)
    return [name, _source(plain), _described(around, depth + 1)]


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _source(what: Any) -> str:
    try:
        return inspect.getsource(what)
    except (OSError, TypeError):
        return ""
