"""A real Airflow for the tests of the log: its metadata database, its execution API, and the supervisor between."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal
from unittest import mock
from uuid import uuid4

import psutil
import structlog
from airflow import settings
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from airflow.sdk.execution_time.context import TaskStateStoreAccessor
from airflow.sdk.execution_time.supervisor import (
    InProcessSupervisorComms,
    InProcessTestSupervisor,
    set_supervisor_comms,
)
from airflow.utils.session import create_session
from cryptography.fernet import Fernet
from sqlalchemy import delete, insert, inspect, select, update

from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.delivery.log import Json, LogStore
from airflow_xacct.hooks.commit_log import commit_log

__all__ = ["PLACES", "Deployment", "WatchedLog"]

PLACES = ["task_state_store", "variable-by-api", "variable-in-database"]
"""Where a log is kept: in Airflow 3.3; in Variables, as a task of Airflow 3 reaches them, and as one of 2.11 does."""


class Deployment:
    """One Airflow on the database of this test run.

    :param place: see :data:`PLACES`.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.ti_id = uuid4()
        self.supervisor: Any = None

    @property
    def by_api(self) -> bool:
        """Whether the log goes through the execution API."""
        return self.place != "variable-in-database"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Tables, a Fernet key, and, for a task of Airflow 3, a supervisor with Airflow's own execution API."""
        if not inspect(settings.get_engine()).has_table("variable"):
            import_all_models()
            Base.metadata.create_all(settings.get_engine())
        option = "auto" if self.place == "task_state_store" else "variable"
        environment = {
            "AIRFLOW__XACCT__COMMIT_LOG": option,
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        }
        with mock.patch.dict(os.environ, environment), contextlib.ExitStack() as stack:
            _forget_fernet()
            stack.callback(_forget_fernet)
            stack.callback(_empty_tables)
            if self.by_api:
                stack.enter_context(set_supervisor_comms(self._comms()))
            yield

    def _comms(self) -> InProcessSupervisorComms:
        self.supervisor = InProcessTestSupervisor(
            id=self.ti_id,
            pid=os.getpid(),
            process=psutil.Process(),
            process_log=structlog.get_logger(),
            client=InProcessTestSupervisor._api_client(),
        )
        self.supervisor.comms = InProcessSupervisorComms(supervisor=self.supervisor)
        return self.supervisor.comms

    def open_log(self, *, run_id: str = "run", task_id: str = "task", map_index: int = -1) -> LogStore:
        """The log as a new try of a task opens it."""
        identity = TaskIdentity("dag", task_id, run_id, map_index)
        store = self._state_store(identity) if self.place == "task_state_store" else None
        log = commit_log(identity, store)
        assert log is not None
        return log

    def _state_store(self, identity: TaskIdentity) -> TaskStateStoreAccessor:
        """As ``context["task_state_store"]``: a try has an id of its own, and the task instance's values."""
        self.ti_id = uuid4()
        run = {"dag_id": identity.dag_id, "run_id": identity.run_id}
        instance = {**run, "task_id": identity.task_id, "map_index": identity.map_index}
        with create_session() as session:
            if session.scalar(select(DagRun.id).filter_by(**run)) is None:
                rest = {"run_type": "manual", "state": "running", "run_after": datetime.now(UTC), "clear_number": 0}
                session.execute(insert(DagRun.__table__).values(**run, **rest))
            if session.scalar(select(TaskInstance.id).filter_by(**instance)) is None:
                rest = {"pool": "default_pool", "pool_slots": 1, "try_number": 1, "max_tries": 0}
                session.execute(insert(TaskInstance.__table__).values(id=self.ti_id, **instance, **rest))
            else:
                session.execute(update(TaskInstance).filter_by(**instance).values(id=self.ti_id))
        return TaskStateStoreAccessor(self.ti_id, mock.sentinel.scope)

    def variables(self) -> dict[str, str]:
        """Every Variable in the database, decrypted."""
        with create_session() as session:
            return {row.key: row.get_val() for row in session.scalars(select(Variable))}

    def change(self, key: str, **columns: Any) -> None:
        """Change a Variable behind the log's back."""
        with create_session() as session:
            session.execute(update(Variable).where(Variable.key == key).values(**columns))


class WatchedLog:
    """The log of a task whose every try opens it anew, as another process does.

    :ivar hook: called around every call, as that of :class:`~airflow_xacct.delivery.log.MemoryLog`.
    :ivar values: what was written, as JSON text by key.
    """

    place = "a watched log"

    def __init__(self, open_log: Callable[[], LogStore]) -> None:
        self._open_log = open_log
        self._store = open_log()
        self.hook: Callable[[str, str, Literal["before", "after"]], None] | None = None
        self.values: dict[str, str] = {}

    def reopen(self) -> None:
        """Forget what the last process knew."""
        self._store = self._open_log()

    def get(self, key: str) -> Json | None:
        if self.hook is not None:
            self.hook("get", key, "before")
        return self._store.get(key)

    def set(self, key: str, value: Json) -> None:
        if self.hook is not None:
            self.hook("set", key, "before")
        self._store.set(key, value)
        self.values[key] = json.dumps(value)
        if self.hook is not None:
            self.hook("set", key, "after")


def _empty_tables() -> None:
    with create_session() as session:
        session.execute(delete(Variable))
        session.execute(delete(TaskInstance))
        session.execute(delete(DagRun))


def _forget_fernet() -> None:
    from airflow.models import crypto

    crypto.get_fernet.cache_clear()
