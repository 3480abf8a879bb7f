"""Dicts and tuples: one set of columns, gathered into batches of a bounded size."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from airflow_xacct.dump.sources.python import rows as rows_module
from airflow_xacct.dump.sources.python.made import Made
from airflow_xacct.dump.sources.python.source import PythonSource
from airflow_xacct.exceptions import ConfigurationError, InvalidArgumentError, SourceUnreadableError, XacctError
from tests.unit.dump.python.made_tables import read


class Point(NamedTuple):
    """A row that knows its columns."""

    x: Any
    y: Any


class Other(NamedTuple):
    """A row with other columns."""

    x: Any
    z: Any


EXPECTED = {"x": [1, 2], "y": ["a", None]}
DICTS = [{"x": 1, "y": "a"}, {"y": None, "x": 2}]


def generator() -> Iterator[dict[str, Any]]:
    yield from DICTS


@pytest.mark.parametrize(
    ("made", "schema"),
    [
        (DICTS, None),
        (generator(), None),
        (iter([DICTS]), None),
        (iter([DICTS[:1], DICTS[1:]]), None),
        (map(OrderedDict, DICTS), None),
        (iter([(1, "a"), (2, None)]), ["x", "y"]),
        ([(1, "a"), (2, None)], {"x": "int64", "y": "string"}),
        ([(1, "a"), (2, None)], {"x": None, "y": None}),
        (iter([Point(1, "a"), Point(2, None)]), None),
        (iter([Point(1, "a"), (2, None)]), None),
        (DICTS, pa.schema({"x": pa.int64(), "y": pa.string()})),
    ],
    ids=["list", "generator", "page", "pages", "map", "tuples", "typed", "untyped", "named", "named first", "schema"],
)
def test_rows_of_every_shape(made: Any, schema: Any) -> None:
    """Give one table."""
    assert read(made, schema).to_pydict() == EXPECTED


def test_rows_of_drivers_know_their_columns() -> None:
    """As those of sqlite3, which are no mappings."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        cursor = connection.execute("SELECT 1 AS x, 'a' AS y UNION ALL SELECT 2, NULL")
        assert read(cursor).to_pydict() == EXPECTED


def test_the_schema_says_the_order() -> None:
    """Of dicts, whose own order may differ from row to row."""
    assert read(DICTS, ["y", "x"]).column_names == ["y", "x"]


@pytest.mark.parametrize(
    ("made", "schema", "what"),
    [
        ([{"x": 1, "y": 2}, {"x": 1}], None, "row 2 has no 'y'"),
        ([{"x": 1}, {"x": 1, "z": 2}], None, "row 2 has also 'z', which is no column"),
        ([{"x": 1}, {"z": 1}], None, "row 2 has no 'x'"),
        ([{"x": 1}], ["x", "y"], "row 1 has no 'y'"),
        ([(1, 2), (1,)], ["x", "y"], "row 2 has 1 values, and there are 2 columns"),
        ([Point(1, 2), Other(1, 2)], None, "row 2 has the fields x, z, not x, y"),
        ([Other(1, 2)], ["x", "y"], "row 1 has the fields x, z, not x, y"),
    ],
    ids=["missing", "extra", "renamed", "declared", "short", "other fields", "declared fields"],
)
def test_a_row_with_other_columns_is_an_error(made: Any, schema: Any, what: str) -> None:
    """Neither is a missing key NULL nor is one too many dropped."""
    with pytest.raises(SourceUnreadableError) as caught:
        read(made, schema)
    assert what in str(caught.value)
    assert "None where there is no value" in str(caught.value)


@pytest.mark.parametrize(
    ("made", "schema", "what"),
    [
        (iter([(1, 2)]), None, "nobody named their columns"),
        (iter([]), None, "nobody knows the columns"),
        ([], None, "nobody knows the columns"),
        (iter([{}]), None, "there is no column"),
        (iter([{1: 2}]), None, "a column has the name 1"),
        (iter([{"": 2}]), None, "is no text or is empty"),
        ([{"x": 1}], ["x", "x"], "two columns have the name 'x'"),
        ([{"x": 1}], [], "there is no column"),
        ([{"x": 1}], "x", "str is no schema"),
        ([{"x": 1}], {"x": "varchar"}, "'varchar' (of 'x') is no type"),
        ([{"x": 1}], {"x": int}, "the type of column 'x' is a type"),
        ([{"x": 1}], pa.schema([("x", pa.int64()), ("x", pa.int64())]), "two columns have the name 'x'"),
    ],
    ids=[
        "unnamed",
        "nothing",
        "empty list",
        "no key",
        "number",
        "blank",
        "twice",
        "no name",
        "text",
        "type",
        "class",
        "schema",
    ],
)
def test_columns_that_nobody_can_use(made: Any, schema: Any, what: str) -> None:
    """With the remedy."""
    with pytest.raises(InvalidArgumentError) as caught:
        read(made, schema)
    assert what in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (None, "None was yielded or returned"),
        (iter([None]), "None was yielded or returned"),
        ("text", "a str is no row"),
        (b"bytes", "format='bytes'"),
        (iter([b"bytes"]), "a bytes is no row"),
        (5, "a int is no row"),
        (iter([5]), "a int is no row"),
        (iter([[1, 2]]), "a int is no row"),
        ({"x": 1}, "a dict by itself is one row"),
        ((1, 2), "a tuple by itself is one row"),
        ({(1,)}, "a set has no order"),
    ],
    ids=["none", "yielded none", "text", "bytes", "chunk", "number", "numbers", "list", "dict", "tuple", "set"],
)
def test_what_is_no_row_is_refused(made: Any, what: str) -> None:
    """The message lists what can be yielded."""
    with pytest.raises(ConfigurationError) as caught:
        read(made)
    assert what in str(caught.value)
    assert "Yield or return dicts, tuples" in str(caught.value)


def test_an_empty_dump_has_its_columns_where_they_are_known() -> None:
    """Without any type, text."""
    assert read(iter(()), {"x": "int64", "y": "date32"}).schema.types == [pa.int64(), pa.date32()]
    assert read(iter(()), ["x"]).schema.types == [pa.string()]


def test_a_type_may_be_left_to_the_first_rows() -> None:
    """Column by column."""
    table = read([{"x": 1, "y": 2}], {"x": "double", "y": None})
    assert table.schema.types == [pa.float64(), pa.int64()]


def test_kinds_do_not_mix() -> None:
    """The message says where and what."""
    with pytest.raises(InvalidArgumentError, match="item 3 is a tuple, and those before were dicts"):
        read(iter([*DICTS, (1, 2)]))
    with pytest.raises(InvalidArgumentError, match="item 2 is a RecordBatch, and those before were tuples"):
        read(iter([Point(1, 2), pa.record_batch({"x": [1]})]))


def test_batches_are_bounded_by_rows_and_by_bytes() -> None:
    """Never more than the batch is drawn ahead of what was asked for."""
    drawn = 0

    def rows(text: str) -> Iterator[dict[str, Any]]:
        nonlocal drawn
        for number in range(20_000):
            drawn += 1
            yield {"n": number, "text": text}

    source = PythonSource(Made("f", rows("")))
    batches = source.batches()
    assert next(batches).num_rows == rows_module.BATCH_ROWS
    assert drawn == rows_module.BATCH_ROWS
    source.close()

    drawn = 0
    source = PythonSource(Made("f", rows("x" * 1024 * 1024)))
    assert [batch.num_rows for _, batch in zip(range(3), source.batches(), strict=False)] == [4, 4, 4]
    assert drawn == 12
    source.close()


def test_nested_text_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row may be large inside."""
    monkeypatch.setattr(rows_module, "BATCH_BYTES", 10)
    source = PythonSource(Made("f", iter([{"x": [{"a": "0123456789"}]}] * 3)))
    assert [batch.num_rows for batch in source.batches()] == [1, 1, 1]


def test_row_numbers_count_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a person finds the row."""
    monkeypatch.setattr(rows_module, "BATCH_ROWS", 10)
    with pytest.raises(SourceUnreadableError, match="row 1,234 holds a str"):
        read({"x": "1" if number == 1_234 else number} for number in range(1, 2_000))


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "fails"])
def test_a_generator_is_closed(fails: bool) -> None:
    """Its finally runs, also when the first batch cannot be made."""
    done = []

    def rows() -> Iterator[dict[str, Any]]:
        try:
            yield {"x": 1}
            yield {"x": "a" if fails else 2}
            yield from ({"x": 3} for _ in range(100_000))
        finally:
            done.append(True)

    made = Made("f", rows())
    if fails:
        with pytest.raises(XacctError):
            PythonSource(made)
    else:
        source = PythonSource(made)
        next(source.batches())
        assert not done
        source.close()
        source.close()
    assert done == [True]


def test_an_error_of_the_function_is_its_own() -> None:
    """Airflow tells a skip from a failure by it."""

    def rows() -> Iterator[dict[str, Any]]:
        yield {"x": 1}
        raise LookupError("theirs")

    with pytest.raises(LookupError, match="theirs"):
        read(rows())
