"""What will be delivered, decided before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from airflow_xacct.delivery.plan import Objects
from airflow_xacct.delivery.request import Describe, StandIn
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["DEFAULT_MANIFEST_NAME", "DeliveryPlan", "IfExists", "check_if_exists", "text_mapping"]

IfExists = Literal["error", "replace", "skip"]

DEFAULT_MANIFEST_NAME = "_manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPlan:
    """What a task hands to the delivery.

    :param objects: full keys and their bytes. A sequence whose payloads are not open yet, or an iterable that makes
        one object after the other, or what makes one of the name of a version.
    :param manifest_key: full key of the manifest; ``None`` for none.
    :param attributes: what S3 stores beside the manifest, and, but for the content type, beside each object.
    :param root: the full prefix that the task named, or its exact key: what the delivery is called.
    :param signature: says what is delivered, as far as the keys do not.

    The others are as in :meth:`~airflow_xacct.delivery.commit.DeliveryEngine.deliver`.
    """

    objects: Objects
    manifest_key: str | None
    attributes: ObjectAttributes
    root: str
    if_exists: IfExists
    signature: str = ""
    tombstone: bool = True
    whole: bool = False
    success_key: str = ""
    stand_in: StandIn | None = None
    describe: Describe | None = None
    versions: str = ""


def text_mapping(given: Mapping[str, str] | None, where: str) -> dict[str, str]:
    """Metadata and tags as text.

    :param where: ``"metadata"`` or ``"tags"``.
    :raises InvalidArgumentError: S3 would refuse them, or keep them in another form than given.
    """
    result: dict[str, str] = {}
    for name, value in (given or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgumentError(
                f"{where} hold {name!r}: {type(value).__name__}", where=where, remedy="Names and values are text."
            )
        if where == "metadata" and not (name.isascii() and value.isascii()):
            raise InvalidArgumentError(
                f"the metadata {name!r} is not ASCII",
                where=where,
                remedy="S3 keeps user metadata in HTTP headers: encode it, or put it into tags.",
            )
        result[name] = value
    return result


def check_if_exists(value: object) -> None:
    """Refuse what is no way to treat an object that is there already.

    :raises InvalidArgumentError: it is none.
    """
    if value not in ("error", "replace", "skip"):
        raise InvalidArgumentError(
            f"if_exists={value!r} is not known", where="if_exists", remedy="It is 'error', 'replace' or 'skip'."
        )
