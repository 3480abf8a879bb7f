"""A killed task leaves no query behind: on SIGTERM it is cancelled on the server, wherever the driver waits."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from tests.databases import Server, ServerMissing, mariadb_server, poll

#: a process as Airflow's: SIGTERM raises in the main thread, which waits for what other threads read
TASK = """
import importlib, json, signal, sys
from airflow_xacct.dump.read_ahead import ReadAhead
from airflow_xacct.dump.sources.sql.open import open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions

asked = json.loads(sys.argv[1])


class Hook:
    conn_type = asked["conn_type"]

    def get_conn(self):
        return importlib.import_module(asked["driver"]).connect(**asked["place"])


def leave(*_):
    raise SystemExit(143)


signal.signal(signal.SIGTERM, leave)
print("begun", flush=True)
source = open_sql_source(
    Hook(),
    SqlQuery(asked["sql"]),
    wants=asked["wants"],
    fast_path=asked["fast_path"],
    options=ReadOptions(connections=asked["connections"]),
)
parts = source.blocks() if hasattr(source, "blocks") else source.batches()
ahead = ReadAhead(parts, lambda part: 1, 1, "xacct-source")
try:
    for part in ahead:
        pass
finally:
    ahead.stop()
    source.close()
    ahead.join()
"""


@contextlib.contextmanager
def task(**asked: Any) -> Iterator[subprocess.Popen[str]]:
    """The process, which is killed for good if it outlives the block."""
    defaults = {"fast_path": "auto", "wants": "text_csv", "connections": 1}
    command = [sys.executable, "-c", TASK, json.dumps({**defaults, **asked})]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Server]:
    try:
        with mariadb_server() as server:
            yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))


def place_of(server: Server, database: str) -> dict[str, Any]:
    place = asdict(server)
    place[database] = place.pop("database")
    return place


SLOW = (
    "SELECT i, pg_sleep(CASE WHEN i % 100000 = 99999 THEN 60 ELSE 0 END)::text AS s FROM generate_series(1, 900000) i"
)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize(
    "asked",
    [
        {"sql": SLOW},
        {"sql": SLOW, "wants": "arrow"},
        {"sql": SLOW, "wants": "arrow", "fast_path": "forbid"},
        {"sql": "SELECT pg_sleep(60)::text AS s"},
        {"sql": "SELECT pg_sleep(60)::text AS s", "wants": "arrow", "fast_path": "forbid"},
        {"sql": "SELECT late(id) AS n, t FROM naps", "connections": 3},
    ],
    ids=["copy", "copy to Arrow", "cursor", "copy without a row", "cursor without a row", "three connections"],
)
def test_postgres_forgets_a_killed_task(postgres: Server, driver: str, asked: dict[str, Any]) -> None:
    """Its backends are gone, not only their clients."""
    place = place_of(postgres, "dbname")
    with psycopg.connect(**place, autocommit=True) as admin:
        admin.execute(
            "CREATE TABLE IF NOT EXISTS naps AS SELECT i AS id, repeat('x', 80) AS t FROM generate_series(1, 30000) i"
        )
        admin.execute(
            "CREATE OR REPLACE FUNCTION late(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
            "$$ BEGIN PERFORM pg_sleep(CASE WHEN $1 % 5000 = 4999 THEN 60 ELSE 0 END); RETURN $1; END $$"
        )
        admin.execute("ANALYZE naps")

        def backends(state: str) -> int:
            row = admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = "
                "'client backend' AND state LIKE %s AND query ~ 'pg_sleep|naps|^FETCH'",
                [state],
            ).fetchone()
            assert row is not None
            return int(row[0])

        with task(conn_type="postgres", driver=driver, place=place, **asked) as process:
            assert poll(lambda: backends("active") == asked.get("connections", 1))
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 143
            assert poll(lambda: backends("%") == 0)


@pytest.mark.parametrize("driver", ["pymysql", "MySQLdb", "mysql.connector"])
@pytest.mark.parametrize("rows", [0, 50_000], ids=["without a row", "in the middle"])
def test_mariadb_forgets_a_killed_task(mariadb: Server, driver: str, rows: int) -> None:
    """KILL QUERY over another connection."""
    pytest.importorskip(driver, reason=f"{driver} is not installed: no extra of ours brings it")
    sql = f"SELECT seq, IF(seq > {rows}, SLEEP(60), 0) AS s FROM seq_1_to_60000"
    with contextlib.closing(pymysql.connect(**place_of(mariadb, "database"))) as admin, admin.cursor() as cursor:

        def sleeping() -> int:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.processlist "
                "WHERE info LIKE '%SLEEP(60)%' AND id <> CONNECTION_ID() AND state LIKE 'User sleep%'"
            )
            return int(cursor.fetchone()[0])  # type: ignore[index]

        with task(conn_type="mysql", driver=driver, place=place_of(mariadb, "database"), sql=sql) as process:
            assert poll(lambda: sleeping() == 1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 143
            assert poll(lambda: sleeping() == 0)


@pytest.mark.parametrize("rows", [0, 50_000], ids=["without a row", "in the middle"])
def test_a_sqlite_query_ends_with_its_task(tmp_path: Path, rows: int) -> None:
    """Interrupted, though it would run for hours; and the file is free."""
    path = tmp_path / "some.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    endless = f"WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g) SELECT i FROM g WHERE i <= {rows}"
    with task(conn_type="sqlite", driver="sqlite3", place={"database": str(path)}, sql=endless) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    with contextlib.closing(sqlite3.connect(path, timeout=0)) as connection, connection:
        connection.execute("INSERT INTO t VALUES (1)")
