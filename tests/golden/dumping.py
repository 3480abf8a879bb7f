"""Dump a query as a task does, without S3, and take apart what comes out with as little as will do."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_xacct.destination import parse
from airflow_xacct.dump.dump_spec import DumpSpec
from airflow_xacct.dump.pipeline import dump_objects
from airflow_xacct.dump.sources.sql.open import open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions
from tests.databases import Server
from tests.golden.cases import Token

__all__ = ["FORMATS", "DriverHook", "SqliteHook", "Way", "csv_cells", "dump", "json_rows", "parquet_table"]

FORMATS = ("csv", "jsonl", "parquet")
DESTINATION = parse(
    "acme",
    {"role_arn": "arn:aws:iam::222222222222:role/DataDumpRole", "external_id": "ext-1234", "bucket": "acme-landing"},
)


@dataclass(frozen=True)
class DriverHook:
    """What is used of an Airflow hook, over one driver."""

    conn_type: str
    driver: Any
    server: Server
    more: Mapping[str, Any] = field(default_factory=dict)

    def get_conn(self) -> Any:
        server = self.server
        place = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
        name = "dbname" if self.conn_type == "postgres" else "database"
        return self.driver.connect(**place, **{name: server.database}, **self.more)


@dataclass(frozen=True)
class SqliteHook:
    """A SQLite file, opened as Airflow's hook does."""

    path: Path
    conn_type: str = "sqlite"

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)


@dataclass(frozen=True)
class Way:
    """One way from a database to a file: a new fast path is one more of these.

    :param driver: of the connection.
    :param fast_path: as in the operator.
    :param untouched: whether CSV is the server's own.
    """

    driver: str
    fast_path: str
    untouched: bool = False

    def __str__(self) -> str:
        return f"{self.driver}-{self.fast_path}"


def dump(hook: Any, sql: str, format_: str, way: Way, *, options: Any = None, column_types: Any = None) -> bytes:
    """The one object of a dump, uncompressed."""
    wants: Any = "text_csv" if format_ == "csv" and options is None else "arrow"
    read = ReadOptions(column_types=column_types or {})
    fast_path: Any = way.fast_path
    source = open_sql_source(hook, SqlQuery(sql), wants=wants, fast_path=fast_path, options=read)
    spec = DumpSpec(key=f"golden.{format_}", format=format_, compression="none", options=options)
    found = []
    with dump_objects(source, spec, DESTINATION) as objects:
        for plan in objects:
            reader = plan.payload.open()
            while block := reader.read(1024 * 1024):
                found.append(bytes(block))
            reader.finish()
            reader.close()
    return b"".join(found)


def csv_cells(data: bytes) -> tuple[list[str], list[list[str | None]]]:
    """The header and the rows of CSV as RFC 4180 has it, an empty field without quotes as ``None``.

    Python's module does not tell that one from a quoted one.
    """
    rows: list[list[str | None]] = [[]]
    text, quoted, inside = "", False, False
    characters = iter(data.decode())
    for character in characters:
        if inside:
            if character != '"':
                text += character
                continue
            inside, character = False, next(characters, "")
        if character == '"' and quoted:
            text, inside = text + '"', True
        elif character == '"' and not text:
            quoted = inside = True
        elif character in ",\n":
            rows[-1].append(text if text or quoted else None)
            text, quoted = "", False
            if character == "\n":
                rows.append([])
        else:
            assert not quoted, f"text behind a quoted field: {character!r}"
            text += character
    assert rows.pop() == [], "no line end at the end"
    return [name or "" for name in rows[0]], rows[1:]


def json_rows(data: bytes) -> list[dict[str, Any]]:
    """The rows of JSON Lines; a number without a fraction or exponent, or with one, as its own text."""
    return [json.loads(line, parse_float=Token, parse_int=Token) for line in data.decode().split("\n")[:-1]]


def parquet_table(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a Parquet file."""
    table = pq.read_table(io.BytesIO(data), columns=columns)
    table.validate(full=True)
    return table
