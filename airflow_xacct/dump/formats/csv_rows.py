"""CSV from Arrow batches: RFC 4180 but for line ends of one byte, by default as PostgreSQL's COPY writes it.

NULL is empty and never in quotes, an empty string is ``""``. Values are quoted where they hold a delimiter, a quote or
a line end, and only there. Nested values are JSON. Floats are the shortest that read back the same; timestamps with
zone are in UTC; binary is ``\\x`` and hexadecimal digits; durations are ISO 8601. Much of it can be chosen
(:class:`~airflow_xacct.dump.formats.csv_options.CsvOptions`).
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from airflow_xacct.dump.arrow_constants import bytes_like, constant
from airflow_xacct.dump.formats import text_functions as texts
from airflow_xacct.dump.formats.columns import unknown_type
from airflow_xacct.dump.formats.csv_fields import csv_header
from airflow_xacct.dump.formats.csv_options import CsvOptions
from airflow_xacct.dump.formats.csv_quoting import fields_of
from airflow_xacct.dump.formats.json_values import has_json, is_nested, json_text
from airflow_xacct.dump.formats.options import JsonLinesOptions
from airflow_xacct.dump.formats.scalar_text import (
    CSV_DIALECT,
    JSON_DIALECT,
    Dialect,
    has_scalar_text,
    scalar_text,
)
from airflow_xacct.dump.formats.spec import EncoderSettings
from airflow_xacct.dump.formats.text_rows import RowTextEncoder
from airflow_xacct.exceptions import SourceError

__all__ = ["CsvEncoder", "make_encoder"]

T = pa.types

_NESTED = JsonLinesOptions(non_finite="text")


class CsvEncoder(RowTextEncoder):
    """CSV of rows of one schema.

    :raises InvalidArgumentError: a column whose type CSV cannot hold, or whose name these options cannot write.
    """

    def __init__(self, schema: pa.Schema, options: CsvOptions, compression: str, level: int | None) -> None:
        super().__init__(schema, csv_header(schema.names, options), compression, level)
        for field in schema:
            if not (has_scalar_text(field.type) or has_json(field.type)):
                raise unknown_type(field, "CSV")
        self._options = options
        self._fields = fields_of(options, alone=len(schema) == 1)
        self._dialect = _dialect(options)
        # \x has a backslash, and base64 may begin with +
        self._binary_is_text = options.escape_char is not None or options.formulas != "keep"

    def lines(self, batch: pa.RecordBatch, /) -> pa.Array:
        """One line for each row."""
        fields = [self._field(field, column) for field, column in zip(batch.schema, batch.columns, strict=True)]
        options = self._options
        null = options.null_text
        # a last field with its line end takes one join less than a line end behind each line
        fields[-1] = texts.join(fields[-1], options.line_terminator, null=null)
        lines = texts.join(*fields, separator=options.delimiter, null=null)
        return lines if options.codec == "utf-8" else self._encoded(lines, batch)

    def _field(self, field: pa.Field, column: pa.Array) -> pa.Array:
        """A column as it stands in the file, NULL as NULL."""
        kind, fields = field.type, self._fields
        if T.is_boolean(kind):
            true, false = map(constant, self._options.boolean_texts)
            return fields.plain(texts.if_else(column, true, false), field.name, numeric=False)
        if has_scalar_text(kind):
            text = scalar_text(column, self._dialect, field.name)
        elif isinstance(kind, pa.JsonType):
            text = texts.as_text(column.storage)
        else:
            text = json_text(column, field.name, _NESTED)
        if T.is_string(kind) or T.is_large_string(kind):
            return fields.text(fields.safe(text, field.name), field.name)
        if is_nested(kind):
            return fields.text(text, field.name)  # JSON begins with no formula
        if self._binary_is_text and _is_binary(kind):
            return fields.text(fields.safe(text, field.name), field.name)
        return fields.plain(text, field.name, numeric=_is_numeric(kind))

    def _encoded(self, lines: pa.Array, batch: pa.RecordBatch) -> pa.Array:
        codec, errors = self._options.codec, "replace" if self._options.encoding_errors == "replace" else "strict"
        try:
            made = [line.encode(codec, errors) for line in lines.to_pylist()]
        except UnicodeEncodeError:
            raise self._no_such_character(batch) from None
        return bytes_like(made, lines, pa.binary())

    def _no_such_character(self, batch: pa.RecordBatch) -> SourceError:
        """Row after row once more, to tell which column it was."""
        for field, column in zip(batch.schema, batch.columns, strict=True):
            for text in self._field(field, column).to_pylist():
                try:
                    (text or "").encode(self._options.codec)
                except UnicodeEncodeError as error:
                    char = error.object[error.start]
                    return SourceError(
                        f"the column {field.name!r} holds {char!r} (U+{ord(char):04X}), which "
                        f"{self._options.encoding} does not have",
                        where="encoding",
                        remedy="Choose another encoding, such as 'utf-8', or encoding_errors='replace'.",
                    )
        raise AssertionError("every field can be encoded, and a line cannot")


def _dialect(options: CsvOptions) -> Dialect:
    made = CSV_DIALECT
    if options.timestamps == "iso":
        made = replace(made, date_time_separator=JSON_DIALECT.date_time_separator, utc=JSON_DIALECT.utc)
    return replace(made, binary=JSON_DIALECT.binary) if options.binary == "base64" else made


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(T.is_integer(kind) or T.is_floating(kind) or T.is_decimal(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(T.is_binary(kind) or T.is_large_binary(kind) or T.is_fixed_size_binary(kind))


def make_encoder(schema: pa.Schema, settings: EncoderSettings) -> CsvEncoder:
    """See :meth:`~airflow_xacct.dump.formats.spec.FormatSpec.encoder`."""
    assert isinstance(settings.options, CsvOptions)  # noqa: S101 - the spec names the type
    return CsvEncoder(schema, settings.options, settings.compression, settings.level)
