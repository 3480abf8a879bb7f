"""Those of Arrow's functions that make texts, in memory from the C library.

The allocator that Arrow comes with (mimalloc) has pages of their own for each size, and keeps what was freed: texts of
some hundred KiB took it three times what was in use. Its pool is the default of the whole process, which is not ours,
so another one is named with each call.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "POOL",
    "ascii_lpad",
    "ascii_ltrim",
    "ascii_rtrim",
    "cast",
    "coalesce",
    "if_else",
    "join",
    "join_lists",
    "replace_substring",
    "utf8_slice_codeunits",
]

POOL = pa.system_memory_pool()
"""Where texts lie."""

ascii_lpad = partial(pc.ascii_lpad, memory_pool=POOL)
ascii_ltrim = partial(pc.ascii_ltrim, memory_pool=POOL)
ascii_rtrim = partial(pc.ascii_rtrim, memory_pool=POOL)
cast = partial(pc.cast, memory_pool=POOL)
coalesce = partial(pc.coalesce, memory_pool=POOL)
if_else = partial(pc.if_else, memory_pool=POOL)
join = partial(pc.binary_join_element_wise, memory_pool=POOL)
join_lists = partial(pc.binary_join, memory_pool=POOL)
replace_substring = partial(pc.replace_substring, memory_pool=POOL)
utf8_slice_codeunits = partial(pc.utf8_slice_codeunits, memory_pool=POOL)
