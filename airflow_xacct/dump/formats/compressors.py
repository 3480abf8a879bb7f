"""Compression of text as it is made: one gzip member or one zstd frame for each object.

One, not one for each block: some readers stop after the first (python-zstandard's ``stream_reader`` does by default),
and none needs more. The default level is the fastest, since a dump is bound by what it takes to compress it; a level
that is asked for is that of zlib or zstd.

Blocks are a function of the rows, and each goes into the compressor in one piece, so that the same rows give the same
bytes wherever the same library compresses them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import zstandard

from airflow_xacct.dump.blocks import Data
from airflow_xacct.dump.compression import GZIP_CONTAINER, check_level

__all__ = ["HELD_BACK_BYTES", "Compressor", "compressor_maker"]

HELD_BACK_BYTES = 512 * 1024
"""More than any of them keeps to itself before it writes."""

_FASTEST = 1


class Compressor(Protocol):
    """Takes text, gives the compressed bytes, perhaps later."""

    def compress(self, data: Data, /) -> bytes:
        """What can be written now."""
        ...

    def flush(self) -> bytes:
        """All that is left."""
        ...


def compressor_maker(kind: str, level: int | None) -> Callable[[], Compressor] | None:
    """What makes a compressor for each object; ``None`` where text stays as it is.

    :raises InvalidArgumentError: a level out of range.
    """
    level = check_level(kind, level, otherwise="the fastest")
    if kind == "gzip":
        return _fast_gzip if level is None else lambda: zlib.compressobj(level, zlib.DEFLATED, GZIP_CONTAINER)
    if kind == "zstd":
        chosen = zstandard.ZstdCompressor(level=level or _FASTEST, write_checksum=True)
        return chosen.compressobj
    return None


def _fast_gzip() -> Compressor:
    """Intel's library where it is installed: four times as fast as zlib at its level 1."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(_FASTEST, zlib.DEFLATED, GZIP_CONTAINER)
    made: Compressor = isal_zlib.compressobj(_FASTEST, zlib.DEFLATED, GZIP_CONTAINER)
    return made
