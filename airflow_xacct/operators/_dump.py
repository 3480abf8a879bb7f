"""What operators that dump rows share: the format, and how rows are cut into objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_xacct.operators._base import DeliveryOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_xacct.dump.formats import FormatOptions
    from airflow_xacct.dump.pipeline import DumpSpec

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
    :param format_options: ``CsvOptions``, ``JsonLinesOptions`` or ``ParquetOptions`` of ``airflow_xacct.dump.formats``.
    :param partition_by: columns whose values make further Hive partitions. (templated)
    :param drop_partition_columns: leave those columns out of the objects.
    :param max_partitions: more values of ``partition_by`` are an error.
    :param max_rows_per_object: an object with that many rows is full, and the next one begins.
    :param max_bytes_per_object: likewise for bytes as stored; at least 4 MiB.
    :param part_prefix: what the names of objects begin with. (templated)
    :param if_exists: ``"replace"`` (default, so that a scheduled dump may run again), ``"error"`` or ``"skip"``.
    :param manifest: ``None`` means when ``key`` is a prefix.
    """

    template_fields: Sequence[str] = ("partition_by", "part_prefix", *DeliveryOperator.template_fields)

    def __init__(
        self,
        *,
        key: str | XComArg,
        format: Literal["csv", "jsonl", "parquet"] = "csv",  # noqa: A002 - what everybody calls it
        compression: Literal["none", "gzip", "zstd", "snappy"] | None = None,
        compression_level: int | None = None,
        format_options: FormatOptions | None = None,
        partition_by: Sequence[str] | XComArg = (),
        drop_partition_columns: bool = False,
        max_partitions: int = 10_000,
        max_rows_per_object: int | None = None,
        max_bytes_per_object: int | None = None,
        part_prefix: str = "part-",
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
        )
