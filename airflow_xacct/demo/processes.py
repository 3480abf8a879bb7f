"""Processes that the demo starts, none of which outlives it, whatever interrupts it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["interrupts_held", "running"]

# nothing of theirs is worth more patience: their folders go away, or are kept as they are
_STOP_TIMEOUT_SECONDS = 3.0


@contextmanager
def running(
    command: Sequence[str], *, stop_with: signal.Signals = signal.SIGTERM, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start a process, and end it with the block, together with whatever it started.

    :param stop_with: the signal that asks it to end.
    :param options: of :class:`subprocess.Popen`.
    """
    with interrupts_held() as release:
        # a session of its own, so that Ctrl-C reaches us alone and we end the whole group
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)  # noqa: S603
        try:
            release()
            yield process
        finally:
            _end(process, stop_with)


@contextmanager
def interrupts_held() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back until what is yielded is called, or the block ends.

    One that came while a process was being started would leave it to itself: nobody had its id yet. One that came
    while a folder was being removed would leave the rest of it.
    """
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread alone
        yield lambda: None
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, lambda number, _: came.append(number))

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def release() -> None:
        restore()
        if came:
            came.clear()
            raise KeyboardInterrupt

    try:
        yield release
    finally:
        restore()
    release()


def _end(process: subprocess.Popen[str], stop_with: signal.Signals) -> None:
    """End a process, and whatever it started, by its id."""
    try:
        if process.poll() is None:
            _signal_group(process.pid, stop_with)
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_TIMEOUT_SECONDS)
            finally:
                # also when a second Ctrl-C ends the wait, and for what outlived its parent
                _signal_group(process.pid, signal.SIGKILL)
                process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
