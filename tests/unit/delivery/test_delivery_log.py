"""Where the log is kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from airflow_xacct.delivery.log import AirflowTaskLog, MemoryLog
from airflow_xacct.exceptions import CommitLogError


class Accessor:
    """Airflow's accessor, by shape."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.retention: timedelta | None = None
        self.threads: set[str] = set()
        self.error: Exception | None = None

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.threads.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        self.values[key] = value
        self.retention = retention


def test_values_go_to_airflow_with_a_retention() -> None:
    """Explicit, so that it does not depend on the deployment's default."""
    accessor = Accessor()
    log = AirflowTaskLog(accessor, timedelta(days=7))
    assert log.get("key") is None
    log.set("key", {"a": [1, "b", None]})
    assert log.get("key") == {"a": [1, "b", None]}
    assert accessor.retention == timedelta(days=7)


def test_it_fits_airflows_own_accessor() -> None:
    """The methods we call are there, with the parameters we give."""
    import inspect

    context = pytest.importorskip("airflow.sdk.execution_time.context")
    accessor = getattr(context, "TaskStateStoreAccessor", None)
    if accessor is None:
        pytest.skip("this Airflow has no task state store")
    assert list(inspect.signature(accessor.get).parameters) == ["self", "key", "default"]
    assert list(inspect.signature(accessor.set).parameters) == ["self", "key", "value", "retention"]


def test_a_write_that_fails_is_our_error() -> None:
    """With the key and what to do."""
    accessor = Accessor()
    accessor.error = RuntimeError("API_SERVER_ERROR")
    with pytest.raises(CommitLogError, match=r"could not be written.*API_SERVER_ERROR.*key the-key"):
        AirflowTaskLog(accessor).set("the-key", 1)


def test_the_end_of_a_task_is_not_swallowed() -> None:
    """What is no Exception passes through as it is."""

    class Terminated(BaseException):
        pass

    accessor = Accessor()
    accessor.get = lambda key, default=None: (_ for _ in ()).throw(Terminated())  # type: ignore[method-assign]
    with pytest.raises(Terminated):
        AirflowTaskLog(accessor).get("key")


def test_a_signal_does_not_cut_a_message_in_half() -> None:
    """The call to the supervisor ends before the exception of the signal's handler goes on its way."""

    class Terminated(BaseException):
        pass

    def terminate(number: int, frame: object) -> None:
        raise Terminated

    ended = []

    class Slow(Accessor):
        def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)
            # the handler runs in the main thread while this one is in the middle of its message
            time.sleep(0.05)
            super().set(key, value, retention=retention)
            ended.append(key)

    before = signal.signal(signal.SIGUSR1, terminate)
    try:
        accessor = Slow()
        with pytest.raises(Terminated):
            AirflowTaskLog(accessor).set("key", 1)
        assert ended == ["key"]
        assert accessor.threads == {"xacct-log_0"}
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_outside_the_main_thread_no_other_thread_is_needed() -> None:
    """Signals are handled in the main thread only."""
    accessor = Accessor()
    thread = threading.Thread(target=lambda: AirflowTaskLog(accessor).set("key", 1), name="worker")
    thread.start()
    thread.join()
    assert accessor.threads == {"worker"}


@pytest.mark.parametrize("value", [None, "x" * 49152])
def test_the_fake_refuses_what_airflow_would_not_like(value: Any) -> None:
    """Null, and what is too large."""
    with pytest.raises(ValueError, match="bytes under"):
        MemoryLog().set("key", value)
