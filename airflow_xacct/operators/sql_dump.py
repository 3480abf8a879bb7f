"""``CrossAccountSqlDumpOperator``: the rows of a query into a bucket of another AWS account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AssetAlias, BaseOperator

from airflow_xacct.links.cloudtrail import CloudTrailLink
from airflow_xacct.links.console import S3ConsoleLink
from airflow_xacct.operators._assets import as_list, asset_alias_name, dataset_prefix

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_xacct.dump.formats import FormatOptions
    from airflow_xacct.dump.naming import PartitionValue

__all__ = ["CrossAccountSqlDumpOperator"]


class CrossAccountSqlDumpOperator(BaseOperator):
    """
    Stream the rows of a query into the bucket of an ``aws_xacct`` connection, in flat memory, whole or not at all.

    The query may return any number of rows. Nothing becomes visible before the last one was read and stored; then all
    objects appear together, and the manifest last. A retry asks the query anew. The role needs ``s3:PutObject`` and
    ``s3:AbortMultipartUpload`` and nothing else.

    :param sql: one statement that returns rows, or the path of a ``.sql`` file. (templated)
    :param sql_conn_id: the connection of the database. (templated)
    :param xacct_conn_id: the connection of type ``aws_xacct``. (templated)
    :param key: below the connection's prefix. Ending in ``/``: a prefix, below which objects are called
        ``part-00000.csv.zst``. Otherwise the exact key of the one object. (templated)
    :param parameters: values of the query's placeholders, bound by the driver. (templated)
    :param format: ``"csv"``, ``"jsonl"`` or ``"parquet"``.
    :param compression: ``"none"``, ``"gzip"``, ``"zstd"``, and for Parquet ``"snappy"``; by default none for text and
        zstd for Parquet.
    :param compression_level: the codec's own scale; by default the fastest.
    :param format_options: ``CsvOptions``, ``JsonLinesOptions`` or ``ParquetOptions`` of ``airflow_xacct.dump.formats``.
    :param partitions: Hive partitions with one value each: ``{"ds": "{{ ds }}"}``. (templated)
    :param partition_by: columns whose values make further Hive partitions; the database sorts by them. (templated)
    :param drop_partition_columns: leave those columns out of the objects.
    :param max_partitions: more values of ``partition_by`` are an error.
    :param max_rows_per_object: an object with that many rows is full, and the next one begins.
    :param max_bytes_per_object: likewise for bytes as stored; at least 4 MiB.
    :param part_prefix: what the names of objects begin with. (templated)
    :param if_exists: ``"replace"`` (default, so that a scheduled dump may run again), ``"error"`` or ``"skip"``.
    :param manifest: ``None`` means when ``key`` is a prefix.
    :param manifest_key: below the connection's prefix; by default ``_manifest.json`` beside the objects. (templated)
    :param fast_path: ``"auto"``, or ``"require"`` or ``"forbid"`` the database's own fast way.
    :param fetch_rows: rows asked for at a time, and the most that one batch holds.
    :param read_only: let the database refuse to write, where it has such a transaction.
    :param statement_timeout_seconds: for the whole statement, reading included.
    :param column_types: Arrow types of columns by name, where the declared one does not fit.
    :param metadata: user metadata of each object. (templated)
    :param tags: tags of each object; they need ``s3:PutObjectTagging``. (templated)
    :param storage_class: such as ``STANDARD_IA``. (templated)
    :param kms_key_id: instead of the connection's. (templated)
    :param bucket: must be the connection's bucket where it names one. (templated)
    :param prefix: narrows the connection's prefix to one below it. (templated)
    :param allow_delete: delete objects of an earlier delivery of this task that the new one does not overwrite; needs
        ``s3:DeleteObject``. Otherwise such a delivery is refused before anything becomes visible.
    :param session_policy: as for ``CrossAccountUploadOperator``.
    :param dataset: as for ``CrossAccountUploadOperator``.
    :param asset_alias: as for ``CrossAccountUploadOperator``.
    :return: a small JSON object: uri, manifest_uri, objects, skipped, rows, bytes, checksum.
    """

    template_fields: Sequence[str] = (
        "sql",
        "sql_conn_id",
        "xacct_conn_id",
        "key",
        "parameters",
        "partitions",
        "partition_by",
        "part_prefix",
        "manifest_key",
        "metadata",
        "tags",
        "storage_class",
        "kms_key_id",
        "bucket",
        "prefix",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "sql": "sql",
        "parameters": "json",
        "partitions": "json",
        "metadata": "json",
        "tags": "json",
    }
    operator_extra_links = (S3ConsoleLink(), CloudTrailLink())
    ui_color = "#e6f2ff"

    def __init__(
        self,
        *,
        sql: str | XComArg,
        sql_conn_id: str | XComArg,
        xacct_conn_id: str | XComArg,
        key: str | XComArg,
        parameters: Sequence[Any] | Mapping[str, Any] | XComArg | None = None,
        format: Literal["csv", "jsonl", "parquet"] = "csv",  # noqa: A002 - what everybody calls it
        compression: Literal["none", "gzip", "zstd", "snappy"] | None = None,
        compression_level: int | None = None,
        format_options: FormatOptions | None = None,
        partitions: Mapping[str, PartitionValue] | XComArg | None = None,
        partition_by: Sequence[str] = (),
        drop_partition_columns: bool = False,
        max_partitions: int = 10_000,
        max_rows_per_object: int | None = None,
        max_bytes_per_object: int | None = None,
        part_prefix: str = "part-",
        if_exists: Literal["error", "replace", "skip"] = "replace",
        manifest: bool | None = None,
        manifest_key: str | None = None,
        fast_path: Literal["auto", "forbid", "require"] = "auto",
        fetch_rows: int = 16_384,
        read_only: bool = True,
        statement_timeout_seconds: float | None = None,
        column_types: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: str | None = None,
        kms_key_id: str | None = None,
        bucket: str | None = None,
        prefix: str | None = None,
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
        self.sql: Any = sql
        self.sql_conn_id: Any = sql_conn_id
        self.xacct_conn_id: Any = xacct_conn_id
        self.key: Any = key
        self.parameters: Any = parameters
        self.format = format
        self.compression = compression
        self.compression_level = compression_level
        self.format_options = format_options
        self.partitions: Any = partitions
        self.partition_by = partition_by
        self.drop_partition_columns = drop_partition_columns
        self.max_partitions = max_partitions
        self.max_rows_per_object = max_rows_per_object
        self.max_bytes_per_object = max_bytes_per_object
        self.part_prefix = part_prefix
        self.if_exists = if_exists
        self.manifest = manifest
        self.manifest_key = manifest_key
        self.fast_path = fast_path
        self.fetch_rows = fetch_rows
        self.read_only = read_only
        self.statement_timeout_seconds = statement_timeout_seconds
        self.column_types = column_types
        self.metadata = metadata
        self.tags = tags
        self.storage_class = storage_class
        self.kms_key_id = kms_key_id
        self.bucket = bucket
        self.prefix = prefix
        self.allow_delete = allow_delete
        self.session_policy = session_policy
        self.dataset = dataset_prefix(dataset, key)
        self.asset_alias = alias.name

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask the query, deliver its rows, announce the asset, and return the summary.

        :raises ConfigurationError: a connection or an argument cannot be right.
        :raises SourceError: the database refused, or the connection was lost.
        :raises AccessError: the other account refused.
        :raises DeliveryError: it did not land as asked.
        """
        # what a task needs and a DAG file does not: boto3, pyarrow and drivers among it
        from airflow_xacct.dump.pipeline import DumpSpec
        from airflow_xacct.dump.sources.sql.session import ReadOptions
        from airflow_xacct.dump.sql import SqlDumpSpec, open_sql_dump
        from airflow_xacct.hooks.database import database_hook
        from airflow_xacct.operators._delivery import announce, deliver, open_destination, task_run

        destination = open_destination(self.xacct_conn_id, bucket=self.bucket, prefix=self.prefix)
        spec = SqlDumpSpec(
            sql=self.sql,
            parameters=self.parameters,
            objects=DumpSpec(
                key=self.key,
                format=self.format,
                compression=self.compression,
                compression_level=self.compression_level,
                options=self.format_options,
                partitions=self.partitions,
                partition_by=self.partition_by,
                drop_partition_columns=self.drop_partition_columns,
                max_partitions=self.max_partitions,
                max_rows_per_object=self.max_rows_per_object,
                max_bytes_per_object=self.max_bytes_per_object,
                part_prefix=self.part_prefix,
            ),
            read=ReadOptions(
                fetch_rows=self.fetch_rows,
                read_only=self.read_only,
                statement_timeout_seconds=self.statement_timeout_seconds,
                column_types=self.column_types or {},
            ),
            fast_path=self.fast_path,
            metadata=self.metadata,
            tags=self.tags,
            storage_class=self.storage_class,
            kms_key_id=self.kms_key_id,
            manifest=self.manifest,
            manifest_key=self.manifest_key,
            if_exists=self.if_exists,
        )
        with open_sql_dump(database_hook(self.sql_conn_id), spec, destination) as plan:
            delivered = deliver(
                destination,
                plan,
                task_run(context),
                allow_delete=self.allow_delete,
                session_policy=self.session_policy,
            )
        return announce(context, self, destination, root=plan.root, delivered=delivered)
