"""The columns of rows in the types that formats know: no dictionaries, no views, no metadata of a driver."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.rows import CHECKED_JSON
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

__all__ = ["plain_batch", "plain_schema", "unknown_type"]


def unknown_type(field: pa.Field, format_name: str) -> InvalidArgumentError:
    """The error for a column whose type a format cannot hold."""
    return InvalidArgumentError(
        f"the column {field.name!r} is of the type {field.type}, which {format_name} cannot hold",
        where="format",
        remedy="Cast it at its source, for example to text, or use another format.",
    )


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema that batches have after :func:`plain_batch`.

    :raises InvalidArgumentError: no column, or two of one name.
    """
    if not len(schema):
        raise InvalidArgumentError("there is no column", where="the rows", remedy="Select or yield at least one.")
    return pa.schema([pa.field(field.name, _plain_field_type(field), field.nullable) for field in schema])


def plain_batch(batch: pa.RecordBatch, given: pa.Schema, plain: pa.Schema) -> pa.RecordBatch:
    """A batch in the plain schema.

    :param given: the schema that the source announced.
    :param plain: :func:`plain_schema` of it.
    :raises SourceError: the batch has another schema, text that is no UTF-8, or broken values.
    """
    if not batch.schema.equals(given):
        raise SourceError(
            f"rows came with other columns than announced: {_listed(batch.schema)} instead of {_listed(given)}",
            remedy="Report it: the reader of this database must give every row one schema.",
        )
    columns = []
    for field, column in zip(plain, batch.columns, strict=True):
        made = _plain_array(column, field)
        try:
            made.validate(full=True)
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"the column {field.name!r} holds a value that is not a valid {field.type}: {error}",
                remedy="Correct the data, or cast the column at its source.",
            ) from error
        if made.null_count and not field.nullable:
            raise SourceError(
                f"the column {field.name!r} holds NULL although it was announced without",
                remedy="Report it: the reader of this database must announce what may be NULL.",
            )
        columns.append(made)
    return pa.RecordBatch.from_arrays(columns, schema=plain)


def _listed(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _plain_field_type(field: pa.Field) -> pa.DataType:
    kind = _plain_type(field.type)
    checked = CHECKED_JSON.items() <= (field.metadata or {}).items()
    return pa.json_() if checked and pa.types.is_string(kind) else kind


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Dictionaries, runs and views say how values are stored, not what they are."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if isinstance(kind, pa.OpaqueType) and pa.types.is_string(kind.storage_type):
        return kind.storage_type  # a type that only the driver's database knows, as the text it wrote
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_date64(kind):
        return pa.date32()
    if isinstance(kind, pa.Bool8Type):
        return pa.bool_()
    return kind


def _plain_array(column: pa.Array, field: pa.Field) -> pa.Array:
    made = column
    if pa.types.is_run_end_encoded(made.type):
        made = pc.run_end_decode(made)
    if isinstance(made.type, (pa.OpaqueType, pa.Bool8Type)):
        made = made.storage
    if made.type == field.type:
        return made
    try:
        return made.cast(field.type)
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"the column {field.name!r} holds a value that {field.type} cannot hold: {error}",
            remedy="Correct the data, or cast the column at its source.",
        ) from error
