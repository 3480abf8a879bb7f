"""The golden table of a database: every column of its cases, a row for each value, all NULL in the last."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from tests.golden.cases import Column, Token, same
from tests.golden.dumping import Way, csv_cells, dump, json_rows, parquet_table

__all__ = ["ROWS", "Dumps", "check_column", "check_servers_own", "ids", "statements"]

ROWS = "golden"


def ids(value: Any) -> str:
    """The id of a parameter, the same in every run."""
    return value if isinstance(value, str) else getattr(value, "name", None) or str(value)


def statements(columns: Sequence[Column], quote: str, after: str = "") -> list[str]:
    """What makes the table.

    :param quote: around the names of columns.
    :param after: behind its definition.
    """
    depth = max(len(column.values) for column in columns)
    names = [f"{quote}{column.name}{quote}" for column in columns]
    declared = ", ".join(f"{name} {column.type}" for name, column in zip(names, columns, strict=True))
    made = [f"CREATE TABLE {ROWS} (k integer NOT NULL PRIMARY KEY, {declared}){after}"]
    for row in range(depth + 1):
        literals = [column.values[row].literal if row < len(column.values) else "NULL" for column in columns]
        made.append(f"INSERT INTO {ROWS} (k, {', '.join(names)}) VALUES ({row}, {', '.join(literals)})")
    return made


class Dumps:
    """Each dump is made once, when the first test asks for it.

    :param hook: makes the hook of a way.
    """

    def __init__(self, hook: Callable[[Way], Any], columns: Sequence[Column]) -> None:
        self.hook = hook
        self._types = {column.name: column.asked for column in columns if column.asked}
        self._made: dict[tuple[Way, str], Any] = {}
        self._bytes: dict[tuple[Way, str], bytes] = {}

    def data(self, way: Way, format_: str) -> bytes:
        """The file."""
        if (way, format_) not in self._bytes:
            # a table with NaN in it would be refused as JSON; that it is, another test shows
            options = {"non_finite": "text"} if format_ == "jsonl" else None
            sql = f"SELECT * FROM {ROWS}"
            made = dump(self.hook(way), sql, format_, way, options=options, column_types=self._types)
            self._bytes[way, format_] = made
        return self._bytes[way, format_]

    def cells(self, way: Way, format_: str, name: str) -> tuple[list[Any], Any]:
        """The values of a column in the order of the table, and its Arrow type in Parquet."""
        if (way, format_) not in self._made:
            self._made[way, format_] = _rows(self.data(way, format_), format_)
        rows, schema = self._made[way, format_]
        return [row[name] for row in rows], schema.field(name).type if schema is not None else None


def _rows(data: bytes, format_: str) -> tuple[list[dict[str, Any]], pa.Schema | None]:
    if format_ == "csv":
        names, cells = csv_cells(data)
        return sorted((dict(zip(names, row, strict=True)) for row in cells), key=lambda row: int(row["k"])), None
    if format_ == "jsonl":
        return sorted(json_rows(data), key=lambda row: int(row["k"])), None
    table = parquet_table(data)
    return sorted(table.to_pylist(), key=lambda row: row["k"]), table.schema


def check_column(dumps: Dumps, way: Way, format_: str, column: Column, *, untouched: bool) -> None:
    """Every value of a column in one file, and NULL behind them."""
    found, kind = dumps.cells(way, format_, column.name)
    assert set(found[len(column.values) :]) == {None}
    if format_ == "parquet":
        assert kind == column.arrow
    for value, cell in zip(column.values, found, strict=False):
        if format_ == "parquet":
            wanted = column.parquet(value)
        else:
            wanted = column.csv(value, untouched=untouched) if format_ == "csv" else column.json(value)
        if pa.types.is_floating(column.arrow) and format_ != "parquet" and not untouched:
            # a float has many texts; it must be the same float, and text in JSON only where there is no number
            assert isinstance(cell, Token) is (format_ == "jsonl" and not isinstance(wanted, str)), cell
            cell, wanted = _float(cell, column.arrow), _float(wanted, column.arrow)
        assert same(cell, wanted), f"{value.literal} came as {cell!r} instead of {wanted!r}"


def _float(text: Any, kind: pa.DataType) -> float:
    number = float(text)
    return float(struct.unpack("f", struct.pack("f", number))[0]) if pa.types.is_float32(kind) else number


def check_servers_own(column: Column, texts: Sequence[str | None]) -> None:
    """The table of cases says what the server says, and NULL behind it."""
    assert [value.text for value in column.values] == list(texts[: len(column.values)])
    assert set(texts[len(column.values) :]) == {None}
