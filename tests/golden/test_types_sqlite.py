"""Every value of SQLite against what SQLite itself says of it, through every way and in every format."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_xacct.exceptions import SourceError
from tests.golden.cases import Column
from tests.golden.dumping import FORMATS, SqliteHook, Way, csv_cells, dump, json_rows, parquet_table
from tests.golden.golden_table import ROWS, Dumps, check_column, check_servers_own, ids, statements
from tests.golden.readers import READ_BACK, check_reader, readable, write_file
from tests.golden.sqlite_cases import ASKED, COLUMNS, MIXED, Mixed

WAYS = [Way("sqlite3", "auto"), Way("sqlite3", "forbid")]
ADBC = Way("adbc", "require")
"""Where the type of no column is asked for; of a table as short as these, only because it is required."""
OWN = "CASE typeof(v) WHEN 'blob' THEN '\\x' || lower(hex(v)) WHEN 'real' THEN printf('%!.20g', v) ELSE v END"

Golden = tuple[Dumps, dict[str, list[str | None]]]


def _dumps(path: Path, columns: Sequence[Column]) -> Golden:
    """Dumps of the golden table of these columns, and what SQLite says of each value."""
    own: dict[str, list[str | None]] = {}
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements(columns, '"'):
            connection.execute(statement)
        for column in columns:
            rows = connection.execute(f'SELECT {OWN} FROM (SELECT k, "{column.name}" AS v FROM {ROWS}) ORDER BY k')
            own[column.name] = [None if text is None else str(text) for (text,) in rows]
    return Dumps(lambda way: SqliteHook(path), columns), own


def _need(way: Way) -> None:
    if way is ADBC:
        pytest.importorskip("adbc_driver_sqlite", reason="adbc-driver-sqlite is not installed")


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return _dumps(tmp_path_factory.mktemp("golden") / "golden.db", COLUMNS)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return _dumps(tmp_path_factory.mktemp("asked") / "asked.db", ASKED)


@pytest.mark.parametrize("column", COLUMNS + ASKED, ids=ids)
def test_the_cases_are_sqlites_own(golden: Golden, asked: Golden, column: Column) -> None:
    """What the table of cases says of a value is what SQLite says; it has no shortest text of a real."""
    texts = (asked if column.asked else golden)[1][column.name]
    if pa.types.is_floating(column.arrow) or column.asked:
        found = [_plain(text) for text in texts[: len(column.values)]]
        assert found == [_plain(value.text) for value in column.values]
    else:
        check_servers_own(column, texts)


def _plain(text: str | None) -> float | str | None:
    """Numbers as numbers, to compare them whatever their digits."""
    try:
        return float(text or "")
    except ValueError:
        return text


@pytest.mark.parametrize("column", COLUMNS, ids=ids)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("way", [*WAYS, ADBC], ids=ids)
def test_every_value(golden: Golden, way: Way, format_: str, column: Column) -> None:
    """Is SQLite's own, of the type that its values have."""
    _need(way)
    check_column(golden[0], way, format_, column, untouched=False)


@pytest.mark.parametrize("column", ASKED, ids=ids)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_every_value_in_the_type_that_was_asked_for(asked: Golden, way: Way, format_: str, column: Column) -> None:
    """By the rules of ``column_types``: SQLite has neither dates nor decimals, a file may have both."""
    check_column(asked[0], way, format_, column, untouched=False)


@pytest.fixture(scope="module")
def files(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each format, as readers take it."""
    folder = tmp_path_factory.mktemp("files")
    for format_ in FORMATS:
        write_file(folder / f"golden.{format_}", golden[0].hook(WAYS[0]), readable(COLUMNS), format_, WAYS[0], '"')
    return folder


@pytest.mark.parametrize(("format_", "reader"), READ_BACK, ids=ids)
def test_every_reader_reads_every_value(files: Path, format_: str, reader: str) -> None:
    """Unchanged."""
    check_reader(files / f"golden.{format_}", format_, reader, readable(COLUMNS), untouched=False)


@pytest.mark.parametrize("case", MIXED, ids=ids)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("way", [*WAYS, ADBC], ids=ids)
def test_values_that_no_one_type_holds(tmp_path: Path, way: Way, format_: str, case: Mixed) -> None:
    """Are refused with their column, and delivered as text."""
    _need(way)
    path = tmp_path / "mixed.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE t (v {case.type})")
        for start in range(0, len(case.literals), 400):
            rows = ", ".join(f"({literal})" for literal in case.literals[start : start + 400])
            connection.execute(f"INSERT INTO t VALUES {rows}")
    with pytest.raises(SourceError) as caught:
        dump(SqliteHook(path), "SELECT v FROM t", format_, way)
    for words in ("column 'v'", "column_types={'v': 'string'}", *case.words):
        assert words in str(caught.value)
    data = dump(SqliteHook(path), "SELECT v FROM t", format_, WAYS[0], column_types={"v": "string"})
    if format_ == "csv":
        found = [row[0] for row in csv_cells(data)[1]]
    else:
        found = [row["v"] for row in (json_rows(data) if format_ == "jsonl" else parquet_table(data).to_pylist())]
    assert tuple(found) == case.texts


@pytest.mark.parametrize("value", ["x'ff'", "x'eda080'"])
@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_text_that_is_none(tmp_path: Path, way: Way, value: str) -> None:
    """SQLite takes any bytes for text; what is no UTF-8 is refused, and can be selected as bytes."""
    path = tmp_path / "bytes.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (v TEXT)")
        connection.execute(f"INSERT INTO t VALUES (CAST({value} AS TEXT))")
    for format_ in FORMATS:
        with pytest.raises(SourceError, match="Could not decode to UTF-8 column 'v'"):
            dump(SqliteHook(path), "SELECT v FROM t", format_, way)
    data = dump(SqliteHook(path), "SELECT CAST(v AS BLOB) AS v FROM t", "parquet", way)
    assert parquet_table(data).to_pylist() == [{"v": bytes.fromhex(value[2:-1])}]


@pytest.mark.parametrize("way", WAYS, ids=ids)
@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("bool", "2"),
        ("int64", "'1.5'"),
        ("int64", "2.5"),
        ("int16", "32768"),
        ("float", "1e300"),
        ("double", "'1e999'"),
        ("double", "'abc'"),
        ("decimal(5, 2)", "0.123"),
        ("decimal(5, 2)", "123456"),
        ("decimal(5, 2)", "9e999"),
        ("date32", "'2024-02-30'"),
        ("date32", "1704153600"),
        ("date32", "'0000-01-01'"),
        ("timestamp", "'2024-02-29 01:02:03.1234567'"),
        ("timestamp", "'2024-02-29 01:02:03+00'"),
        ("timestamptz", "'2024-02-29 01:02:03'"),
        ("time64[us]", "'24:00:00'"),
        ("binary", "5"),
    ],
)
def test_what_the_type_that_was_asked_for_cannot_hold(tmp_path: Path, way: Way, asked: str, value: str) -> None:
    """Is refused with its row, never rounded, cut or wrapped around."""
    sql = f"SELECT NULL AS v UNION ALL SELECT {value}"
    with pytest.raises(SourceError) as caught:
        dump(SqliteHook(tmp_path / "empty.db"), sql, "parquet", way, column_types={"v": asked})
    assert "'v'" in str(caught.value)
    assert "row 2 " in str(caught.value) or "precision" in str(caught.value)
