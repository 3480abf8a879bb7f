"""What a delivery reads: the bytes of each object, and where they go."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Literal, Protocol

from airflow_xacct.delivery.store import ObjectAttributes

__all__ = ["BytesPayload", "ObjectPlan", "Payload", "PayloadReader", "Role"]

Role = Literal["data", "auxiliary", "stand_in", "success", "claim", "manifest"]
"""What an object is to its delivery.

========== ==================================================================================================
data       what was asked for; an entry of the manifest
auxiliary  describes the data, such as a schema; named by the manifest, and no entry
stand_in   an object without rows, in the place of one of an earlier delivery that may not be deleted
success    an empty object that says that all is there; the last to appear
claim      a manifest without entries, put first of all where the manifest's key decides about the whole delivery
manifest   the manifest
========== ==================================================================================================
"""


class PayloadReader(Protocol):
    """One pass over the bytes of an object."""

    @property
    def rows(self) -> int | None:
        """How many records were read, where the source counts them; final after :meth:`finish`."""
        ...

    def read(self, size_bytes: int, /) -> bytes:
        """The next bytes, at most ``size_bytes`` and fewer only at the end; empty at the end."""
        ...

    def finish(self) -> None:
        """Called once after the last byte was read, before anything becomes visible.

        :raises SourceChangedError: what was read is not what is there now.
        """
        ...

    def close(self) -> None:
        """Release what the reader holds. May be called at any time, more than once."""
        ...


class Payload(Protocol):
    """The bytes of one object; may be opened again for another try."""

    @property
    def name(self) -> str:
        """What a person would call it, such as the file's path; used in messages."""
        ...

    @property
    def max_size_bytes(self) -> int | None:
        """An upper bound of its size, from which the part size follows; ``None`` when it is not known."""
        ...

    def open(self) -> PayloadReader:
        """Begin a pass.

        :raises SourceError: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """One object to be delivered: its full key, its bytes, what S3 stores beside them.

    :param role: ``"data"`` or ``"auxiliary"`` of those who plan; the others are the engine's own.
    """

    key: str
    payload: Payload
    attributes: ObjectAttributes = field(default_factory=ObjectAttributes)
    role: Role = "data"


@dataclass(frozen=True, slots=True)
class BytesPayload:
    """Bytes that are in memory already.

    :param name: what a person would call them.
    """

    name: str
    body: bytes
    rows: int | None = None

    @property
    def max_size_bytes(self) -> int:
        """See :class:`Payload`."""
        return len(self.body)

    def open(self) -> PayloadReader:
        """See :class:`Payload`."""
        return _BytesReader(self.body, self.rows)


class _BytesReader:
    def __init__(self, body: bytes, rows: int | None) -> None:
        self._stream = BytesIO(body)
        self.rows = rows

    def read(self, size_bytes: int, /) -> bytes:
        return self._stream.read(size_bytes)

    def finish(self) -> None:
        """Bytes do not change."""

    def close(self) -> None:
        self._stream.close()
