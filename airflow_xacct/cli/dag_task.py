"""The tasks of a DAG file as a run of one date would have them: loaded and rendered, and nothing run."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["Moment", "delivery_tasks", "rendered"]


@dataclass(frozen=True, slots=True)
class Moment:
    """The run that is imagined.

    :param logical_date: with its zone.
    :param interval: start and end of its data interval.
    :param params: what the run would be triggered with.
    """

    logical_date: datetime
    interval: tuple[datetime, datetime]
    params: Mapping[str, Any]

    def context_of(self, task: Any) -> dict[str, Any]:
        """What templates may use (Airflow: *Templates reference*), as far as it is known before a run.

        :raises InvalidArgumentError: a param that the DAG needs is missing or wrong.
        """
        run_id = f"manual__{self.logical_date.isoformat()}"
        return dict(_dates(self)) | {
            "conn": _accessor("ConnectionAccessor"),
            "dag": task.dag,
            "macros": _macros(),
            "params": _params(task, self),
            "run_id": run_id,
            "task": task,
            "ti": _NoInstance(task.dag_id, task.task_id, run_id),
            "var": {
                "json": _accessor("VariableAccessor", deserialize_json=True),
                "value": _accessor("VariableAccessor", deserialize_json=False),
            },
        }


@dataclass(frozen=True, slots=True)
class _NoInstance:
    """Stands for ``ti`` in templates: there is no run, and so nothing that an earlier task returned."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    try_number: int = 1

    def xcom_pull(self, task_ids: Any = None, **_: Any) -> Any:
        raise InvalidArgumentError(
            f"what the task {task_ids!r} returns is known in a run only",
            where=f"task {self.task_id!r}",
            remedy="Plan the tasks that do not depend on another one's result.",
        )


def delivery_tasks(file: Path, task_id: str | None = None) -> list[Any]:
    """The tasks of a file that deliver, in the order of the DAG's own list.

    :param task_id: only this one.
    :raises InvalidArgumentError: the file cannot be loaded, has no such task, or the task is mapped.
    """
    # Airflow 3.2 moved it
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

    if not file.is_file():
        raise InvalidArgumentError("there is no such file", where=str(file), remedy="Name the file of a DAG.")
    # before Airflow 3.2 a bag took them in by itself
    options: dict[str, Any] = {"include_examples": False} if "include_examples" in signature(DagBag).parameters else {}
    bag = DagBag(dag_folder=str(file), collect_dags=False, **options)
    bag.process_file(str(file), only_if_updated=False, safe_mode=False)  # type: ignore[no-untyped-call]
    for name, trace in bag.import_errors.items():
        last = str(trace).strip().splitlines()[-1]
        raise InvalidArgumentError(f"the file cannot be loaded: {last}", where=name, remedy="Run it with python.")
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    chosen = [task for task in tasks if (_delivers(task) if task_id is None else task.task_id == task_id)]
    if not chosen:
        what = "no task that delivers" if task_id is None else f"no task {task_id!r}"
        known = ", ".join(sorted(task.task_id for task in tasks)) or "none"
        raise InvalidArgumentError(f"there is {what}", where=str(file), remedy=f"Its tasks are: {known}.")
    for task in chosen:
        if not _delivers(task):
            raise InvalidArgumentError(
                f"the task {task.task_id!r} is of type {task.task_type}, which delivers nothing into another account",
                where=str(file),
                remedy="Name a task of airflow_xacct.",
            )
    return chosen


def rendered(task: Any, context: Mapping[str, Any]) -> Any:
    """A copy of a task with its templates rendered.

    :raises InvalidArgumentError: a template needs what only a run has, or the task is mapped.
    """
    import jinja2
    from airflow.providers.common.compat.sdk import XComArg

    where = f"task {task.task_id!r}"
    if task.is_mapped:
        raise InvalidArgumentError(
            "it is mapped: what it maps over is known in a run only",
            where=where,
            remedy="Plan a task of the same arguments that is not mapped.",
        )
    copied = copy.copy(task)
    for name in task.template_fields:
        for earlier, _ in XComArg.iter_xcom_references(getattr(task, name)):
            raise InvalidArgumentError(
                f"{name} is what the task {earlier.task_id!r} returns, which is known in a run only",
                where=where,
                remedy="Plan the tasks that do not depend on another one's result.",
            )
    try:
        copied.render_template_fields(context)
    except jinja2.UndefinedError as exc:
        raise InvalidArgumentError(
            f"a template uses what only a run has: {exc.message}",
            where=where,
            remedy="Give it with --param, or plan another task.",
        ) from exc
    except jinja2.TemplateError as exc:
        raise InvalidArgumentError(
            f"a template cannot be rendered: {exc}", where=where, remedy="Look at the task's template fields."
        ) from exc
    return copied


def _delivers(task: Any) -> bool:
    from airflow_xacct.operators._base import DeliveryOperator

    kind = getattr(task, "operator_class", type(task))
    return isinstance(kind, type) and issubclass(kind, DeliveryOperator)


def _dates(moment: Moment) -> Iterator[tuple[str, Any]]:
    import pendulum

    date = pendulum.instance(moment.logical_date)
    ds, ts = date.strftime("%Y-%m-%d"), date.isoformat()
    yield from (("logical_date", date), ("ds", ds), ("ds_nodash", ds.replace("-", "")), ("ts", ts))
    yield "ts_nodash", date.strftime("%Y%m%dT%H%M%S")
    yield "ts_nodash_with_tz", ts.replace("-", "").replace(":", "")
    yield from zip(("data_interval_start", "data_interval_end"), map(pendulum.instance, moment.interval), strict=True)


def _params(task: Any, moment: Moment) -> Any:
    from airflow.providers.common.compat.sdk import AirflowException

    params = copy.deepcopy(task.params)
    params.update(moment.params)
    try:
        return params.dump()
    except (AirflowException, ValueError) as exc:
        raise InvalidArgumentError(
            f"the params of the run are not valid: {exc}",
            where=f"task {task.task_id!r}",
            remedy="Give them with --param NAME=VALUE.",
        ) from exc


def _accessor(name: str, **arguments: Any) -> Any:
    try:
        accessors = import_module("airflow.sdk.execution_time.context")
    except ImportError:  # Airflow 2
        accessors = import_module("airflow.utils.context")
    return getattr(accessors, name)(**arguments)


def _macros() -> Any:
    try:
        from airflow.sdk.execution_time.context import MacrosAccessor
    except ImportError:  # Airflow 2
        return import_module("airflow.macros")
    return MacrosAccessor()
