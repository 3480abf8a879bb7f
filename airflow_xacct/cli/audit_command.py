"""``airflow-xacct audit``: who assumed the role, when, from which task, and what landed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_xacct.exceptions import InvalidArgumentError, XacctError

if TYPE_CHECKING:
    from airflow_xacct.audit.deliveries import Delivery
    from airflow_xacct.audit.names import SessionNames
    from airflow_xacct.audit.report import Report
    from airflow_xacct.cli.auditor import Auditor
    from airflow_xacct.destination import Destination

__all__ = ["register", "run"]

EXIT_STANDS_OUT = 1
EXIT_NOT_AUDITED = 2
# option -> extra of a connection
_EXTRAS = {
    "role_arn": "role_arn",
    "external_id": "external_id",
    "bucket": "bucket",
    "prefix": "prefix",
    "bucket_owner": "bucket_owner",
    "session_name_prefix": "session_name_prefix",
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``audit`` command."""
    parser = subparsers.add_parser(
        "audit",
        help="who assumed the role, and what landed",
        description=(
            "Read from CloudTrail who assumed the role of a connection, when and for which task, join it with what was "
            "delivered, and show what stands out: unknown sessions, denied calls, manifests that do not fit. Exit "
            "status: 0 nothing stands out, 1 something does, 2 it could not be looked at."
        ),
    )
    parser.add_argument("conn_id", metavar="CONN", nargs="?", help="a connection of type aws_xacct")
    _add_scope(parser)
    _add_identity(parser)
    _add_expected(parser)
    group = parser.add_argument_group("what landed")
    group.add_argument(
        "--manifest",
        action="append",
        default=[],
        metavar="URI",
        help="a delivery's manifest, s3://bucket/key or a local copy; may be given several times",
    )
    group.add_argument("--deliveries", action="store_true", help="find deliveries in this Airflow's asset events")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(func=run)


def _add_scope(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which calls", "all times are UTC; without any, the last 24 hours")
    group.add_argument("--dag", metavar="ID", help="of this DAG only")
    group.add_argument("--task", metavar="ID", help="of this task only")
    group.add_argument("--run", metavar="ID", help="of this run only")
    group.add_argument("--day", metavar="YYYY-MM-DD", help="on this day")
    group.add_argument("--since", metavar="TIME", help="from this time on, in ISO 8601")
    group.add_argument("--until", metavar="TIME", help="up to this time, in ISO 8601")
    group.add_argument(
        "--regions",
        metavar="R1,R2",
        help="regions whose history is read, or 'all' (default: those of the connection's STS and of this machine, and "
        "us-east-1, where calls to STS's global endpoint are recorded)",
    )
    group.add_argument(
        "--granted-only", action="store_true", help="far fewer requests in a busy account; finds no denied calls"
    )


def _add_identity(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who looks")
    group.add_argument(
        "--as",
        dest="side",
        choices=["a", "b"],
        help="a: the account that assumes; b: the one that owns the role (default: whichever the credentials are of)",
    )
    group.add_argument(
        "--profile", metavar="NAME", help="profile to look with (default: the identity that assumes the role)"
    )


def _add_expected(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is expected", "instead of, or over, the connection's extras")
    group.add_argument(
        "--caller",
        action="append",
        default=[],
        metavar="WHO",
        help="who may assume the role: ARN of a role or user, its unique id, or an account id; may be given several "
        "times (default: the connection's source)",
    )
    group.add_argument("--role-arn", metavar="ARN", help="Account B's role")
    group.add_argument("--external-id", metavar="ID", help="the External ID that A was given for this role")
    group.add_argument("--bucket", metavar="NAME", help="the bucket that A delivers to")
    group.add_argument("--prefix", help="what A delivers is below it")
    group.add_argument("--bucket-owner", metavar="ACCOUNT", help="account of the bucket (default: the role's)")
    group.add_argument("--session-name-prefix", metavar="TEXT", help="what each session's name begins with")


def run(arguments: argparse.Namespace, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Audit and print.

    :param sleep: keeps to the pace that CloudTrail allows.
    :returns: 0 when nothing stands out, 1 when something does, 2 when it could not be looked at.
    """
    try:
        report = _audit(arguments, sleep)
    except XacctError as error:
        print(f"airflow-xacct: {error}", file=sys.stderr)
        return EXIT_NOT_AUDITED
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        from rich.console import Console

        from airflow_xacct.audit.screen import show

        show(report, Console(highlight=False))
    return 0 if report.clean else EXIT_STANDS_OUT


def _audit(arguments: argparse.Namespace, sleep: Callable[[float], None]) -> Report:
    from airflow_xacct.access.task_identity import TaskIdentity
    from airflow_xacct.audit.history import History
    from airflow_xacct.audit.names import SessionNames
    from airflow_xacct.audit.refusals import explain
    from airflow_xacct.audit.report import Scope, make_report
    from airflow_xacct.audit.verdict import Expected
    from airflow_xacct.audit.window import window
    from airflow_xacct.cli.auditor import Auditor

    since, until, notes = window(arguments.day, arguments.since, arguments.until, now=datetime.now(UTC))
    destination = _destination(arguments)
    auditor = Auditor.of(destination, _source(arguments, destination), profile=arguments.profile, side=arguments.side)
    side = _side(arguments, destination, auditor)
    names = SessionNames(arguments.conn_id or "", destination.session_name_prefix)
    callers, caller_notes = _callers(arguments, auditor, side)
    regions = auditor.regions(destination, arguments.regions)
    history = History(
        {region: partial(auditor.client, destination, "cloudtrail", region) for region in regions},
        explain=lambda error, region: explain(
            error, destination=destination, auditor=auditor.arn, account=auditor.account, region=region
        ),
        skip_disabled=arguments.regions == "all",
        sleep=sleep,
    )
    landed = _landed(arguments, destination, names, auditor, since, until)
    reading = history.read(str(destination.role), since, until, granted_only=arguments.granted_only)
    scope = Scope(
        role_arn=str(destination.role),
        side=side,
        account=auditor.account,
        auditor_arn=auditor.arn,
        since=since,
        until=until,
        asked=TaskIdentity(arguments.dag or "", arguments.task or "", arguments.run or ""),
        callers=callers,
        notes=(*notes, *caller_notes),
    )
    return make_report(scope, reading, Expected(destination, names, callers), landed)


def _destination(arguments: argparse.Namespace) -> Destination:
    """The connection, with what the options change; without a connection, the options alone."""
    from dataclasses import replace

    from airflow_xacct.destination import parse

    given = {extra: value for option, extra in _EXTRAS.items() if (value := getattr(arguments, option)) is not None}
    if not arguments.conn_id and "role_arn" not in given:
        raise InvalidArgumentError(
            "neither a connection nor a role is named",
            where="airflow-xacct audit",
            remedy="Give the id of a connection, or --role-arn and --external-id.",
        )
    if not arguments.conn_id:
        return parse("of the options", {"allow_missing_external_id": "external_id" not in given, **given})
    from airflow_xacct.hooks.connections import load_destination

    destination = load_destination(arguments.conn_id)
    if not given:
        return destination
    own = {
        "role_arn": str(destination.role),
        "external_id": destination.external_id,
        "bucket": str(destination.bucket) if destination.bucket else None,
        "prefix": destination.prefix or None,
        "bucket_owner": None if "role_arn" in given else destination.bucket_owner,
        "session_name_prefix": destination.session_name_prefix or None,
    }
    merged = {name: value for name, value in {**own, **given}.items() if value is not None}
    changed = parse(arguments.conn_id, {"allow_missing_external_id": "external_id" not in merged, **merged})
    fields = ("role", "external_id", "bucket", "prefix", "bucket_owner", "session_name_prefix")
    return replace(destination, **{name: getattr(changed, name) for name in fields})


def _source(arguments: argparse.Namespace, destination: Destination) -> Any:
    """Whoever assumes the role of the connection; nobody is known without one."""
    if not arguments.conn_id:
        return None
    from airflow_xacct.hooks.connections import open_access

    return open_access(destination, policy="").source


def _side(arguments: argparse.Namespace, destination: Destination, auditor: Auditor) -> str:
    owner = destination.role.account
    if arguments.side == "b" and auditor.account != owner:
        raise InvalidArgumentError(
            f"{auditor.arn} is of account {auditor.account}, and the role is of account {owner}",
            where="--as b",
            remedy=f"Name a --profile of account {owner}, or look as a.",
        )
    return str(arguments.side or ("b" if auditor.account == owner else "a"))


def _callers(arguments: argparse.Namespace, auditor: Auditor, side: str) -> tuple[tuple[str, ...], list[str]]:
    """Who is expected to assume the role, and what the reader should know about it."""
    if arguments.caller:
        return tuple(arguments.caller), []
    if auditor.hop:
        notes = [f"Expected caller: {auditor.hop}, the role before it in the chain."]
        if side == "a" and auditor.hop.split(":")[4] != auditor.account:
            notes.append(f"Its calls are in the history of account {auditor.hop.split(':')[4]}, which this is not.")
        return (auditor.hop,), notes
    if auditor.is_source and side == "a":
        return (auditor.arn,), [f"Expected caller: {auditor.arn}, as which the audit runs; --caller names another."]
    return (), ["Who called was not checked: name the expected ones with --caller."]


def _landed(
    arguments: argparse.Namespace,
    destination: Destination,
    names: SessionNames,
    auditor: Auditor,
    since: datetime,
    until: datetime,
) -> list[Delivery]:
    found: list[Delivery] = []
    if arguments.manifest:
        from airflow_xacct.audit.deliveries import ManifestReader

        s3 = auditor.client(destination, "s3", destination.region_name or auditor.region)
        try:
            reader = ManifestReader(destination, names, s3)
            found += [reader.read(uri) for uri in dict.fromkeys(arguments.manifest)]
        finally:
            s3.close()
    if arguments.deliveries:
        if not arguments.conn_id:
            raise InvalidArgumentError("--deliveries needs a connection", where="airflow-xacct audit")
        from airflow_xacct.cli.asset_events import deliveries_of_airflow

        seen = {one.uri for one in found}
        found += [one for one in deliveries_of_airflow(destination, names, since, until) if one.uri not in seen]
    return found
