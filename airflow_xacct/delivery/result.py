"""What a delivery returns: small enough for XCom, and nothing in it that is secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

__all__ = ["DeliveryResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """A delivery that is complete.

    :param uri: of the object where only one was planned, else of the dataset.
    :param manifest_uri: empty without a manifest.
    :param objects: how many objects were delivered, without the manifest.
    :param skipped: how many were left out since an object held their key (``if_exists="skip"``).
    :param skipped_keys: the first of their keys; all of them are in the manifest.
    :param rows: how many records, where every source counted them.
    :param bytes: the size of the objects, without the manifest, as stored.
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
