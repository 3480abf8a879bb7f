"""A task's context, as far as the operators look at it, made of Airflow's own parts where it has them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_xacct.delivery.log import MemoryLog

__all__ = ["StateStore", "TaskTry"]


class StateStore:
    """Stands in for Airflow's ``task_state_store``: values survive tries and clears."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.retentions: set[timedelta | None] = set()

    def get(self, key: str, default: Any = None) -> Any:
        value = self.log.get(key)
        return default if value is None else value

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.retentions.add(retention)
        self.log.set(key, value)


class TaskTry:
    """Runs an operator as one try of a task instance, and keeps what it told Airflow.

    :param make: makes the operator anew, as each try does.
    :param store: the state store; ``None`` stands for Airflow before 3.3.
    """

    def __init__(self, make: Callable[[], Any], store: StateStore | None = None, *, task: str = "upload") -> None:
        self.make = make
        self.store = store
        self.task = task
        self.xcoms: dict[str, Any] = {}
        self.events: OutletEventAccessors | None = None

    def run(
        self,
        *,
        run_id: str = "manual__2013-01-01",
        try_number: int = 1,
        clear_number: int = 0,
        max_tries: int = 1,
        started: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    ) -> Any:
        """Execute once; the return value is XCom's ``return_value``.

        :param max_tries: of the task instance; a clear adds to it.
        :param started: when the run began.
        """
        operator = self.make()
        self.events = OutletEventAccessors()
        context: dict[str, Any] = {
            "ti": SimpleNamespace(
                dag_id="nyc",
                task_id=self.task,
                run_id=run_id,
                map_index=-1,
                try_number=try_number,
                max_tries=max_tries,
                xcom_push=lambda key, value: self.xcoms.__setitem__(key, value),
            ),
            "dag_run": SimpleNamespace(clear_number=clear_number, start_date=started),
            "logical_date": datetime(2013, 1, 1, tzinfo=UTC),
            "task": operator,
            "outlet_events": self.events,
        }
        if self.store is not None:
            context["task_state_store"] = self.store
        return operator.execute(context)
