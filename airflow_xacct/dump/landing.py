"""Where a dump lands: its root, its manifest, and what S3 stores beside its objects. The same for every source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.destination import Destination, resolve_key, resolve_prefix
from airflow_xacct.dump.formats import check_choice
from airflow_xacct.dump.naming import VERSIONS_FOLDER, PartitionValue, partition_path
from airflow_xacct.dump.plan import DEFAULT_MANIFEST_NAME, DeliveryPlan, IfExists, check_if_exists, text_mapping
from airflow_xacct.dump.schema import DumpSchema, schema_document
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["LAYOUTS", "Landing", "LandingSpec", "Layout"]

Layout = Literal["in_place", "versioned"]
LAYOUTS: tuple[Layout, ...] = ("in_place", "versioned")

SCHEMA_NAME = "_schema.json"
SUCCESS_NAME = "_SUCCESS"

MAX_DESCRIPTION_BYTES = 256 * 1024
"""The most that a manifest says of the data as a whole, since all of it goes through the log: some 2,500 columns. Above
that the columns are left out; a schema file has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LandingSpec:
    """What a task declares about that, after its templates were rendered; see ``DeliveryOperator``.

    :param layout: ``"in_place"`` (keys that stay the same), or ``"versioned"`` (each delivery in a folder of its own,
        which the manifest names).
    :param schema_file: deliver ``_schema.json`` too.
    :param success_file: end with an empty ``_SUCCESS``.
    """

    metadata: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    storage_class: str | None = None
    kms_key_id: str | None = None
    manifest: bool | None = None
    manifest_key: str | None = None
    if_exists: IfExists = "replace"
    layout: Layout = "in_place"
    schema_file: bool = False
    success_file: bool = False


class _Dump(Protocol):
    """The objects of a dump, drawn one after the other: an :class:`~airflow_xacct.dump.pipeline.ObjectDump`."""

    @property
    def schema(self) -> DumpSchema | None:
        """What the objects hold; ``None`` where they hold no rows."""
        ...

    def __iter__(self) -> Iterator[ObjectPlan]: ...

    def of_version(self, name: str) -> Iterable[ObjectPlan]:
        """The same objects in a folder of their own."""
        ...

    def stand_in(self, key: str) -> ObjectPlan | None:
        """An object without rows, for a key of an earlier dump; ``None`` where there is no such thing."""
        ...


class Landing:
    """Checks a declaration, and makes the plan of the delivery.

    :param key: of the dump: a prefix when it ends with ``/`` or is empty, else the exact key of the one object.
    :param partitions: Hive partitions with one value each.
    :param suffix: what the compression adds to the name of the one object.
    :ivar attributes: what S3 stores beside each object; the content type is the format's to say.
    :raises InvalidArgumentError: arguments that contradict each other or cannot be used.
    :raises OutsideDestinationError: a key that leads out of the connection's prefix.
    """

    def __init__(
        self,
        spec: LandingSpec,
        destination: Destination,
        *,
        key: str,
        partitions: Mapping[str, PartitionValue] | None = None,
        suffix: str = "",
    ) -> None:
        check_if_exists(spec.if_exists)
        check_choice(spec.layout, LAYOUTS, "layout")
        folder = key[: key.rfind("/") + 1] + partition_path(partitions or {})
        exact = bool(key) and not key.endswith("/")
        name = key[key.rfind("/") + 1 :]
        if not name.endswith(suffix):
            name += suffix
        self._spec = spec
        self._exact = exact
        self._root = resolve_key(destination, folder + name) if exact else resolve_prefix(destination, folder)
        self._manifest_key = _manifest_key(spec, destination, folder, folder + name if exact else "")
        _check_together(spec, manifest=self._manifest_key is not None, exact=exact)
        self.attributes = ObjectAttributes(
            storage_class=spec.storage_class or "",
            kms_key_id=spec.kms_key_id or destination.kms_key_id or "",
            metadata=text_mapping(spec.metadata, "metadata"),
            tags=text_mapping(spec.tags, "tags"),
        )

    def plan(self, dump: _Dump, signature: str, *, query_sha256: str | None = None) -> DeliveryPlan:
        """The plan of a delivery of these objects.

        :param signature: see :class:`~airflow_xacct.dump.plan.DeliveryPlan`.
        :param query_sha256: of the query that the rows come from, in hexadecimal; for the manifest.
        """
        spec = self._spec
        versioned = spec.layout == "versioned"
        version = ""

        def objects(name: str) -> Iterator[ObjectPlan]:
            nonlocal version
            version = name if versioned else ""
            yield from dump.of_version(version) if version else dump
            if spec.schema_file and dump.schema is not None:
                yield self._schema_file(dump.schema, version)

        def stand_in(key: str) -> ObjectPlan | None:
            if key == self._root + SUCCESS_NAME:  # of a task that does not ask for one any more
                return ObjectPlan(key, BytesPayload(key, b""), self.attributes, "stand_in")
            return dump.stand_in(key)

        def describe() -> Mapping[str, Any]:
            of_version = {"version": version} if version else {}
            return _description(dump, {"query_sha256": query_sha256, "layout": spec.layout, **of_version})

        return DeliveryPlan(
            objects=objects,
            manifest_key=self._manifest_key,
            attributes=replace(self.attributes, content_type="application/json"),
            root=self._root,
            if_exists=spec.if_exists,
            signature=json.dumps([signature, spec.layout, spec.schema_file, spec.success_file]),
            tombstone=not versioned,
            whole=True,
            success_key=self._root + SUCCESS_NAME if spec.success_file else "",
            stand_in=stand_in,
            describe=describe,
            versions="" if self._exact else self._root + VERSIONS_FOLDER,
        )

    def _schema_file(self, schema: DumpSchema, version: str) -> ObjectPlan:
        folder = f"{self._root}{VERSIONS_FOLDER}{version}/" if version else self._root
        body = schema_document(schema)
        attributes = replace(self.attributes, content_type="application/json")
        return ObjectPlan(folder + SCHEMA_NAME, BytesPayload("the schema", body), attributes, "auxiliary")


def _check_together(spec: LandingSpec, *, manifest: bool, exact: bool) -> None:
    """Refuse what would not be what it says.

    :raises InvalidArgumentError: there is something.
    """
    for name in ("schema_file", "success_file"):
        if not isinstance(getattr(spec, name), bool):
            raise InvalidArgumentError(
                f"{getattr(spec, name)!r} is neither True nor False", where=name, remedy="Give one of these."
            )
        if exact and getattr(spec, name):
            raise InvalidArgumentError(
                "the key of a single object has no folder of its own",
                where=name,
                remedy="End the key with '/', or leave it out.",
            )
    if spec.layout == "versioned" and (exact or not manifest):
        raise InvalidArgumentError(
            "the layout 'versioned' needs a manifest, which says what the newest version is",
            where="layout",
            remedy="End the key with '/', and leave manifest=False out.",
        )
    if spec.if_exists == "skip" and not manifest and not exact:
        raise InvalidArgumentError(
            "without a manifest, single objects would be skipped, and the dump be a mix",
            where="if_exists",
            remedy="Leave manifest=False out, so that its key decides about the whole dump.",
        )


def _description(dump: _Dump, more: Mapping[str, Any]) -> Mapping[str, Any]:
    described = {**(dump.schema.as_dict() if dump.schema is not None else {}), **more}
    if len(json.dumps(described)) > MAX_DESCRIPTION_BYTES:
        described["columns"] = None
    return described


def _manifest_key(spec: LandingSpec, destination: Destination, folder: str, exact_key: str) -> str | None:
    """A dump to a prefix has one, so that its readers need not know how many objects there are today."""
    wanted = spec.manifest if spec.manifest is not None else (not exact_key or spec.manifest_key is not None)
    if not wanted:
        return None
    key = resolve_key(destination, spec.manifest_key or folder + DEFAULT_MANIFEST_NAME)
    if exact_key and key == resolve_key(destination, exact_key):
        raise InvalidArgumentError(
            f"the manifest and the object share the key {key!r}",
            where="manifest_key",
            remedy="Give the manifest another key, or set manifest=False.",
        )
    return key
