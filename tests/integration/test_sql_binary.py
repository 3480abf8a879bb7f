"""The binary form of COPY against its CSV: the same query, the same table, whatever the rows and the blocks."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from typing import Any

import psycopg
import psycopg2
import pyarrow as pa
import pytest

from airflow_xacct.dump.sources.sql.postgres import PostgresSession
from airflow_xacct.dump.sources.sql.postgres_arrow import CopyArrowSource, CopyForm, copy_form
from airflow_xacct.dump.sources.sql.postgres_binary import BinaryRows, binary_text
from airflow_xacct.dump.sources.sql.postgres_copy import AS_BINARY, AS_CSV
from airflow_xacct.dump.sources.sql.postgres_csv import CsvRows, csv_text
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions
from airflow_xacct.exceptions import SourceUnreadableError
from tests.databases import Server

DRIVERS = {"psycopg3": psycopg, "psycopg2": psycopg2}
FORMS = {
    "binary": CopyForm("binary", AS_BINARY, binary_text, BinaryRows),
    "csv": CopyForm("CSV", AS_CSV, csv_text, CsvRows),
}


class Hook:
    """What is used of an Airflow hook."""

    conn_type = "postgres"

    def __init__(self, server: Server, driver: str) -> None:
        self.server = server
        self.driver = DRIVERS[driver]

    def get_conn(self) -> Any:
        server = self.server
        place = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
        return self.driver.connect(**place, dbname=server.database)


def opened(server: Server, sql: str, driver: str = "psycopg3", **options: Any) -> PostgresSession:
    session = PostgresSession(Hook(server, driver), SqlQuery(sql), ReadOptions(**options))
    session.open()
    return session


def table_of(server: Server, sql: str, form: str, driver: str = "psycopg3", **options: Any) -> pa.Table:
    source = CopyArrowSource([opened(server, sql, driver, **options)], FORMS[form])
    with contextlib.closing(source):
        table = pa.Table.from_batches(source.batches(), schema=source.schema())
    table.validate(full=True)
    return table


def form_of(server: Server, sql: str, **options: Any) -> str:
    session = opened(server, sql, **options)
    with contextlib.closing(session):
        return copy_form(session).options


#: SQL that makes a value of a random number ``r`` from 0 to 1 and of the number ``i`` of its row, by type
RANDOM = {
    "boolean": "r < 0.5",
    "smallint": "(r * 65535 - 32768)::int",
    "integer": "(r * 4294967295 - 2147483648)::bigint",
    "bigint": "((r - 0.5) * 1.8e19)::numeric(20, 0)",
    "oid": "(r * 4294967295)::bigint",
    "real": "(r - 0.5) * 10.0 ^ ((r * 1e6)::int % 30)",
    "double precision": "(r - 0.5) * 10.0 ^ ((r * 1e6)::int % 300)",
    "numeric(4,2)": "(r - 0.5) * 198",
    "numeric(9)": "(r - 0.5) * 1.9e9",
    "numeric(12,2)": "(r - 0.5) * 10.0 ^ ((r * 1e6)::int % 10)",
    "numeric(18,6)": "(r - 0.5) * 10.0 ^ ((r * 1e6)::int % 12)",
    "numeric(18,17)": "(r - 0.5) * 10.0 ^ (0 - (r * 1e6)::int % 17)",
    "numeric(17)": "round(((r - 0.5) * 1.9e17)::numeric, 0 - (i % 17)::int)",
    "date": "date '0001-01-01' + (r * 3652058)::int",
    "time": "time '00:00' + r * interval '23:59:59'",
    "timestamp": "timestamp '0001-01-01' + r * interval '9998 years'",
    "timestamptz": "timestamptz '0001-01-01 00:00+00' + r * interval '9998 years'",
    "uuid": "md5(r::text)::uuid",
    "text": "repeat(chr(200 + (r * 5e4)::int), (r * 40)::int)",
    "varchar(9)": "left(md5(r::text), (r * 9)::int)",
    "char(7)": "left(md5(r::text), (r * 7)::int)",
    "bytea": "decode(left(md5(r::text), 2 * (r * 16)::int), 'hex')",
    "json": "json_build_object('r', r)",
    "jsonb": "to_jsonb(r)",
    "numeric": "r * 10.0 ^ ((r * 1e6)::int % 60)",
    "numeric(30,10)": "(r - 0.5) * 10.0 ^ ((r * 1e6)::int % 18)",
    "interval": "r * interval '100 years'",
    "integer[]": "ARRAY[i, NULL, (r * 100)::int]",
}


def random_query(chance: random.Random) -> str:
    """Some of the types in some order, with no NULL, a few, many, or nothing but NULL; of no, one or many rows."""
    items, rows = [], chance.choice([0, 1, 2, 40, 3_000])
    for number in range(chance.randint(1, 9)):
        kind = chance.choice(list(RANDOM))
        part = chance.choice([0, 0, 0.01, 0.5, 1])
        value = f"CASE WHEN hashint8(i * 31 + {number}) & 1023 >= {part} * 1024 THEN {RANDOM[kind]} END"
        items.append(f'({value})::{kind} AS "c{number}"')
    # the same value each time, spread over 0 to 1
    spread = f"(hashint8(i + {chance.randint(0, 10**6)})::float8 + 2147483648) / 4294967296"
    return f"SELECT {', '.join(items)} FROM (SELECT i, {spread} AS r FROM generate_series(1, {rows}) i) q"


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("seed", range(60))
def test_the_same_table_as_from_csv(postgres: Server, seed: int, driver: str) -> None:
    """Values, types and NULLs, whatever there is; in blocks of one row, of some, and of all."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    sql, block_bytes = random_query(chance), chance.choice([1, 700, 4_096, 512 * 1024])
    binary = table_of(postgres, sql, "binary", driver, block_bytes=block_bytes)
    csv = table_of(postgres, sql, "csv", driver)
    assert binary.schema.equals(csv.schema, check_metadata=True)
    assert binary.equals(csv), sql


def test_each_type_is_read_from_what_the_server_sends(postgres: Server) -> None:
    """No test above would fail if all of them were sent as text."""
    own = [kind for kind in RANDOM if kind not in {"numeric", "numeric(30,10)", "interval", "integer[]"}]
    items = ", ".join(f'NULL::{kind} AS "{kind}"' for kind in own)
    session = opened(postgres, f"SELECT {items}")
    with contextlib.closing(session):
        assert "::pg_catalog.text" not in binary_text(session)


@pytest.mark.parametrize(
    "kinds",
    [
        ["integer", "interval", "integer[]"],
        ["integer", "inet"],
        ["integer", "boolean[]", "xml"],
        ["integer", "holder"],
    ],
    ids=lambda kinds: "-".join(kinds),
)
def test_what_is_read_as_csv(postgres: Server, kinds: Sequence[str]) -> None:
    """Mostly text, or a type whose cast to text somebody made: what that says is not what COPY writes."""
    with contextlib.closing(Hook(postgres, "psycopg3").get_conn()) as connection:
        connection.execute("CREATE TYPE holder AS (n int)")
        connection.execute("CREATE FUNCTION told(holder) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT ''told'''")
        connection.execute("CREATE CAST (holder AS text) WITH FUNCTION told(holder)")
        connection.commit()
        try:
            sql = "SELECT " + ", ".join(f'NULL::{kind} AS "{kind}"' for kind in kinds)
            assert form_of(postgres, sql) == AS_CSV
            assert form_of(postgres, "SELECT 1 AS a, NULL::interval AS b") == AS_BINARY
        finally:
            connection.execute("DROP TYPE holder CASCADE")
            connection.commit()


@pytest.mark.parametrize(
    ("asked", "form"), [("string", AS_BINARY), ("int32", AS_CSV), ("decimal128(20, 0)", AS_CSV), ("int64", AS_BINARY)]
)
def test_a_type_that_was_asked_for(postgres: Server, asked: str, form: str) -> None:
    """Is made of text, unless it is the column's own."""
    sql = "SELECT 1::bigint AS n, 2 AS m"
    assert form_of(postgres, sql, column_types={"n": asked}) == form


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("'infinity'", "date"),
        ("'-infinity'", "timestamp"),
        ("'infinity'", "timestamptz"),
        ("'0044-03-15 BC'", "date"),
        ("'10000-01-01'", "date"),
        ("'0001-12-31 23:59:59.999999 BC'", "timestamp"),
        ("'10000-01-01'", "timestamp"),
        ("'24:00'", "time"),
        ("'NaN'", "numeric(12,2)"),
        ("'NaN'", "numeric(30,2)"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_no_column_holds(postgres: Server, form: str, value: str, kind: str) -> None:
    """Is refused with its row, in whichever block, and its column, by both forms in the same words."""
    sql = f"SELECT i AS k, (CASE WHEN i = 777 THEN {value} END)::{kind} AS v, i AS w FROM generate_series(1, 900) i"
    with pytest.raises(SourceUnreadableError) as caught:
        table_of(postgres, sql, form, block_bytes=1_000)
    declared = kind.partition("(")[0]
    full = {"timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone"}
    full |= {"time": "time without time zone"}
    assert f"row 777 holds a value that column 'v' ({full.get(declared, declared)}, Arrow" in str(caught.value)
    assert "column_types={'v': 'string'}" in str(caught.value)
    remedy = {"column_types": {"v": "string"}}
    assert table_of(postgres, sql, form_name(postgres, sql, remedy), **remedy).column("v")[776].as_py() is not None


def form_name(server: Server, sql: str, options: dict[str, Any]) -> str:
    return "binary" if form_of(server, sql, **options) == AS_BINARY else "csv"
