"""``airflow-xacct commit-logs``: the commit logs in Airflow's Variables, and the end of old ones."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_xacct.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from airflow_xacct.hooks.kept_logs import KeptLog

__all__ = ["register", "run"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``commit-logs`` command."""
    parser = subparsers.add_parser(
        "commit-logs",
        help="list the commit logs in Variables, and delete old ones",
        description=(
            "List the commit logs that deliveries keep in Airflow's Variables ([xacct] commit_log = variable), the "
            "oldest first, and delete old ones. It reads the metadata database, so it runs where Airflow's own "
            "'airflow db' commands do."
        ),
    )
    parser.add_argument(
        "--older-than", type=float, metavar="DAYS", help="only those that were last written that many days ago"
    )
    parser.add_argument(
        "--delete",
        action="store_true",
        help="delete what is listed; needs --older-than. A run that is cleared later delivers as without a log",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """List, and delete if asked.

    :returns: the exit status.
    :raises InvalidArgumentError: ``--delete`` without an age, or an age below zero.
    """
    days: float | None = arguments.older_than
    if arguments.delete and days is None:
        raise InvalidArgumentError(
            "deleting needs an age", where="--delete", remedy="Give --older-than DAYS, such as --older-than 30."
        )
    if days is not None and not 0 <= days < 100_000:
        raise InvalidArgumentError(f"{days:g} is no age", where="--older-than", remedy="Give a number of days.")
    from airflow_xacct.hooks.kept_logs import delete_logs, kept_logs

    logs = kept_logs()
    if days is not None:
        before = datetime.now(UTC) - timedelta(days=days)
        logs = [log for log in logs if log.written_at <= before]
    if arguments.delete:
        delete_logs(logs)
    if arguments.json:
        print(json.dumps([_as_json(log) for log in logs], indent=2))
    else:
        _show(logs, "deleted" if arguments.delete else "found")
    return 0


def _as_json(log: KeptLog) -> dict[str, object]:
    return {
        **log.scope,
        "written_at": log.written_at.isoformat(),
        "variables": list(log.keys),
        "size_bytes": log.size_bytes,
    }


def _show(logs: list[KeptLog], what_became_of_them: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if logs:
        table = Table(box=None, pad_edge=False)
        for column in ("written last", "DAG", "task", "run", "map index"):
            table.add_column(column, overflow="fold")
        table.add_column("Variables", justify="right")
        table.add_column("KiB", justify="right")
        for log in logs:
            named = [str(log.scope.get(name, "")) for name in ("dag", "task", "run", "map_index")]
            written = f"{log.written_at:%Y-%m-%d %H:%M}"
            table.add_row(written, *named, str(len(log.keys)), f"{log.size_bytes / 1024:.1f}")
        console.print(table)
    variables = sum(len(log.keys) for log in logs)
    console.print(f"{len(logs)} commit logs in {variables} Variables {what_became_of_them}.")
