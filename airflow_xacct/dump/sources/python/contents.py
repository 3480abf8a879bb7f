"""Bytes and files that a function made, delivered as they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from airflow_xacct.dump.payload import PayloadReader
from airflow_xacct.exceptions import InvalidArgumentError, SourceChangedError

__all__ = ["ContentPayload", "named_contents"]

CHUNK_BYTES = 1024 * 1024
"""How much of a file is read at once."""

_REMEDY = (
    "With format='bytes' give bytes, a file that was opened for reading bytes, or an iterable of bytes; below a key "
    "that ends with '/', pairs of a name and one of these. Encode text: text.encode()."
)


def named_contents(value: Any, source: str) -> Iterator[tuple[str, Any]]:
    """Pairs of a name and a content, as they are yielded.

    :raises InvalidArgumentError: something else.
    """
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes, bytearray, memoryview, dict, tuple)):
        raise _refused(value, source)
    for pair in value:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise _refused(pair, source)
        yield pair[0], pair[1]


class ContentPayload:
    """One object. It is read once, and let go of. See :class:`~airflow_xacct.dump.payload.Payload`.

    :param name: what it is called in messages.
    :param content: bytes, a file opened for reading bytes, or an iterable of bytes; a file is closed after it was read.
    :raises InvalidArgumentError: something else.
    """

    def __init__(self, name: str, content: Any) -> None:
        self.name = name
        self._is_bytes = isinstance(content, (bytes, bytearray, memoryview))
        is_file = callable(getattr(content, "read", None))
        if not (self._is_bytes or is_file) and (not isinstance(content, Iterable) or isinstance(content, (str, dict))):
            raise _refused(content, name)
        self._content: Any = content
        self._opened = False

    @property
    def max_size_bytes(self) -> int | None:
        """Known of bytes only."""
        return memoryview(self._content).nbytes if self._is_bytes and self._content is not None else None

    def open(self) -> PayloadReader:
        """Begin the only pass.

        :raises SourceChangedError: it began before.
        """
        if self._opened:
            raise SourceChangedError(
                f"{self.name} was read once and is gone",
                where=self.name,
                remedy="Let the task run again: it calls the function anew.",
            )
        self._opened = True
        content, self._content = self._content, None
        return _ContentReader(self.name, content)


class _ContentReader:
    rows = None

    def __init__(self, name: str, content: Any) -> None:
        self._name = name
        self._content = content
        self._chunks = self._read_chunks()
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._ended = False

    def read(self, size_bytes: int, /) -> bytes:
        while self._waiting_bytes < size_bytes and not self._ended:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
            else:
                self._waiting.append(chunk)
                self._waiting_bytes += len(chunk)
        taken: list[memoryview] = []
        missing = size_bytes
        while self._waiting and missing:
            chunk = self._waiting.popleft()
            if len(chunk) > missing:
                self._waiting.appendleft(chunk[missing:])
                chunk = chunk[:missing]
            taken.append(chunk)
            missing -= len(chunk)
        self._waiting_bytes -= size_bytes - missing
        return b"".join(taken)

    def finish(self) -> None:
        """What passed by does not change."""

    def close(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        content, self._content = self._content, None
        close = getattr(content, "close", None)
        if callable(close):
            close()

    def _read_chunks(self) -> Iterator[memoryview]:
        content = self._content
        if isinstance(content, (bytes, bytearray, memoryview)):
            yield self._checked(content)
        elif callable(getattr(content, "read", None)):
            while chunk := content.read(CHUNK_BYTES):
                yield self._checked(chunk)
        else:
            for chunk in content:
                yield self._checked(chunk)

    def _checked(self, chunk: Any) -> memoryview:
        if not isinstance(chunk, (bytes, bytearray, memoryview)):
            raise _refused(chunk, self._name)
        # who yields a bytearray may go on writing to it
        return memoryview(chunk if isinstance(chunk, bytes) else bytes(chunk))


def _refused(value: Any, where: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"a {type(value).__name__} stands where bytes are delivered", where=where, remedy=_REMEDY
    )
