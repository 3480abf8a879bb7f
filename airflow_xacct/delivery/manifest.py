"""The manifest: one small object, written last, that names every object of a delivery.

Its form is the one Redshift's COPY reads (AWS: *Using a manifest to specify data files*, and *COPY from columnar data
formats* for ``meta.content_length``); everything of ours is under the key ``xacct``, which COPY does not look at.

Two renderings of the same delivery are equal byte by byte: a later try that finishes the commit must put what the
first one would have put.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

from airflow_xacct.delivery.attempt import Attempt
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.payload import Role
from airflow_xacct.exceptions import DeliveryError

__all__ = ["FORMAT_VERSION", "BesideEntry", "Manifest", "ManifestEntry", "claim_of", "manifest_of", "tombstone_of"]

FORMAT_VERSION = 1
_BESIDE = ("auxiliary", "emptied")

State = Literal["complete", "delivering", "replacing"]


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
class BesideEntry:
    """One object that belongs to a delivery and holds none of its rows.

    :param url: ``s3://bucket/key``.
    :param checksum_crc64nvme: of the full object, in base64.
    """

    url: str
    size_bytes: int
    checksum_crc64nvme: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A delivery as its receiver sees it.

    :param state: ``"replacing"`` while a delivery that replaces this one is being committed, ``"delivering"`` while
        the first one at this key is; it then has no entries.
    :param token: what every object carries in its metadata.
    :param generation: how often the run had been cleared.
    :param session_arn: the assumed role session that delivered.
    :param created_at: when the attempt began, UTC, ISO 8601.
    :param skipped: URLs that were left out, since an object that is not part of the delivery holds them.
    :param auxiliary: objects that describe the data, such as a schema.
    :param emptied: objects without rows, in the place of those of an earlier delivery that has none here any more.
    :param dump: what the data is, where a dump made it; JSON.
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
    auxiliary: tuple[BesideEntry, ...] = ()
    emptied: tuple[BesideEntry, ...] = ()
    dump: Mapping[str, Any] | None = None

    def render(self) -> bytes:
        """The bytes of the manifest."""
        ours: dict[str, Any] = {"format_version": FORMAT_VERSION}
        ours |= {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("entries", *_BESIDE)}
        rows = [entry.rows for entry in self.entries]
        ours["totals"] = {
            "objects": len(self.entries),
            "size_bytes": sum(entry.size_bytes for entry in self.entries),
            "rows": None if None in rows or not rows else sum(count for count in rows if count is not None),
        }
        entries = _lines(
            {"url": entry.url, "mandatory": True, "meta": {"content_length": entry.size_bytes}}
            for entry in self.entries
        )
        lists = {name: _lines(map(asdict, getattr(self, name))) for name in _BESIDE}
        lists["objects"] = _lines(map(asdict, self.entries))
        members = [f"{_text(name)}: {_text(value)}" for name, value in ours.items()]
        members += [f"{_text(name)}: {lines}" for name, lines in lists.items()]
        joined = ",\n".join(members)
        return f'{{"entries": {entries},\n"xacct": {{{joined}}}}}\n'.encode()

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a manifest that was written by this package.

        :raises DeliveryError: it is something else.
        """
        try:
            document = json.loads(body)
            ours: Mapping[str, Any] = document["xacct"]
            plain = {name: ours[name] for name in _PLAIN}
            entries = tuple(ManifestEntry(**entry) for entry in ours["objects"])
            urls = [entry["url"] for entry in document["entries"]]
            manifest = cls(
                entries=entries,
                skipped=tuple(ours["skipped"]),
                # these came later: a manifest without them says the same as one where they are empty
                auxiliary=tuple(BesideEntry(**entry) for entry in ours.get("auxiliary", ())),
                emptied=tuple(BesideEntry(**entry) for entry in ours.get("emptied", ())),
                dump=ours.get("dump"),
                **plain,
            )
            version = ours["format_version"]
        except (KeyError, TypeError, ValueError) as exc:
            raise _unreadable(repr(exc)) from exc
        if version != FORMAT_VERSION:
            raise _unreadable(f"format version {version}")
        if urls != [entry.url for entry in entries]:
            raise _unreadable("the two lists of objects differ")
        return manifest


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(objects: Iterable[Mapping[str, Any]]) -> str:
    """A list with a line for each object: readable, and unlike ``indent`` not written in Python, letter by letter."""
    lines = ",\n".join(map(_text, objects))
    return f"[\n{lines}\n]" if lines else "[]"


_PLAIN = tuple(f.name for f in fields(Manifest) if f.name not in ("entries", "skipped", "dump", *_BESIDE))


def _unreadable(why: str) -> DeliveryError:
    return DeliveryError(
        f"this is no manifest that this version can read: {why}", remedy="Look at its key xacct.format_version."
    )


def manifest_of(attempt: Attempt, identity: DeliveryIdentity) -> Manifest:
    """The manifest of an attempt whose objects all have an outcome."""
    delivered = attempt.delivered()
    return replace(
        _manifest(attempt, identity, "complete"),
        entries=tuple(
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
        ),
        skipped=tuple(identity.uri(o.key) for o in delivered if o.outcome == "foreign"),
        auxiliary=_beside(attempt, identity, "auxiliary"),
        emptied=_beside(attempt, identity, "stand_in"),
        dump=attempt.description,
    )


def tombstone_of(attempt: Attempt, identity: DeliveryIdentity) -> Manifest:
    """What stands in the place of a manifest while its objects are being replaced: no entries."""
    return _manifest(attempt, identity, "replacing")


def claim_of(attempt: Attempt, identity: DeliveryIdentity) -> Manifest:
    """What takes the manifest's key for a delivery that depends on having it: no entries yet."""
    return _manifest(attempt, identity, "delivering")


def _beside(attempt: Attempt, identity: DeliveryIdentity, role: Role) -> tuple[BesideEntry, ...]:
    return tuple(
        BesideEntry(url=identity.uri(o.key), size_bytes=o.size_bytes or 0, checksum_crc64nvme=o.checksum)
        for o in attempt.of(role)
        if o.outcome == "done"
    )


def _manifest(attempt: Attempt, identity: DeliveryIdentity, state: State) -> Manifest:
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
    )
