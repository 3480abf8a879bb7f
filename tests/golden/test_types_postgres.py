"""Every type of PostgreSQL, value by value against the server's own text, through every way and in every format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest

from airflow_xacct.dump.sources.sql.postgres import PostgresSession
from airflow_xacct.dump.sources.sql.postgres_binary import can_be_binary
from airflow_xacct.dump.sources.sql.postgres_kinds import own_field
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions
from airflow_xacct.exceptions import SourceError
from tests.databases import Server, ServerMissing, postgres_server
from tests.golden.cases import Column, Refused, Token
from tests.golden.dumping import FORMATS, DriverHook, Way, csv_cells, dump, json_rows, parquet_table
from tests.golden.golden_table import ROWS, Dumps, check_column, check_servers_own, ids, statements
from tests.golden.postgres_cases import ASKED, COLUMNS, REFUSED, SETUP
from tests.golden.readers import READ_BACK, check_reader, readable, write_file

DRIVERS = {"psycopg3": psycopg, "psycopg2": psycopg2}
WAYS = [
    Way("psycopg3", "require", untouched=True),
    Way("psycopg3", "forbid"),
    Way("psycopg2", "require", untouched=True),
    Way("psycopg2", "forbid"),
]

COPIED = [way for way in WAYS if way.untouched]

Golden = tuple[Dumps, dict[str, list[str | None]]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    try:
        with postgres_server() as server:
            with _connected(server) as connection:
                for statement in SETUP:
                    connection.execute(statement)
            yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))


@contextlib.contextmanager
def _connected(server: Server, database: str | None = None) -> Iterator[psycopg.Connection[Any]]:
    hook = DriverHook("postgres", psycopg, server, {"autocommit": True, "prepare_threshold": None})
    with contextlib.closing(hook.get_conn()) as connection:
        yield connection


def _dumps(
    server: Server, columns: Sequence[Column], ways: Sequence[Way] = WAYS, formats: Sequence[str] = FORMATS
) -> Golden:
    """Dumps of the golden table of these columns, and what the server itself says of each value."""
    with _connected(server) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {ROWS}")
        for statement in statements(columns, '"'):
            connection.execute(statement)
        # how floats, dates and bytes are written when nobody has set anything; the rest of the session is the server's
        cursor = connection.execute(f"SELECT * FROM {ROWS} ORDER BY k")
        result = cursor.pgresult
        assert result is not None
        own: dict[str, list[str | None]] = {}
        for i, described in enumerate(cursor.description or ()):
            raw = [result.get_value(row, i) for row in range(result.ntuples)]
            own[described.name] = [None if value is None else value.decode() for value in raw]
    dumps = Dumps(lambda way: DriverHook("postgres", DRIVERS[way.driver], server), columns)
    for way in ways:
        for format_ in formats:
            dumps.data(way, format_)  # before the table changes
    return dumps, own


@pytest.fixture(scope="module")
def golden(server: Server) -> Golden:
    return _dumps(server, COLUMNS)


@pytest.fixture(scope="module")
def files(server: Server, golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each format, as readers take it."""
    folder, hook = tmp_path_factory.mktemp("files"), DriverHook("postgres", psycopg, server)
    for format_ in FORMATS:
        write_file(folder / f"golden.{format_}", hook, readable(COLUMNS), format_, WAYS[0], '"')
    return folder


@pytest.fixture(scope="module")
def asked(server: Server, golden: Golden, files: Path) -> Golden:
    return _dumps(server, ASKED)


@pytest.mark.parametrize("column", COLUMNS + ASKED, ids=ids)
def test_the_cases_are_the_servers_own(golden: Golden, asked: Golden, column: Column) -> None:
    """What the table of cases calls the server's text is what the server sends."""
    check_servers_own(column, (asked if column.asked else golden)[1][column.name])


@pytest.mark.parametrize("column", COLUMNS, ids=ids)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_every_value(golden: Golden, way: Way, format_: str, column: Column) -> None:
    """Is the server's own, whichever way it came."""
    check_column(golden[0], way, format_, column, untouched=way.untouched and format_ == "csv")


@pytest.mark.parametrize("column", ASKED, ids=ids)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_every_value_in_the_type_that_was_asked_for(asked: Golden, way: Way, format_: str, column: Column) -> None:
    """By the rules of ``column_types``, the same through every way."""
    check_column(asked[0], way, format_, column, untouched=False)


#: Types whose cast to text is not what COPY writes, or might not be: a table with one of them is read as CSV.
CAST_OTHERWISE = {'"char"', "cidr", "citext", "inet"}


@pytest.fixture(scope="module")
def sent_as_binary(server: Server, asked: Golden) -> dict[str, Dumps]:
    """By column: dumps of tables that the server sends in binary form, most columns in their own and some as text."""
    nulls = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in COLUMNS)
    with _session(server, f"SELECT {nulls}") as session:
        own = [column for column, sent in zip(COLUMNS, session.columns, strict=True) if own_field(sent) is not None]
    others = [column for column in COLUMNS if column not in own and column.type not in CAST_OTHERWISE]
    found: dict[str, Dumps] = {}
    for some in (others[: len(own)], others[len(own) :]):
        dumps, _ = _dumps(server, [*own, *some], COPIED, ("jsonl", "parquet"))
        with _session(server, f"SELECT * FROM {ROWS}") as session:
            assert can_be_binary(session)
        found |= {column.name: dumps for column in [*own, *some]}
    return found


@contextlib.contextmanager
def _session(server: Server, sql: str) -> Iterator[PostgresSession]:
    session = PostgresSession(DriverHook("postgres", psycopg, server), SqlQuery(sql), ReadOptions())
    session.open()
    try:
        yield session
    finally:
        session.close()


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.type not in CAST_OTHERWISE], ids=ids)
@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
@pytest.mark.parametrize("way", COPIED, ids=ids)
def test_every_value_in_binary_form(sent_as_binary: dict[str, Dumps], way: Way, format_: str, column: Column) -> None:
    """Is the server's own."""
    check_column(sent_as_binary[column.name], way, format_, column, untouched=False)


@pytest.mark.parametrize("type_", sorted(CAST_OTHERWISE))
def test_what_a_cast_would_change_is_not_sent_in_binary_form(server: Server, type_: str) -> None:
    """One such column, and all of them are read as CSV."""
    with _session(server, f"SELECT 1 AS k, NULL::{type_} AS v") as session:
        assert not can_be_binary(session)


@pytest.mark.parametrize(("format_", "reader"), READ_BACK, ids=ids)
def test_every_reader_reads_every_value(files: Path, format_: str, reader: str) -> None:
    """Unchanged; what a reader makes of NULL, of NaN in JSON and the like is on the page on types."""
    check_reader(files / f"golden.{format_}", format_, reader, readable(COLUMNS), untouched=True)


@pytest.mark.parametrize("case", REFUSED, ids=ids)
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_what_a_format_cannot_hold(server: Server, way: Way, case: Refused) -> None:
    """Is refused with its column, its row where that is known, and a remedy that works."""
    hook = DriverHook("postgres", DRIVERS[way.driver], server)
    sql = f"SELECT i, (CASE WHEN i = 2 THEN {case.literal} END)::{case.type} AS v FROM generate_series(1, 3) i"
    for format_ in FORMATS:
        if format_ in case.formats or (format_ == "csv" and not way.untouched and "parquet" in case.formats):
            with pytest.raises(SourceError) as caught:
                dump(hook, sql, format_, way)
            wanted = ["'v'", *case.words, *(["row 2 "] if "parquet" in case.formats else [])]
            assert not [words for words in wanted if words not in str(caught.value)], str(caught.value)
        remedy = dict(case.remedy)
        remedy["options"] = remedy.get("options", {}).get(format_)
        assert _second(dump(hook, sql, format_, way, **remedy), format_) == case.text


def _second(data: bytes, format_: str) -> str:
    """The one value, as text."""
    if format_ == "csv":
        found: Any = [row[1] for row in csv_cells(data)[1]]
    elif format_ == "jsonl":
        found = [row["v"] for row in json_rows(data)]
    else:
        found = parquet_table(data).column("v").to_pylist()
    assert (found[0], found[2]) == (None, None)
    value = found[1]
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    assert type(value) is str, value
    return value


@pytest.mark.parametrize("way", WAYS, ids=ids)
@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("bool", "2"),
        ("int64", "1.5::numeric"),
        ("int64", "'9223372036854775808'::text"),
        ("int16", "32768"),
        ("float", "1e300::float8"),
        ("double", "1e400::numeric"),
        ("decimal(5, 2)", "0.123::numeric"),
        ("decimal(5, 2)", "123456"),
        ("decimal(5, 2)", "'NaN'::numeric"),
        ("date32", "'2024-02-30'::text"),
        ("date32", "'0000-01-01'::text"),
        ("date32", "'infinity'::timestamp"),
        ("timestamp", "'2024-02-29 01:02:03+00'::timestamptz"),
        ("timestamptz", "'2024-02-29 01:02:03'::timestamp"),
        ("time64[us]", "'24:00'::time"),
    ],
)
def test_what_the_type_that_was_asked_for_cannot_hold(server: Server, way: Way, asked: str, value: str) -> None:
    """Is refused by every way alike, never rounded, cut or wrapped around."""
    hook = DriverHook("postgres", DRIVERS[way.driver], server)
    with pytest.raises(SourceError, match="column 'v'"):
        dump(hook, f"SELECT {value} AS v", "parquet", way, column_types={"v": asked})


def test_a_json_null_is_not_null(server: Server) -> None:
    """JSON Lines has one null for both, which the page on types says; as text they stay apart there too."""
    way, hook = WAYS[0], DriverHook("postgres", psycopg, server)
    sql = "SELECT 1 AS k, 'null'::jsonb AS v UNION ALL SELECT 2, NULL ORDER BY k"
    assert [row[1] for row in csv_cells(dump(hook, sql, "csv", way))[1]] == ["null", None]
    assert parquet_table(dump(hook, sql, "parquet", way)).column("v").to_pylist() == ["null", None]
    assert [row["v"] for row in json_rows(dump(hook, sql, "jsonl", way))] == [None, None]
    as_text = dump(hook, sql, "jsonl", way, column_types={"v": "string"})
    assert [row["v"] for row in json_rows(as_text)] == ["null", None]


ZONES = ("UTC", "Asia/Tokyo", "America/New_York", "Europe/Amsterdam", "<+05>-05")
INSTANTS = ("0001-01-01 00:00:00", "1850-01-01 00:00:00", "2024-11-03 05:30:00", "2024-11-03 06:30:00",
            "9999-12-31 23:59:59.999999")  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_an_instant_does_not_depend_on_the_sessions_zone(server: Server, way: Way, zone: str) -> None:
    """Where the rows come through Arrow it is in UTC; the server's own CSV says the offset of the session's zone."""
    hook = DriverHook("postgres", DRIVERS[way.driver], server, {"options": f"-c timezone={zone}"})
    values = ", ".join(f"('{instant}+00'::timestamptz)" for instant in INSTANTS)
    sql = f"SELECT v FROM (VALUES {values}) q(v)"
    iso = [instant.replace(" ", "T") + "+00:00" for instant in INSTANTS]
    assert [row["v"] for row in json_rows(dump(hook, sql, "jsonl", way))] == iso
    found = parquet_table(dump(hook, sql, "parquet", way)).column("v").to_pylist()
    assert [value.isoformat().replace(".500000", ".5") for value in found] == iso
    texts = [row[0] for row in csv_cells(dump(hook, sql, "csv", way))[1]]
    if not way.untouched:
        assert texts == [instant + "+00" for instant in INSTANTS]
        return
    with _connected(server) as connection:
        read_back = connection.execute("SELECT extract(epoch FROM t::timestamptz) FROM unnest(%s::text[]) t", (texts,))
        wanted = connection.execute(
            "SELECT extract(epoch FROM (t || '+00')::timestamptz) FROM unnest(%s::text[]) t", (list(INSTANTS),)
        )
        assert read_back.fetchall() == wanted.fetchall()


SETTINGS = "-c datestyle=SQL,DMY -c bytea_output=escape -c extra_float_digits=-5 -c client_encoding=LATIN1"


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_the_settings_of_a_session_change_no_value(server: Server, way: Way, format_: str) -> None:
    """How dates, bytes, floats and text are written is ours; how a date is read stays the query's."""
    hook = DriverHook("postgres", DRIVERS[way.driver], server, {"options": SETTINGS})
    sql = "SELECT '02/03/2024'::date AS d, '\\x00ff'::bytea AS b, 0.1::float8 + 0.2 AS f, chr(128165) || chr(233) AS t"
    data = dump(hook, sql, format_, way)
    if format_ == "csv":
        assert csv_cells(data)[1] == [["2024-03-02", "\\x00ff", "0.30000000000000004", "💥é"]]
    elif format_ == "jsonl":
        assert json_rows(data) == [{"d": "2024-03-02", "b": "AP8=", "f": Token("0.30000000000000004"), "t": "💥é"}]
    else:
        row = parquet_table(data).to_pylist()[0]
        assert (str(row["d"]), row["b"], row["f"], row["t"]) == ("2024-03-02", b"\0\xff", 0.30000000000000004, "💥é")


def test_a_database_that_checks_no_text(server: Server) -> None:
    """SQL_ASCII keeps any bytes: UTF-8 is delivered, anything else is refused."""
    with _connected(server) as connection:
        connection.execute("CREATE DATABASE ascii_db ENCODING 'SQL_ASCII' TEMPLATE template0")
    ascii_db = Server(server.host, server.port, server.user, server.password, "ascii_db")
    for way in WAYS:
        hook = DriverHook("postgres", DRIVERS[way.driver], ascii_db)
        for format_ in FORMATS:
            assert "é".encode() in dump(hook, "SELECT 'é'::text AS v", format_, way)
            with pytest.raises(SourceError, match="invalid byte sequence"):
                dump(hook, "SELECT convert_from('\\xff', 'SQL_ASCII') AS v", format_, way)


@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_a_byte_order_mark_at_the_beginning_is_a_value(server: Server, way: Way) -> None:
    """Arrow's CSV parser takes one at the beginning of a block for a sign of the encoding."""
    hook = DriverHook("postgres", DRIVERS[way.driver], server)
    sql = "SELECT v FROM (VALUES (1, U&'\\FEFFone'), (2, U&'\\FEFF\\FEFFtwo')) q(k, v) ORDER BY k"
    for format_ in ("jsonl", "parquet"):
        data = dump(hook, sql, format_, way)
        found = json_rows(data) if format_ == "jsonl" else parquet_table(data).to_pylist()
        assert [row["v"] for row in found] == ["\ufeffone", "\ufeff\ufefftwo"]
