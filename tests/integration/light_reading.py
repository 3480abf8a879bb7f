"""Run as a process of its own: read a query, and tell how many rows it has and whether that imported pandas.

``light_reading.py KIND WANTS SQL`` with the address of the database in ``LIGHT_READING``.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from typing import Any

from airflow_xacct.dump.rows import TextSource
from airflow_xacct.dump.sources.sql.open import open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions


class Hook:
    """What hands out connections."""

    def __init__(self, kind: str, address: str) -> None:
        self.conn_type = kind
        self.address = address

    def get_conn(self) -> Any:
        if self.conn_type == "sqlite":
            return sqlite3.connect(self.address)
        import psycopg

        return psycopg.connect(self.address)


def main(kind: str, wants: Any, sql: str, column_types: dict[str, str]) -> None:
    """Read it all."""
    options = ReadOptions(column_types=column_types, block_bytes=4096)
    hook = Hook(kind, os.environ["LIGHT_READING"])
    source = open_sql_source(hook, SqlQuery(sql), wants=wants, fast_path="require", options=options)
    with contextlib.closing(source):
        if isinstance(source, TextSource):
            rows = sum(block.rows for block in source.blocks())
        else:
            rows = sum(batch.num_rows for batch in source.batches())
    print(rows, "pandas" in sys.modules)


if __name__ == "__main__":
    main(*sys.argv[1:4], dict(word.split("=") for word in sys.argv[4:]))
