"""What the phases of one delivery share: threads, memory, patience, and the way to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, ParamSpec, Self, TypeVar

from airflow_xacct.delivery.pace import LOOK_SECONDS, Pace
from airflow_xacct.delivery.progress import ProgressListener
from airflow_xacct.delivery.settings import TransferSettings
from airflow_xacct.delivery.store import ObjectStore
from airflow_xacct.exceptions import TransportError

__all__ = ["Cancelled", "MemoryBudget", "Transfer"]

P = ParamSpec("P")
T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818 - not an error: another thread has one
    """The work was given up because something else failed."""


class MemoryBudget:
    """Counts the bytes that were read and not yet sent, and makes readers wait for room.

    A request larger than the whole budget is let through when nothing else is held, so that it cannot wait for ever.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._peak_bytes = 0
        self._stopped = False
        self._changed = threading.Condition()

    @property
    def held_bytes(self) -> int:
        """How much is held now."""
        return self._held_bytes

    @property
    def peak_bytes(self) -> int:
        """The most that was ever held."""
        return self._peak_bytes

    def acquire(self, size_bytes: int) -> None:
        """Wait for room.

        :raises Cancelled: :meth:`stop` was called.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not self._held_bytes or self._held_bytes + size_bytes <= self._limit_bytes
            )
            if self._stopped:
                raise Cancelled
            self._held_bytes += size_bytes
            self._peak_bytes = max(self._peak_bytes, self._held_bytes)

    def release(self, size_bytes: int) -> None:
        """Give room back."""
        with self._changed:
            self._held_bytes -= size_bytes
            self._changed.notify_all()

    def stop(self) -> None:
        """Wake everybody who waits, and let nobody in."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def restart(self) -> None:
        """Let readers in again."""
        with self._changed:
            self._stopped = False


class _Share(Generic[T]):
    """Items that several threads take one by one, until there are no more or one of them ends it.

    :param pace: says how many threads; those beyond it get no further item.
    :ivar threads: how many there are.
    """

    def __init__(self, items: Iterator[T], pace: Pace) -> None:
        self.threads = 0
        self._items = items
        self._pace = pace
        self._lock = threading.Lock()
        self._ended = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        with self._lock:
            if self._ended or self.threads > self._pace.width:
                self.threads -= 1
                raise StopIteration
            try:
                return next(self._items)
            except StopIteration:
                self._ended = True
                self.threads -= 1
                raise

    def join(self) -> bool:
        """Count one thread more, where one may come."""
        with self._lock:
            if self._ended or self.threads >= self._pace.width:
                return False
            self.threads += 1
            return True

    def end(self) -> None:
        """Hand out no more."""
        self._ended = True


class Transfer:
    """A ``with`` block around the threads of one delivery; none of them outlives it.

    :param sleep: waits that many seconds; by default so that giving up ends the wait.
    """

    def __init__(
        self,
        store: ObjectStore,
        settings: TransferSettings,
        progress: ProgressListener,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.progress = progress
        self.budget = MemoryBudget(settings.budget_bytes)
        self._sleep = sleep
        self._stopped = threading.Event()
        self._parts = ThreadPoolExecutor(settings.parts_in_flight, "xacct-part")
        self._objects = ThreadPoolExecutor(settings.objects_in_flight, "xacct-object")
        self._pace = Pace(settings.objects_in_flight)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._objects.shutdown(wait=True, cancel_futures=True)
        self._parts.shutdown(wait=True, cancel_futures=True)

    @property
    def stopped(self) -> bool:
        """Whether the work was given up."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Give up whatever has not begun."""
        self._stopped.set()
        self.budget.stop()

    def restart(self) -> None:
        """Begin something else after the work was given up, such as cleaning up."""
        self._stopped.clear()
        self.budget.restart()

    def check(self) -> None:
        """Notice that the work was given up.

        :raises Cancelled: it was.
        """
        if self._stopped.is_set():
            raise Cancelled

    def submit_part(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call beside the one who reads."""
        return self._parts.submit(call, *args, **kwargs)

    def each(self, call: Callable[[T], object], items: Iterable[T]) -> None:
        """Call for every item, several at once where that is faster.

        The first error stops the rest and is raised when all have ended.

        A single item, or one at a time, runs in the calling thread.
        """
        todo = list(items)
        if len(todo) == 1 or self.settings.objects_in_flight == 1:
            for item in todo:
                call(item)
            return
        # a future for each thread and not for each item, of which there may be many thousands
        share = _Share(iter(todo), self._pace)
        futures: list[Future[None]] = []
        self._pace.begin()
        try:
            while True:
                while share.join():
                    futures.append(self._objects.submit(self._work, call, share))
                finished, working = wait(futures, LOOK_SECONDS, FIRST_EXCEPTION)
                raise_first(finished)
                if not working:
                    break
                self._pace.look()
        except BaseException:
            self.stop()
            for future in futures:
                future.cancel()
            wait(futures)
            self.restart()
            raise

    def patiently(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Repeat a call that may be repeated, until there is an answer.

        :raises TransportError: there was none after all attempts.
        """
        for delay in self.settings.delays():
            try:
                return call(*args, **kwargs)
            except TransportError:
                self.pause(delay)
        return call(*args, **kwargs)

    def pause(self, seconds: float) -> None:
        """Wait before another attempt.

        :raises Cancelled: the work was given up meanwhile.
        """
        if self._sleep is None:
            self._stopped.wait(seconds)
        else:
            self._sleep(seconds)
        self.check()

    def _work(self, call: Callable[[T], object], share: _Share[T]) -> None:
        for item in share:
            self.check()
            try:
                call(item)
            except BaseException:
                share.end()
                raise


def raise_first(futures: Iterable[Future[None]]) -> None:
    """Raise what went wrong in one of those that have ended: an error rather than that another one was given up."""
    errors = [future.exception() for future in futures if future.done() and not future.cancelled()]
    for error in sorted(filter(None, errors), key=lambda error: isinstance(error, Cancelled)):
        raise error
