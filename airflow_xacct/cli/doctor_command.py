"""``airflow-xacct doctor``: why a connection does not work, and whether it is safe."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from airflow_xacct.cli.quiet import quiet

if TYPE_CHECKING:
    from airflow_xacct.destination import Destination

__all__ = ["register"]

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
_NOTICE = (
    "--prove-external-id: asking STS once for the role without its External ID. A role that is set up well refuses, "
    "and a denied AssumeRole then stands in the CloudTrail of Account A, and of Account B where AWS records it."
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``doctor`` command."""
    parser = subparsers.add_parser(
        "doctor",
        help="say why a connection does not work, and whether it is safe",
        description=(
            "Examine a connection of type aws_xacct: who asks, whether the role can be assumed, whether it may write "
            "below the prefix and nothing else, and how the bucket is kept. Each check passes, fails with what to do "
            "and in whose account, or cannot be seen from here. Nothing is left in the bucket. Run it where the tasks "
            "run, since only the workers' identity counts. Exit status: 0 nothing failed, 1 something did, 2 usage."
        ),
    )
    parser.add_argument("conn_id", metavar="CONN", help="the connection")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument(
        "--prove-external-id",
        action="store_true",
        help="also ask for the role without its External ID, which must be refused; leaves a denied event in the "
        "CloudTrail of both accounts",
    )
    parser.add_argument(
        "--no-write", action="store_true", help="begin no upload; KMS rights and the bucket's conditions stay unseen"
    )
    parser.add_argument(
        "--owner-profile",
        metavar="PROFILE",
        help="a profile of Account B's owner, to look at what the role must not see: trust policy, logging, "
        "versioning, lifecycle, CloudTrail, ...",
    )
    parser.add_argument(
        "--show-external-id", action="store_true", help="show all of the External ID, not its last four characters"
    )
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colours (default: %(default)s)"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine and report.

    :returns: the exit status.
    """
    from airflow_xacct.access.session import RoleAccess
    from airflow_xacct.doctor import Doors, Facts, OwnerView, Wishes, examine
    from airflow_xacct.exceptions import ConfigurationError
    from airflow_xacct.hooks.connections import deployment_options, load_destination, open_access

    def open_without_policy(destination: Destination) -> RoleAccess:
        return open_access(destination, policy="")

    try:
        owner = OwnerView(arguments.owner_profile) if arguments.owner_profile else None
        options = deployment_options()
    except ConfigurationError as error:
        print(f"airflow-xacct: {error}", file=sys.stderr)
        return EXIT_USAGE
    wishes = Wishes(
        prove_external_id=arguments.prove_external_id,
        write=not arguments.no_write,
        show_external_id=arguments.show_external_id,
    )
    if wishes.prove_external_id:
        print(_NOTICE, file=sys.stderr, flush=True)
    facts = Facts(arguments.conn_id, Doors(load_destination, open_without_policy, options), wishes, owner)
    with quiet():
        report = examine(facts)
    if arguments.json:
        print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        from airflow_xacct.doctor.screen import Screen

        Screen(
            Console(
                force_terminal={"always": True, "never": None}.get(arguments.color),
                no_color=True if arguments.color == "never" else None,
            )
        ).report(report)
    return EXIT_OK if report.ok else EXIT_FAILED
