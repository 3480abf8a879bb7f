"""Several connections read one query: every row of one moment exactly once, or one connection and the reason."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg2
import pyarrow as pa
import pytest

from airflow_xacct.dump.rows import RowSource, TextSource
from airflow_xacct.dump.sources.sql import postgres as postgres_session
from airflow_xacct.dump.sources.sql.open import open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions
from airflow_xacct.exceptions import InvalidArgumentError, SourceUnreadableError
from tests.databases import Server, ServerMissing, postgres_server

ROWS = 60_000
Admin = psycopg.Connection[Any]


class ServerHook:
    """What is used of Airflow's PostgresHook, over one driver.

    :param before: called with the number of each connection, from 1, before it is made; may name another database.
    """

    conn_type = "postgres"

    def __init__(self, driver: Any, server: Server, before: Callable[[int], str | None] = lambda number: None) -> None:
        self.driver = driver
        self.server = server
        self.before = before
        self.connections = 0

    def get_conn(self) -> Any:
        self.connections += 1
        server, name = self.server, self.before(self.connections)
        return self.driver.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password,
            dbname=name or server.database,
        )


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    try:
        with postgres_server() as server:
            with _admin(server) as admin:
                admin.execute(_TABLES)
                admin.execute("CREATE DATABASE elsewhere")
                admin.execute("VACUUM ANALYZE")
            yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))


def _admin(server: Server) -> Admin:
    place = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    return psycopg.connect(**place, dbname=server.database, autocommit=True)


# a row is some 120 bytes, so that a page holds about 60
_TABLES = f"""
CREATE TABLE orders AS SELECT i AS id, i % 1000 AS customer, (i * 1.25)::numeric(10, 2) AS price,
    E'line one\\nsays "' || i || '", ' || repeat('x', 40) AS note,
    timestamptz '2024-01-01+00' + i * interval '1 s' AS at
    FROM generate_series(1, {ROWS}) i;
CREATE UNIQUE INDEX ON orders (id);
CREATE TABLE small AS SELECT 1 AS id;
CREATE VIEW seen AS SELECT id, note FROM orders;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM orders;
CREATE TABLE parts (id int, note text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (30001);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (30001) TO (100000);
INSERT INTO parts SELECT id, note FROM orders;
CREATE TABLE elder (id int, note text);
CREATE TABLE younger (extra int) INHERITS (elder);
INSERT INTO elder SELECT id, note FROM orders;
INSERT INTO younger VALUES (0, 'a', 1);
CREATE UNLOGGED TABLE quick AS SELECT * FROM orders;
CREATE FUNCTION told(int) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN now()::text; END $$;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 * 2; END $$;
CREATE FUNCTION odd(int, int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN $1 + $2; END $$;
CREATE OPERATOR @+@ (FUNCTION = odd, LEFTARG = int, RIGHTARG = int);
"""


@pytest.fixture
def admin(postgres: Server) -> Iterator[Admin]:
    """Another connection to the same server."""
    with _admin(postgres) as connection:
        yield connection


@pytest.fixture(params=[psycopg, psycopg2], ids=["psycopg3", "psycopg2"])
def hook(request: pytest.FixtureRequest, postgres: Server) -> ServerHook:
    return ServerHook(request.param, postgres)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged of the way that was taken."""
    found: list[str] = []
    logger = logging.getLogger("airflow_xacct.dump.sources.sql.open")
    monkeypatch.setattr(logger, "info", lambda text, *values: found.append(text % values))
    return found


def opened(hook: ServerHook, sql: str, parameters: Any = None, *, wants: Any = "text_csv", **more: Any) -> Any:
    fast_path, order_by = more.pop("fast_path", "auto"), more.pop("order_by", ())
    options = ReadOptions(**{"connections": 3, **more})
    return open_sql_source(hook, SqlQuery(sql, parameters, order_by), wants=wants, fast_path=fast_path, options=options)


def read(source: TextSource | RowSource) -> list[tuple[Any, ...]]:
    with contextlib.closing(source):
        if isinstance(source, TextSource):
            blocks = list(source.blocks())
            rows = list(csv.reader(io.StringIO(b"".join(block.data for block in blocks).decode(), newline="")))
            assert len(rows) == sum(block.rows for block in blocks)
            return [tuple(row) for row in rows]
        table = pa.Table.from_batches(source.batches(), schema=source.schema())
        table.validate(full=True)
        return [tuple(row.values()) for row in table.to_pylist()]


SHARED = [
    ("SELECT * FROM orders", None),
    ("SELECT o.id AS n, note FROM orders AS o -- all of them;", None),
    ("select twice(id) as x, price from public.orders o where customer < 500 or note like '%7%' -- so", None),
    ("SELECT id, note FROM orders WHERE id % 2 = 0 AND (customer = 4 OR id > 9)", None),
    ("SELECT id, %(mark)s::text AS mark FROM orders WHERE note <> %(no)s", {"mark": "WHERE ' \\ %", "no": "x -- y"}),
    ("SELECT id, 'where from' AS \"where\", at::date AS day FROM orders WHERE price BETWEEN 1 AND 1e9", None),
    ("SELECT CASE WHEN id > 5 THEN note END a, EXTRACT(year FROM at) y, price::text p FROM ONLY orders", None),
]  # fmt: skip


@pytest.mark.parametrize("wants", ["arrow", "text_csv"])
@pytest.mark.parametrize(("sql", "parameters"), SHARED, ids=[f"query{i}" for i in range(len(SHARED))])
def test_each_row_comes_once(hook: ServerHook, lines: list[str], sql: str, parameters: Any, wants: Any) -> None:
    """The same rows as through one connection."""
    alone = Counter(read(opened(hook, sql, parameters, wants=wants, connections=1)))
    assert sum(alone.values()) > 20_000
    found = read(opened(hook, sql, parameters, wants=wants, fast_path="require"))
    assert Counter(found) == alone
    assert "through COPY over 3 connections" in lines[-1]


def test_the_order_is_the_same_every_time(hook: ServerHook) -> None:
    """Blocks of the parts in turn, however fast each connection is: a retry may compare what it sends."""
    sizes = {"block_bytes": 300_000}
    first = read(opened(hook, "SELECT id FROM orders", **sizes))
    assert first != sorted(first)
    assert read(opened(hook, "SELECT id FROM orders", **sizes)) == first
    assert [row for row in first if int(row[0]) <= 100] == [(str(i),) for i in range(1, 101)]


@pytest.mark.parametrize("wants", ["arrow", "text_csv"])
def test_what_others_write_meanwhile_is_not_seen(hook: ServerHook, admin: Admin, wants: Any) -> None:
    """All connections see the moment at which the query was opened, in rows that moved, went and came."""
    admin.execute("DROP TABLE IF EXISTS busy")
    admin.execute("CREATE TABLE busy AS SELECT id, customer, note FROM orders")
    admin.execute("ANALYZE busy")
    before = Counter(read(opened(hook, "SELECT * FROM busy", wants=wants, connections=1)))
    source = opened(hook, "SELECT * FROM busy", wants=wants, fast_path="require")
    admin.execute("UPDATE busy SET note = 'moved', customer = -1 WHERE id % 2 = 0")
    admin.execute("DELETE FROM busy WHERE id % 3 = 0")
    admin.execute("INSERT INTO busy SELECT -id, 0, 'new' FROM orders")
    admin.execute("VACUUM busy")
    assert Counter(read(source)) == before
    assert Counter(read(opened(hook, "SELECT * FROM busy", wants=wants))) == Counter(
        read(opened(hook, "SELECT * FROM busy", wants=wants, connections=1))
    )


def test_a_writer_that_never_rests_cannot_divide_the_snapshot(hook: ServerHook, postgres: Server) -> None:
    """While connections are made and read, rows are moved to the end of the table and money between them."""
    with _admin(postgres) as admin:
        admin.execute("DROP TABLE IF EXISTS accounts")
        admin.execute(
            "CREATE TABLE accounts AS SELECT i AS id, 100 AS money, repeat('x', 60) AS t "
            "FROM generate_series(1, 30000) i"
        )
        admin.execute("ANALYZE accounts")
    stop, moved = threading.Event(), threading.Event()

    def write() -> None:
        with _admin(postgres) as writer:
            step = 0
            while not stop.is_set():
                step += 1
                sign = 1 if step % 2 else -1
                writer.execute(
                    "UPDATE accounts SET money = money + CASE WHEN mod(id, 2) = 0 THEN %s ELSE %s END "
                    "WHERE mod(id, 50) < 2",
                    (sign, -sign),
                )
                moved.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert moved.wait(30)
        for _ in range(5):
            rows = read(opened(hook, "SELECT id, money FROM accounts", connections=4, fast_path="require"))
            assert sorted(int(row[0]) for row in rows) == list(range(1, 30001))
            assert sum(int(row[1]) for row in rows) == 3_000_000
    finally:
        stop.set()
        writer.join(30)


NOT_SHARED = [
    ("SELECT id FROM orders ORDER BY id", "more than one scan"),
    ("SELECT id FROM orders ORDER BY note", "Sort"),
    ("SELECT id FROM orders LIMIT 10", "Limit"),
    ("SELECT id FROM orders OFFSET 10", "Limit"),
    ("SELECT id FROM orders FETCH FIRST 3 ROWS ONLY", "Limit"),
    ("SELECT DISTINCT customer FROM orders", "more than one scan"),
    ("SELECT customer FROM orders GROUP BY customer", "Aggregate"),
    ("SELECT count(*) AS n FROM orders", "Aggregate"),
    ("SELECT id, row_number() OVER () AS n FROM orders", "WindowAgg"),
    ("SELECT id FROM orders UNION ALL SELECT id FROM small", "not one SELECT of one table"),
    ("WITH o AS (SELECT id FROM orders) SELECT id FROM o", "not one SELECT of one table"),
    ("SELECT id FROM (SELECT id FROM orders) q", None),
    ("SELECT o.id FROM orders o JOIN small s ON s.id = o.id % 7", "more than one scan"),
    ("SELECT id FROM orders WHERE id % 7 IN (SELECT id FROM small)", "more than one scan"),
    ("SELECT id, (SELECT max(id) FROM small) AS m FROM orders", "more than one scan"),
    ("SELECT generate_series(1, 2) AS n FROM orders WHERE id < 50000", "ProjectSet"),
    ("SELECT id FROM orders WHERE id = 5", "more than one scan of a whole table"),
    ("SELECT id FROM orders TABLESAMPLE SYSTEM (50) REPEATABLE (1)", "Sample Scan"),
    ("SELECT id FROM orders WHERE false", "Result"),
    ("SELECT id, random() >= 0 AS r FROM orders", "function random"),
    ("SELECT id FROM orders WHERE at < now()", "function now"),
    ("SELECT id FROM orders WHERE at < CURRENT_TIMESTAMP", "asks for the time"),
    ("SELECT id FROM orders WHERE at::date <= CURRENT_DATE", "asks for the time"),
    ("SELECT id FROM orders WHERE at < 'now'", "in another way than the whole"),
    ("SELECT id, told(id) IS NULL AS t FROM orders", "function told"),
    ("SELECT id, pg_backend_pid() > 0 AS b FROM orders", "function pg_backend_pid"),
    ("SELECT id @+@ 1 AS n FROM orders", r"@\+@, which somebody made"),
    ("SELECT * FROM seen", None),
    ("SELECT id FROM kept", "no plain permanent table"),
    ("SELECT id FROM quick", "no plain permanent table"),
    ("SELECT * FROM parts", "Append"),
    ("SELECT * FROM elder", "Append"),
    ("SELECT * FROM small", "small"),
    ("TABLE orders", "not one SELECT of one table"),
    ("SELECT i FROM generate_series(1, 100) i", "more than one scan"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "reason"), NOT_SHARED, ids=[f"query{i}" for i in range(len(NOT_SHARED))])
def test_one_connection_reads_what_cannot_be_shared(
    postgres: Server, lines: list[str], sql: str, reason: str | None
) -> None:
    """The same rows, the reason in the log, and nothing left behind by the attempt; an error where it is required."""
    hook = ServerHook(psycopg, postgres)
    alone = Counter(read(opened(hook, sql, connections=1)))
    hook.connections = 0
    assert Counter(read(opened(hook, sql))) == alone
    if reason is None:
        return  # the server may well see through it
    assert "; one connection: " in lines[-1]
    assert "COPY, its CSV untouched" in lines[-1]
    with pytest.raises(InvalidArgumentError, match=f"one connection must read this query, not 3: .*{reason}"):
        opened(hook, sql, fast_path="require")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"order_by": ["customer"]}, "sorted"),
        ({"read_only": False}, "it may write"),
        ({"fast_path": "forbid"}, "through a cursor"),
    ],
)
def test_what_the_task_asks_for_may_need_one(
    postgres: Server, lines: list[str], more: dict[str, Any], reason: str
) -> None:
    """And says so."""
    hook = ServerHook(psycopg, postgres)
    assert len(read(opened(hook, "SELECT id, customer FROM orders", wants="arrow", **more))) == ROWS
    assert reason in lines[-1]
    assert hook.connections == 1


def test_row_security_holds_in_every_part(hook: ServerHook, admin: Admin, lines: list[str]) -> None:
    """The rules of the table are in its plan, and so in that of each part."""
    admin.execute("DROP TABLE IF EXISTS ruled")
    admin.execute("CREATE TABLE ruled AS SELECT * FROM orders")
    admin.execute("ALTER TABLE ruled ENABLE ROW LEVEL SECURITY")
    admin.execute("CREATE POLICY even ON ruled USING (id % 2 = 0 AND current_user = 'reader')")
    admin.execute("DROP ROLE IF EXISTS reader")
    admin.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    admin.execute("GRANT SELECT ON ruled TO reader")
    admin.execute("ANALYZE ruled")
    try:
        server = hook.server
        reader = ServerHook(hook.driver, Server(server.host, server.port, "reader", "reader", server.database))
        found = read(opened(reader, "SELECT id FROM ruled WHERE id < 50000 OR true", fast_path="require"))
        assert sorted(int(row[0]) for row in found) == list(range(2, ROWS + 1, 2))
        assert "over 3 connections" in lines[-1]
    finally:
        admin.execute("DROP TABLE ruled")
        admin.execute("DROP ROLE reader")


def test_a_snapshot_that_cannot_be_shared_is_not_mixed(hook: ServerHook, lines: list[str]) -> None:
    """Another database, as behind a pooler that leads elsewhere: one connection reads all of it."""
    hook.before = lambda number: "elsewhere" if number == 3 else None
    assert len(read(opened(hook, "SELECT id FROM orders"))) == ROWS
    assert "one connection: the database did not let it be shared out" in lines[-1]


def test_too_many_connections_are_not_an_error(hook: ServerHook, lines: list[str]) -> None:
    """The database refuses a further one: the first is enough."""
    hook.before = lambda number: "no_such_database" if number > 1 else None
    assert len(read(opened(hook, "SELECT id FROM orders", wants="arrow"))) == ROWS
    assert "one connection: the database did not let it be shared out" in lines[-1]


def test_who_waits_to_change_the_table_does_not_block(
    hook: ServerHook, postgres: Server, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that waits for the first connection would keep the second one waiting for ever."""
    monkeypatch.setattr(postgres_session, "LOCK_TIMEOUT", "300ms")
    locker: list[threading.Thread] = []

    def lock() -> None:
        with _admin(postgres) as connection, connection.transaction():
            connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")

    def before(number: int) -> None:
        if number != 2:
            return
        locker.append(threading.Thread(target=lock))
        locker[0].start()
        with _admin(postgres) as connection:
            waiting = None
            while waiting != (1,):
                waiting = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()

    hook.before = before
    found = read(opened(hook, "SELECT id FROM orders"))
    locker[0].join(30)
    assert len(found) == ROWS
    assert "lock timeout" in lines[-1]


def active(admin: Admin) -> int:
    row = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def nap(admin: Admin) -> Iterator[None]:
    """A function that takes its time, which nobody may know of: a volatile one would not be shared out."""
    admin.execute(
        "CREATE OR REPLACE FUNCTION nap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN IF $1 % 1000 = 999 THEN PERFORM pg_sleep(0.5); END IF; RETURN $1; END $$"
    )
    yield
    admin.execute("DROP FUNCTION nap(int)")


@pytest.mark.usefixtures("nap")
@pytest.mark.parametrize("wants", ["arrow", "text_csv"])
def test_close_ends_every_query(hook: ServerHook, admin: Admin, wants: Any) -> None:
    """From another thread, while all wait for rows; what was read is no result."""
    source = opened(hook, "SELECT nap(id) AS n, note FROM orders", wants=wants, block_bytes=90_000)
    parts = source.blocks() if isinstance(source, TextSource) else source.batches()
    next(parts)
    errors: list[BaseException] = []
    waiting = threading.Event()

    def go_on() -> None:
        waiting.set()
        try:
            list(parts)
        except BaseException as exc:  # noqa: BLE001 - looked at below
            errors.append(exc)

    reader = threading.Thread(target=go_on)
    reader.start()
    assert waiting.wait(10)
    source.close()
    reader.join(30)
    assert not reader.is_alive()
    assert isinstance(errors[0], SourceUnreadableError)
    assert "stopped after" in str(errors[0])
    assert _none_left(admin)


def _none_left(admin: Admin) -> bool:
    """Whether all backends go away; a server ends them a moment after the client has left."""
    deadline = threading.Event()
    for _ in range(100):
        if active(admin) == 0:
            return True
        deadline.wait(0.05)
    return False


@pytest.mark.usefixtures("nap")
def test_one_lost_connection_ends_all(hook: ServerHook, admin: Admin) -> None:
    """An error, never a shorter result, and the other queries go with it."""
    source = opened(hook, "SELECT nap(id) AS n, note FROM orders", block_bytes=90_000)
    blocks = source.blocks()
    next(blocks)
    admin.execute(
        "SELECT pg_terminate_backend(max(pid)) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND query LIKE 'COPY%'"
    )
    with pytest.raises(SourceUnreadableError, match=r"connection to the database was lost after [\d,]+ rows"):
        list(blocks)
    assert _none_left(admin)
    source.close()


def test_a_refused_value_is_found_by_its_part(hook: ServerHook) -> None:
    """Rows are counted from where the part begins, which the message names."""
    sql = "SELECT id, CASE WHEN id = 59999 THEN 'infinity' ELSE '2024-01-01' END::date AS d FROM orders"
    with pytest.raises(SourceUnreadableError, match=r"row [\d,]+ holds .*'d'.*pages \d+ to the last of its table"):
        read(opened(hook, sql, wants="arrow"))


@pytest.mark.parametrize("connections", [0, 17, True, 2.5])
def test_a_number_of_connections_that_cannot_be(connections: Any) -> None:
    """Is refused before any is made."""
    with pytest.raises(InvalidArgumentError, match="connections"):
        ReadOptions(connections=connections)
