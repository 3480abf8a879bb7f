"""Helpers for the tests of what an upload reads."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_xacct.dump.payload import Payload

NOBODY = 65534


@pytest.fixture
def public_tmp_path() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own belongs to the user who runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="xacct-"))
    path.chmod(0o755)
    yield path
    for directory, _, _ in os.walk(path):
        Path(directory).chmod(0o755)
    shutil.rmtree(path)


@pytest.fixture
def ordinary_user_later() -> Iterator[Callable[[], None]]:
    """A function after which permissions count: root, who may read everything, becomes nobody until the test ends."""
    was_root = os.geteuid() == 0
    yield lambda: os.seteuid(NOBODY) if was_root else None
    if was_root:
        os.seteuid(0)


def _read_all(payload: Payload, size_bytes: int = 8 * 1024 * 1024) -> bytes:
    reader = payload.open()
    try:
        blocks = []
        while block := reader.read(size_bytes):
            assert len(block) <= size_bytes
            blocks.append(block)
        # only the last block may be short
        assert all(len(block) == size_bytes for block in blocks[:-1])
        assert reader.read(size_bytes) == b""
        reader.finish()
    finally:
        reader.close()
        reader.close()
    return b"".join(blocks)


@pytest.fixture(scope="session")
def read_all() -> Callable[..., bytes]:
    """Everything a payload holds, read in blocks and checked against the protocol."""
    return _read_all


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small directory tree, with hidden and nested files."""
    for name in ("b.csv", "a.csv", ".hidden", "2013/jan.csv", "2013/q1/mar.csv", "2013/q1/mar.txt", "2014/jan.csv"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "data" / "empty").mkdir()
    return tmp_path / "data"
