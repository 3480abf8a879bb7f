"""gzip and zstd around a payload."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_xacct.dump.compression import (
    BLOCK_SIZE_BYTES,
    CompressionKind,
    compressed,
    compression_content_type,
    compression_suffix,
)
from airflow_xacct.dump.sources.files import local_files
from airflow_xacct.dump.sources.inline import BytesPayload
from airflow_xacct.exceptions import InvalidArgumentError, SourceChangedError

KINDS: tuple[CompressionKind, ...] = ("gzip", "zstd")
LEVELS = {"gzip": range(1, 10), "zstd": range(1, 20)}
"""Those of zstd above take hundreds of MiB, and have a test of their own."""


def unpack(kind: CompressionKind, data: bytes) -> bytes:
    if kind == "gzip":
        return gzip.decompress(data)
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=False) as reader:
        return reader.read()


def bound(payload: object) -> int:
    size_bytes = payload.max_size_bytes  # type: ignore[attr-defined]
    assert isinstance(size_bytes, int)
    return size_bytes


class Repeating:
    """A payload of many bytes that takes no memory, and does not know its size."""

    name = "repeating"
    max_size_bytes = None

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.block = os.urandom(BLOCK_SIZE_BYTES)

    def open(self) -> Repeating:
        return Repeating(self.blocks)

    @property
    def rows(self) -> int:
        return 42

    def read(self, size_bytes: int, /) -> bytes:
        self.blocks -= 1
        return self.block[:size_bytes] if self.blocks >= 0 else b""

    def finish(self) -> None:
        raise SourceChangedError("finished")

    def close(self) -> None:
        self.blocks = 0


@pytest.mark.parametrize("kind", KINDS)
class TestBothKinds:
    @settings(max_examples=60, deadline=None)
    @given(content=st.binary(max_size=5000), size_bytes=st.integers(1, 6000))
    def test_what_is_packed_unpacks_to_the_same_bytes(
        self, read_all: Callable[..., bytes], kind: CompressionKind, content: bytes, size_bytes: int
    ) -> None:
        """Whatever the content and the block size; the size stays within the announced bound."""
        payload = compressed(BytesPayload(content), kind)
        packed = read_all(payload, size_bytes)
        assert unpack(kind, packed) == content
        assert len(packed) <= bound(payload)

    def test_content_of_several_blocks_survives(self, read_all: Callable[..., bytes], kind: CompressionKind) -> None:
        """Both compressible and not, with parts larger and smaller than a block."""
        content = os.urandom(BLOCK_SIZE_BYTES) + b"flights," * 300_000 + os.urandom(12_345)
        for size_bytes in (1000, 5 * 1024 * 1024):
            assert unpack(kind, read_all(compressed(BytesPayload(content), kind), size_bytes)) == content

    def test_the_same_input_gives_the_same_bytes(
        self, tmp_path: Path, read_all: Callable[..., bytes], kind: CompressionKind
    ) -> None:
        """At another time, from another file, in other blocks: a later try compares checksums of parts."""
        content = os.urandom(100_000) + b"x" * 3_000_000
        for name in ("first.csv", "second.csv"):
            (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / "second.csv", (1, 1))
        first, second = (compressed(file.payload, kind) for file in local_files(tmp_path))
        assert read_all(first, 4096) == read_all(second, 1024 * 1024)

    def test_random_input_stays_within_the_bound_at_every_level(
        self, read_all: Callable[..., bytes], kind: CompressionKind
    ) -> None:
        """The part size follows from the bound, so it must hold for what cannot be compressed."""
        for size_bytes in (0, 1, 100, 131_071, 131_073, 300_000):
            content = os.urandom(size_bytes)
            for level in LEVELS[kind]:
                payload = compressed(BytesPayload(content), kind, level)
                assert len(read_all(payload)) <= bound(payload)

    def test_a_higher_level_packs_tighter(self, read_all: Callable[..., bytes], kind: CompressionKind) -> None:
        """The level reaches the compressor."""
        content = b"".join(b"%d,%d,AA%d\n" % (i, i * i, i % 97) for i in range(30_000))
        sizes = [len(read_all(compressed(BytesPayload(content), kind, level))) for level in (1, LEVELS[kind][-1])]
        assert sizes[1] < sizes[0]

    def test_memory_does_not_grow_with_the_input(self, kind: CompressionKind) -> None:
        """Four times the bytes, the same peak."""

        def peak(blocks: int) -> int:
            reader = compressed(Repeating(blocks), kind, 1).open()
            tracemalloc.start()
            try:
                while reader.read(256 * 1024):
                    pass
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
                reader.close()

        few, many = peak(6), peak(24)
        assert many <= few * 1.1 + 100_000
        assert many <= 8 * BLOCK_SIZE_BYTES

    def test_what_it_wraps_is_asked_for_name_rows_and_changes(self, kind: CompressionKind) -> None:
        """A file that changed is still noticed, and an unknown size stays unknown."""
        payload = compressed(Repeating(1), kind)
        assert payload.name == "repeating"
        assert payload.max_size_bytes is None
        reader = payload.open()
        assert reader.rows == 42
        with pytest.raises(SourceChangedError):
            reader.finish()
        reader.close()
        reader.close()
        assert reader.read(10) == b""

    @pytest.mark.parametrize("level", [0, -1, 23, 1.5, True, "6"])
    def test_a_level_out_of_range_is_refused(self, kind: CompressionKind, level: object) -> None:
        """The error gives the range and the default."""
        with pytest.raises(InvalidArgumentError, match="whole number from 1 to"):
            compressed(BytesPayload(b""), kind, level)  # type: ignore[arg-type]


def test_gzip_carries_neither_time_nor_name(tmp_path: Path, read_all: Callable[..., bytes]) -> None:
    """RFC 1952: no flags, mtime 0."""
    (tmp_path / "secret-name.csv").write_text("x")
    (file,) = local_files(tmp_path / "secret-name.csv")
    header = read_all(compressed(file.payload, "gzip"))[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00"
    assert header[4:8] == b"\x00\x00\x00\x00"


def test_the_gzip_program_reads_it(read_all: Callable[..., bytes]) -> None:
    """Not only Python's own reader."""
    packed = read_all(compressed(BytesPayload(b"flights" * 1000), "gzip"))
    done = subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True)
    assert done.stdout == b"flights" * 1000


@pytest.mark.parametrize("level", [20, 22])
def test_the_highest_levels_of_zstd(read_all: Callable[..., bytes], level: int) -> None:
    """Readers with default limits take them: a window of 128 MiB is where the zstd program stops by itself."""
    packed = read_all(compressed(BytesPayload(b"flights" * 1000), "zstd", level))
    assert zstandard.get_frame_parameters(packed).window_size <= 128 * 1024 * 1024
    assert unpack("zstd", packed) == b"flights" * 1000
    done = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True)
    assert done.stdout == b"flights" * 1000


def test_damage_is_noticed_by_a_reader() -> None:
    """Both formats end with a checksum of the content."""
    for kind in KINDS:
        reader = compressed(BytesPayload(os.urandom(1000)), kind).open()
        packed = bytearray(reader.read(10_000))
        packed[500] ^= 1
        with pytest.raises((zlib.error, gzip.BadGzipFile, zstandard.ZstdError)):
            unpack(kind, bytes(packed))


def test_the_default_levels_are_6_and_3(read_all: Callable[..., bytes]) -> None:
    """Those that the programs themselves use."""
    content = BytesPayload(b"".join(b"%d;" % (i * i) for i in range(20_000)))
    assert read_all(compressed(content, "gzip")) == read_all(compressed(content, "gzip", 6))
    assert read_all(compressed(content, "zstd")) == read_all(compressed(content, "zstd", 3))


def test_the_name_takes_the_suffix_and_the_content_type_is_the_compressed_files() -> None:
    """Readers go by the suffix; there is no Content-Encoding."""
    assert [compression_suffix(kind) for kind in KINDS] == [".gz", ".zst"]
    assert [compression_content_type(kind) for kind in KINDS] == ["application/gzip", "application/zstd"]


@pytest.mark.parametrize("kind", ["lz4", "GZIP", "", None, []])
def test_an_unknown_kind_is_refused(kind: object) -> None:
    """The error lists the known ones."""
    with pytest.raises(InvalidArgumentError, match="'gzip' or 'zstd'"):
        compressed(BytesPayload(b""), kind)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="'gzip' or 'zstd'"):
        compression_suffix(kind)  # type: ignore[arg-type]
