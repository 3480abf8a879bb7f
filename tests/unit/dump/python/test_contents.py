"""Bytes and files, delivered as they are: read once, in pieces, and closed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_xacct.dump.sources.python.contents import ContentPayload, named_contents
from airflow_xacct.exceptions import InvalidArgumentError, SourceChangedError


def chunks() -> Iterator[bytes]:
    yield b"ab"
    yield b""
    yield b"cdef"


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"abcdef",
        lambda: bytearray(b"abcdef"),
        lambda: memoryview(b"abcdef"),
        lambda: io.BytesIO(b"abcdef"),
        chunks,
        lambda: [b"abc", memoryview(b"def")],
    ],
    ids=["bytes", "bytearray", "memoryview", "file", "generator", "list"],
)
@pytest.mark.parametrize("size", [1, 4, 6, 100])
def test_contents_are_read_as_they_are(make: Any, size: int) -> None:
    """Each read is as long as was asked for, but for the last."""
    reader = ContentPayload("k", make()).open()
    parts = []
    while part := reader.read(size):
        parts.append(part)
    reader.finish()
    assert b"".join(parts) == b"abcdef"
    assert {len(part) for part in parts[:-1]} <= {size}
    assert reader.rows is None
    reader.close()
    reader.close()


@pytest.mark.parametrize("make", [lambda: b"", lambda: io.BytesIO(), lambda: iter(())], ids=["bytes", "file", "none"])
def test_nothing_is_an_empty_object(make: Any) -> None:
    assert ContentPayload("k", make()).open().read(10) == b""


@pytest.mark.parametrize(
    "content", ["text", None, 5, {"a": b"b"}, io.StringIO("text"), iter(["text"]), [1]], ids=lambda c: type(c).__name__
)
def test_what_is_no_bytes_is_refused(content: Any) -> None:
    """Nobody guesses an encoding."""
    with pytest.raises(InvalidArgumentError, match="stands where bytes are delivered"):
        ContentPayload("k", content).open().read(10)


def test_a_file_is_closed_and_a_generator_ended() -> None:
    """When the object was read, or given up."""
    done = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            done.append(True)

    file = io.BytesIO(b"abc")
    for content in (file, endless()):
        reader = ContentPayload("k", content).open()
        assert len(reader.read(2)) == 2
        reader.close()
    assert file.closed
    assert done == [True]


def test_a_content_is_read_once() -> None:
    """What is kept of it would grow with the number of objects."""
    payload = ContentPayload("k", b"abc")
    assert payload.max_size_bytes == 3
    payload.open()
    assert payload.max_size_bytes is None
    with pytest.raises(SourceChangedError, match="read once and is gone"):
        payload.open()


def test_what_a_bytearray_becomes_later_does_not_count() -> None:
    """A buffer may be filled again once it was yielded."""
    buffer = bytearray(b"ab")

    def refilled() -> Iterator[bytearray]:
        yield buffer
        buffer[:] = b"cd"
        yield buffer

    assert ContentPayload("k", refilled()).open().read(10) == b"abcd"


@pytest.mark.parametrize(
    "value", [b"bytes", "text", None, ("a", b"b"), {"a": b"b"}, [b"a"], [("a",)], [(1, b"a")]], ids=lambda v: repr(v)
)
def test_pairs_are_pairs(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="pairs of a name"):
        list(named_contents(value, "f"))


def test_pairs_are_drawn_one_by_one() -> None:
    pairs = named_contents(iter([("a", b"1"), ["b", b"2"]]), "f")
    assert next(pairs) == ("a", b"1")
    assert list(pairs) == [("b", b"2")]
