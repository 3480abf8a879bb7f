"""What each client tells of itself: wall time, CPU and memory, from its first line of work to its last."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["arguments", "measured", "peak_bytes"]


def arguments() -> dict[str, Any]:
    """What the benchmark asks for."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


@contextlib.contextmanager
def measured(**facts: Any) -> Iterator[dict[str, Any]]:
    """Measure the block and report it; only what runs inside counts.

    The process ends with the block, whatever is still open in it.

    :param facts: to be reported beside it; the block may add more.
    """
    cpu, wall = _cpu_seconds(), time.perf_counter()
    yield facts
    facts |= {"wall": time.perf_counter() - wall, "cpu": _cpu_seconds() - cpu, "peak": peak_bytes()}
    Path(os.environ["BENCHMARK_RESULT"]).write_text(json.dumps(facts))


def peak_bytes() -> int:
    """The most memory that this process, or one of those it waited for, ever had resident."""
    # not ru_maxrss of ourselves, which begins with that of whoever started us
    status = Path("/proc/self/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return 1024 * max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
