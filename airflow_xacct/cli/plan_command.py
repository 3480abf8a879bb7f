"""``airflow-xacct plan``: what the tasks of a DAG file would read, assume and write, without doing it."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_xacct.exceptions import InvalidArgumentError, XacctError

if TYPE_CHECKING:
    from airflow_xacct.cli.dag_task import Moment

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``plan`` command."""
    parser = subparsers.add_parser(
        "plan",
        help="say what the tasks of a DAG file would do, without doing it",
        description=(
            "Load a DAG file, render the tasks that deliver for one date, and print what each would read, which role "
            "it would assume and as whom, the keys it would write, what the role must allow, and the session policy. "
            "Neither AWS nor a database is asked, and nothing is written."
        ),
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="the DAG file")
    parser.add_argument("--task", metavar="TASK_ID", help="only this task; by default all that deliver")
    parser.add_argument(
        "--logical-date", metavar="DATE", help="of the run, ISO 8601, UTC unless it says otherwise (default: today)"
    )
    parser.add_argument("--interval-end", metavar="DATE", help="of the data interval (default: the logical date)")
    parser.add_argument(
        "--param", metavar="NAME=VALUE", action="append", default=[], help="of the run; JSON, or else text; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the outline of each task.

    :returns: the exit status: 1 when a task has none.
    :raises InvalidArgumentError: the file or an argument cannot be right.
    """
    from airflow_xacct.cli.dag_task import delivery_tasks
    from airflow_xacct.cli.quiet import quiet

    with quiet():
        moment = _moment(arguments)
        outlines = [_outline(task, moment) for task in delivery_tasks(arguments.file, arguments.task)]
    failed = int(any("error" in outline for outline in outlines))
    if arguments.json:
        print(json.dumps(outlines, indent=2, ensure_ascii=False))
        return failed
    from airflow_xacct.cli.plan_screen import print_outline

    for number, outline in enumerate(outlines):
        if number:
            print()
        print_outline(outline)
    return failed


def _outline(task: Any, moment: Moment) -> dict[str, Any]:
    """The outline of one task, or why there is none: the others of the file have theirs all the same."""
    from airflow_xacct.cli.dag_task import rendered

    try:
        context = moment.context_of(task)
        outline: dict[str, Any] = rendered(task, context).plan(context)
    except XacctError as error:
        return {"task": {"dag_id": task.dag_id, "task_id": task.task_id}, "error": str(error)}
    return outline


def _moment(arguments: argparse.Namespace) -> Moment:
    from airflow_xacct.cli.dag_task import Moment

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    date = _date(arguments.logical_date, "--logical-date") if arguments.logical_date else today
    end = _date(arguments.interval_end, "--interval-end") if arguments.interval_end else date
    return Moment(date, (date, end), dict(_param(given) for given in arguments.param))


def _date(text: str, where: str) -> datetime:
    try:
        date = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InvalidArgumentError(
            f"{text!r} is no date", where=where, remedy="Write it as 2013-01-31 or 2013-01-31T06:00:00+00:00."
        ) from exc
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidArgumentError(f"{text!r} is no NAME=VALUE", where="--param", remedy="For example --param n=3.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
