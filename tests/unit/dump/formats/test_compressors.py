"""One gzip member or zstd frame for each object, the fastest level unless one is asked for."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import sys
import zlib
from collections.abc import Callable

import pyarrow as pa
import pytest
import zstandard

from airflow_xacct.dump.formats import format_spec
from airflow_xacct.dump.formats.compressors import HELD_BACK_BYTES, compressor_maker
from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError

Encode = Callable[..., bytes]

BATCH = pa.record_batch({"a": list(range(3000)), "t": [f"text {i}" for i in range(3000)]})


@pytest.mark.parametrize("level", [None, 1, 9])
def test_gzip(encode: Encode, level: int | None) -> None:
    """One member, no name, no time."""
    data = encode("csv", BATCH, compression="gzip", level=level)
    assert data[3:8] == bytes(5)
    single = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert single.decompress(data) == encode("csv", BATCH)
    assert single.eof
    assert not single.unused_data


@pytest.mark.parametrize("level", [None, 1, 19])
def test_zstd(encode: Encode, level: int | None) -> None:
    """One frame, with a checksum, that a reader which stops after the first reads whole."""
    data = encode("csv", BATCH, compression="zstd", level=level)
    assert zstandard.get_frame_parameters(data).has_checksum
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=False) as reader:
        assert reader.read() == encode("csv", BATCH)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_the_same_rows_give_the_same_bytes(encode: Encode, name: str, compression: str) -> None:
    """However the source batched them: a later try compares its parts with those of an earlier one."""
    pieces = [BATCH.slice(start, 17) for start in range(0, BATCH.num_rows, 17)]
    assert encode(name, BATCH, compression=compression) == encode(name, *pieces, compression=compression)


def test_gzip_without_isal(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower, not refused."""
    monkeypatch.setitem(sys.modules, "isal", None)
    assert gzip.decompress(encode("csv", BATCH, compression="gzip")) == encode("csv", BATCH)


@pytest.mark.parametrize(
    ("compression", "level"), [("gzip", None), ("gzip", 1), ("gzip", 9), ("zstd", None), ("zstd", 1), ("zstd", 20)]
)
def test_what_is_held_back_is_bounded(compression: str, level: int | None) -> None:
    """The bound by which objects roll holds for bytes that cannot be compressed."""
    maker = compressor_maker(compression, level)
    assert maker is not None
    compressor, noise = maker(), random.Random(1)
    given = made = 0
    for _ in range(24):
        block = noise.randbytes(300_000)
        made += len(compressor.compress(block))
        given += len(block)
        assert given - HELD_BACK_BYTES <= made <= given + given // 8
    assert given <= made + len(compressor.flush()) <= given + given // 8 + HELD_BACK_BYTES


@pytest.mark.parametrize(
    ("compression", "level"), [("gzip", 0), ("gzip", 10), ("zstd", 23), ("zstd", True), ("gzip", "6"), ("none", 1)]
)
def test_levels_that_do_not_exist(encode: Encode, compression: str, level: object) -> None:
    with pytest.raises(InvalidArgumentError, match="compression_level"):
        encode("csv", BATCH, compression=compression, level=level)


@pytest.mark.parametrize(("compression", "program"), [("gzip", "gzip"), ("zstd", "zstd")])
@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_the_programs_read_it(encode: Encode, name: str, compression: str, program: str) -> None:
    """They find it whole by its checksum, and read objects that a receiver put behind one another."""
    first, second = (encode(name, BATCH.slice(start, 1000), compression=compression) for start in (0, 1000))
    plain = [encode(name, BATCH.slice(start, 1000)) for start in (0, 1000)]
    subprocess.run([program, "-t"], input=first, capture_output=True, check=True)
    done = subprocess.run([program, "-dc"], input=first + second, capture_output=True, check=True)
    assert done.stdout == b"".join(plain)
    damaged = bytearray(first)
    damaged[-6] ^= 1
    assert subprocess.run([program, "-t"], input=bytes(damaged), capture_output=True, check=False).returncode
    if compression == "gzip":
        assert gzip.decompress(first + second) == b"".join(plain)
    else:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(first + second), read_across_frames=True) as reader:
            assert reader.read() == b"".join(plain)


def test_a_format_nobody_knows() -> None:
    with pytest.raises(InvalidArgumentError, match="'csv', 'jsonl', 'parquet'"):
        format_spec("avro")


def test_pyarrow_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"airflow-provider-xacct\[sql\]"):
        format_spec("parquet").encoder(BATCH.schema)
