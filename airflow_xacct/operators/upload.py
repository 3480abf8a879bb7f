"""``CrossAccountUploadOperator``: files, text and bytes into a bucket of another AWS account."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_xacct.operators._base import DeliveryOperator

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_xacct.delivery.payload import ObjectPlan
    from airflow_xacct.destination import Destination
    from airflow_xacct.dump.plan import DeliveryPlan
    from airflow_xacct.operators._outline import Intent

__all__ = ["CrossAccountUploadOperator"]


class CrossAccountUploadOperator(DeliveryOperator):
    """
    Upload a file, a glob, a directory tree, text or bytes into the bucket of an ``aws_xacct`` connection.

    All objects of a task are staged as open multipart uploads and become visible together; a manifest is written last.
    A retry, a killed worker or a cleared task leave exactly one complete delivery. The role needs ``s3:PutObject`` and
    ``s3:AbortMultipartUpload`` and nothing else (``s3:PutObjectTagging`` with ``tags``).

    :param source: a local file, a glob such as ``/data/*.csv`` (``**`` goes deeper), or a directory, as text or
        ``pathlib.Path``; or an ``ObjectStoragePath``, also as text with its scheme (``gs://...``). (templated)
    :param data: text or bytes to be delivered instead of a source. (templated)
    :param key: below the connection's prefix. Ending in ``/``, or empty: a prefix, to which each file's path relative
        to the source is added. Otherwise the exact key of the one object. (templated)
    :param if_exists: what to do where another object holds a key: ``"error"`` (default), ``"replace"`` or ``"skip"``.
    :param manifest: ``None`` means when there is more than one object.
    :param compression: ``"gzip"`` or ``"zstd"``; adds ``.gz`` or ``.zst`` to the key.
    :param compression_level: the codec's own scale.
    :param content_type: for all objects; guessed from each name when left out. (templated)
    :param allow_empty: a glob or directory without files is no error, and delivers nothing.
    :param symlinks: what to do about symbolic links below a directory or pattern: ``"refuse"`` (default, since a link
        may lead to what was not meant to leave), ``"skip"`` or ``"follow"``.
    :param allow_delete: delete objects of an earlier delivery of this task that the new one does not overwrite; needs
        ``s3:DeleteObject``. Otherwise such a delivery is refused before its first byte.

    All other arguments are those of every delivery (:class:`~airflow_xacct.operators._base.DeliveryOperator`);
    ``docs/upload.md`` has them in one table.
    """

    template_fields: Sequence[str] = ("source", "data", "content_type", *DeliveryOperator.template_fields)

    def __init__(
        self,
        *,
        source: str | Path | ObjectStoragePath | XComArg | None = None,
        data: str | bytes | XComArg | None = None,
        key: str | XComArg = "",
        if_exists: Literal["error", "replace", "skip"] = "error",
        compression: Literal["gzip", "zstd"] | None = None,
        compression_level: int | None = None,
        content_type: str | None = None,
        allow_empty: bool = False,
        symlinks: Literal["refuse", "skip", "follow"] = "refuse",
        **kwargs: Any,
    ) -> None:
        super().__init__(key=key, if_exists=if_exists, **kwargs)
        # an XComArg is a value by the time execute() runs
        self.source: Any = source
        self.data: Any = data
        self.compression = compression
        self.compression_level = compression_level
        self.content_type = content_type
        self.allow_empty = allow_empty
        self.symlinks = symlinks

    def open_plan(self, destination: Destination) -> AbstractContextManager[DeliveryPlan]:
        """Find the files; see :meth:`~airflow_xacct.operators._base.DeliveryOperator.open_plan`."""
        return nullcontext(self._found(destination))

    def intent(self, destination: Destination) -> Intent:
        """Find the files; see :meth:`~airflow_xacct.operators._base.DeliveryOperator.intent`."""
        from airflow_xacct.operators._outline import Intent

        plan = self._found(destination)
        objects = cast("Sequence[ObjectPlan]", plan.objects)
        reads = [f"{each.payload.name}{_sized(each.payload.max_size_bytes)}" for each in objects]
        return Intent(reads=reads, writes=[each.key for each in objects], known=True, plan=plan)

    def _found(self, destination: Destination) -> DeliveryPlan:
        # what a task needs and a DAG file does not: boto3 among it
        from airflow_xacct.dump.upload import UploadSpec, plan_upload

        spec = UploadSpec(
            source=_with_storage(self.source),
            data=self.data,
            key=self.key,
            partitions=self.partitions,
            compression=self.compression,
            compression_level=self.compression_level,
            content_type=self.content_type,
            metadata=self.metadata,
            tags=self.tags,
            storage_class=self.storage_class,
            kms_key_id=self.kms_key_id,
            manifest=self.manifest,
            manifest_key=self.manifest_key,
            if_exists=self.if_exists,
            allow_empty=self.allow_empty,
            symlinks=self.symlinks,
        )
        return plan_upload(spec, destination)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What was read and what it became, for the OpenLineage provider."""
        from airflow_xacct.operators._lineage import delivery_lineage

        return delivery_lineage(self.source, task_instance.xcom_pull(task_ids=self.task_id, key="return_value"))


def _sized(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f" ({size_bytes:,} bytes)"


def _with_storage(source: Any) -> Any:
    """Text with a scheme, such as ``gs://bucket/folder``, means Airflow's object storage."""
    if isinstance(source, str) and "://" in source:
        return ObjectStoragePath(source)
    return source
