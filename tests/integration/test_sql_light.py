"""Reading through a fast path never imports pandas, which pyarrow does for every Python value that it is given."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import Server

QUERY = r"""
SELECT i::bigint AS id, (i / 7.0)::numeric(12, 2) AS price, sin(i) AS weight, i % 2 = 0 AS paid,
       CASE WHEN i % 3 > 0 THEN 'note ' || i END AS note, decode(md5(i::text), 'hex') AS digest,
       timestamp '2013-01-01' + i * interval '1 minute' AS local, timestamptz '2013-01-01 00:00+00' AS instant,
       date '2013-01-01' + i AS day, jsonb_build_object('i', i) AS details, i::text AS asked, i::text AS small
FROM generate_series(1, 20000) AS i
"""


def told(address: str, *words: str) -> str:
    """What the other process prints."""
    assert importlib.util.find_spec("pandas"), "without pandas this test shows nothing"
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("light_reading.py")), *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "LIGHT_READING": address},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize(
    "words",
    [["text_csv", QUERY], ["arrow", QUERY], ["arrow", QUERY, "asked=timestamp[us]", "small=float32"]],
    ids=["csv", "arrow", "column_types"],
)
def test_postgres(postgres: Server, words: list[str]) -> None:
    server = postgres
    address = f"host={server.host} port={server.port} user={server.user} password={server.password} dbname=postgres"
    if len(words) > 2:
        words = [words[0], words[1].replace("i::text AS asked", "'2013-01-01 00:00:00' AS asked"), *words[2:]]
    assert told(address, "postgres", *words) == "20000 False"


def test_sqlite(tmp_path: Path) -> None:
    """With a column that begins with NULL for long, which takes a mark beside it."""
    with contextlib.closing(sqlite3.connect(tmp_path / "some.db")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER, price REAL, note TEXT, late TEXT)")
        rows = ((i, i / 7, f"note {i}", "late" if i > 12_000 else None) for i in range(20_000))
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    assert told(str(tmp_path / "some.db"), "sqlite", "arrow", "SELECT * FROM t") == "20000 False"
