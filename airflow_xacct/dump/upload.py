"""The plan of an upload: which bytes go to which key, decided before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_xacct.delivery.payload import ObjectPlan
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.destination import Destination, resolve_key, resolve_prefix
from airflow_xacct.dump.compression import (
    CompressionKind,
    compressed,
    compression_content_type,
    compression_suffix,
)
from airflow_xacct.dump.content_type import guess_content_type
from airflow_xacct.dump.naming import PartitionValue, object_keys, partition_path
from airflow_xacct.dump.payload import SourceFile
from airflow_xacct.dump.plan import DEFAULT_MANIFEST_NAME, DeliveryPlan, IfExists, check_if_exists, text_mapping
from airflow_xacct.dump.sources.files import Symlinks
from airflow_xacct.dump.sources.inline import inline_content
from airflow_xacct.dump.sources.resolve import Source, resolve_source
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["UploadSpec", "plan_upload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSpec:
    """What a task declares, after its templates were rendered; see ``CrossAccountUploadOperator``."""

    source: Source | None = None
    data: str | bytes | None = None
    key: str = ""
    partitions: Mapping[str, PartitionValue] | None = None
    compression: CompressionKind | None = None
    compression_level: int | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    storage_class: str | None = None
    kms_key_id: str | None = None
    manifest: bool | None = None
    manifest_key: str | None = None
    if_exists: IfExists = "error"
    allow_empty: bool = False
    symlinks: Symlinks = "refuse"


def plan_upload(spec: UploadSpec, destination: Destination) -> DeliveryPlan:
    """Look at the source and lay out the keys.

    :raises InvalidArgumentError: arguments that contradict each other or cannot be used.
    :raises OutsideDestinationError: a key that leads out of the connection's prefix.
    :raises SourceError: the source is missing or cannot be read; all unreadable files are named.
    """
    _check(spec)
    files = _files(spec)
    suffix = compression_suffix(spec.compression) if spec.compression else ""
    keys = object_keys(spec.key, files, partitions=spec.partitions, suffix=suffix)
    full = [resolve_key(destination, key) for key in keys]
    # what the task named, not what its files happen to share: it must not move from try to try
    folder = _folder(spec)
    exact = not spec.key.endswith("/") and spec.key != ""
    root = full[0] if exact and full else resolve_prefix(destination, folder)
    objects = tuple(_object(spec, destination, file, key) for file, key in zip(files, full, strict=True))
    manifest_key = _manifest_key(spec, destination, folder, len(full))
    if manifest_key in full:
        raise InvalidArgumentError(
            f"the manifest and an object share the key {manifest_key!r}",
            where="manifest_key",
            remedy="Give the manifest another key, or set manifest=False.",
        )
    return DeliveryPlan(
        objects=objects,
        manifest_key=manifest_key,
        attributes=_attributes(spec, destination, "application/json"),
        root=root,
        if_exists=spec.if_exists,
    )


def _check(spec: UploadSpec) -> None:
    if (spec.source is None) == (spec.data is None):
        raise InvalidArgumentError(
            "there is " + ("no source" if spec.source is None else "both a source and data"),
            where="source, data",
            remedy="Give a source (file, glob, directory, ObjectStoragePath), or data (text or bytes), and not both.",
        )
    check_if_exists(spec.if_exists)
    if spec.compression_level is not None and not spec.compression:
        raise InvalidArgumentError(
            "there is a compression_level and no compression",
            where="compression_level",
            remedy="Set compression to 'gzip' or 'zstd', or leave the level out.",
        )


def _files(spec: UploadSpec) -> list[SourceFile]:
    if spec.data is not None:
        return [inline_content(spec.data)]
    assert spec.source is not None  # noqa: S101 - _check made sure
    return resolve_source(spec.source, allow_empty=spec.allow_empty, symlinks=spec.symlinks)


def _object(spec: UploadSpec, destination: Destination, file: SourceFile, key: str) -> ObjectPlan:
    payload = file.payload
    guessed = guess_content_type(key)
    if spec.compression:
        payload = compressed(payload, spec.compression, spec.compression_level)
        guessed = compression_content_type(spec.compression)
    return ObjectPlan(key, payload, _attributes(spec, destination, spec.content_type or guessed))


def _attributes(spec: UploadSpec, destination: Destination, content_type: str) -> ObjectAttributes:
    """What S3 stores beside each object, the manifest included."""
    return ObjectAttributes(
        content_type=content_type,
        storage_class=spec.storage_class or "",
        kms_key_id=spec.kms_key_id or destination.kms_key_id or "",
        metadata=text_mapping(spec.metadata, "metadata"),
        tags=text_mapping(spec.tags, "tags"),
    )


def _manifest_key(spec: UploadSpec, destination: Destination, folder: str, count: int) -> str | None:
    """Where the manifest goes: asked for, or more than one object."""
    wanted = spec.manifest if spec.manifest is not None else (count > 1 or spec.manifest_key is not None)
    if not wanted or not count:
        return None
    return resolve_key(destination, spec.manifest_key or folder + DEFAULT_MANIFEST_NAME)


def _folder(spec: UploadSpec) -> str:
    """The prefix the task named, with its partitions; relative to the connection's."""
    return spec.key[: spec.key.rfind("/") + 1] + partition_path(spec.partitions or {})
