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
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["HELD_BACK_BYTES", "Compressor", "check_level", "compressor_maker"]

HELD_BACK_BYTES = 512 * 1024
"""More than any of them keeps to itself before it writes."""

_GZIP_CONTAINER = 16 + zlib.MAX_WBITS  # a gzip header with mtime 0 and no name, CRC-32 at the end
_FASTEST = 1
_MAX_LEVELS = {"gzip": 9, "zstd": 19, "snappy": None, "none": None}


class Compressor(Protocol):
    """Takes text, gives the compressed bytes, perhaps later."""

    def compress(self, data: Data, /) -> bytes:
        """What can be written now."""
        ...

    def flush(self) -> bytes:
        """All that is left."""
        ...


def check_level(kind: str, level: int | None) -> int | None:
    """The level, if that kind of compression has it.

    :raises InvalidArgumentError: it does not.
    """
    if level is None:
        return None
    most = _MAX_LEVELS[kind]
    if most is None:
        raise InvalidArgumentError(
            f"there is a compression level and the compression {kind!r} has none",
            where="compression_level",
            remedy="Leave the level out, or use gzip or zstd.",
        )
    if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= most:
        raise InvalidArgumentError(
            f"{level!r} is no compression level of {kind}",
            where="compression_level",
            remedy=f"Give a whole number from 1 to {most}, or None for the fastest.",
        )
    return level


def compressor_maker(kind: str, level: int | None) -> Callable[[], Compressor] | None:
    """What makes a compressor for each object; ``None`` where text stays as it is.

    :raises InvalidArgumentError: a level out of range.
    """
    check_level(kind, level)
    if kind == "gzip":
        return _fast_gzip if level is None else lambda: zlib.compressobj(level, zlib.DEFLATED, _GZIP_CONTAINER)
    if kind == "zstd":
        chosen = zstandard.ZstdCompressor(level=level or _FASTEST, write_checksum=True)
        return chosen.compressobj
    return None


def _fast_gzip() -> Compressor:
    """Intel's library where it is installed: four times as fast as zlib at its level 1."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP_CONTAINER)
    made: Compressor = isal_zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP_CONTAINER)
    return made
