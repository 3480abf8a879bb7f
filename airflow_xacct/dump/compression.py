"""gzip and zstd around any payload.

The object's name takes the suffix (``.gz``, ``.zst``) and its content type is that of the compressed file. It
carries no Content-Encoding: Redshift, Athena, Spark and pandas go by the suffix, while an HTTP client that
sees Content-Encoding unpacks on the way, so that what it stores no longer matches the size and checksum in
the manifest.

The same input gives the same bytes at every try (no time, no file name, blocks of one fixed size), so that a
later try may compare the checksums of its parts with those of an earlier one.

Memory: one block of input, what it compresses to, the part that is asked for, and the compressor itself (256
KiB for gzip; for zstd up to 5 MiB at level 3, about 90 MiB at level 19, and 170, 330 and 710 MiB at levels 20, 21 and
22, whose windows of up to 128 MiB a reader has to hold too). It does not grow with the input.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import zstandard

from airflow_xacct.dump.payload import Payload, PayloadReader
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = [
    "GZIP_CONTAINER",
    "CompressedPayload",
    "CompressionKind",
    "check_level",
    "compressed",
    "compression_content_type",
    "compression_suffix",
]

CompressionKind = Literal["gzip", "zstd"]

BLOCK_SIZE_BYTES = 1024 * 1024
"""How much of the source goes into the compressor at once."""

GZIP_CONTAINER = 16 + zlib.MAX_WBITS
"""With it zlib writes a gzip header with mtime 0 and no name, and CRC-32 at the end."""

_MOST_LEVELS = {"gzip": 9, "zstd": 22}


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Format(ABC):
    """What differs from one kind to the next."""

    suffix: str
    content_type: str
    default_level: int

    @abstractmethod
    def start(self, level: int) -> _Compressor:
        """A compressor for one object."""

    @abstractmethod
    def max_size_bytes(self, source_size_bytes: int) -> int:
        """What incompressible input of this size can grow to."""


class _Gzip(_Format):
    __slots__ = ()

    def start(self, level: int) -> _Compressor:
        return zlib.compressobj(level, zlib.DEFLATED, GZIP_CONTAINER)

    def max_size_bytes(self, source_size_bytes: int) -> int:
        # zlib stays below 0.04 %, but zlib-ng, which some distributions ship in its place, may spend the 9
        # bits of a fixed Huffman code on each byte at level 1
        return source_size_bytes + source_size_bytes // 8 + 1024


class _Zstd(_Format):
    __slots__ = ()

    def start(self, level: int) -> _Compressor:
        return zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()

    def max_size_bytes(self, source_size_bytes: int) -> int:
        # ZSTD_compressBound with its allowance for small input rounded up; frame header and checksum included
        return source_size_bytes + source_size_bytes // 256 + 128


_FORMATS: dict[str, _Format] = {
    "gzip": _Gzip(suffix=".gz", content_type="application/gzip", default_level=6),
    "zstd": _Zstd(suffix=".zst", content_type="application/zstd", default_level=3),
}


class CompressedPayload:
    """A payload whose readers compress while they read. Made by :func:`compressed`."""

    def __init__(self, source: Payload, form: _Format, level: int) -> None:
        self._source = source
        self._format = form
        self._level = level

    @property
    def name(self) -> str:
        """The name of what is compressed."""
        return self._source.name

    @property
    def max_size_bytes(self) -> int | None:
        """A true upper bound of the compressed size, ``None`` when that of the source is not known."""
        size_bytes = self._source.max_size_bytes
        return None if size_bytes is None else self._format.max_size_bytes(size_bytes)

    def open(self) -> PayloadReader:
        """Begin a pass over source and compressor.

        :raises SourceError: the source cannot be read.
        """
        return _CompressingReader(self._source.open(), self._format.start(self._level))


class _CompressingReader:
    """Pulls blocks from a reader until enough compressed bytes are there."""

    def __init__(self, source: PayloadReader, compressor: _Compressor) -> None:
        self._source = source
        self._compressor: _Compressor | None = compressor
        self._ready = bytearray()

    @property
    def rows(self) -> int | None:
        return self._source.rows

    def read(self, size_bytes: int, /) -> bytes:
        while len(self._ready) < size_bytes and self._compressor is not None:
            block = self._source.read(BLOCK_SIZE_BYTES)
            if block:
                self._ready += self._compressor.compress(block)
            else:
                self._ready += self._compressor.flush()
                self._compressor = None
        with memoryview(self._ready) as ready:
            taken = bytes(ready[:size_bytes])
        del self._ready[:size_bytes]
        return taken

    def finish(self) -> None:
        self._source.finish()

    def close(self) -> None:
        self._compressor = None
        self._ready = bytearray()
        self._source.close()


def compressed(payload: Payload, kind: CompressionKind, level: int | None = None) -> CompressedPayload:
    """The payload, compressed as it is read.

    :param payload: what to compress.
    :param kind: ``"gzip"`` or ``"zstd"``.
    :param level: 1 to 9 for gzip (6 by default), 1 to 22 for zstd (3 by default).
    :raises InvalidArgumentError: an unknown kind, or a level out of range.
    """
    form = _format(kind)
    chosen = check_level(kind, level, otherwise=str(form.default_level))
    return CompressedPayload(payload, form, form.default_level if chosen is None else chosen)


def check_level(kind: str, level: object, *, otherwise: str) -> int | None:
    """The level, if that kind of compression has it: 1 to 9 of zlib for gzip, 1 to 22 for zstd.

    :param kind: any kind that there is; one that has no levels takes none.
    :param otherwise: what ``None`` stands for.
    :raises InvalidArgumentError: it does not have it.
    """
    if level is None:
        return None
    most = _MOST_LEVELS.get(kind)
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
            remedy=f"Give a whole number from 1 to {most}, or None for {otherwise}.",
        )
    return level


def compression_suffix(kind: CompressionKind) -> str:
    """``".gz"`` or ``".zst"``: what the name of the object takes on.

    :raises InvalidArgumentError: an unknown kind.
    """
    return _format(kind).suffix


def compression_content_type(kind: CompressionKind) -> str:
    """The content type of the object.

    :raises InvalidArgumentError: an unknown kind.
    """
    return _format(kind).content_type


def _format(kind: str) -> _Format:
    form = _FORMATS.get(kind) if isinstance(kind, str) else None
    if form is None:
        known = " or ".join(repr(name) for name in get_args(CompressionKind))
        raise InvalidArgumentError(
            f"{kind!r} is no compression that this package has",
            where="compression",
            remedy=f"Use {known}, or None to send the bytes as they are.",
        )
    return form
