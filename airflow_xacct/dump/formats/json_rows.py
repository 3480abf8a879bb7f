"""JSON Lines from Arrow batches: one object for each row, in UTF-8, with a line end of one byte.

The keys of an object stand in the order of the columns. Every column is in every row, NULL as ``null``, unless NULL is
to be left out. See :mod:`airflow_xacct.dump.formats.json_values` for the values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa

from airflow_xacct.dump.formats import text_functions as texts
from airflow_xacct.dump.formats.columns import unknown_type
from airflow_xacct.dump.formats.json_values import bare_json, has_json
from airflow_xacct.dump.formats.options import JsonLinesOptions
from airflow_xacct.dump.formats.spec import EncoderSettings
from airflow_xacct.dump.formats.text_rows import RowTextEncoder

__all__ = ["JsonLinesEncoder", "make_encoder"]


class JsonLinesEncoder(RowTextEncoder):
    """JSON Lines of rows of one schema.

    :raises InvalidArgumentError: a column whose type JSON cannot hold.
    """

    def __init__(self, schema: pa.Schema, options: JsonLinesOptions, compression: str, level: int | None) -> None:
        super().__init__(schema, b"", compression, level)
        for field in schema:
            if not has_json(field.type):
                raise unknown_type(field, "JSON Lines")
        self._options = options
        self._names = [json.dumps(name, ensure_ascii=False) for name in schema.names]

    def lines(self, batch: pa.RecordBatch, /) -> pa.Array:
        """One line for each row."""
        columns = self._columns(batch)
        return _without_nulls(columns) if self._options.nulls == "omit" else _with_nulls(columns)

    def _columns(self, batch: pa.RecordBatch) -> Iterator[_Column]:
        for name, field, column in zip(self._names, batch.schema, batch.columns, strict=True):
            text, quoted = bare_json(column, field.name, self._options)
            yield name, text, '"' if quoted else ""


_Column = tuple[str, pa.Array, str]
"""The name as JSON, the values, and the quote around each of them."""


def _with_nulls(columns: Iterator[_Column]) -> pa.Array:
    parts: list[pa.Array | str] = []
    between = "{"
    for name, text, quote in columns:
        if quote and text.null_count:
            # null has no quotes, so they cannot stand in the text between the columns
            text, quote = texts.join('"', text, '"'), ""  # noqa: PLW2901
        parts += [f"{between}{name}:{quote}", text]
        between = f"{quote},"
    return texts.join(*parts, between.removesuffix(",") + "}\n", null="null")


def _without_nulls(columns: Iterator[_Column]) -> pa.Array:
    members = [texts.join(f",{name}:{quote}", text, quote) for name, text, quote in columns]
    inside = texts.join(*members, null="")
    return texts.join("{", texts.utf8_slice_codeunits(inside, 1), "}\n")


def make_encoder(schema: pa.Schema, settings: EncoderSettings) -> JsonLinesEncoder:
    """See :meth:`~airflow_xacct.dump.formats.spec.FormatSpec.encoder`."""
    assert isinstance(settings.options, JsonLinesOptions)  # noqa: S101 - the spec names the type
    return JsonLinesEncoder(schema, settings.options, settings.compression, settings.level)
