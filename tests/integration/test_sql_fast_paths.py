"""The fast paths of SQLite and MySQL: the same values as through the cursor, or the same refusal."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_xacct.dump.rows import RowSource
from airflow_xacct.dump.sources.sql.open import open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions
from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError, SourceUnreadableError
from tests.databases import Server, ServerMissing, mariadb_server


class SqliteHook:
    """A SQLite file, opened as Airflow's hook does."""

    conn_type = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)


@pytest.fixture
def lite(tmp_path: Path) -> SqliteHook:
    return SqliteHook(tmp_path / "some.db")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged of the way that was taken."""
    found: list[str] = []
    logger = logging.getLogger("airflow_xacct.dump.sources.sql.open")
    monkeypatch.setattr(logger, "info", lambda text, *values: found.append(text % values))
    return found


def fill(hook: SqliteHook, declared: str, rows: Any) -> None:
    """A table ``t`` of these columns and rows."""
    with contextlib.closing(hook.get_conn()) as connection, connection:
        connection.execute(f"CREATE TABLE t ({declared})")
        rows = list(rows)
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(rows[0]))})", rows)


def table_of(hook: Any, sql: str, parameters: Any = None, **more: Any) -> pa.Table:
    fast_path, order_by = more.pop("fast_path", "require"), more.pop("order_by", ())
    query = SqlQuery(sql, parameters, order_by)
    source = open_sql_source(hook, query, wants="arrow", fast_path=fast_path, options=ReadOptions(**more))
    assert isinstance(source, RowSource)
    with contextlib.closing(source):
        table = pa.Table.from_batches(source.batches(), schema=source.schema())
    table.validate(full=True)
    return table


# -- SQLite --------------------------------------------------------------------------------------------------------

MANY = 40_000  # more than the driver looks at to tell a type, in several batches


def at(row: int, value: Any, other: Any = None) -> list[tuple[int, Any]]:
    """One value at a row counted from 1, and others around it."""
    return [(i, value if i == row else other) for i in range(1, MANY + 1)]


#: values that both ways must hold alike: what is declared, the rows
HELD: dict[str, tuple[str, Any]] = {
    "integers": ("INTEGER", at(3, 2**63 - 1, -(2**63))),
    "reals": ("REAL", at(3, 5e-324, 0.1 + 0.2)),
    "infinity": ("REAL", at(30_000, float("inf"), -1e308)),
    "text": ("TEXT", at(30_000, "", 'quo"ted,\n💥 a\0b')),
    "blobs": ("BLOB", at(30_000, b"", b"\0\xff")),
    "nothing": ("", at(1, None)),
    "nothing declared as text": ("TEXT", at(1, None)),
    "late integer": ("INTEGER", at(30_000, 5)),
    "late real": ("REAL", at(30_000, 0.5)),
    "late text": ("VARCHAR(10)", at(30_000, "late")),
    "late text of no type": ("", at(30_000, "late")),
    "late blob": ("BLOB", at(30_000, b"late")),
    "late and empty": ("TEXT", at(30_000, "")),
    "whole numbers among reals": ("NUMERIC", at(30_000, 0.5, 7)),
    "reals of no type": ("", at(30_000, 2**53, 0.5)),
    "dates are text": ("DATE", at(30_000, "2024-01-01", "any")),
    "booleans are integers": ("BOOLEAN", at(30_000, 1, 0)),
    "large text": ("TEXT", at(3, "ü" * 100_000, "x")),
}


@pytest.mark.parametrize("case", HELD)
def test_sqlite_values_are_the_cursors(lite: SqliteHook, lines: list[str], case: str) -> None:
    """In value and type, whatever the first rows hold."""
    declared, rows = HELD[case]
    fill(lite, f"k INTEGER PRIMARY KEY, v {declared}", rows)
    fast = table_of(lite, "SELECT k, v FROM t")
    assert "through ADBC" in lines[-1]
    slow = table_of(lite, "SELECT k, v FROM t", fast_path="forbid")
    assert fast.schema.equals(slow.schema, check_metadata=True)
    assert fast.equals(slow)
    assert fast.column("v").to_pylist() == [value for _, value in rows]


#: values that no column holds unchanged: what is declared, the rows, the number of the row
REFUSED: dict[str, tuple[str, Any, str]] = {
    "text among integers": ("INTEGER", at(30_000, "x", 1), "row 30,000 "),
    "a real among integers": ("INTEGER", at(30_000, 1.5, 1), "row 30,000 "),
    "a blob among integers": ("INTEGER", at(30_000, b"x", 1), "row 30,000 "),
    "a large integer among reals": ("", at(30_000, 2**53 + 1, 0.5), "row 30,000 "),
    "text among reals": ("REAL", at(30_000, "x", 0.5), "row 30,000 "),
    "an integer among texts": ("", at(30_000, 5, "x"), "row 30,000 "),
    "a real among texts": ("", at(30_000, 0.1 + 0.2, "x"), "row 30,000 "),
    "a blob among texts": ("TEXT", at(30_000, b"abc", "x"), "row 30,000 "),
    "text among blobs": ("BLOB", at(30_000, "x", b"x"), "row 30,000 "),
    "an integer after nothing": ("", at(30_000, 5), "row 30,000 "),
    "a blob after nothing": ("TEXT", at(30_000, b"x"), "row 30,000 "),
    "integer and text at once": ("", at(2, "x", 1), "first rows"),
    "between the looks of both": ("", at(10_000, "x", 1), "row 10,000 "),
}


@pytest.mark.parametrize("fast_path", ["auto", "forbid"])
@pytest.mark.parametrize("case", REFUSED)
def test_sqlite_values_that_no_column_holds(lite: SqliteHook, case: str, fast_path: str) -> None:
    """Are refused with row, column and remedy: never changed."""
    declared, rows, place = REFUSED[case]
    fill(lite, f"k INTEGER PRIMARY KEY, v {declared}", rows)
    with pytest.raises(SourceUnreadableError, match=rf"{place}.*'v'.*column_types=") as caught:
        table_of(lite, "SELECT k, v FROM t", fast_path=fast_path)
    assert "(column 'v')" in str(caught.value)
    text = table_of(lite, "SELECT k, v FROM t", fast_path="auto", column_types={"v": "string"})
    assert text.num_rows == MANY


def test_text_that_is_no_utf8_is_refused(lite: SqliteHook) -> None:
    """The driver would let it pass, and every reader of the file would stumble."""
    fill(lite, "k INTEGER PRIMARY KEY, v TEXT", at(1, "x"))
    with contextlib.closing(lite.get_conn()) as connection, connection:
        connection.execute("UPDATE t SET v = CAST(x'ff' AS TEXT) WHERE k = 30000")
    with pytest.raises(SourceUnreadableError, match=r"a row after the 16,384th holds a text that is no UTF-8.*'v'"):
        table_of(lite, "SELECT k, v FROM t")
    with pytest.raises(SourceUnreadableError, match="UTF-8"):
        table_of(lite, "SELECT k, v FROM t", fast_path="forbid")


def test_sqlite_parameters_and_order(lite: SqliteHook, lines: list[str]) -> None:
    """Bound, never pasted; sorted by the partition, also of a column that needs quotes."""
    rows = [(i, f"it's {i % 3}", None if i % 2 else i / 4) for i in range(MANY)]
    fill(lite, '"a ""b""" INTEGER, t TEXT, r REAL', rows)
    sql = 'SELECT "a ""b""", t, r FROM t WHERE t <> ? AND "a ""b""" < ? AND ? = 0.5 -- end;'
    more = {"parameters": ["it's 1", 35_000, 0.5], "order_by": ["t", 'a "b"']}
    fast = table_of(lite, sql, **more)
    assert "through ADBC" in lines[-1]
    assert fast.equals(table_of(lite, sql, fast_path="forbid", **more))
    assert fast.column("t").to_pylist() == sorted(fast.column("t").to_pylist())
    assert 20_000 < fast.num_rows < 35_000


@pytest.mark.parametrize(
    ("sql", "more", "reason"),
    [
        ("SELECT k, v FROM t ORDER BY v", {}, "order"),
        ("SELECT k, v FROM t WHERE k = :k", {"parameters": {"k": 1}}, "binds lists"),
        ("SELECT k, v FROM t", {"column_types": {"v": "string"}}, "column_types"),
        ("SELECT k, v FROM t", {"statement_timeout_seconds": 60}, "timeout"),
        ("SELECT k, v FROM t", {"read_only": False}, "may write"),
        ("SELECT a.k, b.v FROM t a JOIN t b ON a.k = b.k", {}, "one pass"),
        ("SELECT v, count(*) AS n FROM t GROUP BY v", {}, "one pass"),
        ("SELECT value AS v FROM json_each('[1, 2]')", {}, "one pass"),
        ("SELECT 1 AS v", {}, "one pass"),
        ("SELECT loud(v) AS v FROM t", {}, "the driver refuses it"),
        ("PRAGMA table_info(t)", {}, "cannot stand in another query"),
    ],
)
def test_what_the_cursor_reads(
    lite: SqliteHook, lines: list[str], sql: str, more: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason in the log, or in the error where the fast path is required; the rows are all there."""
    fill(lite, "k INTEGER PRIMARY KEY, v TEXT", at(1, "x", "y"))

    def with_function() -> sqlite3.Connection:
        connection = sqlite3.connect(lite.path)
        connection.create_function("loud", 1, lambda text: text.upper())
        return connection

    monkeypatch.setattr(lite, "get_conn", with_function)
    assert table_of(lite, sql, fast_path="auto", **more).num_rows > 0
    assert "no fast path: " in lines[-1]
    with pytest.raises(InvalidArgumentError, match=f"no fast path for this query in SQLite: .*({reason})"):
        table_of(lite, sql, **more)


def test_a_short_result_is_not_asked_for_twice(lite: SqliteHook, lines: list[str]) -> None:
    """Unless the fast path is required: the cursor has all rows when it knows the columns."""
    fill(lite, "a", [(1,), (2,)])
    assert table_of(lite, "SELECT a FROM t", fast_path="auto").num_rows == 2
    assert "a cursor and fetchmany" in lines[-1]
    assert "it has few rows" in lines[-1]
    assert table_of(lite, "SELECT a FROM t").num_rows == 2
    assert "through ADBC" in lines[-1]


def test_a_database_in_memory_and_attached_ones(lite: SqliteHook, lines: list[str], tmp_path: Path) -> None:
    """Another connection would not see them."""
    fill(lite, "k INTEGER PRIMARY KEY, v TEXT", at(1, "x"))

    class Memory:
        conn_type = "sqlite"

        def get_conn(self) -> sqlite3.Connection:
            connection = sqlite3.connect(":memory:")
            connection.execute("ATTACH ? AS other", (str(lite.path),))
            return connection

    assert table_of(Memory(), "SELECT v FROM other.t", fast_path="auto").num_rows == MANY
    assert "it is no single file" in lines[-1]


def test_without_the_driver(lite: SqliteHook, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line on the log, or an error that names the extra."""
    fill(lite, "a", [(1,)])
    monkeypatch.delitem(sys.modules, "airflow_xacct.dump.sources.sql.sqlite_arrow", raising=False)
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite", None)
    assert table_of(lite, "SELECT a FROM t", fast_path="auto").num_rows == 1
    assert lines[-1].endswith("no fast path: airflow-provider-xacct[sqlite] is not installed")
    with pytest.raises(MissingDependencyError, match=r"adbc-driver-sqlite.*airflow-provider-xacct\[sqlite\]"):
        table_of(lite, "SELECT a FROM t")


def test_the_file_is_free_after_a_close(lite: SqliteHook) -> None:
    """In the middle of the rows, too: nothing holds a lock on it."""
    fill(lite, "k INTEGER PRIMARY KEY, v TEXT", at(1, "x"))
    source = open_sql_source(lite, SqlQuery("SELECT k, v FROM t"), wants="arrow", fast_path="require")
    assert isinstance(source, RowSource)
    batches = source.batches()
    assert next(batches).num_rows == 16_384
    source.close()
    with pytest.raises(SourceUnreadableError, match="stopped after 16,384 rows"):
        next(batches)
    with contextlib.closing(sqlite3.connect(lite.path, timeout=0)) as connection, connection:
        connection.execute("DELETE FROM t")


# -- MySQL and MariaDB ---------------------------------------------------------------------------------------------


class MySqlHook:
    """What is used of Airflow's MySqlHook, over one driver."""

    conn_type = "mysql"

    def __init__(self, driver: Any, server: Server) -> None:
        self.driver = driver
        self.server = server

    def get_conn(self) -> Any:
        server = self.server
        return self.driver.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, database=server.database
        )

    def run(self, *statements: str) -> None:
        with contextlib.closing(self.get_conn()) as connection, contextlib.closing(connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Server]:
    try:
        with mariadb_server() as server:
            yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=["pymysql", "MySQLdb", "mysql.connector"])
def maria(request: pytest.FixtureRequest, mariadb: Server) -> MySqlHook:
    """Each driver that is installed; the hook of Airflow uses the last two."""
    driver = pytest.importorskip(request.param, reason=f"{request.param} is not installed: no extra of ours brings it")
    return MySqlHook(driver, mariadb)


MARIADB_COLUMNS = {
    "a": ("TINYINT", "-128", "127"),
    "b": ("SMALLINT UNSIGNED", "0", "65535"),
    "c": ("MEDIUMINT", "-8388608", "8388607"),
    "d": ("INT(8) ZEROFILL", "7", "4294967295"),
    "e": ("BIGINT", "-9223372036854775808", "9223372036854775807"),
    "f": ("BIGINT UNSIGNED", "0", "18446744073709551615"),
    "g": ("DECIMAL(38,10)", "-0.0000000001", "9999999999999999999999999999.9999999999"),
    "h": ("DECIMAL(5,0)", "-99999", "0"),
    "i": ("DOUBLE", "5e-324", "1.7976931348623157e308"),
    "j": ("FLOAT(7,3)", "-0.125", "1234.5"),
    "k": ("DATE", "'1000-01-01'", "'9999-12-31'"),
    "l": ("DATETIME", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"),
    "m": ("DATETIME(3)", "'1850-01-01 01:02:03.004'", "'2024-02-29 23:59:59.999'"),
    "n": ("TIMESTAMP(6)", "'1999-01-01 00:00:00.000001'", "'2030-01-01 00:00:00'"),
    "o": ("YEAR", "1901", "2155"),
    "p": ("TIME(3)", "'-838:59:58.5'", "'00:00:00'"),
    "q": ("VARCHAR(20)", "''", "'quo\"ted,\n💥'"),
    "r": ("VARCHAR(20) COLLATE utf8mb4_bin", "'12'", "'a'"),
    "s": ("VARBINARY(9)", "x'00ff'", "''"),
    "t": ("TEXT", "'a\\r\\n'", "'0000-00-00'"),
    "u": ("BLOB", "x'0a'", "'12'"),
    "v": ("BIT(9)", "b'100000001'", "b'0'"),
    "w": ("JSON", "'{\"b\": 1.0}'", "'null'"),
    "x": ("ENUM('a,b','c')", "'a,b'", "'c'"),
    "y": ("SET('p','q')", "'p,q'", "''"),
}


@pytest.mark.parametrize("column", MARIADB_COLUMNS)
def test_mariadb_values_are_the_cursors(maria: MySqlHook, lines: list[str], column: str) -> None:
    """In value and type, at their limits, and NULL beside them."""
    kind, *values = MARIADB_COLUMNS[column]
    rows = ", ".join(f"({i}, {value})" for i, value in enumerate(values))
    maria.run(
        "CREATE OR REPLACE TABLE t (id INT, v " + kind + ") CHARACTER SET utf8mb4",
        "SET time_zone = '+00:00'",
        f"INSERT INTO t VALUES {rows}, (9, NULL)",
    )
    fast = table_of(maria, "SELECT id, v FROM t", order_by=["id"])
    assert "through a cursor, its text parsed by Arrow" in lines[-1]
    slow = table_of(maria, "SELECT id, v FROM t", order_by=["id"], fast_path="forbid")
    assert "fetchmany" in lines[-1]
    assert fast.schema.equals(slow.schema, check_metadata=True)
    assert fast.equals(slow)
    assert fast.column("v").to_pylist()[-1] is None


@pytest.mark.parametrize("kind", ["DATE", "DATETIME", "DATETIME(6)"])
@pytest.mark.parametrize("odd", ["0000-00-00", "2024-02-00"])
def test_dates_that_are_none_are_refused(maria: MySqlHook, kind: str, odd: str) -> None:
    """With their row, far behind the first."""
    maria.run(
        f"CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v {kind})",
        "SET sql_mode = ''",
        f"INSERT INTO t SELECT seq, IF(seq = 15000, '{odd}', '2024-01-01') FROM seq_1_to_20000",
    )
    for fast_path in ("require", "forbid"):
        with pytest.raises(SourceUnreadableError, match=r"row 15,000 holds a str .*'v'.*column_types="):
            table_of(maria, "SELECT id, v FROM t", fast_path=fast_path)
    text = table_of(maria, "SELECT id, v FROM t", fast_path="auto", column_types={"v": "string"})
    assert text.column("v")[14_999].as_py().startswith(odd)


def test_mariadb_reads_in_several_batches(maria: MySqlHook) -> None:
    """With bound values, and every row."""
    sql = "SELECT seq AS id, seq * 1.10 AS price, %s AS mark FROM seq_1_to_20000 WHERE seq > %s"
    table = table_of(maria, sql, ["it's %", 5])
    assert table.column("id").to_pylist() == list(range(6, 20_001))
    assert str(table.column("price")[0]) == "6.60"  # text, where the driver does not tell of its digits
    assert set(table.column("mark").to_pylist()) == {"it's %"}


def test_column_types_are_for_the_cursor(maria: MySqlHook, lines: list[str]) -> None:
    """Their rules are those of Python's values."""
    types = {"v": "string", "d": "timestamp"}
    sql = "SELECT 1 AS v, DATE '2024-01-01' AS d"
    assert table_of(maria, sql, fast_path="auto", column_types=types).to_pylist() == [
        {"v": "1", "d": dt.datetime(2024, 1, 1)}
    ]
    assert "no fast path: column_types" in lines[-1]
    with pytest.raises(InvalidArgumentError, match="no fast path for this query in MySQL: column_types"):
        table_of(maria, sql, column_types=types)
