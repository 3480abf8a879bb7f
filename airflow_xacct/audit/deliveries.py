"""What landed, as manifests and asset events tell it, and whether they can be believed.

Whoever may write below the prefix can write a manifest, so nothing in it is taken on trust: it counts only where it
lies in the destination, names objects of the destination alone, and names the session that its own DAG, task and run
would have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.audit.names import SessionNames
from airflow_xacct.delivery.manifest import Manifest
from airflow_xacct.destination import Destination
from airflow_xacct.exceptions import InvalidArgumentError, XacctError

__all__ = ["Delivery", "ManifestReader", "delivery_of_event", "delivery_of_manifest"]

#: Ten thousand objects take about 4 MB.
MANIFEST_MAX_BYTES = 64 * 1024 * 1024
_URI = re.compile(r"s3://(?P<bucket>arn:aws[^/]*/[^/]+|[^/]+)/(?P<key>.+)", re.DOTALL)
_LONGEST_PROBLEM_CHARS = 160
_LARGEST_COUNT = 2**63 - 1
_NOBODY = TaskIdentity()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery, or what claims to be one.

    :param uri: of the manifest, or the path of a local copy; of the data for an asset event without a manifest.
    :param problems: why it cannot be believed; then it is joined with no session.
    :param evidence: what told it.
    """

    uri: str
    evidence: str
    session_arn: str = ""
    identity: TaskIdentity = _NOBODY
    state: str = ""
    objects: int = 0
    size_bytes: int = 0
    rows: int | None = None
    created_at: datetime | None = None
    problems: tuple[str, ...] = ()


class ManifestReader:
    """Reads manifests with the rights of whoever audits, which may be none.

    :param destination: whose manifests they are to be.
    :param s3: an S3 client.
    """

    def __init__(self, destination: Destination, names: SessionNames, s3: Any) -> None:
        self._destination = destination
        self._names = names
        self._s3 = s3

    def read(self, uri: str) -> Delivery:
        """Read one manifest; what cannot be read or believed becomes a problem of the result.

        :param uri: ``s3://bucket/key``, or a local path.
        :raises InvalidArgumentError: it is neither, or there is no such file.
        """
        if not uri.startswith("s3://"):
            return delivery_of_manifest(uri, _local(uri), self._destination, self._names)
        match = _URI.fullmatch(uri)
        if match is None:
            raise InvalidArgumentError(
                f"{uri!r} is not the URI of an object", where="--manifest", remedy="Give s3://bucket/key."
            )
        try:
            answer = self._s3.get_object(
                Bucket=match["bucket"], Key=match["key"], ExpectedBucketOwner=self._destination.bucket_owner
            )
            with answer["Body"] as stream:
                body = stream.read(MANIFEST_MAX_BYTES + 1)
        except Exception as error:  # noqa: BLE001 - whatever it was, the audit goes on without this manifest
            return Delivery(uri=uri, evidence="manifest", problems=(_unread(error, self._destination.bucket_owner),))
        return delivery_of_manifest(uri, body, self._destination, self._names)


def _local(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            return stream.read(MANIFEST_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(
            f"the manifest {path!r} cannot be read ({error})",
            where="--manifest",
            remedy="Give s3://bucket/key or a file.",
        ) from error


def _unread(error: Exception, owner: str) -> str:
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    if code in ("AccessDenied", "403"):
        return (
            f"it cannot be read: s3:GetObject is denied to this identity, or account {owner} does not own the bucket; "
            "ask its owner to run the audit, or for a copy of the manifest"
        )
    return f"it cannot be read ({code or type(error).__name__})"


def delivery_of_manifest(uri: str, body: bytes, destination: Destination, names: SessionNames) -> Delivery:
    """Read the bytes of a manifest, and check everything in it that can be checked."""
    if len(body) > MANIFEST_MAX_BYTES:
        return Delivery(uri=uri, evidence="manifest", problems=("it is too large for a manifest",))
    try:
        manifest = Manifest.parse(body)
        found = _delivery(uri, manifest)
    except XacctError as error:
        # without a cause it is of another version; with one, what it quotes is somebody else's text
        what = error.what if error.__cause__ is None else "this is no manifest of ours"
        return Delivery(uri=uri, evidence="manifest", problems=(what[:_LONGEST_PROBLEM_CHARS],))
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError):
        return Delivery(uri=uri, evidence="manifest", problems=("this is no manifest of ours",))
    urls = [entry.url for entry in manifest.entries]
    if uri.startswith("s3://"):
        urls.append(uri)
    problems = (*_session_problems(found, destination, names), *_place_problems(urls, destination))
    return _with(found, problems)


def _delivery(uri: str, manifest: Manifest) -> Delivery:
    texts = (manifest.dag_id, manifest.task_id, manifest.run_id, manifest.session_arn, manifest.state)
    sizes = [entry.size_bytes for entry in manifest.entries]
    rows = [entry.rows for entry in manifest.entries]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(e.url, str) for e in manifest.entries):
        raise TypeError("a text is none")
    if any(_count(number) is None for number in (manifest.map_index + 1, *sizes, *(r for r in rows if r is not None))):
        raise TypeError("a number is none")
    return Delivery(
        uri=uri,
        evidence="manifest",
        session_arn=manifest.session_arn,
        identity=TaskIdentity(manifest.dag_id, manifest.task_id, manifest.run_id, manifest.map_index),
        state=manifest.state,
        objects=len(sizes),
        size_bytes=sum(sizes),
        rows=None if None in rows or not rows else sum(count for count in rows if count is not None),
        created_at=datetime.fromisoformat(manifest.created_at).astimezone(UTC),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT else None


def delivery_of_event(
    extra: Mapping[str, Any],
    identity: TaskIdentity,
    created_at: datetime,
    destination: Destination,
    names: SessionNames,
) -> Delivery:
    """A delivery that an asset event of Airflow tells of: written by the task itself, into A's own database.

    :param extra: of the event, as our operators write it.
    :param identity: the task instance the event names.
    """
    uri = str(extra.get("manifest_uri") or extra.get("uri") or "")
    found = Delivery(
        uri=uri,
        evidence="asset event",
        session_arn=f"{_sessions_of(destination)}{names.of(identity)}",
        identity=identity,
        state="complete",
        objects=_count(extra.get("objects")) or 0,
        size_bytes=_count(extra.get("bytes")) or 0,
        rows=_count(extra.get("rows")),
        created_at=created_at,
    )
    return _with(found, tuple(_place_problems([uri], destination)))


def _sessions_of(destination: Destination) -> str:
    role = destination.role
    return f"arn:{role.partition}:sts::{role.account}:assumed-role/{role.name}/"


def _session_problems(found: Delivery, destination: Destination, names: SessionNames) -> list[str]:
    prefix = _sessions_of(destination)
    if not found.session_arn.startswith(prefix):
        return [f"it names a session of another role: {found.session_arn}"]
    name = found.session_arn[len(prefix) :]
    if name != names.of(found.identity):
        return [f"it names session {name}, which is not what a session of its own DAG, task and run is called"]
    return []


def _place_problems(urls: list[str], destination: Destination) -> list[str]:
    if destination.bucket is None:
        return []
    place = f"s3://{destination.bucket}/{destination.prefix}"
    outside = [url for url in urls if not url.startswith(place)]
    if not outside:
        return []
    more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
    return [f"it lies outside {place}, or names what does: {outside[0]}{more}"]


def _with(found: Delivery, problems: tuple[str, ...]) -> Delivery:
    return replace(found, problems=(*found.problems, *problems))
