"""Reads ahead of whoever asks, in a thread of its own, as far as a number of bytes allows; or in no thread at all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["ReadAhead", "ReadAheadStopped", "ReadInPlace"]

T = TypeVar("T")


class ReadAheadStopped(Exception):  # noqa: N818 - not an error: somebody wanted it to stop
    """It was stopped, so what was read is not everything there is."""


class ReadAhead(Generic[T]):
    """An iterator whose items are made by a thread, at most ``limit_bytes`` of them waiting, or else one item.

    Memory: ``limit_bytes``, and up to two items more: the one that made the limit full, and one in the making.

    Whatever ends the thread is raised to the one who asks, ``KeyboardInterrupt`` and ``SystemExit`` included. The
    thread begins with the first item that is asked for and must be ended by :meth:`stop` and :meth:`join`.

    :param items: read, and closed if it can be, in the thread alone.
    :param size_of: the size of an item, in bytes.
    :param name: of the thread.
    """

    def __init__(self, items: Iterable[T], size_of: Callable[[T], int], limit_bytes: int, name: str) -> None:
        self._items = items
        self._size_of = size_of
        self._limit_bytes = limit_bytes
        self._waiting: deque[tuple[T, int]] = deque()
        self._held_bytes = 0
        self._peak_bytes = 0
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        # a daemon, so that a process whose owner forgot to stop it can end
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def peak_bytes(self) -> int:
        """The most that ever waited."""
        return self._peak_bytes

    def __iter__(self) -> Iterator[T]:
        return self

    def start(self) -> None:
        """Begin to read before the first item is asked for."""
        if self._thread.ident is None and not self._stopped:
            self._thread.start()

    def __next__(self) -> T:
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or self._stopped)
            if self._stopped:
                raise ReadAheadStopped
            if self._waiting:
                item, size_bytes = self._waiting.popleft()
                self._held_bytes -= size_bytes
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            raise StopIteration

    def stop(self) -> None:
        """Let the thread end at its next item, and drop what waits. May be called from any thread, more than once."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            try:
                for item in self._items:
                    if not self._hand_over(item):
                        break
            finally:
                close = getattr(self._items, "close", None)
                if close is not None:
                    close()
        except BaseException as caught:  # noqa: BLE001 - it is raised to the one who asks
            error = caught
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify_all()

    def _hand_over(self, item: T) -> bool:
        """Put an item where it is found; returns whether anybody wants more."""
        size_bytes = self._size_of(item)
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._held_bytes < self._limit_bytes)
            if self._stopped:
                return False
            self._waiting.append((item, size_bytes))
            self._held_bytes += size_bytes
            self._peak_bytes = max(self._peak_bytes, self._held_bytes)
            self._changed.notify_all()
        return True


class ReadInPlace(Generic[T]):
    """As :class:`ReadAhead`, without a thread: each item is made when it is asked for, by whoever asks.

    For what must not leave the thread of its owner: a person's own code, which a signal or a time-out has to reach.

    :param items: closed by :meth:`join`.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._iterator = iter(items)
        self._stopped = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._stopped:
            raise ReadAheadStopped
        return next(self._iterator)

    def stop(self) -> None:
        """Hand nothing over any more."""
        self._stopped = True

    def join(self) -> None:
        """Close what makes the items."""
        close = getattr(self._items, "close", None)
        if close is not None:
            close()
