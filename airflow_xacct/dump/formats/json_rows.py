"""JSON Lines from Arrow batches: one object for each row, in UTF-8, with a line end of one byte.

Every column is in every row, NULL as ``null``. See :mod:`airflow_xacct.dump.formats.json_values` for the values.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.formats.columns import unknown_type
from airflow_xacct.dump.formats.json_values import bare_json, has_json
from airflow_xacct.dump.formats.options import FormatOptions, JsonLinesOptions
from airflow_xacct.dump.formats.scalar_text import joined
from airflow_xacct.dump.formats.text_rows import RowTextEncoder

__all__ = ["JsonLinesEncoder", "make_encoder"]


class JsonLinesEncoder(RowTextEncoder):
    """JSON Lines of rows of one schema.

    :raises InvalidArgumentError: a column whose type JSON cannot hold.
    """

    def __init__(self, schema: pa.Schema, options: JsonLinesOptions, compression: str, level: int | None) -> None:
        super().__init__(b"", compression, level)
        for field in schema:
            if not has_json(field.type):
                raise unknown_type(field, "JSON Lines")
        self._non_finite = options.non_finite
        self._names = [json.dumps(name, ensure_ascii=False) for name in schema.names]

    def lines(self, batch: pa.RecordBatch, /) -> pa.Array:
        """One line for each row."""
        parts: list[pa.Array | str] = []
        constant = "{"
        for name, field, column in zip(self._names, batch.schema, batch.columns, strict=True):
            text, quoted = bare_json(column, field.name, self._non_finite)
            quote = '"' if quoted else ""
            if quote and text.null_count:
                # null has no quotes, so they cannot stand in the text between the columns
                text, quote = joined('"', text, '"'), ""
            parts += [f"{constant}{name}:{quote}", text]
            constant = f"{quote},"
        parts.append(constant.removesuffix(",") + "}\n")
        return pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="null")


def make_encoder(
    schema: pa.Schema,
    options: FormatOptions,
    compression: str,
    level: int | None,
    max_object_bytes: int | None,  # noqa: ARG001 - blocks of text are small anyway
) -> JsonLinesEncoder:
    """See :meth:`~airflow_xacct.dump.formats.spec.FormatSpec.encoder`."""
    assert isinstance(options, JsonLinesOptions)  # noqa: S101 - the spec names the type
    return JsonLinesEncoder(schema, options, compression, level)
