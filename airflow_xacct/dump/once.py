"""Payloads of rows that pass by once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from airflow_xacct.dump.read_ahead import ReadAheadStopped
from airflow_xacct.dump.rolling import Chunk, End, Event
from airflow_xacct.exceptions import SourceChangedError

__all__ = ["OncePayload"]


@dataclass(slots=True)
class OncePayload:
    """One object of a dump. See :class:`~airflow_xacct.delivery.payload.Payload`.

    :param name: what it is called in messages.
    :param source: what the rows come from.
    :param events: yields the chunks of this object next, and its end.
    :ivar rows: how many it holds; ``None`` until it was read to its end.
    """

    name: str
    source: str
    events: Iterator[Event]
    rows: int | None = field(default=None, init=False)
    _opened: bool = field(default=False, init=False)

    @property
    def max_size_bytes(self) -> None:
        """Nobody knows."""

    @property
    def ended(self) -> bool:
        """Whether it was read to its end."""
        return self.rows is not None

    def open(self) -> OnceReader:
        """Begin the only pass.

        :raises SourceChangedError: it began before.
        """
        if self._opened:
            raise SourceChangedError(
                f"the rows of {self.name} were read once and are gone",
                where=self.source,
                remedy="Let the task run again: it asks its source anew.",
            )
        self._opened = True
        return OnceReader(self)


class OnceReader:
    """See :class:`~airflow_xacct.delivery.payload.PayloadReader`."""

    def __init__(self, payload: OncePayload) -> None:
        self._payload = payload
        self._rest: memoryview | None = None
        self._rows = 0
        self._closed = False

    @property
    def rows(self) -> int | None:
        """How many rows of the object were read."""
        return self._rows

    def read(self, size_bytes: int, /) -> bytes:
        """The next bytes; fewer than asked for only at the end.

        :raises SourceError: the source failed.
        """
        # written as it comes, so that no more waits than what is left of one chunk
        body = io.BytesIO()
        missing = size_bytes
        while missing and (chunk := self._chunk()) is not None:
            written = body.write(chunk[:missing])
            missing -= written
            self._rest = chunk[written:] if written < len(chunk) else None
        return body.getvalue()

    def finish(self) -> None:
        """Rows that passed by do not change."""

    def close(self) -> None:
        """Let go of what was not read."""
        self._closed = True
        self._rest = None

    def _chunk(self) -> memoryview | None:
        """The rest of the chunk before, or the next one; ``None`` at the end."""
        while self._rest is None and not self._payload.ended:
            self._draw()
        return self._rest

    def _draw(self) -> None:
        try:
            event = None if self._closed else next(self._payload.events)
        except ReadAheadStopped:
            event = None
        if event is None:
            raise SourceChangedError(
                f"{self._payload.name} was closed before it was read to its end",
                where=self._payload.source,
                remedy="Let the task run again.",
            )
        if isinstance(event, Chunk):
            self._rest = memoryview(event.data)
            self._rows = event.rows
        elif isinstance(event, End):
            self._payload.rows = self._rows = event.rows
