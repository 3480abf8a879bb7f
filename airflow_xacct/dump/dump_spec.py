"""What becomes of the rows of a dump: format, compression, partitions, sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_xacct.dump.compression import check_level
from airflow_xacct.dump.formats import FormatOptions, FormatSpec, check_choice, format_spec
from airflow_xacct.dump.naming import PartitionValue
from airflow_xacct.dump.rolling import Limits
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["MIN_OBJECT_BYTES", "DumpSpec"]

MIN_OBJECT_BYTES = 4 * 1024 * 1024
"""Objects roll between blocks of 1 MiB, so that a smaller limit would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSpec:
    """What becomes of the rows of a dump.

    :param key: a prefix when it ends with ``/`` or is empty, below which objects are called ``part-00000.csv.zst``;
        else the exact key of the one object, to which the suffix of the compression is added. Relative to the
        connection's prefix.
    :param format: ``"csv"``, ``"jsonl"`` or ``"parquet"``.
    :param compression: ``"none"``, ``"gzip"``, ``"zstd"``, and for Parquet ``"snappy"``; ``None`` for the format's
        default, which is ``"none"`` for text and ``"zstd"`` for Parquet.
    :param compression_level: ``None`` for the fastest.
    :param options: of the format: an instance of its class, or a dictionary of some of its names.
    :param partitions: Hive partitions with one value each, such as ``{"ds": "2013-01-01"}``.
    :param partition_by: columns whose values make further Hive partitions; the rows must come sorted by them.
    :param drop_partition_columns: leave those columns out of the objects.
    :param max_partitions: more values are an error.
    :param max_rows_per_object: an object with that many rows is full.
    :param max_bytes_per_object: an object does not grow beyond that, compressed, but for a single row that is larger
        (and for Parquet, but for an index of unusually long values); at least 4 MiB.
    :param part_prefix: what the names of objects begin with; mapped tasks that share a prefix need one each.
    :param provenance: where the rows come from (``dag_id``, ``run_id``, ``query_sha256``, ...), without secrets; in the
        metadata of each Parquet file with ``xacct.`` before it. It must be the same at every try.
    """

    key: str
    format: str = "csv"
    compression: str | None = None
    compression_level: int | None = None
    options: FormatOptions | Mapping[str, Any] | None = None
    partitions: Mapping[str, PartitionValue] | None = None
    partition_by: Sequence[str] = ()
    drop_partition_columns: bool = False
    max_partitions: int = 10_000
    max_rows_per_object: int | None = None
    max_bytes_per_object: int | None = None
    part_prefix: str = "part-"
    provenance: Mapping[str, str] = field(default_factory=dict, repr=False)

    def check(self) -> FormatSpec:
        """The format, if everything else can be used, as far as it shows without the source.

        :raises InvalidArgumentError: it cannot.
        :raises MissingDependencyError: pyarrow is older than an option needs.
        """
        chosen = format_spec(self.format)
        kind = check_choice(self.kind(chosen), chosen.compressions, "compression")
        check_level(kind, self.compression_level, otherwise="the fastest")
        chosen.options(self.options)
        for name, least in (
            ("max_rows_per_object", 1),
            ("max_bytes_per_object", MIN_OBJECT_BYTES),
            ("max_partitions", 1),
        ):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InvalidArgumentError(
                    f"{value!r} is not a whole number from {least:,}",
                    where=name,
                    remedy="Give a larger one, or leave it out.",
                )
        if isinstance(self.partition_by, str):
            raise InvalidArgumentError(
                f"partition_by is the text {self.partition_by!r}",
                where="partition_by",
                remedy=f"Give a list of columns: [{self.partition_by!r}].",
            )
        return chosen

    def kind(self, chosen: FormatSpec) -> str:
        """The compression, the format's default filled in."""
        return chosen.compressions[0] if self.compression is None else self.compression

    @property
    def format_options(self) -> FormatOptions:
        """The options, the defaults filled in.

        :raises InvalidArgumentError: they cannot be used.
        """
        return format_spec(self.format).options(self.options)

    @property
    def limits(self) -> Limits:
        """When an object is full."""
        return Limits(max_rows=self.max_rows_per_object, max_bytes=self.max_bytes_per_object)
