"""Airflow's Variables as a store of texts, without what stands between a task and the metadata database.

``Variable.get`` and ``Variable.set`` are not used, since a log must not be guessed at. Read in the sources of Airflow
2.11.0, 3.0.6, 3.1.8, 3.2.2 and 3.3.2:

- ``Variable.get`` asks the secrets backends and ``[secrets] use_cache`` first, and from 3.1 on says "not found" when
  the API server did not answer;
- ``Variable.set`` of the task SDK before 3.3 logs an error of the API server and returns;
- ``Variable.set`` of 2.11 deletes and inserts, where two new keys at once are a deadlock on MySQL.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_xacct.exceptions import CommitLogError

if TYPE_CHECKING:
    from airflow_xacct.delivery.paged_log import TextStore

__all__ = ["DatabaseVariables", "SupervisorVariables", "airflow_variables"]

_TASK_RUNNER = "airflow.sdk.execution_time.task_runner"


def airflow_variables() -> TextStore:
    """The Variables as this process may reach them: through the supervisor of a task of Airflow 3, or in the database.

    :raises CommitLogError: a release of Airflow 3.0 before 3.0.3, whose supervisor is spoken to in another way.
    """
    # the test that Airflow's own models.Variable makes
    if not hasattr(sys.modules.get(_TASK_RUNNER), "SUPERVISOR_COMMS"):
        return DatabaseVariables()
    if not hasattr(_supervisor(), "send"):
        raise CommitLogError(
            "the commit log cannot be kept in Variables by this release of Airflow",
            where="commit_log in section xacct",
            remedy="Update Airflow to 3.0.3 or later.",
        )
    return SupervisorVariables()


class SupervisorVariables:
    """Variables through the supervisor and the execution API: in a task of Airflow 3.

    The API server looks into its own secrets backends before the database, so that a Variable may be hidden there.
    """

    kind = "Variable"

    def read(self, key: str) -> str | None:
        """See :class:`~airflow_xacct.delivery.paged_log.TextStore`.

        :raises RuntimeError: any answer but a value and "there is none".
        """
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, VariableResult

        answer = _supervisor().send(GetVariable(key=key))
        if isinstance(answer, VariableResult) and answer.value is not None:
            return answer.value
        if isinstance(answer, ErrorResponse) and answer.error == ErrorType.VARIABLE_NOT_FOUND:
            return None
        raise RuntimeError(f"the supervisor answered {getattr(answer, 'error', type(answer).__name__)}")

    def write(self, key: str, text: str, note: str) -> None:
        """See :class:`~airflow_xacct.delivery.paged_log.TextStore`."""
        from airflow.sdk.execution_time.comms import PutVariable

        _supervisor().send(PutVariable(key=key, value=text, description=note))


class DatabaseVariables:
    """Variables in the metadata database: in a task of Airflow 2.11, and wherever Airflow's own command line runs."""

    kind = "Variable"

    def read(self, key: str) -> str | None:
        """See :class:`~airflow_xacct.delivery.paged_log.TextStore`.

        :raises RuntimeError: it cannot be decrypted.
        """
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            found = session.scalar(select(Variable).where(Variable.key == key))
            return None if found is None else _decrypted(found)

    def write(self, key: str, text: str, note: str) -> None:
        """See :class:`~airflow_xacct.delivery.paged_log.TextStore`."""
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            found = session.scalar(select(Variable).where(Variable.key == key))
            if found is None:
                session.add(Variable(key=key, val=text, description=note))  # type: ignore[no-untyped-call]
            else:
                found.set_val(text)
                found.description = note


def _supervisor() -> Any:
    return sys.modules[_TASK_RUNNER].SUPERVISOR_COMMS


def _decrypted(variable: Any) -> str:
    text: str | None = variable.get_val()
    if text is None:
        raise RuntimeError(f"the Variable {variable.key} cannot be decrypted: the Fernet key is another one")
    return text
