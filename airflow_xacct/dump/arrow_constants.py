"""Constants for Arrow's functions, and arrays of texts, made from buffers.

pyarrow asks of every Python value that it is given (``pa.scalar``, ``pa.array``, an argument of a compute function)
whether it is one of pandas', and imports pandas for that wherever it is installed: 55 MiB and a quarter of a second, in
each task. Of what is Arrow's already it does not ask. (Options of functions, such as a pattern, are no such values.)
"""

from __future__ import annotations

import functools
import itertools
import struct
from array import array
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["bytes_like", "constant", "integer", "null", "truth"]


@functools.lru_cache(maxsize=1024)
def constant(value: str) -> pa.StringScalar:
    """A text."""
    data = value.encode()
    ends = pa.py_buffer(struct.pack("=ii", 0, len(data)))
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(data)])[0]


def integer(value: int, kind: pa.DataType) -> pa.Scalar:
    """A number of a type with at most 64 bits that counts something: an integer, a date, a timestamp."""
    whole = pa.Array.from_buffers(pa.int64(), 1, [None, pa.py_buffer(struct.pack("=q", value))])
    return whole.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)[0]


def truth(value: bool) -> pa.BooleanScalar:
    """True or false."""
    return pa.Array.from_buffers(pa.bool_(), 1, [None, pa.py_buffer(bytes([value]))])[0]


def null(kind: pa.DataType) -> pa.Scalar:
    """NULL of a type."""
    return pa.nulls(1, kind)[0]


def bytes_like(values: Sequence[bytes], like: pa.Array, kind: pa.DataType) -> pa.Array:
    """An array of these values, NULL where another is.

    :param values: what stands where ``like`` is NULL should be empty.
    :param kind: ``string`` or ``binary``.
    :raises pyarrow.ArrowInvalid: they take more than 2 GiB.
    """
    try:
        ends = array("i", itertools.accumulate(map(len, values), initial=0))
    except OverflowError:
        raise pa.ArrowInvalid("the values of a batch take more than 2 GiB") from None
    there = pc.is_valid(like).buffers()[1] if like.null_count else None
    return pa.Array.from_buffers(kind, len(values), [there, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])
