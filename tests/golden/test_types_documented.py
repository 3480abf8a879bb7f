"""The page on types says what comes out: its tables are held to the golden cases, which are held to the servers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_xacct.dump.sources.sql.arrow_types import named_types
from tests.golden import mariadb_cases, postgres_cases, sqlite_cases
from tests.golden.cases import Column, Token, same
from tests.golden.dumping import csv_cells

PAGE = (Path(__file__).parents[2] / "docs" / "types.md").read_text()
COLUMNS: dict[str, Sequence[Column]] = {
    "PostgreSQL": postgres_cases.COLUMNS,
    "MySQL and MariaDB": mariadb_cases.COLUMNS,
    "SQLite": sqlite_cases.COLUMNS,
}


def _rows(section: str) -> list[list[str]]:
    """The cells of the one table of a section, without its head."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip(" ") for cell in line.strip("|").split("|")] for line in lines[2:]]


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


CASES = [(section, row) for section in COLUMNS for row in _rows(section)]


@pytest.mark.parametrize(("section", "row"), CASES, ids=[f"{section}-{row[0]}" for section, row in CASES])
def test_each_row_is_true(section: str, row: list[str]) -> None:
    """Its example is one of the values of its first type, and all of its types become the one it names."""
    types, (csv,), (as_json,), (parquet,) = (_code(cell) for cell in row[:4])
    columns = [column for column in COLUMNS[section] if column.type == types[0] and str(column.arrow) == parquet]
    assert columns, f"no golden column of type {types[0]} becomes {parquet}"
    (text,) = csv_cells(f"v\n{csv}\n".encode())[1][0]
    token = json.loads(as_json, parse_int=Token, parse_float=Token)
    untouched = section == "PostgreSQL"
    examples = [
        column
        for column in columns
        for value in column.values
        if column.csv(value, untouched=untouched) == text and _alike(column.json(value), token, column.arrow)
    ]
    assert examples, f"no value of {types[0]} is {csv} and {as_json}"
    for kind in types[1:]:
        others = [column for column in COLUMNS[section] if column.type == kind]
        assert others, f"no golden column of type {kind}"
        assert {_family(column.arrow) for column in others} >= {_family(columns[0].arrow)}, kind


def _alike(one: object, other: object, kind: pa.DataType) -> bool:
    if isinstance(one, float) and isinstance(other, Token):
        return bool(pa.scalar(float(other), kind).as_py() == one)
    return same(one, other)


def _family(kind: pa.DataType) -> str:
    """Decimals of any size are one in the table, which shows the first."""
    return "decimal" if pa.types.is_decimal(kind) else str(kind)


@pytest.mark.parametrize("section", COLUMNS)
def test_each_type_has_a_row(section: str) -> None:
    """Of those that the golden suite knows."""
    documented = {kind for row in _rows(section) for kind in _code(row[0])}
    tested = {column.type for column in COLUMNS[section] if column.type}
    assert tested - documented == set()


def test_each_type_that_can_be_asked_for_is_one() -> None:
    """The names in the table of ``column_types`` are known, with example digits for the decimals."""
    names = [name for row in _rows("column_types") for name in _code(row[0])]
    given = {f"c{i}": name.replace("(p, s)", "(40, 2)") for i, name in enumerate(names) if "128" not in name}
    assert len(named_types(given, list(given))) == len(given)
    assert named_types({"n": "decimal128(38, 9)"}, ["n"]) == {"n": pa.decimal128(38, 9)}
