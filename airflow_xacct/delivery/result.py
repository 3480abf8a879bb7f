"""What a delivery returns: small enough for XCom, and nothing in it that is secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from airflow_xacct.delivery.attempt import Attempt
from airflow_xacct.delivery.identity import DeliveryIdentity

__all__ = ["DeliveryResult", "result_of"]

_NAMED_CHARACTERS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """A delivery that is complete, or was left out.

    Only data is counted: no manifest, schema file, success marker or object without rows in the place of an earlier
    one.

    :param uri: of the object where only one was planned, else of the dataset.
    :param manifest_uri: empty without a manifest.
    :param objects: how many objects were delivered.
    :param skipped: how many were left out (``if_exists="skip"``): those whose key an object held; or, where the
        manifest's key decides about the whole delivery and was taken, all of them.
    :param skipped_keys: the first of their keys; the manifest has all of them, if there is one.
    :param rows: how many records, where every source counted them.
    :param bytes: the size of the objects, as stored.
    :param checksum: CRC64NVME in base64 of the manifest, or of the single object without one; empty when nothing was
        delivered.
    :param token: what every object carries in its metadata (``x-amz-meta-xacct-token``).
    """

    uri: str
    manifest_uri: str = ""
    objects: int = 0
    skipped: int = 0
    skipped_keys: tuple[str, ...] = ()
    rows: int | None = None
    bytes: int = 0
    checksum: str = ""
    token: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a value that JSON, and so XCom, can hold."""
        value = asdict(self)
        value["skipped_keys"] = list(self.skipped_keys)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`; what a later version added is ignored."""
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        known["skipped_keys"] = tuple(known.get("skipped_keys", ()))
        return cls(**known)


def result_of(attempt: Attempt, identity: DeliveryIdentity) -> DeliveryResult:
    """The result of an attempt whose objects all have an outcome."""
    done = [o for o in attempt.delivered() if o.outcome == "done"]
    skipped = [o.key for o in attempt.delivered() if o.outcome == "foreign"]
    rows = [o.rows for o in done]
    manifest = attempt.manifest
    written = manifest is not None and manifest.outcome == "done"
    single = done[0] if len(done) == len(attempt.delivered()) == 1 else None
    named: list[str] = []
    for key in skipped:
        if sum(map(len, named)) + len(key) > _NAMED_CHARACTERS:
            break
        named.append(key)
    return DeliveryResult(
        uri=identity.uri(single.key if single else identity.dataset),
        manifest_uri=identity.uri(attempt.manifest_key) if written else "",
        objects=len(done),
        skipped=len(skipped),
        skipped_keys=tuple(named),
        rows=None if None in rows or not rows else sum(count for count in rows if count is not None),
        bytes=sum(o.size_bytes or 0 for o in done),
        checksum=manifest.checksum if manifest and written else single.checksum if single else "",
        token=attempt.head.token,
    )
