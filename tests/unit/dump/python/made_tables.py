"""Reads what Python made as the pipeline does."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from airflow_xacct.dump.formats.columns import plain_batch, plain_schema
from airflow_xacct.dump.sources.python.made import Made
from airflow_xacct.dump.sources.python.source import PythonSource

__all__ = ["one", "read"]


def read(value: Any, schema: Any = None) -> pa.Table:
    """All rows, in the types that formats are given."""
    source = PythonSource(Made("function f", value), schema)
    given = source.schema()
    plain = plain_schema(given)
    batches = [plain_batch(batch, given, plain) for batch in source.batches()]
    source.close()
    return pa.Table.from_batches(batches, plain)


def one(values: list[Any], kind: Any = None) -> pa.Table:
    """A table of one column ``x``, from dicts."""
    return read([{"x": value} for value in values], None if kind is None else {"x": kind})
