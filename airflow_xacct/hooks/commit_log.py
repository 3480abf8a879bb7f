"""Which log a delivery has: option ``commit_log`` of section ``[xacct]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from airflow.providers.common.compat.sdk import conf

from airflow_xacct.delivery.log import AirflowTaskLog
from airflow_xacct.delivery.paged_log import PagedLog
from airflow_xacct.exceptions import InvalidArgumentError
from airflow_xacct.hooks.variables import airflow_variables

if TYPE_CHECKING:
    from airflow_xacct.access.task_identity import TaskIdentity
    from airflow_xacct.delivery.log import LogStore, TaskStateStore

__all__ = ["CommitLog", "commit_log", "commit_log_option"]

CommitLog = Literal["auto", "variable"]


def commit_log_option() -> CommitLog:
    """The option, in any case; ``"auto"`` where it is not set.

    :raises InvalidArgumentError: it has another value.
    """
    given = (conf.get("xacct", "commit_log", fallback="") or "auto").strip().lower()
    for option in get_args(CommitLog):
        if given == option:
            found: CommitLog = option
            return found
    raise InvalidArgumentError(
        f"{given!r} is not possible",
        where="commit_log in section xacct",
        remedy=f"Choose one of {', '.join(get_args(CommitLog))}.",
    )


def commit_log(identity: TaskIdentity, task_state_store: TaskStateStore | None) -> LogStore | None:
    """The log of a running task.

    :param task_state_store: of the task's context; ``None`` before Airflow 3.3.
    :returns: ``None`` for no log.
    :raises InvalidArgumentError: the option has an unknown value.
    :raises CommitLogError: Variables are asked for, and this Airflow cannot keep it there.
    """
    if commit_log_option() == "variable":
        scope: dict[str, str | int] = {
            "dag": identity.dag_id,
            "task": identity.task_id,
            "run": identity.run_id,
            "map_index": identity.map_index,
        }
        return PagedLog(airflow_variables(), scope)
    return AirflowTaskLog(task_state_store) if task_state_store is not None else None
