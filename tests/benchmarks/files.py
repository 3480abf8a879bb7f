"""The files that are uploaded; their bytes do not compress and do not matter."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["big_file", "small_files"]

_MIB = 2**20
_SMALL_BYTES = 20_000


@contextlib.contextmanager
def big_file(folder: Path | None, size_mib: int) -> Iterator[Path]:
    """One file of that size."""
    with tempfile.TemporaryDirectory(prefix="xacct-bench-", dir=folder) as name:
        path = Path(name, "big.bin")
        block = os.urandom(_MIB)
        with path.open("wb") as file:
            for _ in range(size_mib):
                file.write(block)
        yield path


@contextlib.contextmanager
def small_files(folder: Path | None, count: int) -> Iterator[Path]:
    """A folder with that many files of 20 KB."""
    with tempfile.TemporaryDirectory(prefix="xacct-bench-", dir=folder) as name:
        for number in range(count):
            Path(name, f"file-{number:05d}.bin").write_bytes(os.urandom(_SMALL_BYTES))
        yield Path(name)
