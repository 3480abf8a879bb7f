"""CSV from Arrow batches: RFC 4180 but for line ends of one byte, written as PostgreSQL's COPY writes it.

NULL is empty and never in quotes, an empty string is ``""``. Values are quoted where they hold a delimiter, a quote or
a line end, and only there. Nested values are JSON. Floats are the shortest that read back the same; timestamps with
zone are in UTC; binary is ``\\x`` and hexadecimal digits; durations are ISO 8601.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.formats.columns import unknown_type
from airflow_xacct.dump.formats.json_values import has_json, is_nested, json_text
from airflow_xacct.dump.formats.options import CsvOptions, FormatOptions
from airflow_xacct.dump.formats.scalar_text import CSV_DIALECT, TEXT, has_scalar_text, joined, scalar_text
from airflow_xacct.dump.formats.text import csv_header
from airflow_xacct.dump.formats.text_rows import RowTextEncoder, special_bytes

__all__ = ["CsvEncoder", "make_encoder"]

T = pa.types


class CsvEncoder(RowTextEncoder):
    """CSV of rows of one schema.

    :raises InvalidArgumentError: a column whose type CSV cannot hold.
    """

    def __init__(self, schema: pa.Schema, options: CsvOptions, compression: str, level: int | None) -> None:
        super().__init__(csv_header(schema.names, options), compression, level)
        for field in schema:
            if not (has_scalar_text(field.type) or has_json(field.type)):
                raise unknown_type(field, "CSV")
        self._options = options
        self._alone = len(schema) == 1
        self._special = (options.delimiter + '"\r\n').encode()
        self._special_class = f'[{re.escape(options.delimiter)}"\r\n]'

    def lines(self, batch: pa.RecordBatch, /) -> pa.Array:
        """One line for each row."""
        fields = [self._field(field, column) for field, column in zip(batch.schema, batch.columns, strict=True)]
        null = self._options.null_text
        # a last field with its line end takes one join less than a line end behind each line
        fields[-1] = pc.binary_join_element_wise(fields[-1], "\n", "", null_handling="replace", null_replacement=null)
        return pc.binary_join_element_wise(
            *fields, self._options.delimiter, null_handling="replace", null_replacement=null
        )

    def _field(self, field: pa.Field, column: pa.Array) -> pa.Array:
        """A column as it stands in the file, NULL as NULL."""
        kind = field.type
        if T.is_boolean(kind):
            true, false = self._options.boolean_texts
            return self._null_alike(pc.if_else(column, true, false))
        if has_scalar_text(kind):
            text = scalar_text(column, CSV_DIALECT, field.name)
        elif isinstance(kind, pa.JsonType):
            text = column.storage.cast(TEXT)
        else:
            text = json_text(column, field.name, non_finite="text")
        if T.is_string(kind) or T.is_large_string(kind) or is_nested(kind):
            return self._quoted(text)
        return self._null_alike(text)

    def _quoted(self, text: pa.Array) -> pa.Array:
        """Quotes around the values that need them."""
        alike = pc.equal(text, self._options.null_text)
        if self._alone:
            alike = pc.or_(alike, pc.equal(text, "\\."))
        found = special_bytes(text, self._special)
        if found:
            alike = pc.or_(alike, pc.match_substring_regex(text, self._special_class))
        if not pc.any(alike, min_count=0).as_py():
            return text
        inner = pc.replace_substring(text, '"', '""') if ord('"') in found else text
        return pc.if_else(alike, joined('"', inner, '"'), text)

    def _null_alike(self, text: pa.Array) -> pa.Array:
        """Quotes around values that look like NULL; a number or date is never empty."""
        if not self._options.null_text:
            return text
        return pc.if_else(pc.equal(text, self._options.null_text), joined('"', text, '"'), text)


def make_encoder(
    schema: pa.Schema,
    options: FormatOptions,
    compression: str,
    level: int | None,
    max_object_bytes: int | None,  # noqa: ARG001 - blocks of text are small anyway
) -> CsvEncoder:
    """See :meth:`~airflow_xacct.dump.formats.spec.FormatSpec.encoder`."""
    assert isinstance(options, CsvOptions)  # noqa: S101 - the spec names the type
    return CsvEncoder(schema, options, compression, level)
