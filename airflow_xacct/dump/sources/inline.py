"""Text and bytes that are given in the DAG itself."""

from __future__ import annotations

from airflow_xacct.dump.payload import PayloadReader, SourceFile
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["BytesPayload", "inline_content"]


class BytesPayload:
    """Bytes in memory.

    :param content: the bytes.
    :param name: what messages call them.
    """

    def __init__(self, content: bytes, name: str = "the given bytes") -> None:
        self._content = content
        self._name = name

    @property
    def name(self) -> str:
        """What messages call them; never the content."""
        return self._name

    @property
    def max_size_bytes(self) -> int:
        """Their number."""
        return len(self._content)

    def open(self) -> PayloadReader:
        """Begin a pass."""
        return _BytesReader(self._content)


class _BytesReader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._offset = 0

    @property
    def rows(self) -> int | None:
        return None

    def read(self, size_bytes: int, /) -> bytes:
        block = self._content[self._offset : self._offset + size_bytes]
        self._offset += len(block)
        return block

    def finish(self) -> None:
        """Nothing to check: bytes cannot change."""

    def close(self) -> None:
        self._content = b""


def inline_content(content: str | bytes) -> SourceFile:
    """Text (sent as UTF-8) or bytes as a source without a name: its key must be given in full.

    :raises InvalidArgumentError: neither text nor bytes, or text that UTF-8 cannot express.
    """
    if isinstance(content, bytes):
        return SourceFile("", "", BytesPayload(content))
    if not isinstance(content, str):
        raise InvalidArgumentError(
            f"{type(content).__name__} is neither text nor bytes",
            where="data",
            remedy="Turn it into text first, for example with json.dumps.",
        )
    try:
        encoded = content.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise InvalidArgumentError(
            f"the text has a lone surrogate at position {exc.start}, which UTF-8 cannot express",
            where="data",
            remedy="Give bytes, or encode the text yourself.",
        ) from exc
    return SourceFile("", "", BytesPayload(encoded, "the given text"))
