"""A query is opened by what its hook hands out, and every failure is told in our words."""

from __future__ import annotations

import logging
import sqlite3
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from airflow_xacct.dump.rows import RowSource
from airflow_xacct.dump.sources.sql.errors import SecretWords, is_database_error, translated
from airflow_xacct.dump.sources.sql.open import open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import ReadOptions
from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError, SourceUnreadableError


class Error(Exception):
    """The base of a driver's errors, by PEP 249."""


class FakeCursor:
    """The smallest cursor of a driver that nobody knows."""

    def __init__(self, rows: Sequence[tuple[Any, ...]], description: Any) -> None:
        self.rows = list(rows)
        self.description: Any = None
        self.told = description

    def execute(self, sql: str, parameters: Any = None) -> None:
        self.description = self.told

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        found, self.rows = self.rows[:size], self.rows[size:]
        if any(isinstance(value, Error) for row in found for value in row):
            raise Error("the network went away")
        return found


class FakeHook:
    """A hook of a database without a fast path."""

    conn_type = "oddbase"

    def __init__(self, rows: Sequence[tuple[Any, ...]] = (), description: Any = None) -> None:
        self.rows = rows
        self.description = description
        self.closed = 0
        self.made: FakeCursor | None = None

    def get_conn_id(self) -> str:
        return "odd_default"

    def get_conn(self) -> FakeHook:
        return self

    def cursor(self) -> FakeCursor:
        self.made = FakeCursor(self.rows, self.description)
        return self.made

    def close(self) -> None:
        self.closed += 1


def described(*names: str) -> list[tuple[Any, ...]]:
    return [(name, None, None, None, None, None, None) for name in names]


def read(hook: FakeHook, **more: Any) -> list[dict[str, Any]]:
    source = open_sql_source(hook, SqlQuery("SELECT 1"), wants="arrow", options=ReadOptions(**more))
    assert isinstance(source, RowSource)
    return [row for batch in source.batches() for row in batch.to_pylist()]


def test_any_driver_is_read_through_its_cursor() -> None:
    """Batches of some thousands, one schema, and the connection is closed after the last row."""
    hook = FakeHook([(i, str(i)) for i in range(20_000)], described("a", "b"))
    source = open_sql_source(hook, SqlQuery("SELECT 1"), wants="text_csv", options=ReadOptions(fetch_rows=3000))
    assert isinstance(source, RowSource)
    batches = list(source.batches())
    assert [batch.num_rows for batch in batches] == [9000, 9000, 2000]
    assert all(batch.schema == source.schema() for batch in batches)
    assert hook.closed == 1
    source.close()
    assert hook.closed == 1


def test_the_way_is_logged_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, and without the query."""
    lines: list[str] = []
    logger = logging.getLogger("airflow_xacct.dump.sources.sql.open")
    monkeypatch.setattr(logger, "info", lambda text, *values: lines.append(text % values))
    read(FakeHook([(1,)], described("a")))
    assert lines == [
        "Reading connection 'odd_default' through a cursor and fetchmany (this database, fast_path='auto')"
        "; no fast path: none is known for such a database"
    ]


def test_a_driver_that_tells_of_decimals() -> None:
    """Precision and scale of the description make a decimal; without them it is text."""
    from decimal import Decimal

    told = [("a", None, None, None, 10, 2, None), ("b", None, None, None, None, None, None)]
    assert read(FakeHook([(Decimal("1.5"), Decimal("1.50"))], told)) == [{"a": Decimal("1.50"), "b": "1.50"}]


def test_an_error_in_the_middle() -> None:
    """Names the rows before it and closes the connection."""
    hook = FakeHook([(1,)] * 10_000 + [(Error(),)], described("a"))
    with pytest.raises(SourceUnreadableError, match="after 10,000 rows: the network went away"):
        read(hook, fetch_rows=5000)
    assert hook.closed == 1


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (FakeHook(description=None), "returned no result"),
        (FakeHook(description=described("a", "a")), "more than one column named 'a'"),
        (FakeHook(description=described("a", "")), "a column without a name"),
        (FakeHook(description=[]), "no columns"),
    ],
)
def test_what_no_format_could_use(hook: FakeHook, words: str) -> None:
    """Is refused before the first row, and nothing stays open."""
    with pytest.raises(InvalidArgumentError, match=words):
        read(hook)
    assert hook.closed == 1


def test_arguments_that_cannot_be_used() -> None:
    """Each says what to write instead."""
    hook = FakeHook(description=described("a"))
    for wrong in ({"wants": "xml"}, {"fast_path": "maybe"}):
        with pytest.raises(InvalidArgumentError, match="is not known"):
            open_sql_source(hook, SqlQuery("SELECT 1"), **{"wants": "arrow", **wrong})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="no fast path"):
        open_sql_source(hook, SqlQuery("SELECT 1"), wants="arrow", fast_path="require")
    with pytest.raises(InvalidArgumentError, match="limit the time"):
        read(hook, statement_timeout_seconds=1)
    with pytest.raises(InvalidArgumentError, match="above zero"):
        ReadOptions(fetch_rows=0)


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra, and nothing stays open."""
    hook = FakeHook(description=described("a"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match="pyarrow"):
        read(hook)
    assert hook.closed == 1


def test_errors_that_are_no_databases_pass() -> None:
    """Airflow's own, such as a missing connection, are better as they are."""
    assert is_database_error(sqlite3.OperationalError("x"))
    assert is_database_error(Error("x"))
    assert not is_database_error(KeyError("x"))


def test_secrets_are_hidden_as_whole_words() -> None:
    """The longest first, inside any nesting; a short value does not eat into words."""
    secrets = SecretWords({"a": ["s3cret", b"s3cret-long"], "b": 1, "c": None}, "pass.word")
    assert secrets.hidden_in("s3cret-long, s3cret; pass.word 1 11 passXword") == "***, ***; *** *** 11 passXword"
    assert SecretWords(None, None).hidden_in("all") == "all"
    error, may_show = translated(Error("bad pass.word"), "here", SecretWords(None, "pass.word"))
    assert (str(error).split(".")[0], may_show) == ("the database refused: bad *** (here)", False)
