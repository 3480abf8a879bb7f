"""What a source hands over: bytes that can be read more than once, and the name they go by.

``airflow_xacct.delivery.payload`` states the same two protocols for what it takes. They meet by shape alone,
so that neither side imports the other; a test compares them member by member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from airflow_xacct.exceptions import ObjectTooLargeError

__all__ = ["MAX_OBJECT_SIZE_BYTES", "Payload", "PayloadReader", "SourceFile", "check_size"]

MAX_OBJECT_SIZE_BYTES = 10_000 * 5 * 1024**3
"""10,000 parts of 5 GiB, which AWS rounds to 48.8 TiB (AWS: *Amazon S3 multipart upload limits*)."""


class PayloadReader(Protocol):
    """One pass over the bytes."""

    @property
    def rows(self) -> int | None:
        """How many records were read, ``None`` where nobody counts."""
        ...

    def read(self, size_bytes: int, /) -> bytes:
        """The next bytes, at most ``size_bytes`` and fewer only at the end; empty at the end."""
        ...

    def finish(self) -> None:
        """Called once after the last byte was read.

        :raises SourceChangedError: what was read is not what is there now.
        """
        ...

    def close(self) -> None:
        """Release what the reader holds. May be called at any time, more than once."""
        ...


class Payload(Protocol):
    """The bytes of one object; nothing is open until :meth:`open`, which may be called again."""

    @property
    def name(self) -> str:
        """What a person would call it; used in messages."""
        ...

    @property
    def max_size_bytes(self) -> int | None:
        """An upper bound of its size, ``None`` when it is not known."""
        ...

    def open(self) -> PayloadReader:
        """Begin a pass.

        :raises SourceError: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One thing to deliver.

    :param path: where it comes from, for messages; empty for text and bytes given in the DAG.
    :param relative_name: its name below the source, with ``/`` between parts; empty when it has none.
    :param payload: its bytes.
    """

    path: str
    relative_name: str
    payload: Payload


def check_size(size_bytes: int, where: str, *, limit_bytes: int = MAX_OBJECT_SIZE_BYTES) -> None:
    """Refuse what no S3 object can hold, before the first byte is read.

    :raises ObjectTooLargeError: ``size_bytes`` is above ``limit_bytes``.
    """
    if size_bytes > limit_bytes:
        raise ObjectTooLargeError(
            f"{size_bytes:,} bytes are more than one S3 object can hold ({limit_bytes:,} bytes)",
            where=where,
            remedy="Split it into several files and deliver them below a key that ends with '/'.",
        )
