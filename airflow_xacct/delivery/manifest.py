"""The manifest: one small object, written last, that names every object of a delivery.

Its form is the one Redshift's COPY reads (AWS: *Using a manifest to specify data files*, and *COPY from columnar data
formats* for ``meta.content_length``); everything of ours is under the key ``xacct``, which COPY does not look at.

Two renderings of the same delivery are equal byte by byte: a later try that finishes the commit must put what the
first one would have put.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, Self

from airflow_xacct.delivery.attempt import Attempt
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.exceptions import DeliveryError

__all__ = ["FORMAT_VERSION", "Manifest", "ManifestEntry", "manifest_of", "tombstone_of"]

FORMAT_VERSION = 1

State = Literal["complete", "replacing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One object of a delivery.

    :param url: ``s3://bucket/key``.
    :param checksum_crc64nvme: of the full object, in base64.
    :param etag: as S3 answered; empty when that answer was lost.
    :param version_id: likewise; empty also where the bucket keeps no versions.
    :param rows: where the source counted them.
    """

    url: str
    size_bytes: int
    checksum_crc64nvme: str
    etag: str = ""
    version_id: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A delivery as its receiver sees it.

    :param state: ``"replacing"`` while a delivery that replaces this one is being committed; it then has no entries.
    :param token: what every object carries in its metadata.
    :param generation: how often the run had been cleared.
    :param session_arn: the assumed role session that delivered.
    :param created_at: when the attempt began, UTC, ISO 8601.
    :param skipped: URLs that were left out, since an object that is not part of the delivery holds them.
    """

    state: State
    token: str
    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    generation: int
    session_arn: str
    created_at: str
    entries: tuple[ManifestEntry, ...] = ()
    skipped: tuple[str, ...] = ()

    def render(self) -> bytes:
        """The bytes of the manifest."""
        ours: dict[str, Any] = {"format_version": FORMAT_VERSION}
        ours |= {f.name: getattr(self, f.name) for f in fields(self) if f.name != "entries"}
        ours["objects"] = [asdict(entry) for entry in self.entries]
        rows = [entry.rows for entry in self.entries]
        ours["totals"] = {
            "objects": len(self.entries),
            "size_bytes": sum(entry.size_bytes for entry in self.entries),
            "rows": None if None in rows or not rows else sum(count for count in rows if count is not None),
        }
        document = {
            "entries": [
                {"url": entry.url, "mandatory": True, "meta": {"content_length": entry.size_bytes}}
                for entry in self.entries
            ],
            "xacct": ours,
        }
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a manifest that was written by this package.

        :raises DeliveryError: it is something else.
        """
        try:
            document = json.loads(body)
            ours: Mapping[str, Any] = document["xacct"]
            plain = {f.name: ours[f.name] for f in fields(cls) if f.name not in ("entries", "skipped")}
            entries = tuple(ManifestEntry(**entry) for entry in ours["objects"])
            urls = [entry["url"] for entry in document["entries"]]
            manifest = cls(entries=entries, skipped=tuple(ours["skipped"]), **plain)
            version = ours["format_version"]
        except (KeyError, TypeError, ValueError) as exc:
            raise _unreadable(repr(exc)) from exc
        if version != FORMAT_VERSION:
            raise _unreadable(f"format version {version}")
        if urls != [entry.url for entry in entries]:
            raise _unreadable("the two lists of objects differ")
        return manifest


def _unreadable(why: str) -> DeliveryError:
    return DeliveryError(
        f"this is no manifest that this version can read: {why}", remedy="Look at its key xacct.format_version."
    )


def manifest_of(attempt: Attempt, identity: DeliveryIdentity) -> Manifest:
    """The manifest of an attempt whose objects all have an outcome."""
    delivered = attempt.delivered()
    return _manifest(
        attempt,
        identity,
        "complete",
        [
            ManifestEntry(
                url=identity.uri(o.key),
                size_bytes=o.size_bytes or 0,
                checksum_crc64nvme=o.checksum,
                etag=o.etag,
                version_id=o.version_id,
                rows=o.rows,
            )
            for o in delivered
            if o.outcome == "done"
        ],
        [identity.uri(o.key) for o in delivered if o.outcome == "foreign"],
    )


def tombstone_of(attempt: Attempt, identity: DeliveryIdentity) -> Manifest:
    """What stands in the place of a manifest while its objects are being replaced: no entries."""
    return _manifest(attempt, identity, "replacing", [], [])


def _manifest(
    attempt: Attempt,
    identity: DeliveryIdentity,
    state: State,
    entries: Sequence[ManifestEntry],
    skipped: Sequence[str],
) -> Manifest:
    head = attempt.head
    return Manifest(
        state=state,
        token=head.token,
        dag_id=identity.dag_id,
        task_id=identity.task_id,
        run_id=identity.run_id,
        map_index=identity.map_index,
        generation=head.generation,
        session_arn=head.session_arn,
        created_at=datetime.fromtimestamp(head.created_at, UTC).isoformat(timespec="seconds"),
        entries=tuple(entries),
        skipped=tuple(skipped),
    )
