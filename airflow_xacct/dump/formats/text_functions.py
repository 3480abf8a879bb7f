"""Those of Arrow's functions that make texts, in a pool of our own (:mod:`airflow_xacct.dump.arrow_pool`)."""

from __future__ import annotations

import functools
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.arrow_constants import constant
from airflow_xacct.dump.arrow_pool import POOL

__all__ = [
    "TEXT",
    "as_text",
    "ascii_lpad",
    "ascii_ltrim",
    "ascii_rtrim",
    "binary_replace_slice",
    "coalesce",
    "if_else",
    "join",
    "join_lists",
    "replace_substring",
    "utf8_slice_codeunits",
]

TEXT = pa.string()

ascii_lpad = partial(pc.ascii_lpad, memory_pool=POOL)
ascii_ltrim = partial(pc.ascii_ltrim, memory_pool=POOL)
ascii_rtrim = partial(pc.ascii_rtrim, memory_pool=POOL)
binary_replace_slice = partial(pc.binary_replace_slice, memory_pool=POOL)
coalesce = partial(pc.coalesce, memory_pool=POOL)
if_else = partial(pc.if_else, memory_pool=POOL)
join_lists = partial(pc.binary_join, memory_pool=POOL)
replace_substring = partial(pc.replace_substring, memory_pool=POOL)
utf8_slice_codeunits = partial(pc.utf8_slice_codeunits, memory_pool=POOL)

# not by their wrappers, which make options anew: for a column of a small batch they take as long as the work itself
_CAST, _AS_TEXT = pc.get_function("cast"), pc.CastOptions.safe(TEXT)
_JOIN = pc.get_function("binary_join_element_wise")


def as_text(array: pa.Array) -> pa.Array:
    """The values as Arrow writes them."""
    return array if array.type == TEXT else _CAST.call([array], _AS_TEXT, POOL)


def join(*parts: pa.Array | str, separator: str = "", null: str | None = None) -> pa.Array:
    """The parts of each row behind one another.

    :param null: what stands for NULL; ``None``: a row with one is NULL.
    """
    given = [constant(part) if isinstance(part, str) else part for part in parts]
    return _JOIN.call([*given, constant(separator)], _join_options(null), POOL)


@functools.cache
def _join_options(null: str | None) -> pc.JoinOptions:
    return pc.JoinOptions("emit_null") if null is None else pc.JoinOptions("replace", null)
