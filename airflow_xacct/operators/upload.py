"""``CrossAccountUploadOperator``: files, text and bytes into a bucket of another AWS account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AssetAlias, BaseOperator, ObjectStoragePath

from airflow_xacct.links.cloudtrail import CloudTrailLink
from airflow_xacct.links.console import S3ConsoleLink
from airflow_xacct.operators._assets import as_list, asset_alias_name, dataset_prefix

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_xacct.dump.naming import PartitionValue

__all__ = ["CrossAccountUploadOperator"]


class CrossAccountUploadOperator(BaseOperator):
    """
    Upload a file, a glob, a directory tree, text or bytes into the bucket of an ``aws_xacct`` connection.

    All objects of a task are staged as open multipart uploads and become visible together; a manifest is written last.
    A retry, a killed worker or a cleared task leave exactly one complete delivery. The role needs ``s3:PutObject`` and
    ``s3:AbortMultipartUpload`` and nothing else (``s3:PutObjectTagging`` with ``tags``).

    :param xacct_conn_id: the connection of type ``aws_xacct``. (templated)
    :param source: a local file, a glob such as ``/data/*.csv`` (``**`` goes deeper), or a directory, as text or
        ``pathlib.Path``; or an ``ObjectStoragePath``, also as text with its scheme (``gs://...``). (templated)
    :param data: text or bytes to be delivered instead of a source. (templated)
    :param key: below the connection's prefix. Ending in ``/``, or empty: a prefix, to which each file's path relative
        to the source is added. Otherwise the exact key of the one object. (templated)
    :param partitions: Hive-style partitions put before the file name: ``{"ds": "{{ ds }}"}`` makes
        ``ds=2013-01-01/``. (templated)
    :param if_exists: what to do where another object holds a key: ``"error"`` (default), ``"replace"`` or ``"skip"``.
        S3 itself decides, so there is no window in between; what an earlier try of this task wrote is never "another".
    :param manifest: write ``manifest_key``, a list of all objects in the form Redshift's COPY takes; ``None`` means
        when there is more than one object.
    :param manifest_key: below the connection's prefix; by default ``_manifest.json`` beside the objects. (templated)
    :param compression: ``"gzip"`` or ``"zstd"``; adds ``.gz`` or ``.zst`` to the key.
    :param compression_level: the codec's own scale.
    :param content_type: for all objects; guessed from each name when left out. (templated)
    :param metadata: user metadata of each object. (templated)
    :param tags: tags of each object; they need ``s3:PutObjectTagging``. (templated)
    :param storage_class: such as ``STANDARD_IA``; the bucket's default when left out. (templated)
    :param kms_key_id: instead of the connection's; the bucket's own encryption when neither is set. (templated)
    :param bucket: must be the connection's bucket where it names one. (templated)
    :param prefix: narrows the connection's prefix to one below it. (templated)
    :param allow_empty: a glob or directory without files is no error, and delivers nothing.
    :param symlinks: what to do about symbolic links below a directory or pattern: ``"refuse"`` (default, since a link
        may lead to what was not meant to leave), ``"skip"`` or ``"follow"``.
    :param allow_delete: delete objects of an earlier delivery of this task that the new one does not overwrite; needs
        ``s3:DeleteObject``. Otherwise such a delivery is refused before its first byte.
    :param session_policy: what the assumed session may do: by default (``"auto"``) exactly what this task does; or a
        policy document, which is kept inside the destination; ``"off"`` only where the connection says so too.
    :param dataset: name of the delivered dataset below the connection's prefix, for the asset; by default the part of
        ``key`` before its first template, up to a ``/``.
    :param asset_alias: name of the ``AssetAlias`` that receives the asset; by default ``xacct:`` and the connection id.
    :return: a small JSON object: uri, manifest_uri, objects, skipped, rows, bytes, checksum.
    """

    template_fields: Sequence[str] = (
        "xacct_conn_id",
        "source",
        "data",
        "key",
        "partitions",
        "manifest_key",
        "content_type",
        "metadata",
        "tags",
        "storage_class",
        "kms_key_id",
        "bucket",
        "prefix",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "partitions": "json",
        "metadata": "json",
        "tags": "json",
    }
    operator_extra_links = (S3ConsoleLink(), CloudTrailLink())
    ui_color = "#e6f2ff"

    def __init__(
        self,
        *,
        xacct_conn_id: str | XComArg,
        source: str | Path | ObjectStoragePath | XComArg | None = None,
        data: str | bytes | XComArg | None = None,
        key: str | XComArg = "",
        partitions: Mapping[str, PartitionValue] | XComArg | None = None,
        if_exists: Literal["error", "replace", "skip"] = "error",
        manifest: bool | None = None,
        manifest_key: str | None = None,
        compression: Literal["gzip", "zstd"] | None = None,
        compression_level: int | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: str | None = None,
        kms_key_id: str | None = None,
        bucket: str | None = None,
        prefix: str | None = None,
        allow_empty: bool = False,
        symlinks: Literal["refuse", "skip", "follow"] = "refuse",
        allow_delete: bool = False,
        session_policy: str | Mapping[str, Any] | None = None,
        dataset: str | None = None,
        asset_alias: str | None = None,
        **kwargs: Any,
    ) -> None:
        # not a parameter of its own: partial() of a mapped task would take its default for a value
        outlets = kwargs.pop("outlets", None)
        alias = AssetAlias(asset_alias or asset_alias_name(xacct_conn_id))
        super().__init__(outlets=[*as_list(outlets), alias], **kwargs)
        # an XComArg is a value by the time execute() runs
        self.xacct_conn_id: Any = xacct_conn_id
        self.source: Any = source
        self.data: Any = data
        self.key: Any = key
        self.partitions: Any = partitions
        self.if_exists = if_exists
        self.manifest = manifest
        self.manifest_key = manifest_key
        self.compression = compression
        self.compression_level = compression_level
        self.content_type = content_type
        self.metadata = metadata
        self.tags = tags
        self.storage_class = storage_class
        self.kms_key_id = kms_key_id
        self.bucket = bucket
        self.prefix = prefix
        self.allow_empty = allow_empty
        self.symlinks = symlinks
        self.allow_delete = allow_delete
        self.session_policy = session_policy
        self.dataset = dataset_prefix(dataset, key)
        self.asset_alias = alias.name

    def execute(self, context: Context) -> dict[str, Any]:
        """Deliver, announce the asset, and return the summary.

        :raises ConfigurationError: the connection or an argument cannot be right.
        :raises SourceError: the source cannot be read, or changed while it was.
        :raises AccessError: the other account refused.
        :raises DeliveryError: it did not land as asked.
        """
        # what a task needs and a DAG file does not: boto3 among it
        from airflow_xacct.dump.upload import UploadSpec, plan_upload
        from airflow_xacct.operators._delivery import announce, deliver, open_destination, task_run

        destination = open_destination(self.xacct_conn_id, bucket=self.bucket, prefix=self.prefix)
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
        plan = plan_upload(spec, destination)
        delivered = deliver(
            destination,
            plan,
            task_run(context),
            allow_delete=self.allow_delete,
            session_policy=self.session_policy,
        )
        return announce(context, self, destination, root=plan.root, delivered=delivered)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What was read and what it became, for the OpenLineage provider."""
        from airflow_xacct.operators._lineage import delivery_lineage

        return delivery_lineage(self.source, task_instance.xcom_pull(task_ids=self.task_id, key="return_value"))


def _with_storage(source: Any) -> Any:
    """Text with a scheme, such as ``gs://bucket/folder``, means Airflow's object storage."""
    if isinstance(source, str) and "://" in source:
        return ObjectStoragePath(source)
    return source
