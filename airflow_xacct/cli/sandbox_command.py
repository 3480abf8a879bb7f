"""``airflow-xacct sandbox``: two AWS accounts on this machine until it is interrupted."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_xacct.sandbox import Sandbox, Scenario

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``sandbox`` command."""
    parser = subparsers.add_parser(
        "sandbox",
        help="run two AWS accounts on this machine",
        description=(
            "Run two or more AWS accounts on 127.0.0.1, with a role in Account B that Account A may assume, and print "
            "what to export. Stays up until Ctrl-C. Nothing leaves this machine, and nothing outlives the command."
        ),
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--region", default="us-east-1", help="region of the accounts (default: %(default)s)")
    parser.add_argument(
        "--accounts",
        type=int,
        default=2,
        help="how many accounts, 2 to 9; each from the third on is one more partner (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of tables")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted.

    :returns: the exit status.
    """
    from airflow_xacct.exceptions import XacctError

    stop = threading.Event()

    def interrupted(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    try:
        from airflow_xacct.sandbox import Sandbox

        with Sandbox(arguments.accounts, arguments.region, port=arguments.port) as box:
            scenario = _set_up(box)
            before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                _print_json(scenario) if arguments.json else _print_tables(scenario)
                # waiting without end in C would keep Python from running the signal's handler
                while not stop.wait(timeout=0.5):
                    pass
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
    except (XacctError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _set_up(box: Sandbox) -> Scenario:
    scenario = box.scenario()
    for number in range(3, len(box.accounts) + 1):
        scenario.add_partner(f"xacct_partner_{chr(ord('a') + number - 1)}")
    return scenario


def _print_json(scenario: Scenario) -> None:
    document = {
        "endpoint_url": scenario.box.endpoint_url,
        "region": scenario.box.region,
        "account_a": {
            "id": scenario.account_a.id,
            "user_arn": scenario.worker.user_arn,
            "access_key_id": scenario.worker.access_key_id,
            "secret_access_key": scenario.worker.secret_access_key,
        },
        "partners": {
            conn_id: {"account_id": partner.account.id, **partner.connection_extra}
            for conn_id, partner in scenario.partners.items()
        },
        "environment": scenario.environment(),
    }
    print(json.dumps(document), flush=True)


def _print_tables(scenario: Scenario) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"AWS sandbox at {scenario.box.endpoint_url}", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Account A", scenario.account_a.id)
    table.add_row("  worker", scenario.worker.user_arn)
    table.add_row("  access key", scenario.worker.access_key_id)
    table.add_row("  secret key", scenario.worker.secret_access_key)
    for number, (conn_id, partner) in enumerate(scenario.partners.items()):
        table.add_section()
        table.add_row(f"Account {chr(ord('B') + number)}", partner.account.id)
        table.add_row("  bucket", f"s3://{partner.bucket}/{partner.prefix}")
        table.add_row("  role", partner.role_arn)
        table.add_row("  External ID", partner.external_id)
        table.add_row("  connection", conn_id)
    console.print(table)
    console.print(
        "The keys above belong to the sandbox: they open nothing on AWS, so they are printed in full.\n"
        "In another terminal, to be Account A's worker:\n",
        highlight=False,
    )
    print("unset AWS_SESSION_TOKEN AWS_PROFILE")
    # not through rich, which would wrap the lines that are to be copied
    for name, value in scenario.environment().items():
        print(f"export {name}={shlex.quote(value)}")
    print("\nCtrl-C ends it, and forgets everything.", flush=True)
