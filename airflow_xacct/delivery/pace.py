"""How many threads are worth having, found out while they work.

A thread that waits for S3 costs nothing, so that many of them are faster than few. But in the interpreter only one runs
at a time: where the network is quick, threads mostly take turns, and what the turns cost is more than they gain.
(15,000 requests over loopback took 7 s of computing in one thread, and 9 to 12 s in two to sixteen.) What tells the two
apart is how much of the time the process computes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

__all__ = ["LOOK_SECONDS", "Pace"]

LOOK_SECONDS = 0.02
"""How long to work between two looks."""

_AT_FIRST = 2
_IDLE = 0.6
_TAKING_TURNS = 0.85
_SIDE_BY_SIDE = 1.3


class Pace:
    """The number of threads that work at once, between one and ``most``.

    It doubles while the process computes for less than 0.6 of the time, and is halved where it computes for 0.85 to 1.3
    of it: one interpreter's worth. More than that are libraries that compute without the interpreter, such as
    compression, for which there may be a thread to each core.

    :param clock: the time, in seconds.
    :param cpu_clock: what all threads have computed, in seconds.
    """

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
        cores: int | None = None,
    ) -> None:
        self.width = min(_AT_FIRST, most)
        self._most = most
        self._cores = min(most, cores or os.cpu_count() or 1)
        self._clock = clock
        self._cpu_clock = cpu_clock
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._since = self._clock(), self._cpu_clock()

    def look(self) -> None:
        """Judge the time since the last look, or since it began; nothing is said of less than half a look."""
        now, cpu = self._clock(), self._cpu_clock()
        elapsed = now - self._since[0]
        if elapsed < LOOK_SECONDS / 2:
            return
        busy = (cpu - self._since[1]) / elapsed
        self._since = now, cpu
        if busy < _IDLE:
            self.width = min(self.width * 2, self._most)
        elif busy > _SIDE_BY_SIDE:
            self.width = max(self.width, min(self.width * 2, self._cores))
        elif busy > _TAKING_TURNS:
            self.width = max(self.width // 2, 1)
