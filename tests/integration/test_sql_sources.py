"""Queries read from real servers: PostgreSQL, MariaDB and SQLite, value by value against what they say themselves."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import sqlite3
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pyarrow as pa
import pymysql
import pytest

from airflow_xacct.dump.rows import CHECKED_JSON, RowSource, TextSource
from airflow_xacct.dump.sources.sql.open import open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions
from airflow_xacct.exceptions import InvalidArgumentError, SourceError, SourceNotFoundError, SourceUnreadableError
from tests.databases import Server, ServerMissing, mariadb_server, poll

UTC = dt.UTC


class DriverHook:
    """What is used of an Airflow hook, over one driver."""

    def __init__(self, conn_type: str, driver: Any, server: Server) -> None:
        self.conn_type = conn_type
        self.driver = driver
        self.server = server

    def get_conn(self) -> Any:
        server = self.server
        place = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
        name = "dbname" if self.conn_type == "postgres" else "database"
        return self.driver.connect(**place, **{name: server.database})


class SqliteHook:
    """A SQLite file, opened as Airflow's hook does: for one thread only."""

    conn_type = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)

    def run(self, *statements: str) -> None:
        with contextlib.closing(self.get_conn()) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Server]:
    try:
        with mariadb_server() as server:
            yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=[psycopg, psycopg2], ids=["psycopg3", "psycopg2"])
def pg_hook(request: pytest.FixtureRequest, postgres: Server) -> DriverHook:
    return DriverHook("postgres", request.param, postgres)


@pytest.fixture
def admin(postgres: Server) -> Iterator[psycopg.Connection[Any]]:
    """Another connection to the same server."""
    server = postgres
    with psycopg.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname="postgres"
    ) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def maria_hook(mariadb: Server) -> DriverHook:
    return DriverHook("mysql", pymysql, mariadb)


@pytest.fixture(params=["pymysql", "MySQLdb", "mysql.connector"])
def any_maria_hook(request: pytest.FixtureRequest, mariadb: Server) -> DriverHook:
    """Each driver that is installed; the hook of Airflow uses the last two."""
    driver = pytest.importorskip(request.param, reason=f"{request.param} is not installed: no extra of ours brings it")
    return DriverHook("mysql", driver, mariadb)


@pytest.fixture
def lite(tmp_path: Path) -> SqliteHook:
    return SqliteHook(tmp_path / "some.db")


def open_rows(hook: Any, sql: str, parameters: Any = None, **more: Any) -> RowSource:
    fast_path, order_by = more.pop("fast_path", "auto"), more.pop("order_by", ())
    query = SqlQuery(sql, parameters, order_by)
    source = open_sql_source(hook, query, wants="arrow", fast_path=fast_path, options=ReadOptions(**more))
    assert isinstance(source, RowSource)
    return source


def table_of(hook: Any, sql: str, parameters: Any = None, **more: Any) -> pa.Table:
    with contextlib.closing(open_rows(hook, sql, parameters, **more)) as source:
        batches = list(source.batches())
    table = pa.Table.from_batches(batches, schema=source.schema())
    table.validate(full=True)
    return table


def text_of(hook: Any, sql: str, parameters: Any = None, **more: Any) -> tuple[bytes, int]:
    options = ReadOptions(**more)
    source = open_sql_source(hook, SqlQuery(sql, parameters), wants="text_csv", options=options)
    assert isinstance(source, TextSource)
    blocks = list(source.blocks())
    return b"".join(block.data for block in blocks), sum(block.rows for block in blocks)


# -- PostgreSQL: values --------------------------------------------------------------------------------------------

TEXTS = ["plain", "", 'quo"ted', "a,b", "line\nbreak", "cr\r\nlf", "tab\t", "\\N", "\\.", "NULL", "💥 ünï", " ", "'"]

#: a type, the Arrow type it becomes, values as the server reads them
POSTGRES_TYPES: list[tuple[str, pa.DataType, list[str]]] = [
    ("smallint", pa.int16(), ["-32768", "32767"]),
    ("integer", pa.int32(), ["-2147483648", "0"]),
    ("bigint", pa.int64(), ["-9223372036854775808", "9223372036854775807"]),
    ("oid", pa.uint32(), ["4294967295"]),
    ("boolean", pa.bool_(), ["true", "false"]),
    ("numeric(12,2)", pa.decimal128(12, 2), ["-9999999999.99", "0.10", "0"]),
    ("numeric(38,38)", pa.decimal128(38, 38), ["0.12345678901234567890123456789012345678"]),
    ("numeric(60,20)", pa.string(), ["1234567890123456789012345678901234567890.5"]),
    ("numeric(3,5)", pa.decimal128(5, 5), ["0.00123"]),
    ("numeric(5,-2)", pa.string(), ["1234567"]),
    ("numeric", pa.string(), ["1e100", "0.0000000001", "NaN", "Infinity", "123456789012345678901234567890.5"]),
    ("real", pa.float32(), ["1.1", "3.4028235e38", "NaN", "-Infinity", "1e-45"]),
    ("double precision", pa.float64(), ["0.1", "1e22", "5e-324", "1.7976931348623157e308", "NaN", "Infinity", "-0"]),
    ("text", pa.string(), TEXTS),
    ("varchar(20)", pa.string(), TEXTS),
    ("char(3)", pa.string(), ["a", "abc"]),
    ("bytea", pa.binary(), ["\\x", "\\x00ff5c780a", "\\xdeadbeef"]),
    ("date", pa.date32(), ["0001-01-01", "1752-09-14", "1969-12-31", "9999-12-31"]),
    ("time", pa.time64("us"), ["00:00:00", "23:59:59.999999"]),
    ("timestamp", pa.timestamp("us"), ["0001-01-01 00:00:00", "1883-11-18 12:03:58.000001", "9999-12-31 23:59:59"]),
    ("timestamptz", pa.timestamp("us", tz="UTC"), ["1850-01-01 00:00:00+00:53:28", "2024-03-31 01:30:00.5-09:30"]),
    ("interval", pa.string(), ["1 year 2 mons -3 days 04:05:06.789"]),
    ("timetz", pa.string(), ["12:00:00.5+05:30"]),
    ("uuid", pa.string(), ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("json", pa.string(), ['{"b": 1.0, "a":   [1e400, null, "💥\\n"]}']),
    ("jsonb", pa.string(), ['{"b": 1.0, "a": [12345678901234567890.10, null]}', "null"]),
    ("integer[]", pa.string(), ["{1,NULL,3}", "{{1,2},{3,4}}", "{}"]),
    ("text[]", pa.string(), ['{"a,b","c\\"d",NULL,"NULL",""}']),
    ("int4range", pa.string(), ["[1,5)", "empty"]),
    ("inet", pa.string(), ["192.168.0.1/24", "::1"]),
    ("bit varying", pa.string(), ["10101"]),
    ("money", pa.string(), ["$1,000.50"]),
    ("tsvector", pa.string(), ["'a':1 'b':2"]),
    ("point", pa.string(), ["(1.5,2)"]),
    ("mood", pa.string(), ["so, so", "good"]),
    ("pair", pa.string(), ['(1,"x,""y")']),
]


@pytest.fixture(scope="module")
def own_types(postgres: Server) -> None:
    server = postgres
    with psycopg.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname="postgres"
    ) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('good', 'so, so'); CREATE TYPE pair AS (n int, t text)")


def _equals_text(value: Any, text: str, kind: pa.DataType) -> bool:
    """Whether an Arrow value is what the server's text says."""
    if pa.types.is_boolean(kind):
        return (value is True and text == "t") or (value is False and text == "f")
    if pa.types.is_floating(kind):
        wanted = float(text)
        if pa.types.is_float32(kind):
            wanted = pa.scalar(wanted, pa.float32()).as_py()
        both_nan = math.isnan(value) and math.isnan(wanted)
        return both_nan or (value == wanted and math.copysign(1, value) == math.copysign(1, wanted))
    if pa.types.is_decimal(kind):
        return format(value, "f") == text
    if pa.types.is_binary(kind):
        return "\\x" + value.hex() == text
    if pa.types.is_timestamp(kind):
        fraction = f".{value.microsecond:06d}".rstrip("0").rstrip(".")
        return value.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0") + fraction == text
    if pa.types.is_time(kind):
        return value.isoformat() == text
    return str(value) == text


@pytest.mark.usefixtures("own_types")
@pytest.mark.parametrize("fast_path", ["require", "forbid"])
@pytest.mark.parametrize(("pg_type", "arrow_type", "values"), POSTGRES_TYPES, ids=[row[0] for row in POSTGRES_TYPES])
def test_each_postgres_value_is_the_servers_own(
    pg_hook: DriverHook, pg_type: str, arrow_type: pa.DataType, values: list[str], fast_path: str
) -> None:
    """Every value, and NULL beside it, is what the server itself makes of it as text."""
    shown = "format('%s', v AT TIME ZONE 'UTC')" if pg_type == "timestamptz" else "format('%s', v)"
    rows = ", ".join(f"($xx${value}$xx$)" for value in values)
    sql = f"SELECT v, {shown} AS shown FROM (SELECT x::{pg_type} AS v FROM (VALUES {rows}, (NULL)) q(x)) p"
    table = table_of(pg_hook, sql, fast_path=fast_path)
    assert table.schema.field("v").type == arrow_type
    found, wanted = table.column("v").to_pylist(), table.column("shown").to_pylist()
    assert found[-1] is None
    assert len(found) == len(values) + 1
    for value, text in zip(found[:-1], wanted[:-1], strict=True):
        assert _equals_text(value, text, arrow_type), (value, text)


def test_copy_is_delivered_byte_by_byte(pg_hook: DriverHook, admin: psycopg.Connection[Any]) -> None:
    """The CSV is the server's: a block may end at any row, never inside a quoted line break, and rows are counted."""
    sql = "SELECT i, E'a\"b\\n' || i AS t, NULL AS n, '' AS e FROM generate_series(1, 1000) i"
    with admin.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT csv)") as copy:
        wanted = b"".join(bytes(row) for row in copy)
    data, rows = text_of(pg_hook, sql + " -- a comment;")
    assert (data, rows) == (wanted, 1000)
    source = open_sql_source(pg_hook, SqlQuery(sql), wants="text_csv", options=ReadOptions(block_bytes=100))
    assert isinstance(source, TextSource)
    assert list(source.columns) == ["i", "t", "n", "e"]
    blocks = list(source.blocks())
    assert b"".join(block.data for block in blocks) == wanted
    assert len(blocks) > 50
    for block in blocks:
        assert block.data.count(b'"') % 2 == 0
        assert block.data.endswith(b'""\n')
        assert block.data.count(b'""\n') == block.rows


@pytest.mark.parametrize("value", ["", "\\.", None, "a\nb"])
def test_one_column_alone(pg_hook: DriverHook, value: str | None) -> None:
    """A NULL alone in its row is an empty line, which is a row like any other."""
    table = table_of(pg_hook, "SELECT %s::text AS v UNION ALL SELECT 'end'", (value,), fast_path="require")
    assert table.column("v").to_pylist() == [value, "end"]


@pytest.mark.parametrize("fast_path", ["require", "forbid"])
def test_an_empty_result_has_its_columns(pg_hook: DriverHook, fast_path: str) -> None:
    """No row, and still the schema."""
    table = table_of(pg_hook, "SELECT 1::bigint AS a, 'x'::text AS b WHERE false", fast_path=fast_path)
    assert table.num_rows == 0
    assert table.schema.names == ["a", "b"]
    assert table.schema.types == [pa.int64(), pa.string()]
    assert text_of(pg_hook, "SELECT 1 AS a WHERE false") == (b"", 0)


@pytest.mark.parametrize("fast_path", ["require", "forbid"])
def test_parameters_are_bound(pg_hook: DriverHook, fast_path: str) -> None:
    """Values with quotes, percent signs and line breaks are values; a percent sign without parameters is itself."""
    nasty = "'; DROP TABLE x; -- %s \\ \n"
    table = table_of(pg_hook, "SELECT %(a)s::text AS a, '%%' AS p", {"a": nasty}, fast_path=fast_path)
    assert table.to_pylist() == [{"a": nasty, "p": "%"}]
    assert table_of(pg_hook, "SELECT 7 %% 4 AS m, %s::date AS d", [dt.date(1999, 1, 2)]).to_pylist() == [
        {"m": 3, "d": dt.date(1999, 1, 2)}
    ]
    assert table_of(pg_hook, "SELECT 7 % 4 AS m, '%s' AS s").to_pylist() == [{"m": 3, "s": "%s"}]


@pytest.mark.parametrize("fast_path", ["require", "forbid"])
def test_rows_come_sorted_by_partition(pg_hook: DriverHook, fast_path: str) -> None:
    """Each partition is one run, also of a column that needs quotes."""
    sql = 'SELECT i % 3 AS "My ""p""", i FROM generate_series(1, 9) i -- end'
    table = table_of(pg_hook, sql, order_by=['My "p"'], fast_path=fast_path)
    assert table.column(0).to_pylist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_the_sessions_time_zone_stays(pg_hook: DriverHook, admin: psycopg.Connection[Any]) -> None:
    """What the query means by a day is the session's; what is delivered is the instant."""
    admin.execute("ALTER ROLE postgres SET timezone = 'Asia/Tokyo'")
    try:
        sql = "SELECT t, t::date AS day FROM (SELECT '2024-01-01 23:00:00+00'::timestamptz AS t) q"
        row = table_of(pg_hook, sql, fast_path="require").to_pylist()[0]
        assert row == {"t": dt.datetime(2024, 1, 1, 23, tzinfo=UTC), "day": dt.date(2024, 1, 2)}
        assert table_of(pg_hook, sql, fast_path="forbid").to_pylist()[0] == row
        assert text_of(pg_hook, sql)[0] == b"2024-01-02 08:00:00+09,2024-01-02\n"
    finally:
        admin.execute("ALTER ROLE postgres RESET timezone")


@pytest.mark.parametrize("fast_path", ["require", "forbid"])
@pytest.mark.parametrize(
    ("expression", "as_text"),
    [
        ("'infinity'::date", "infinity"),
        ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("'12024-01-01'::timestamp", "12024-01-01 00:00:00"),
        ("'NaN'::numeric(5,2)", "NaN"),
        ("'24:00:00'::time", "24:00:00"),
    ],
)
def test_what_arrow_cannot_hold_is_refused(pg_hook: DriverHook, expression: str, as_text: str, fast_path: str) -> None:
    """With row and column, and a remedy that works."""
    text, kind = expression.split("::")
    sql = f"SELECT i, (CASE WHEN i = 3 THEN {text} END)::{kind} AS bad FROM generate_series(1, 5) i"
    with pytest.raises(SourceError) as caught:
        table_of(pg_hook, sql, fast_path=fast_path)
    for words in ("row 3 ", "'bad'", "column_types={'bad': 'string'}"):
        assert words in str(caught.value)
    table = table_of(pg_hook, sql, fast_path=fast_path, column_types={"bad": "string"})
    assert table.column("bad").to_pylist() == [None, None, as_text, None, None]


def test_the_row_of_a_refused_value_counts_from_the_first_block(pg_hook: DriverHook) -> None:
    """Rows are numbered over the whole result."""
    sql = (
        "SELECT CASE WHEN i = 150000 THEN 'infinity' ELSE '2024-01-01' END::date AS d FROM generate_series(1, 200000) i"
    )
    with pytest.raises(SourceUnreadableError, match="row 150,000 "):
        table_of(pg_hook, sql, fast_path="require")


def test_column_types_change_what_is_delivered(pg_hook: DriverHook) -> None:
    """A numeric without precision as a decimal, where the DAG knows how many digits there are."""
    types = {"n": "decimal128(38, 9)", "i": "int64"}
    for fast_path in ("require", "forbid"):
        table = table_of(pg_hook, "SELECT 1.5::numeric AS n, 1 AS i", column_types=types, fast_path=fast_path)
        assert table.schema.types == [pa.decimal128(38, 9), pa.int64()]
        assert table.to_pylist() == [{"n": Decimal("1.5"), "i": 1}]
    with pytest.raises(SourceUnreadableError, match="'n'"):
        table_of(pg_hook, "SELECT 1.12345678901::numeric AS n", column_types={"n": "decimal128(38, 9)"})
    with pytest.raises(InvalidArgumentError, match=r"no column 'x'.*'decimal' \(of 'n'\) is no type"):
        table_of(pg_hook, "SELECT 1 AS n", column_types={"x": "string", "n": "decimal"})


def test_json_is_marked(pg_hook: DriverHook) -> None:
    """Formats may put it in as it is; text that was asked for is text."""
    for fast_path in ("require", "forbid"):
        schema = table_of(pg_hook, "SELECT '{}'::jsonb AS j, '{}' AS t", fast_path=fast_path).schema
        assert CHECKED_JSON.items() <= schema.field("j").metadata.items()
        assert schema.field("j").metadata[b"database_type"] == b"jsonb"
        assert not CHECKED_JSON.items() <= schema.field("t").metadata.items()


def test_a_query_that_copy_does_not_take(pg_hook: DriverHook) -> None:
    """SHOW has rows and no COPY: the cursor reads it, unless a fast path is required."""
    assert table_of(pg_hook, "SHOW server_encoding").to_pylist() == [{"server_encoding": "UTF8"}]
    with pytest.raises(InvalidArgumentError, match="no fast path"):
        table_of(pg_hook, "SHOW server_encoding", fast_path="require")


# -- PostgreSQL: errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wants", ["arrow", "text_csv"])
@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("SELECT 1 AS a FROM", InvalidArgumentError, "syntax error"),
        ("SELECT * FROM no_such_table", SourceNotFoundError, "no such table.*no_such_table"),
        ("SELECT nothing FROM pg_class", InvalidArgumentError, "no such column.*nothing"),
        ("SELECT 1 AS a, 2 AS a, 3 AS b, 4 AS b", InvalidArgumentError, "more than one column named 'a', 'b'"),
        ("SELECT FROM pg_class", InvalidArgumentError, "no columns"),
        ("SELECT 1 / (i - 5) AS q FROM generate_series(1, 9) i", SourceUnreadableError, "division by zero"),
    ],
)
def test_what_postgres_refuses(pg_hook: DriverHook, sql: str, error: type[Exception], words: str, wants: Any) -> None:
    """In our words and the server's."""
    with (
        pytest.raises(error, match=words),
        contextlib.closing(open_sql_source(pg_hook, SqlQuery(sql), wants=wants)) as s,
    ):
        list(_parts(s))


def _parts(source: RowSource | TextSource) -> Iterator[Any]:
    return source.blocks() if isinstance(source, TextSource) else source.batches()


def test_permission_denied(pg_hook: DriverHook, admin: psycopg.Connection[Any], postgres: Server) -> None:
    """The remedy is the owner's."""
    admin.execute("DROP ROLE IF EXISTS guest")
    admin.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = DriverHook("postgres", pg_hook.driver, Server(postgres.host, postgres.port, "guest", "guest", "postgres"))
    with pytest.raises(SourceUnreadableError, match=r"permission denied.*pg_authid.*GRANT SELECT"):
        table_of(guest, "SELECT rolname FROM pg_authid")


def test_a_dump_does_not_write(pg_hook: DriverHook, admin: psycopg.Connection[Any]) -> None:
    """Unless it is told that it may; what it wrote is then not kept either, for nobody commits."""
    admin.execute("CREATE TABLE IF NOT EXISTS counted (n int)")
    sql = "WITH w AS (INSERT INTO counted VALUES (1) RETURNING n) SELECT n FROM w"
    with pytest.raises(InvalidArgumentError):
        table_of(pg_hook, sql)
    admin.execute(
        "CREATE OR REPLACE FUNCTION count_up() RETURNS int LANGUAGE sql AS 'INSERT INTO counted VALUES (1) RETURNING n'"
    )
    with pytest.raises(InvalidArgumentError, match=r"wants to write.*read_only=False"):
        table_of(pg_hook, "SELECT count_up() AS n")
    assert table_of(pg_hook, "SELECT count_up() AS n", read_only=False).to_pylist() == [{"n": 1}]


@pytest.mark.parametrize("fast_path", ["require", "forbid"])
def test_the_statement_timeout(pg_hook: DriverHook, fast_path: str) -> None:
    """Ends the query and says which setting did."""
    with pytest.raises(SourceUnreadableError, match="statement timeout was reached"):
        table_of(pg_hook, "SELECT pg_sleep(60) AS s", statement_timeout_seconds=0.2, fast_path=fast_path)


@pytest.mark.parametrize("fast_path", ["require", "forbid"])
def test_a_lost_connection_is_no_end(pg_hook: DriverHook, admin: psycopg.Connection[Any], fast_path: str) -> None:
    """Rows stop with an error that says how many there were, never as if the result were over."""
    source = open_rows(
        pg_hook, "SELECT i, repeat('x', 1000) AS t FROM generate_series(1, 2000000) i", fast_path=fast_path
    )
    batches = source.batches()
    seen = next(batches).num_rows
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    with pytest.raises(SourceUnreadableError, match=r"connection to the database was lost after [\d,]+ rows.*retry"):
        seen += sum(batch.num_rows for batch in batches)
    assert seen < 2_000_000
    source.close()


@pytest.mark.parametrize("wants", ["arrow", "text_csv"])
def test_close_cancels_the_query_of_another_thread(
    pg_hook: DriverHook, admin: psycopg.Connection[Any], wants: Any
) -> None:
    """A killed task leaves no query behind, and what was read until then is no result."""
    query = SqlQuery(
        "SELECT i, pg_sleep(CASE WHEN i > 70000 THEN 60 ELSE 0 END)::text AS s FROM generate_series(1, 70010) i"
    )
    source = open_sql_source(pg_hook, query, wants=wants)
    parts = _parts(source)
    next(parts)
    errors: list[BaseException] = []
    waiting = threading.Event()

    def read() -> None:
        waiting.set()
        try:
            list(parts)
        except BaseException as exc:  # noqa: BLE001 - looked at below
            errors.append(exc)

    reader = threading.Thread(target=read)
    reader.start()
    waiting.wait(10)
    source.close()
    reader.join(30)
    assert not reader.is_alive()
    assert len(errors) == 1
    assert isinstance(errors[0], SourceUnreadableError)
    assert "stopped after" in str(errors[0])
    running = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid() AND state = 'active'"
    )
    # the server takes a moment to hear of it, and would sleep for ten minutes
    assert poll(lambda: admin.execute(running).fetchone() == (0,))
    source.close()


def test_close_in_the_middle_and_before(pg_hook: DriverHook) -> None:
    """By the reader itself, and before the first row."""
    for wants in ("arrow", "text_csv"):
        source = open_sql_source(
            pg_hook,
            SqlQuery("SELECT i FROM generate_series(1, 3000000) i"),
            wants=wants,  # type: ignore[arg-type]
        )
        parts = _parts(source)
        next(parts)
        source.close()
        with pytest.raises(SourceUnreadableError, match="stopped after"):
            next(parts)
        unread = open_sql_source(pg_hook, SqlQuery("SELECT 1 AS a"), wants=wants)  # type: ignore[arg-type]
        unread.close()


def test_no_secret_in_an_error(pg_hook: DriverHook) -> None:
    """Neither the values of parameters nor the password, in the message or in a cause that would be printed."""
    for sql in ("SELECT %s::int AS a", "SELECT %s::int AS a, nothing", "SELECT * FROM nowhere WHERE a = %s"):
        with pytest.raises((SourceError, InvalidArgumentError)) as caught:
            table_of(pg_hook, sql, ["topsecretvalue"])
        shown = caught.value
        assert "topsecretvalue" not in f"{shown} {shown!r}"
        assert shown.__cause__ is None
        assert shown.__suppress_context__
        assert "topsecretvalue" not in repr(SqlQuery(sql, ["topsecretvalue"]))


def test_memory_does_not_grow_with_the_rows(pg_hook: DriverHook) -> None:
    """Ten times the rows, the same Arrow memory: nothing holds on to what was read."""
    peaks = []
    for rows in (100_000, 1_000_000):
        source = open_rows(
            pg_hook, f"SELECT i, 'text ' || i AS t FROM generate_series(1, {rows}) i", fast_path="require"
        )
        peaks.append(max(pa.total_allocated_bytes() for batch in source.batches()))
    assert peaks[1] < 1.5 * peaks[0] + 1_000_000


# -- SQLite --------------------------------------------------------------------------------------------------------


def test_each_sqlite_value_is_exact(lite: SqliteHook) -> None:
    """Every storage class, at its limits."""
    lite.run(
        "CREATE TABLE t (i INTEGER, r REAL, t TEXT, b BLOB, none, d DATE, n NUMERIC)",
        "INSERT INTO t VALUES (9223372036854775807, 5e-324, 'quo\"ted,\n💥', x'00ff', NULL, '0001-01-01', 1)",
        "INSERT INTO t VALUES (-9223372036854775808, 1e22, '', x'', NULL, 'any text', 2.5)",
        "INSERT INTO t VALUES (NULL, 9e999, NULL, NULL, NULL, NULL, NULL)",
    )
    table = table_of(lite, "SELECT * FROM t ORDER BY i DESC NULLS LAST;")
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
        "i": pa.int64(), "r": pa.float64(), "t": pa.string(), "b": pa.binary(), "none": pa.string(),
        "d": pa.string(), "n": pa.float64(),
    }  # fmt: skip
    assert table.to_pylist() == [
        {"i": 2**63 - 1, "r": 5e-324, "t": 'quo"ted,\n💥', "b": b"\0\xff", "none": None, "d": "0001-01-01", "n": 1.0},
        {"i": -(2**63), "r": 1e22, "t": "", "b": b"", "none": None, "d": "any text", "n": 2.5},
        {"i": None, "r": math.inf, "t": None, "b": None, "none": None, "d": None, "n": None},
    ]


def test_a_sqlite_column_of_two_minds_is_refused(lite: SqliteHook) -> None:
    """In the first rows or far behind them, with a remedy that works."""
    lite.run(
        "CREATE TABLE t AS WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 20000) "
        "SELECT i, CASE WHEN i = 19999 THEN 'text' ELSE i END AS late, i % 2 AS n FROM g",
        "UPDATE t SET n = 'x' WHERE i = 2",
    )
    with pytest.raises(SourceUnreadableError, match=r"row 19,999 holds a str.*'late'.*column_types"):
        table_of(lite, "SELECT i, late FROM t")
    with pytest.raises(SourceUnreadableError, match=r"first rows of column 'n' hold values of type int and str"):
        table_of(lite, "SELECT n FROM t")
    table = table_of(lite, "SELECT late, n FROM t", column_types={"late": "string", "n": "string"})
    assert table.column("late").to_pylist()[-3:] == ["19998", "text", "20000"]
    assert table.column("n").to_pylist()[:3] == ["1", "x", "1"]


def test_a_sqlite_column_that_begins_with_nothing(lite: SqliteHook) -> None:
    """Its declared type counts when the first rows are all NULL."""
    lite.run(
        "CREATE TABLE t AS "
        "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 9000) SELECT i FROM g",
        "ALTER TABLE t ADD COLUMN late INTEGER",
        "ALTER TABLE t ADD COLUMN part REAL",
        "UPDATE t SET late = 5, part = 0.5 WHERE i = 9000",
    )
    table = table_of(lite, "SELECT * FROM t -- all")
    assert table.schema.types == [pa.int64(), pa.int64(), pa.float64()]
    assert table.to_pylist()[-1] == {"i": 9000, "late": 5, "part": 0.5}


def test_sqlite_is_read_from_any_thread(lite: SqliteHook) -> None:
    """The module binds a connection to its thread; a pipeline reads in another than the one that opened."""
    lite.run("CREATE TABLE t AS SELECT 1 AS a")
    source = open_rows(lite, "SELECT a FROM t WHERE a = :a", {"a": 1})
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.extend(source.batches()))
    reader.start()
    reader.join(10)
    assert [batch.to_pylist() for batch in found] == [[{"a": 1}]]
    source.close()


ENDLESS = "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g) SELECT {} FROM g"


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("SELECT 1 AS a FROM", InvalidArgumentError, "syntax error"),
        ("SELECT * FROM no_such_table", SourceNotFoundError, "no such table"),
        ("SELECT nix FROM t", InvalidArgumentError, "no such column"),
        ("SELECT 1 AS a, 2 AS a", InvalidArgumentError, "more than one column named 'a'"),
        ("PRAGMA user_version = 5", InvalidArgumentError, "wants to write|no result"),
        (ENDLESS.format("max(i) AS m"), SourceUnreadableError, "statement timeout was reached"),
    ],
)
def test_what_sqlite_refuses(lite: SqliteHook, sql: str, error: type[Exception], words: str) -> None:
    """In our words and SQLite's."""
    lite.run("CREATE TABLE t (a)")
    with pytest.raises(error, match=words):
        table_of(lite, sql, statement_timeout_seconds=0.5)


def test_close_interrupts_sqlite(lite: SqliteHook) -> None:
    """From another thread, in the middle of a step that would never end."""
    source = open_rows(lite, ENDLESS.format("i") + " WHERE i <= 10000 OR i < 0")
    batches = source.batches()
    assert next(batches).num_rows == 8192
    errors: list[BaseException] = []
    waiting = threading.Event()

    def read() -> None:
        waiting.set()
        try:
            next(batches)
        except SourceUnreadableError as exc:
            errors.append(exc)

    reader = threading.Thread(target=read)
    reader.start()
    waiting.wait(10)
    source.close()
    reader.join(30)
    assert not reader.is_alive()
    assert "stopped after 8,192 rows" in str(errors[0])


# -- MariaDB -------------------------------------------------------------------------------------------------------

MARIADB_TYPES: list[tuple[str, pa.DataType, list[tuple[str, Any]]]] = [
    ("TINYINT", pa.int8(), [("-128", -128)]),
    ("INT UNSIGNED", pa.uint32(), [("4294967295", 4294967295)]),
    ("BIGINT UNSIGNED", pa.uint64(), [("18446744073709551615", 18446744073709551615)]),
    ("DECIMAL(65,30)", pa.string(), [("-0.000000000000000000000000000001", "-0.000000000000000000000000000001")]),
    ("DOUBLE", pa.float64(), [("1e22", 1e22), ("0.1", 0.1), ("5e-324", 5e-324)]),
    ("FLOAT(9,1)", pa.float32(), [("1.5", 1.5)]),
    ("DATE", pa.date32(), [("'1000-01-01'", dt.date(1000, 1, 1)), ("'9999-12-31'", dt.date(9999, 12, 31))]),
    ("DATETIME(6)", pa.timestamp("us"), [("'1850-01-01 01:02:03.000004'", dt.datetime(1850, 1, 1, 1, 2, 3, 4))]),
    ("TIME(6)", pa.string(), [("'-838:59:58.5'", "-838:59:58.500000"), ("'00:00:01'", "00:00:01.000000")]),
    ("YEAR", pa.int16(), [("1901", 1901)]),
    ("VARCHAR(50)", pa.string(), [("'quo\"ted,\n💥'", 'quo"ted,\n💥'), ("''", "")]),
    ("TEXT", pa.string(), [("'a\r\n'", "a\r\n")]),
    ("VARBINARY(9)", pa.binary(), [("x'00ff'", b"\0\xff"), ("''", b"")]),
    ("BLOB", pa.binary(), [("x'00ff'", b"\0\xff")]),
    ("BIT(9)", pa.binary(), [("b'100000001'", b"\1\1")]),
    ("JSON", pa.string(), [("'{\"b\": 1.0}'", '{"b": 1.0}')]),
    ("ENUM('a,b','c')", pa.string(), [("'a,b'", "a,b")]),
    ("SET('p','q')", pa.string(), [("'p,q'", "p,q")]),
]  # fmt: skip


def maria_run(hook: DriverHook, *statements: str) -> None:
    with contextlib.closing(hook.get_conn()) as connection, contextlib.closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


@pytest.mark.parametrize(("kind", "arrow_type", "values"), MARIADB_TYPES, ids=[row[0] for row in MARIADB_TYPES])
def test_each_mariadb_value_is_exact(
    maria_hook: DriverHook, kind: str, arrow_type: pa.DataType, values: list[tuple[str, Any]]
) -> None:
    """Every type, and NULL beside it."""
    rows = ", ".join(f"({i}, {literal})" for i, (literal, _) in enumerate(values))
    create = f"CREATE TABLE t (k INT, v {kind}) CHARACTER SET utf8mb4"
    maria_run(maria_hook, "DROP TABLE IF EXISTS t", create, f"INSERT INTO t VALUES {rows}, (99, NULL)")
    table = table_of(maria_hook, "SELECT v FROM t ORDER BY k -- end")
    assert table.schema.field("v").type == arrow_type
    assert table.column("v").to_pylist() == [value for _, value in values] + [None]


def test_a_zero_date_is_refused(any_maria_hook: DriverHook) -> None:
    """It is no NULL; as text it can be delivered."""
    maria_run(
        any_maria_hook,
        "DROP TABLE IF EXISTS z",
        "CREATE TABLE z (d DATE)",
        "SET sql_mode = ''",
        "INSERT INTO z VALUES ('2024-01-01'), ('0000-00-00')",
    )
    with pytest.raises(SourceUnreadableError, match=r"row 2 .*'d'"):
        table_of(any_maria_hook, "SELECT d FROM z")
    table = table_of(any_maria_hook, "SELECT d FROM z", column_types={"d": "string"})
    assert table.column("d").to_pylist() == ["2024-01-01", "0000-00-00"]


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("SELECT 1 AS a FROM", InvalidArgumentError, "syntax error"),
        ("SELECT * FROM no_such_table", SourceNotFoundError, "no such table"),
        ("SELECT nothing FROM mysql.user", InvalidArgumentError, "no such column"),
        ("SELECT 1 AS a, 2 AS a", InvalidArgumentError, "more than one column named 'a'"),
        ("SELECT SLEEP(60) AS s FROM mysql.user", SourceUnreadableError, "statement timeout was reached"),
    ],
)
def test_what_mariadb_refuses(maria_hook: DriverHook, sql: str, error: type[Exception], words: str) -> None:
    """In our words and the server's."""
    with pytest.raises(error, match=words):
        table_of(maria_hook, sql, statement_timeout_seconds=0.5)


def test_mariadb_denies_permission(any_maria_hook: DriverHook) -> None:
    """The remedy is the owner's."""
    maria_run(
        any_maria_hook,
        "CREATE OR REPLACE TABLE hidden (a INT)",
        "CREATE OR REPLACE USER guest@'127.0.0.1' IDENTIFIED BY 'guest'",
        "CREATE OR REPLACE TABLE open (a INT)",
        "GRANT SELECT ON xacct.open TO guest@'127.0.0.1'",
    )
    server = any_maria_hook.server
    guest = DriverHook("mysql", any_maria_hook.driver, Server(server.host, server.port, "guest", "guest", "xacct"))
    with pytest.raises(SourceUnreadableError, match=r"permission denied.*hidden.*GRANT SELECT"):
        table_of(guest, "SELECT a FROM hidden")


def test_mariadb_streams_sorted_and_can_be_stopped(any_maria_hook: DriverHook) -> None:
    """The rows stay on the server; a close in their middle kills the query."""
    source = open_rows(any_maria_hook, "SELECT seq AS `a``b` FROM seq_1_to_5000000", order_by=["a`b"])
    batches = source.batches()
    assert next(batches).column(0).to_pylist()[:2] == [1, 2]
    source.close()
    with pytest.raises(SourceUnreadableError, match="stopped after 8,192 rows"):
        next(batches)
    with contextlib.closing(any_maria_hook.get_conn()) as connection, contextlib.closing(connection.cursor()) as cursor:
        running, deadline = 1, time.monotonic() + 30
        while running and time.monotonic() < deadline:  # the server acknowledges a KILL before it is carried out
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.processlist "
                "WHERE info LIKE '%seq_1_to_5000000%' AND id <> CONNECTION_ID()"
            )
            running = cursor.fetchone()[0]
        assert not running


def test_a_mariadb_connection_that_is_lost(any_maria_hook: DriverHook) -> None:
    """Is an error in the middle, never an end."""
    source = open_rows(any_maria_hook, "SELECT seq, REPEAT('x', 500) AS t FROM seq_1_to_5000000")
    batches = source.batches()
    next(batches)
    with contextlib.closing(any_maria_hook.get_conn()) as connection, contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE info LIKE '%REPEAT%' AND id <> CONNECTION_ID()"
        )
        cursor.execute(f"KILL {cursor.fetchone()[0]}")
    with pytest.raises(SourceUnreadableError, match=r"connection to the database was lost after [\d,]+ rows"):
        list(batches)


def test_a_wrong_password_is_not_shown(mariadb: Server, postgres: Server) -> None:
    """A refused connection says what to check, and not with what it was tried."""
    for conn_type, driver, server in (("mysql", pymysql, mariadb), ("postgres", psycopg2, postgres)):
        wrong = Server(server.host, server.port, server.user, "wrong-and-secret", server.database)
        with pytest.raises(SourceUnreadableError, match="connection") as caught:
            table_of(DriverHook(conn_type, driver, wrong), "SELECT 1 AS a")
        assert "wrong-and-secret" not in f"{caught.value} {caught.value.__cause__}"
