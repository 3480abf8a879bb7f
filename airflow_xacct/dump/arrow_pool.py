"""Where Arrow takes the memory of rows in transit.

The allocator that is Arrow's default (mimalloc) has pages of their own for each size, and keeps what was freed: parsing
and encoding blocks of some hundred KiB took it three times what was in use. jemalloc, or else the C library, gives it
back sooner. The default pool is that of the whole process, which is not ours, so this one is named with each call.
"""

from __future__ import annotations

import pyarrow as pa

__all__ = ["POOL"]


def _pool() -> pa.MemoryPool:
    try:
        return pa.jemalloc_memory_pool()
    except NotImplementedError:  # pyarrow was built without it
        return pa.system_memory_pool()


POOL = _pool()
"""For every array that is made of a block of rows, as long as it is parsed or encoded."""
