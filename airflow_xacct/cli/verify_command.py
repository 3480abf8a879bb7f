"""``airflow-xacct verify``: is the delivery what its manifest says, asked by whoever received it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_xacct.exceptions import InvalidArgumentError, NoCredentialsError, XacctError

if TYPE_CHECKING:
    from airflow_xacct.verify.place import Place
    from airflow_xacct.verify.reading import BucketReader
    from airflow_xacct.verify.report import Report

__all__ = ["register", "run"]

_EXIT = {"true": 0, "false": 1, "unseen": 2}
EXIT_NOT_SEEN = 2
_MOST_JOBS = 64
# where AWS's own endpoints answer without knowing the bucket's region; S3 then says where it is
_ANY_REGION = "us-east-1"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``verify`` command."""
    parser = subparsers.add_parser(
        "verify",
        help="check a delivery as its receiver",
        description=(
            "Read the manifest of a delivery with your own credentials, and check that every object is there with the "
            "size and the checksum it says. Nothing outside the manifest's bucket and prefix is asked for, whatever it "
            "says. Exit status: 0 all of it is true, 1 something is not, 2 it could not be looked at."
        ),
    )
    parser.add_argument("manifest", metavar="MANIFEST", help="s3://bucket/prefix/_manifest.json, or a local copy")
    parser.add_argument("--recompute", action="store_true", help="read every byte, and compute checksums and rows anew")
    parser.add_argument(
        "--strict", action="store_true", help="an object below the prefix that the manifest does not name is a failure"
    )
    parser.add_argument(
        "--prefix",
        help="the prefix that objects may lie below (default: the folder of the manifest; the whole bucket is '')",
    )
    parser.add_argument("--bucket", metavar="NAME", help="the bucket of the delivery, for a local copy of its manifest")
    parser.add_argument("--jobs", type=int, default=8, metavar="N", help="objects at once (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    group = parser.add_argument_group("who looks, and where")
    group.add_argument("--profile", metavar="NAME", help="profile to look with (default: as the AWS CLI does)")
    group.add_argument("--region", help="region of the bucket (default: the profile's or this machine's)")
    group.add_argument(
        "--endpoint-url", metavar="URL", help="S3's endpoint, such as a VPC endpoint; outside AWS also that of STS"
    )
    group.add_argument(
        "--expected-owner",
        metavar="ACCOUNT",
        help="account that must own the bucket (default: your own, as STS tells it)",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Verify and print.

    :returns: 0 when the delivery is what its manifest says, 1 when it is not, 2 when it could not be looked at.
    """
    try:
        report = _verified(arguments)
    except XacctError as error:
        print(f"airflow-xacct: {error}", file=sys.stderr)
        return EXIT_NOT_SEEN
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        from rich.console import Console

        from airflow_xacct.verify.screen import Screen

        Screen(Console(highlight=False)).show(report)
    return _EXIT[report.verdict]


def _verified(arguments: argparse.Namespace) -> Report:
    from airflow_xacct.verify.run import Verification, Wishes

    if not 1 <= arguments.jobs <= _MOST_JOBS:
        raise InvalidArgumentError(
            f"{arguments.jobs} objects at once are not possible",
            where="--jobs",
            remedy=f"Give 1 to {_MOST_JOBS}.",
        )
    place, key, copy = _where(arguments)
    wishes = Wishes(recompute=arguments.recompute, strict=arguments.strict, jobs=arguments.jobs)
    with _receiver(arguments) as receiver, _Bar(show_bytes=arguments.recompute) as bar:
        reader = receiver.reader(place)
        verification = Verification(reader, place, wishes, bar, owner=receiver.owner, looked_as=receiver.who)
        return verification.of_key(key) if copy is None else verification.of_copy(arguments.manifest, copy)


def _where(arguments: argparse.Namespace) -> tuple[Place, str, bytes | None]:
    """The place of the objects, the manifest's key, and its bytes where it is a local copy."""
    from airflow_xacct.verify.place import Place, split_uri

    uri = arguments.manifest
    if uri.startswith("s3://"):
        if arguments.bucket:
            raise InvalidArgumentError(
                "the URI names the bucket already", where="--bucket", remedy="It is for a local copy: leave it out."
            )
        bucket, key = split_uri(uri, where="MANIFEST")
        prefix = key[: key.rfind("/") + 1] if arguments.prefix is None else arguments.prefix
        return Place.of(bucket, prefix), key, None
    if not arguments.bucket or arguments.prefix is None:
        raise InvalidArgumentError(
            "a local copy does not say where its delivery must be",
            where="MANIFEST",
            remedy="Give --bucket and --prefix, or the manifest as s3://bucket/prefix/_manifest.json.",
        )
    return Place.of(arguments.bucket, arguments.prefix), "", _local(uri)


def _local(path: str) -> bytes:
    from airflow_xacct.verify.claims import MANIFEST_MAX_BYTES

    try:
        with open(path, "rb") as stream:
            return stream.read(MANIFEST_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(
            f"the manifest {path!r} cannot be read ({error})",
            where="MANIFEST",
            remedy="Give s3://bucket/prefix/_manifest.json or a file.",
        ) from error


@dataclass(frozen=True)
class _Receiver:
    """Whoever looks.

    :param owner: the account that must own the bucket.
    :param who: the caller in words.
    """

    s3: Any
    owner: str
    who: str

    def reader(self, place: Place) -> BucketReader:
        from airflow_xacct.verify.reading import BucketReader

        return BucketReader(self.s3, place, owner=self.owner, who=self.who)


@contextmanager
def _receiver(arguments: argparse.Namespace) -> Iterator[_Receiver]:
    """Find credentials as every AWS tool does, and make the client.

    :raises AccessError: there are none, or STS does not know them.
    """
    from airflow_xacct.access.guards import guard_bucket_owner
    from airflow_xacct.access.session import worker_region
    from airflow_xacct.destination.endpoints import is_aws_host, parse_endpoint_url
    from airflow_xacct.destination.options import DeploymentOptions, split_host

    url = arguments.endpoint_url
    outside_aws = False
    if url:
        # whoever types a host means it; the form, and https for AWS's own, are checked all the same
        authority = url.partition("://")[2].split("/", 1)[0]
        host = (split_host(authority) or ("", None))[0]
        named = f"[{host}]" if ":" in host else host
        url = parse_endpoint_url(url, DeploymentOptions((named,) if host else ()))
        outside_aws = not is_aws_host(host)
    session, name = _session(arguments.profile)
    region = arguments.region or session.get_config_variable("region") or worker_region() or _ANY_REGION
    owner = _account(arguments.expected_owner)
    who = name
    if not owner:
        who, owner = _caller(session, region, url if outside_aws else None, name)
    guard_bucket_owner(session.get_component("event_emitter"), bucket_owner=owner)
    s3 = _client(session, "s3", region, url, arguments.jobs)
    try:
        yield _Receiver(s3, owner, who)
    finally:
        s3.close()


def _session(profile: str | None) -> tuple[Any, str]:
    """A botocore session with credentials, and whose they are in words."""
    import botocore.session

    name = f"profile {profile!r}" if profile else "the credentials of this machine"
    try:
        session = botocore.session.Session(profile=profile)
        if session.get_credentials() is not None:
            return session, name
        why = "there are none"
    except Exception as error:  # noqa: BLE001 - a broken config file, a profile that is not there, a failed sign-in
        why = str(error)
    raise NoCredentialsError(
        f"{name} cannot be used ({why})",
        where="--profile" if profile else "looked where every AWS tool looks",
        remedy="Name a --profile of the shared config or credentials file, or sign in.",
    )


def _account(text: str | None) -> str:
    if text is None or (len(text) == 12 and text.isascii() and text.isdigit()):
        return text or ""
    raise InvalidArgumentError(
        f"{text!r} is not the id of an account", where="--expected-owner", remedy="It has 12 digits."
    )


def _caller(session: Any, region: str, url: str | None, name: str) -> tuple[str, str]:
    """ARN and account of whoever looks (AWS: *GetCallerIdentity*; it needs no permission)."""
    from airflow_xacct.verify.refusals import explain

    try:
        sts = _client(session, "sts", region, url, 1)
        try:
            answer = sts.get_caller_identity()
        finally:
            sts.close()
    except Exception as error:
        raise explain(error, action="sts:GetCallerIdentity", resource=name, who=name, owner="") from error
    return str(answer["Arn"]), str(answer["Account"])


def _client(session: Any, service: str, region: str, url: str | None, jobs: int) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=jobs + 1,
        retries={"mode": "standard"},  # how often is up to AWS_MAX_ATTEMPTS
        # bytes are compared with the manifest here, and a part of an object has no checksum of its own
        response_checksum_validation="when_required",
    )
    return session.create_client(service, region_name=region, endpoint_url=url, config=config)


class _Bar:
    """A progress bar on standard error; nothing at all where that is no terminal."""

    def __init__(self, *, show_bytes: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        count = DownloadColumn() if show_bytes else MofNCompleteColumn()
        self._progress = Progress(
            TextColumn("Looking"), BarColumn(), count, TimeRemainingColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._show_bytes = show_bytes
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, objects: int, size_bytes: int) -> None:
        """So much there is to do."""
        self._progress.update(self._task, total=size_bytes if self._show_bytes else objects)

    def advance(self, *, objects: int = 0, size_bytes: int = 0) -> None:
        """So much of it is done; called from several threads."""
        self._progress.advance(self._task, size_bytes if self._show_bytes else objects)
