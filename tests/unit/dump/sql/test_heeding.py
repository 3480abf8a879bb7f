"""Work in another thread: the one who waits can be told to go at any time, and nothing is left behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from types import FrameType

import pytest

from airflow_xacct.dump.sources.sql.heeding import heeding_signals


def nothing(_: object = None) -> None:
    """No cancel, no discard."""


def test_what_the_work_returns_or_raises() -> None:
    """Is what the one who waits gets, from another thread."""
    assert heeding_signals(threading.get_ident, cancel=nothing, discard=nothing) != threading.get_ident()
    with pytest.raises(KeyError, match="gone"):
        heeding_signals(lambda: {}["gone"], cancel=pytest.fail, discard=pytest.fail)


class Killed(BaseException):
    """What Airflow's handler of SIGTERM raises."""


@pytest.fixture
def killing() -> Iterator[None]:
    def handle(number: int, frame: FrameType | None) -> None:
        raise Killed

    before = signal.signal(signal.SIGUSR1, handle)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("killing")
@pytest.mark.parametrize("end", ["result", "error"])
def test_a_signal_ends_the_work(end: str) -> None:
    """It is cancelled, and what it returns all the same is discarded, before the exception of the signal goes on."""
    cancelled = threading.Event()
    discarded: list[str] = []

    def work() -> str:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        assert cancelled.wait(10)
        if end == "error":
            raise RuntimeError
        return "made"

    with pytest.raises(Killed):
        heeding_signals(work, cancel=cancelled.set, discard=discarded.append)
    assert discarded == (["made"] if end == "result" else [])


@pytest.mark.usefixtures("killing")
def test_a_signal_after_the_work_discards_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is there, and nobody is left to take it."""
    discarded: list[str] = []

    def raising(future: object, timeout: float | None = None) -> str:
        found = real(future, timeout)  # type: ignore[arg-type]
        if timeout is None:
            raise Killed
        return found

    real = Future.result
    monkeypatch.setattr(Future, "result", raising)
    with pytest.raises(Killed):
        heeding_signals(lambda: "made", cancel=nothing, discard=discarded.append)
    assert discarded == ["made"]


@pytest.mark.usefixtures("killing")
def test_a_cancel_that_fails_is_tried_again() -> None:
    """It may come before there is anything to cancel."""
    tries: list[int] = []
    cancelled = threading.Event()

    def cancel() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise AttributeError
        cancelled.set()

    def work() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        assert cancelled.wait(10)

    with pytest.raises(Killed):
        heeding_signals(work, cancel=cancel, discard=nothing)
    assert len(tries) == 2
