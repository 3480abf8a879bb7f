"""The schema of a dump: its columns, as a receiver needs them to make a table, and how the objects are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_xacct.dump.formats import FormatOptions
from airflow_xacct.dump.naming import PartitionValue
from airflow_xacct.dump.rows import DATABASE_TYPE

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "SCHEMA_FORMAT_VERSION",
    "Column",
    "DumpSchema",
    "PartitionColumn",
    "arrow_columns",
    "arrow_name",
    "fixed_partitions",
    "schema_document",
]

SCHEMA_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the objects.

    :param type: Arrow's name of it, such as ``decimal128(12, 2)``; ``None`` where the server wrote the text.
    :param database_type: the database's name of it, such as ``numeric``; ``None`` where it did not tell.
    :param nullable: whether it may hold NULL, as far as is known.
    :param parquet_type: such as ``INT64`` or ``BYTE_ARRAY (String)``; ``None`` in other formats.
    """

    name: str
    type: str | None = None
    database_type: str | None = None
    nullable: bool = True
    parquet_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionColumn:
    """A column that stands in the paths of the objects, the outermost first.

    :param type: Arrow's name of it.
    :param in_objects: whether the objects hold it too.
    """

    name: str
    type: str
    in_objects: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSchema:
    """What the objects of a dump hold. The same rows and options give the same schema at every try.

    :param options: of the format, the defaults included.
    """

    format: str
    compression: str
    options: FormatOptions
    columns: Sequence[Column]
    partition_columns: Sequence[PartitionColumn] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it, without what is not known. About 100 bytes of JSON for each column."""
        return {
            "format": self.format,
            "compression": self.compression,
            "options": _known(asdict(self.options)),
            "columns": [_known(asdict(column)) for column in self.columns],
            "partition_columns": [asdict(column) for column in self.partition_columns],
        }


def schema_document(schema: DumpSchema) -> bytes:
    """The schema file: JSON in UTF-8, the same bytes for the same schema."""
    document = {"format_version": SCHEMA_FORMAT_VERSION, **schema.as_dict()}
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def arrow_columns(
    schema: pa.Schema, given: pa.Schema, parquet_types: Sequence[str] | None = None
) -> tuple[Column, ...]:
    """The columns of objects.

    :param schema: theirs.
    :param given: that of the source, which may say more about each in its metadata.
    :param parquet_types: of each, where the format is Parquet.
    """
    types = parquet_types if parquet_types is not None else [None] * len(schema)
    return tuple(
        Column(
            name=field.name,
            type=arrow_name(field.type),
            database_type=((given.field(field.name).metadata or {}).get(DATABASE_TYPE) or b"").decode() or None,
            nullable=field.nullable,
            parquet_type=parquet_type,
        )
        for field, parquet_type in zip(schema, types, strict=True)
    )


def arrow_name(kind: pa.DataType) -> str:
    """Arrow's name of a type, without the brackets around those that extend another: ``uuid``, ``json``."""
    import pyarrow as pa

    return kind.extension_name.removeprefix("arrow.") if isinstance(kind, pa.BaseExtensionType) else str(kind)


def fixed_partitions(partitions: Mapping[str, PartitionValue] | None) -> tuple[PartitionColumn, ...]:
    """Partitions with one value each, which stand in the path alone."""
    return tuple(
        PartitionColumn(name=name, type=_value_type(value), in_objects=False)
        for name, value in (partitions or {}).items()
    )


def _value_type(value: PartitionValue) -> str:
    for kind, name in ((bool, "bool"), (int, "int64"), (date, "date32[day]")):
        if isinstance(value, kind):
            return name
    return "string"


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
