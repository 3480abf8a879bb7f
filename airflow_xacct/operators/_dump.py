"""What operators that dump rows share: the format, and how rows are cut into objects."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_xacct.operators._base import DeliveryOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_xacct.delivery.settings import TransferSettings
    from airflow_xacct.destination import Destination
    from airflow_xacct.dump.formats import FormatOptions
    from airflow_xacct.dump.landing import LandingSpec
    from airflow_xacct.dump.pipeline import DumpSpec
    from airflow_xacct.operators._outline import Intent

__all__ = ["DumpOperator"]


class DumpOperator(DeliveryOperator):
    """
    Deliver rows as CSV, JSON Lines or Parquet.

    :param key: below the connection's prefix. Ending in ``/``: a prefix, below which objects are called
        ``part-00000.csv.zst``. Otherwise the exact key of the one object. (templated)
    :param format: ``"csv"``, ``"jsonl"`` or ``"parquet"``.
    :param compression: ``"none"``, ``"gzip"``, ``"zstd"``, and for Parquet ``"snappy"``; by default none for text and
        zstd for Parquet.
    :param compression_level: the codec's own scale; by default the fastest.
    :param format_options: a dictionary, or ``CsvOptions``, ``JsonLinesOptions`` or ``ParquetOptions`` of
        ``airflow_xacct.dump.formats``, which name and explain them.
    :param partition_by: columns whose values make further Hive partitions. (templated)
    :param drop_partition_columns: leave those columns out of the objects.
    :param max_partitions: more values of ``partition_by`` are an error.
    :param max_rows_per_object: an object with that many rows is full, and the next one begins.
    :param max_bytes_per_object: likewise for bytes as stored; at least 4 MiB.
    :param part_prefix: what the names of objects begin with. (templated)
    :param layout: ``"in_place"`` (default: keys that stay the same, for readers of the prefix), or ``"versioned"``:
        each delivery in a folder of its own below ``_versions/``, which the manifest names, so that readers of the
        manifest see one atomic switch.
    :param schema_file: deliver ``_schema.json`` beside the objects.
    :param success_file: end with an empty ``_SUCCESS``.
    :param if_exists: ``"replace"`` (default, so that a scheduled dump may run again), ``"error"`` or ``"skip"``. Where
        there is a manifest, its key decides about the whole dump.
    :param manifest: ``None`` means when ``key`` is a prefix.
    :param allow_delete: delete objects of an earlier delivery of this task that the new one does not overwrite; needs
        ``s3:DeleteObject``. Otherwise objects without rows take their place.
    """

    template_fields: Sequence[str] = ("partition_by", "part_prefix", *DeliveryOperator.template_fields)

    def __init__(
        self,
        *,
        key: str | XComArg,
        format: Literal["csv", "jsonl", "parquet"] = "csv",  # noqa: A002 - what everybody calls it
        compression: Literal["none", "gzip", "zstd", "snappy"] | None = None,
        compression_level: int | None = None,
        format_options: FormatOptions | Mapping[str, Any] | None = None,
        partition_by: Sequence[str] | XComArg = (),
        drop_partition_columns: bool = False,
        max_partitions: int = 10_000,
        max_rows_per_object: int | None = None,
        max_bytes_per_object: int | None = None,
        part_prefix: str = "part-",
        layout: Literal["in_place", "versioned"] = "in_place",
        schema_file: bool = False,
        success_file: bool = False,
        if_exists: Literal["error", "replace", "skip"] = "replace",
        **kwargs: Any,
    ) -> None:
        super().__init__(key=key, if_exists=if_exists, **kwargs)
        self.format = format
        self.compression = compression
        self.compression_level = compression_level
        self.format_options = format_options
        self.partition_by: Any = partition_by
        self.drop_partition_columns = drop_partition_columns
        self.max_partitions = max_partitions
        self.max_rows_per_object = max_rows_per_object
        self.max_bytes_per_object = max_bytes_per_object
        self.part_prefix = part_prefix
        self.layout = layout
        self.schema_file = schema_file
        self.success_file = success_file

    def dump_spec(self) -> DumpSpec:
        """The objects as declared; checked when the plan is opened."""
        from airflow_xacct.dump.pipeline import DumpSpec

        return DumpSpec(
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
            provenance=self._provenance(),
        )

    def _provenance(self) -> dict[str, str]:
        """Whose rows they are; the same at every try."""
        identity = self._identity
        facts = {} if identity is None else {name: getattr(identity, name) for name in ("dag_id", "task_id", "run_id")}
        return {name: text for name, text in facts.items() if text}

    def landing_spec(self) -> LandingSpec:
        """Where they land, as declared; checked when the plan is opened."""
        from airflow_xacct.dump.landing import LandingSpec

        return LandingSpec(
            metadata=self.metadata,
            tags=self.tags,
            storage_class=self.storage_class,
            kms_key_id=self.kms_key_id,
            manifest=self.manifest,
            manifest_key=self.manifest_key,
            if_exists=self.if_exists,
            layout=self.layout,
            schema_file=self.schema_file,
            success_file=self.success_file,
        )

    def transfer_settings(self) -> TransferSettings:
        """S3's smallest parts: where the bucket is slower than the rows, they are what a dump holds most of."""
        from airflow_xacct.delivery.settings import MIN_PART_BYTES, TransferSettings

        return TransferSettings(part_size_bytes=MIN_PART_BYTES)

    def intent(self, destination: Destination) -> Intent:
        """See :meth:`~airflow_xacct.operators._base.DeliveryOperator.intent`."""
        from airflow_xacct.dump.declared import declared_dump
        from airflow_xacct.operators._outline import Intent

        plan, keys = declared_dump(self.dump_spec(), self.landing_spec(), destination)
        return Intent(reads=self.sources(), writes=keys, known=keys == [plan.root], plan=plan)

    @abstractmethod
    def sources(self) -> list[str]:
        """What is read, one line for each thing; never a value that a query is given."""
