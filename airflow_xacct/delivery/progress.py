"""Progress of a delivery, for people who wait for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

__all__ = ["LogProgress", "NoProgress", "ProgressListener"]


class ProgressListener(Protocol):
    """Is told what happens, from several threads. Must not raise and must not take long."""

    def expect(self, objects: int | None, size_bytes: int | None) -> None:
        """How much there will be; ``None`` for what is not known."""
        ...

    def read(self, rows: int) -> None:
        """So many more rows were read, where the source counts them."""
        ...

    def sent(self, size_bytes: int) -> None:
        """Bytes were stored, or were found to be stored by an earlier try."""
        ...

    def staged(self) -> None:
        """All bytes of one more object are in the bucket, not yet visible."""
        ...

    def committing(self) -> None:
        """Everything is staged; objects begin to become visible."""
        ...

    def completed(self) -> None:
        """One more object became visible."""
        ...


class NoProgress:
    """Says nothing."""

    def expect(self, objects: int | None, size_bytes: int | None) -> None:
        """See :class:`ProgressListener`."""

    def read(self, rows: int) -> None:
        """See :class:`ProgressListener`."""

    def sent(self, size_bytes: int) -> None:
        """See :class:`ProgressListener`."""

    def staged(self) -> None:
        """See :class:`ProgressListener`."""

    def committing(self) -> None:
        """See :class:`ProgressListener`."""

    def completed(self) -> None:
        """See :class:`ProgressListener`."""


class LogProgress:
    """Writes one line every few seconds of long work, and none for short work. Thread-safe.

    :param clock: seconds that only grow, such as ``time.monotonic``.
    :param every_seconds: the time between two lines.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float], every_seconds: float = 5.0) -> None:
        self._logger = logger
        self._clock = clock
        self._every_seconds = every_seconds
        self._lock = threading.Lock()
        self._began = self._said = clock()
        self._objects: int | None = None
        self._size_bytes: int | None = None
        self._rows = self._sent_bytes = self._staged = self._completed = 0
        self._committing = False

    def expect(self, objects: int | None, size_bytes: int | None) -> None:
        """See :class:`ProgressListener`."""
        with self._lock:
            self._objects, self._size_bytes = objects, size_bytes

    def read(self, rows: int) -> None:
        """See :class:`ProgressListener`."""
        with self._lock:
            self._rows += rows

    def sent(self, size_bytes: int) -> None:
        """See :class:`ProgressListener`."""
        with self._lock:
            self._sent_bytes += size_bytes
            self._maybe_say()

    def staged(self) -> None:
        """See :class:`ProgressListener`."""
        with self._lock:
            self._staged += 1
            self._maybe_say()

    def committing(self) -> None:
        """See :class:`ProgressListener`."""
        with self._lock:
            self._committing = True

    def completed(self) -> None:
        """See :class:`ProgressListener`."""
        with self._lock:
            self._completed += 1
            self._maybe_say()

    def _maybe_say(self) -> None:
        now = self._clock()
        if now - self._said < self._every_seconds:
            return
        self._said = now
        if self._committing:
            total = self._objects if self._objects is not None else self._staged
            self._logger.info("Committing: %d of %d objects are visible.", self._completed, total)
            return
        seconds = max(now - self._began, 1e-9)
        objects = f"{self._staged} of {self._objects}" if self._objects is not None else str(self._staged)
        counted = f"{self._rows:,} rows ({self._rows / seconds:,.0f}/s), " if self._rows else ""
        text = f"{objects} objects, {counted}{_mib(self._sent_bytes)}"
        if self._size_bytes is not None:
            text += f" of {_mib(self._size_bytes)}"
        text += f", {_mib(int(self._sent_bytes / seconds))}/s"
        if self._size_bytes is not None and self._sent_bytes:
            left = max(self._size_bytes - self._sent_bytes, 0) * seconds / self._sent_bytes
            text += f", {_duration(left)} left"
        self._logger.info("Uploading: %s.", text)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1024 * 1024):.1f} MiB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
