"""Every type of MariaDB, value by value against the server's own text, through every driver and in every format."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pymysql
import pytest

from airflow_xacct.exceptions import InvalidArgumentError, SourceError
from tests.databases import Server, ServerMissing, mariadb_server
from tests.golden.cases import Column, Refused
from tests.golden.dumping import FORMATS, DriverHook, Way, csv_cells, dump, json_rows, parquet_table
from tests.golden.golden_table import ROWS, Dumps, check_column, check_servers_own, ids, statements
from tests.golden.mariadb_cases import ASKED, COLUMNS, REFUSED, SET_UP_SESSION
from tests.golden.readers import READ_BACK, check_reader, readable, write_file

#: The drivers of Airflow's hook, and the one that is in every development environment.
DRIVERS = ("pymysql", "MySQLdb", "mysql.connector")
WAYS = [Way(driver, fast_path) for driver in DRIVERS for fast_path in ("auto", "forbid")]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    try:
        with mariadb_server() as server:
            yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))


def _hook(server: Server, way: Way) -> DriverHook:
    reason = f"{way.driver} is not installed: no extra of ours brings it"
    return DriverHook("mysql", pytest.importorskip(way.driver, reason=reason), server)


@contextlib.contextmanager
def _connected(server: Server) -> Iterator[Any]:
    """A cursor whose values are the server's own texts."""
    hook = DriverHook("mysql", pymysql, server, {"conv": {}, "autocommit": True, "charset": "utf8mb4"})
    with contextlib.closing(hook.get_conn()) as connection, contextlib.closing(connection.cursor()) as cursor:
        for statement in SET_UP_SESSION:
            cursor.execute(statement)
        yield cursor


Golden = tuple[Dumps, dict[str, list[str | None]]]


def _dumps(server: Server, columns: Sequence[Column]) -> Golden:
    """Dumps of the golden table of these columns, and what the server itself says of each value."""
    with _connected(server) as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {ROWS}")
        for statement in statements(columns, "`", " CHARACTER SET utf8mb4"):
            cursor.execute(statement)
        cursor.execute(f"SELECT * FROM {ROWS} ORDER BY k")
        names = [described[0] for described in cursor.description]
        texts = ([_text(value) for value in row] for row in cursor.fetchall())
        own = dict(zip(names, map(list, zip(*texts, strict=True)), strict=True))
    dumps = Dumps(lambda way: _hook(server, way), columns)
    for way in WAYS:
        with contextlib.suppress(ImportError):
            importlib.import_module(way.driver)
            for format_ in FORMATS:
                dumps.data(way, format_)  # before the table changes
    return dumps, own


def _text(value: str | bytes | None) -> str | None:
    return "\\x" + value.hex() if isinstance(value, bytes) else value


@pytest.fixture(scope="module")
def golden(server: Server) -> Golden:
    return _dumps(server, COLUMNS)


@pytest.fixture(scope="module")
def files(server: Server, golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each format, as readers take it."""
    folder, hook = tmp_path_factory.mktemp("files"), DriverHook("mysql", pymysql, server)
    for format_ in FORMATS:
        write_file(folder / f"golden.{format_}", hook, readable(COLUMNS), format_, WAYS[0], "`")
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
def test_every_value(server: Server, golden: Golden, way: Way, format_: str, column: Column) -> None:
    """Is the server's own, whichever driver brought it."""
    _hook(server, way)
    if way.driver == "mysql.connector" and pa.types.is_decimal(column.arrow):
        # it does not tell how many digits a DECIMAL has, so that only text holds whatever comes
        column = dataclasses.replace(column, arrow=pa.string())
    check_column(golden[0], way, format_, column, untouched=False)


@pytest.mark.parametrize("column", ASKED, ids=ids)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_every_value_in_the_type_that_was_asked_for(
    server: Server, asked: Golden, way: Way, format_: str, column: Column
) -> None:
    """By the rules of ``column_types``, the same with every driver."""
    _hook(server, way)
    check_column(asked[0], way, format_, column, untouched=False)


@pytest.mark.parametrize(("format_", "reader"), READ_BACK, ids=ids)
def test_every_reader_reads_every_value(files: Path, format_: str, reader: str) -> None:
    """Unchanged."""
    check_reader(files / f"golden.{format_}", format_, reader, readable(COLUMNS), untouched=False)


@pytest.mark.parametrize("case", REFUSED, ids=ids)
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_what_a_format_cannot_hold(server: Server, way: Way, case: Refused) -> None:
    """Is refused with its column, its row and a remedy that works."""
    hook = _hook(server, way)
    with _connected(server) as cursor:
        cursor.execute(f"CREATE OR REPLACE TABLE refused (i INT PRIMARY KEY, v {case.type})")
        cursor.execute(f"INSERT INTO refused VALUES (1, NULL), (2, {case.literal}), (3, NULL)")
    for format_ in FORMATS:
        with pytest.raises(SourceError) as caught:
            dump(hook, "SELECT i, v FROM refused", format_, way)
        wanted = ["row 2 ", "'v'", *case.words]
        assert not [words for words in wanted if words not in str(caught.value)], str(caught.value)
        data = dump(hook, "SELECT i, v FROM refused", format_, way, **case.remedy)
        assert _values(data, format_) == [None, case.text, None]


def _values(data: bytes, format_: str) -> list[Any]:
    """The values of the last column."""
    if format_ == "csv":
        return [row[-1] for row in csv_cells(data)[1]]
    rows = json_rows(data) if format_ == "jsonl" else parquet_table(data).to_pylist()
    return [row["v"] for row in rows]


@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_a_float_is_never_cut(server: Server, way: Way) -> None:
    """The server writes six digits of it, which is refused where the query cannot be made to say more."""
    hook = _hook(server, way)
    with _connected(server) as cursor:
        cursor.execute("CREATE OR REPLACE TABLE floats (i INT PRIMARY KEY, v FLOAT, w FLOAT(10,2))")
        cursor.execute("INSERT INTO floats VALUES (1, 16777216, 0.1), (2, 3.14159274, 16777216)")
    whole = [16777216.0, 3.1415927410125732]
    for sql in ("SELECT w, v FROM floats", "SELECT v AS v FROM (SELECT v FROM floats ORDER BY i LIMIT 9) q -- end;",
                "SELECT ROW_NUMBER() OVER (ORDER BY i) AS n, v FROM floats"):  # fmt: skip
        assert _values(dump(hook, sql, "parquet", way), "parquet") == whole
    with pytest.raises(InvalidArgumentError, match=r"six digits of a FLOAT, and 'v'.*v \* 1e0 AS v.*column_types"):
        dump(hook, "SELECT v, w FROM floats ORDER BY i", "parquet", way)
    ordered = "SELECT v * 1e0 AS v FROM floats ORDER BY i DESC"
    assert _values(dump(hook, ordered, "parquet", way, column_types={"v": "float"}), "parquet") == whole[::-1]
    cut = dump(hook, "SELECT v FROM floats ORDER BY i", "parquet", way, column_types={"v": "float"})
    assert _values(cut, "parquet") == [16777200.0, 3.141590118408203]


@pytest.mark.parametrize("way", [way for way in WAYS if way.driver != "mysql.connector"], ids=ids)
def test_a_timestamp_is_that_of_the_sessions_zone(server: Server, way: Way) -> None:
    """As the server itself shows it, without a zone; a DATETIME has none."""
    hook = _hook(server, way)
    with _connected(server) as cursor:
        cursor.execute("CREATE OR REPLACE TABLE moments (t TIMESTAMP NULL, v DATETIME)")
        cursor.execute("INSERT INTO moments VALUES ('2024-06-01 12:00:00', '2024-06-01 12:00:00')")
    hook = dataclasses.replace(hook, more={"init_command": "SET time_zone = '+09:00'"})
    data = dump(hook, "SELECT t, v FROM moments", "csv", way)
    assert csv_cells(data)[1] == [["2024-06-01 21:00:00", "2024-06-01 12:00:00"]]
    assert parquet_table(data=dump(hook, "SELECT t FROM moments", "parquet", way)).schema.types == [pa.timestamp("us")]
