"""``airflow-xacct policy``: everything both account owners must create."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_xacct.exceptions import InvalidArgumentError, InvalidConnectionError, XacctError

if TYPE_CHECKING:
    from airflow_xacct.destination import Destination
    from airflow_xacct.policies import File, Setup

__all__ = ["register", "run"]

_ANY_KEY = "any"
# AWS: *IAM and AWS STS quotas*, role trust policy length
_TRUST_POLICY_CHARS = 2048

# option -> extra of a connection; the ones that both have
_EXTRAS = {
    "role_arn": "role_arn",
    "external_id": "external_id",
    "bucket": "bucket",
    "prefix": "prefix",
    "bucket_owner": "bucket_owner",
    "region": "region_name",
    "kms_key": "kms_key_id",
    "duration_seconds": "duration_seconds",
    "session_name_prefix": "session_name_prefix",
    "session_tags": "session_tags",
    "source_identity": "source_identity",
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``policy`` command."""
    parser = subparsers.add_parser(
        "policy",
        help="print everything that both account owners must create",
        description=(
            "Print the policies, bucket settings and log settings that Account A and Account B must create for one "
            "destination, and nothing broader. Nothing is sent to AWS. With a connection its extras are used, and the "
            "options change them; without one Airflow need not be set up."
        ),
    )
    parser.add_argument("conn_id", metavar="CONN", nargs="?", help="a connection of type aws_xacct")
    _add_destination(parser)
    _add_trust(parser)
    _add_bucket(parser)
    what = parser.add_argument_group("output")
    what.add_argument("--format", choices=["json", "cloudformation", "terraform"], default="json", help="default: json")
    what.add_argument("--side", choices=["a", "b", "both"], default="both", help="default: both")
    what.add_argument("--output", metavar="DIR", help="write files into this directory instead of printing them")
    parser.set_defaults(func=run)


def _add_destination(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("destination", "instead of, or over, the connection's extras")
    group.add_argument("--role-arn", metavar="ARN", help="Account B's role, which may not exist yet")
    group.add_argument("--external-id", metavar="ID", help="what 'airflow-xacct external-id' printed for Account A")
    group.add_argument("--bucket", metavar="NAME", help="the bucket to write to")
    group.add_argument("--prefix", help="every key is below it")
    group.add_argument("--bucket-owner", metavar="ACCOUNT", help="account of the bucket (default: the role's)")
    group.add_argument("--region", help="region of the bucket")
    group.add_argument(
        "--kms-key",
        metavar="KEY",
        help="key that encrypts: its ARN, id or alias; or 'any' for whichever the bucket's default encryption uses",
    )
    group.add_argument("--duration-seconds", type=int, metavar="SECONDS", help="longest session (default: 3600)")
    group.add_argument("--session-name-prefix", metavar="TEXT", help="what each session's name begins with")
    group.add_argument("--session-tags", action="store_const", const=True, help="sessions carry DAG, task and run")
    group.add_argument("--source-identity", metavar="TEXT", help="source identity of the sessions")


def _add_trust(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("trust")
    group.add_argument("--principal", metavar="ARN", help="execution role (or user) of Airflow's workers in Account A")
    group.add_argument(
        "--trust",
        choices=["principal", "account", "organization"],
        default="principal",
        help="trust that principal (default); its account, with the principal as a condition; or an organisation",
    )
    group.add_argument("--organization", metavar="ID", help="the organisation, o-..., for --trust organization")
    group.add_argument(
        "--pod-identity", action="store_true", help="workers use EKS Pod Identity, whose session tags are transitive"
    )


def _add_bucket(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("role and bucket")
    group.add_argument(
        "--with",
        dest="abilities",
        metavar="LIST",
        default="",
        help="what the role may do beside writing: any of reads,tags,deletes",
    )
    group.add_argument(
        "--writer",
        action="append",
        default=[],
        metavar="ARN",
        help="one more role or user that may write below the prefix; may be repeated",
    )
    group.add_argument("--existing-bucket", action="store_true", help="the bucket is there: no template creates it")
    group.add_argument("--versioning", action="store_true", help="keep replaced objects as older versions")
    group.add_argument("--log-bucket", metavar="NAME", help="bucket for the access logs")
    group.add_argument("--trail", metavar="NAME", help="make a CloudTrail trail of data events, into the log bucket")


def run(arguments: argparse.Namespace) -> int:
    """Print the documents, or write them.

    :returns: the exit status.
    :raises XacctError: what is asked for cannot be set up.
    """
    from airflow_xacct.policies import files, printed

    setup = _setup(arguments)
    sides: Any = ("a", "b") if arguments.side == "both" else (arguments.side,)
    made = files(setup, arguments.format, sides)
    if arguments.output:
        _write(Path(arguments.output), made)
    else:
        print("\n".join(printed(file) for file in made), end="")
    if "b" in sides:
        _advise(setup)
    return 0


def _setup(arguments: argparse.Namespace) -> Setup:
    from airflow_xacct.policies import Setup

    extras: dict[str, Any] = {}
    principal = arguments.principal
    if arguments.conn_id:
        extras, found = _of_connection(arguments.conn_id)
        principal = principal or found
    given = {extra: value for option, extra in _EXTRAS.items() if (value := getattr(arguments, option)) is not None}
    if extras.get("session_tags"):
        given.pop("session_tags", None)  # the connection's may name further ones
    extras |= given
    if not extras.get("role_arn"):
        raise InvalidArgumentError(
            "neither a connection nor a role is named",
            where="airflow-xacct policy",
            remedy="Give the id of a connection, or --role-arn, --external-id and --bucket.",
        )
    any_key = extras.get("kms_key_id") == _ANY_KEY
    if any_key:
        del extras["kms_key_id"]
    if not extras.get("external_id"):
        extras["allow_missing_external_id"] = True  # the trust policy refuses, with a remedy for its owner
    return Setup.of(
        _parse(arguments.conn_id, extras),
        principal=principal,
        trust=arguments.trust,
        organization=arguments.organization,
        writers=arguments.writer,
        abilities=[item.strip() for item in arguments.abilities.split(",") if item.strip()],
        pod_identity=arguments.pod_identity,
        any_kms_key=any_key,
        log_bucket=arguments.log_bucket,
        trail=arguments.trail,
        versioning=arguments.versioning,
        existing_bucket=arguments.existing_bucket,
    )


def _parse(conn_id: str | None, extras: Mapping[str, Any]) -> Destination:
    """Check what is to be used; without a connection, problems are told by the names of the options."""
    from airflow_xacct.destination import parse

    try:
        return parse(conn_id or "airflow-xacct policy", extras)
    except InvalidConnectionError as error:
        if conn_id:
            raise
        options = {extra: "--" + option.replace("_", "-") for option, extra in _EXTRAS.items()}
        named = [problem.split(":", 1) for problem in error.problems]
        raise InvalidArgumentError(
            "\n  - ".join(["the options cannot be used:", *(f"{options.get(at, at)}:{text}" for at, text in named)])
        ) from error


def _of_connection(conn_id: str) -> tuple[dict[str, Any], str | None]:
    """The extras of a connection that matter here, and who assumes its role, where a chain says so."""
    from airflow_xacct.hooks.connections import load_destination

    destination = load_destination(conn_id)
    extras = _extras(destination)
    principal: str | None = None
    seen = {conn_id}
    hop = destination
    while hop.source_conn_id and hop.source_conn_id not in seen:
        seen.add(hop.source_conn_id)
        try:
            hop = load_destination(hop.source_conn_id)
        except XacctError as error:
            if principal is None:
                print(f"airflow-xacct: who assumes the role is not known: {error}", file=sys.stderr)
            break
        principal = principal or str(hop.role)
        # a source identity stays through a chain, and so do transitive tags
        extras["source_identity"] = extras.get("source_identity") or hop.source_identity
        if hop.tags_sessions and not extras.get("session_tags"):
            extras["session_tags"] = hop.session_tags or True
    return extras, principal


def _extras(destination: Destination) -> dict[str, Any]:
    values: Mapping[str, Any] = {
        "role_arn": str(destination.role),
        "external_id": destination.external_id,
        "bucket": str(destination.bucket or "") or None,
        "prefix": destination.prefix or None,
        "bucket_owner": destination.bucket_owner,
        "region_name": destination.region_name,
        "kms_key_id": destination.kms_key_id,
        "duration_seconds": destination.duration_seconds,
        "session_name_prefix": destination.session_name_prefix or None,
        "session_tags": destination.session_tags or destination.tags_sessions or None,
        "source_identity": destination.source_identity,
    }
    return {name: value for name, value in values.items() if value is not None}


def _write(directory: Path, made: list[File]) -> None:
    for file in made:
        path = directory / file.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, encoding="utf-8")
        except OSError as error:
            raise InvalidArgumentError(
                f"{path} cannot be written: {error.strerror}",
                where="--output",
                remedy="Name a directory that can be written to.",
            ) from error
    print(f"In {directory}, where the commands below are to be run:")
    for file in made:
        print(f"\n{file.path}\n  {file.owner}: {file.title}")
        for note in file.notes:
            print(f"  {note}")


def _advise(setup: Setup) -> None:
    """Say on standard error what is open, so that the documents on standard output stay as they are."""
    from airflow_xacct.policies.access import trust_policy
    from airflow_xacct.policies.setup import PRINCIPAL_PLACEHOLDER

    if setup.trust == "principal" and not setup.principal:
        print(
            f"airflow-xacct: give --principal, the execution role of Account A: {PRINCIPAL_PLACEHOLDER} stands for it, "
            "and IAM refuses to store that.",
            file=sys.stderr,
        )
    length = len(json.dumps(trust_policy(setup), separators=(",", ":")))
    if length > _TRUST_POLICY_CHARS:
        print(
            f"airflow-xacct: the trust policy has {length} characters, and IAM takes {_TRUST_POLICY_CHARS} unless "
            "Account B has the quota raised (AWS: IAM and AWS STS quotas).",
            file=sys.stderr,
        )
    if not setup.prefix:
        print(
            "airflow-xacct: without --prefix the role writes to the whole bucket, and nobody else to any of it.",
            file=sys.stderr,
        )
    if setup.kms_key is None:
        print(
            "airflow-xacct: without --kms-key the role may use no KMS key. If the bucket's default encryption is "
            "SSE-KMS, give the key, or 'any'.",
            file=sys.stderr,
        )
