"""Where the log of a delivery is kept: JSON values by key, for one task instance, across its tries and clears.

Airflow 3.3 has such a place, ``context["task_state_store"]``; :class:`AirflowTaskLog` speaks to it. Where there is only
a store of texts, such as Airflow's Variables, :class:`~airflow_xacct.delivery.paged_log.PagedLog` makes one of it.
:class:`MemoryLog` is the fake that tests use. What is written there is the matter of
:mod:`airflow_xacct.delivery.journal`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, Protocol

from airflow_xacct.access.undisturbed import undisturbed
from airflow_xacct.exceptions import CommitLogError

__all__ = ["MAX_VALUE_BYTES", "AirflowTaskLog", "Json", "LogStore", "MemoryLog", "TaskStateStore"]

Json = Any
"""A value that JSON can say, other than null."""

MAX_VALUE_BYTES = 48 * 1024
"""The most bytes of one value as JSON. Airflow warns at 64 KiB (``[state_store] max_value_storage_bytes``)."""


class LogStore(Protocol):
    """JSON values by key. A value is written whole or not at all; several values are not.

    Keys are ``xacct/NAME`` and, below it, ``xacct/NAME/...``: what is below one name belongs to one delivery, which has
    one writer at a time.
    """

    @property
    def place(self) -> str:
        """Where the values are, for messages."""
        ...

    def get(self, key: str) -> Json | None:
        """The value, or ``None`` where there is none (any more).

        :raises CommitLogError: it could not be read.
        """
        ...

    def set(self, key: str, value: Json) -> None:
        """Write or replace a value; when this returns, it is kept.

        :raises CommitLogError: it may or may not have been written.
        """
        ...


class TaskStateStore(Protocol):
    """The part of Airflow's ``TaskStateStoreAccessor`` that is used."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key."""
        ...

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Keep a value for a while."""
        ...


class AirflowTaskLog:
    """The log in Airflow's task state store (3.3 and later).

    A write that the API server refuses raises in Airflow (the supervisor answers with an error, which
    ``CommsDecoder.send`` raises), so nothing is read back.

    :param accessor: ``context["task_state_store"]``.
    :param retention: how long values are kept; should cover every retry and clear of the run.
    """

    place = "task_state_store"

    def __init__(self, accessor: TaskStateStore, retention: timedelta = timedelta(days=30)) -> None:
        self._accessor = accessor
        self._retention = retention

    def get(self, key: str) -> Json | None:
        """See :class:`LogStore`."""
        return self._call("read", key, lambda: self._accessor.get(key, None))

    def set(self, key: str, value: Json) -> None:
        """See :class:`LogStore`."""
        self._call("written", key, lambda: self._accessor.set(key, value, retention=self._retention))

    def _call(self, verb: str, key: str, call: Callable[[], Any]) -> Any:
        try:
            return undisturbed(call)
        except Exception as exc:
            raise CommitLogError(
                f"the commit log could not be {verb}: {type(exc).__name__}: {exc}",
                where=f"{self.place}, key {key}",
                remedy="The delivery stops rather than go on without its log. Look at the Airflow API server, then "
                "let the task run again.",
            ) from exc


class MemoryLog:
    """A log in memory, for tests.

    :ivar values: what is kept, as JSON text by key.
    :ivar hook: called around every write with the verb, the key and the moment; may raise, to fail on purpose.
    :ivar writes: how many values were set.
    """

    place = "memory"

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.hook: Callable[[str, str, Literal["before", "after"]], None] | None = None
        self.writes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> Json | None:
        """See :class:`LogStore`."""
        self._tell("get", key, "before")
        with self._lock:
            text = self.values.get(key)
        return None if text is None else json.loads(text)

    def set(self, key: str, value: Json) -> None:
        """See :class:`LogStore`.

        :raises ValueError: the value is null, or larger than Airflow takes without a warning.
        """
        text = json.dumps(value)
        if value is None or len(text) > MAX_VALUE_BYTES:
            raise ValueError(f"a value of {len(text)} bytes under {key!r}")
        self._tell("set", key, "before")
        with self._lock:
            self.values[key] = text
            self.writes += 1
        self._tell("set", key, "after")

    def _tell(self, verb: str, key: str, moment: Literal["before", "after"]) -> None:
        if self.hook is not None:
            self.hook(verb, key, moment)
