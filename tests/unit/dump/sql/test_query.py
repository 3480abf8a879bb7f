"""Which statements are taken as a query, and what is left of them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.exceptions import InvalidArgumentError


def ansi(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 1", "SELECT 1"),
        ("  select 1 ;\n", "select 1"),
        ("SELECT 1; -- done", "SELECT 1"),
        ("SELECT 1 /* why */ ; /* because */", "SELECT 1"),
        ("-- first\nSELECT ';' AS a", "-- first\nSELECT ';' AS a"),
        ("SELECT $$a;b$$", "SELECT $$a;b$$"),
        ('SELECT "x;y" FROM t', 'SELECT "x;y" FROM t'),
        ("SELECT /*+ hint */ 1", "SELECT /*+ hint */ 1"),
        ("SELECT 5 # 3", "SELECT 5 # 3"),
        ("(SELECT 1) UNION (SELECT 2)", "(SELECT 1) UNION (SELECT 2)"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT 1) SELECT * FROM a"),
        ("VALUES (1), (2)", "VALUES (1), (2)"),
        ("TABLE t", "TABLE t"),
        ("SHOW TABLES", "SHOW TABLES"),
    ],
)
def test_one_statement_without_its_end(sql: str, text: str) -> None:
    """Semicolons and comments behind the statement go, for it may be put into another; all else stays."""
    assert SqlQuery(sql).text == text


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "no statement"),
        (" ; -- nothing", "no statement"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT 1) TO PROGRAM 'x'; DROP TABLE t; SELECT (1", "3 statements"),
        ("UPDATE t SET a = 1", "begins with 'UPDATE' is no query"),
        ("DROP TABLE t", "begins with 'DROP' is no query"),
        ("CREATE TABLE x AS SELECT 1", "begins with 'CREATE' is no query"),
        ("selct 1", "begins with 'SELCT' is no query"),
    ],
)
def test_what_is_no_query(sql: str, words: str) -> None:
    """Is refused before any database is asked."""
    with pytest.raises(InvalidArgumentError, match=words):
        SqlQuery(sql)


def test_the_order_goes_around_the_query() -> None:
    """Its own order, limit and last comment stay inside; names are quoted by the database's rule."""
    query = SqlQuery("SELECT a, b FROM t LIMIT 3 -- x", order_by=['we"ird', "b"])
    wanted = 'SELECT * FROM (\nSELECT a, b FROM t LIMIT 3\n) xacct_query ORDER BY "we""ird", "b"'
    assert query.ordered(ansi) == wanted
    assert query.ordered(ansi, "bound") == wanted.replace("SELECT a, b FROM t LIMIT 3", "bound")
    assert SqlQuery("SELECT 1").ordered(ansi) == "SELECT 1"
    with pytest.raises(InvalidArgumentError, match="cannot be sorted"):
        SqlQuery("SHOW TABLES", order_by=["a"])


@pytest.mark.parametrize("parameters", [["hidden"], {"p": "hidden"}])
def test_parameters_are_not_shown(parameters: Any) -> None:
    """A query may be logged."""
    assert "hidden" not in repr(SqlQuery("SELECT %s", parameters))
