"""Arrow data and DataFrames: the types they have, held for all of them, and nothing lost on the way."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from airflow_xacct.dump.sources.python import frames as frames_module
from airflow_xacct.exceptions import InvalidArgumentError, SourceUnreadableError, XacctError
from tests.unit.dump.python.made_tables import read

TABLE = pa.table({"x": [1, 2, 3], "y": ["a", None, "c"]})
DAY = dt.datetime(2013, 1, 1)


class Stream:
    """Anything that hands itself over by Arrow's PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return TABLE.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        lambda: [TABLE],
        lambda: iter(TABLE.to_batches()),
        lambda: TABLE.combine_chunks().to_batches()[0],
        TABLE.to_reader,
        lambda: iter([TABLE.slice(0, 1), TABLE.slice(1).to_batches()[0], TABLE.slice(3)]),
        Stream,
        lambda: duckdb.from_arrow(TABLE),
        TABLE.to_pandas,
        lambda: iter([TABLE.slice(0, 2).to_pandas(), TABLE.slice(2).to_pandas()]),
        lambda: pl.from_arrow(TABLE),
        lambda: iter([pl.from_arrow(TABLE.slice(0, 2)), pl.from_arrow(TABLE.slice(2))]),
    ],
    ids=[
        "table",
        "list",
        "batches",
        "batch",
        "reader",
        "mixed arrow",
        "stream",
        "duckdb",
        "pandas",
        "two pandas",
        "polars",
        "two polars",
    ],
)
def test_frames_of_every_library(make: Any) -> None:
    """Give the same rows."""
    assert read(make()).to_pydict() == TABLE.to_pydict()


def test_large_frames_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into batches of a bounded number of rows."""
    monkeypatch.setattr(frames_module, "FRAME_ROWS", 1_000)
    table = pa.table({"x": range(2_500)})
    for frame in (table, table.to_pandas(), pl.from_arrow(table)):
        made = read(frame)
        assert made.equals(table)
        assert [len(chunk) for chunk in made.column("x").chunks] == [1_000, 1_000, 500]


@pytest.mark.parametrize("frame", [TABLE.slice(3), TABLE.slice(3).to_pandas(), pl.from_arrow(TABLE.slice(3))], ids=type)
def test_an_empty_frame_has_columns(frame: Any) -> None:
    """A dump without rows has a header all the same."""
    table = read(frame)
    assert (table.num_rows, table.column_names) == (0, ["x", "y"])


STORED: list[tuple[str, pa.Array, pa.DataType]] = [
    ("dictionary", pa.array(["a", None]).dictionary_encode(), pa.string()),
    ("string view", pa.array(["a", None], pa.string_view()), pa.string()),
    ("binary view", pa.array([b"a", None], pa.binary_view()), pa.binary()),
    ("runs", pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["a"])), pa.string()),
    ("large string", pa.array(["a", None], pa.large_string()), pa.large_string()),
    (
        "list of dictionaries",
        pa.array([["a"], None], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        pa.list_(pa.string()),
    ),
    (
        "struct of views",
        pa.array([{"a": "b"}, None], pa.struct({"a": pa.string_view()})),
        pa.struct({"a": pa.string()}),
    ),
    ("uuid", pa.array([b"0" * 16, None], pa.uuid()), pa.uuid()),
    ("bool8", pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())), pa.bool_()),
    ("null", pa.nulls(2), pa.null()),
]


@pytest.mark.parametrize(("array", "kind"), [s[1:] for s in STORED], ids=[s[0] for s in STORED])
def test_how_arrow_stores_a_value_is_not_what_it_is(array: pa.Array, kind: pa.DataType) -> None:
    """Dictionaries, runs and views are decoded, nested ones too."""
    column = read(pa.table({"x": array})).column("x")
    assert column.type == kind
    assert [bool(v) if kind == pa.bool_() and v is not None else v for v in array.to_pylist()] == column.to_pylist()


WIDENED: list[tuple[str, pa.Array, pa.Array]] = [
    ("int32 after int64", pa.array([1]), pa.array([2], pa.int32())),
    ("int64 that fits int32", pa.array([1], pa.int32()), pa.array([2])),
    ("int in a float", pa.array([1.5]), pa.array([2])),
    ("int in a decimal", pa.array([Decimal("1.50")], pa.decimal128(10, 2)), pa.array([2], pa.int8())),
    ("float64 that float32 has", pa.array([1.5], pa.float32()), pa.array([2.5, float("nan")])),
    ("seconds after microseconds", pa.array([DAY], pa.timestamp("us")), pa.array([DAY], pa.timestamp("s"))),
    ("another zone", pa.array([DAY], pa.timestamp("us", "UTC")), pa.array([DAY], pa.timestamp("us", "Europe/Berlin"))),
    ("large text", pa.array(["a"]), pa.array(["b"], pa.large_string())),
    ("smaller decimal", pa.array([Decimal("1.50")]), pa.array([Decimal("2.5")], pa.decimal128(3, 1))),
    ("nothing", pa.array(["a"]), pa.nulls(1)),
    ("empty lists", pa.array([[1]]), pa.array([[]], pa.list_(pa.null()))),
    ("narrower inside", pa.array([{"a": 1}]), pa.array([{"a": 2}], pa.struct({"a": pa.int8()}))),
]


@pytest.mark.parametrize(("first", "later"), [w[1:] for w in WIDENED], ids=[w[0] for w in WIDENED])
def test_a_later_type_that_holds_the_same_values(first: pa.Array, later: pa.Array) -> None:
    """Becomes that of the column."""
    column = read(iter([pa.table({"x": first}), pa.table({"x": later})])).column("x")
    assert column.type == first.type
    made = column.to_pylist()[len(first) :]
    assert str(made) == str(later.cast(first.type).to_pylist())


CHANGED: list[tuple[str, pa.Array, pa.Array, str]] = [
    ("float in int", pa.array([1]), pa.array([1.0]), "the rows from 2 on have the type double"),
    ("text in int", pa.array([1]), pa.array(["1"]), "the rows from 2 on have the type string"),
    ("bool in int", pa.array([1]), pa.array([True]), "have the type bool"),
    ("int in text", pa.array(["a"]), pa.array([1]), "have the type int64"),
    ("bytes in text", pa.array(["a"]), pa.array([b"a"]), "have the type binary"),
    ("naive in aware", pa.array([DAY], pa.timestamp("us", "UTC")), pa.array([DAY]), "have the type timestamp[us]"),
    ("timestamp in date", pa.array([DAY.date()]), pa.array([DAY]), "have the type timestamp[us]"),
    ("float in decimal", pa.array([Decimal("1.5")]), pa.array([1.5]), "have the type double"),
    ("other fields", pa.array([{"a": 1}]), pa.array([{"b": 1}]), "have the type struct<b: int64>"),
    ("narrower float inside", pa.array([[1.5]], pa.list_(pa.float32())), pa.array([[0.1]]), "have the type list"),
    ("int too wide", pa.array([1], pa.int8()), pa.array([1, 2, 300, 4]), "row 4 holds a value of type int64"),
    ("int that a float has not", pa.array([1.5]), pa.array([1, 2**53 + 1]), "row 3 holds a value of type int64"),
    ("float32 rounds", pa.array([1.5], pa.float32()), pa.array([1.5, 0.1]), "row 3 holds a value of type double"),
    ("finer decimal", pa.array([Decimal("1.5")]), pa.array([Decimal("1.50"), Decimal("1.25")]), "row 3 holds a value"),
    ("microseconds", pa.array([DAY], pa.timestamp("s")), pa.array([DAY, DAY.replace(microsecond=1)]), "row 3 holds"),
]


@pytest.mark.parametrize(("first", "later", "what"), [c[1:] for c in CHANGED], ids=[c[0] for c in CHANGED])
def test_a_later_value_that_would_change_is_an_error(first: pa.Array, later: pa.Array, what: str) -> None:
    """It names the row, or from where on the type is another."""
    with pytest.raises(SourceUnreadableError) as caught:
        read(iter([pa.table({"x": first}), pa.table({"x": later})]))
    assert what in str(caught.value)
    assert "column 'x'" in str(caught.value)
    assert "schema" in str(caught.value)


@pytest.mark.parametrize(
    ("later", "what"),
    [
        ({"x": [1]}, "the frame from row 4 on has no column 'y'"),
        ({"x": [1], "y": ["a"], "z": [1]}, "the frame from row 4 on has also the column 'z'"),
    ],
    ids=["missing", "extra"],
)
@pytest.mark.parametrize("frame", [pa.table, pd.DataFrame, pl.DataFrame], ids=["arrow", "pandas", "polars"])
def test_a_frame_with_other_columns_is_an_error(frame: Any, later: dict[str, Any], what: str) -> None:
    with pytest.raises(SourceUnreadableError, match=what):
        read(iter([frame(TABLE.to_pydict()), frame(later)]))


def test_the_order_of_columns_is_that_of_the_first_frame() -> None:
    """Or of the schema."""
    later = TABLE.select(["y", "x"])
    assert read(iter([TABLE, later])).column("x").to_pylist() == [1, 2, 3, 1, 2, 3]
    assert read(iter([TABLE]), ["y", "x"]).column_names == ["y", "x"]
    assert read(TABLE, {"y": "string", "x": "double"}).schema.types == [pa.string(), pa.float64()]


def test_null_where_nothing_may_be_null() -> None:
    schema = pa.schema([pa.field("x", pa.int64()), pa.field("y", pa.string(), nullable=False)])
    with pytest.raises(SourceUnreadableError, match="row 2 holds NULL in column 'y', which may not be NULL"):
        read(TABLE, schema)


PANDAS: list[tuple[str, Any, pa.DataType, list[Any]]] = [
    ("NaN is missing", pd.Series([1.5, float("nan")]), pa.float64(), [1.5, None]),
    ("objects", pd.Series([Decimal("1.5"), None], dtype=object), pa.decimal128(38, 1), [Decimal("1.5"), None]),
    ("NaN among objects", pd.Series(["a", float("nan")], dtype=object), pa.string(), ["a", None]),
    ("only missing objects", pd.Series([None, None], dtype=object), pa.string(), [None, None]),
    ("nullable ints", pd.Series([1, None], dtype="Int64"), pa.int64(), [1, None]),
    ("nullable bools", pd.Series([True, None], dtype="boolean"), pa.bool_(), [True, None]),
    ("categories", pd.Series(["a", None], dtype="category"), pa.large_string(), ["a", None]),
    ("categories of ints", pd.Series([5, None], dtype=pd.CategoricalDtype([5, 6])), pa.int64(), [5, None]),
    (
        "arrow types",
        pd.Series([Decimal("1.50")], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        pa.decimal128(5, 2),
        [Decimal("1.50")],
    ),
    ("dates as objects", pd.Series([DAY.date(), pd.NaT], dtype=object), pa.date32(), [DAY.date(), None]),
    ("lists as objects", pd.Series([np.array([1, 2]), None], dtype=object), pa.json_(), ["[1,2]", None]),
    ("timedeltas", pd.Series([dt.timedelta(1), None]), None, [dt.timedelta(1), None]),
]


@pytest.mark.parametrize(("series", "kind", "expected"), [p[1:] for p in PANDAS], ids=[p[0] for p in PANDAS])
def test_pandas_types(series: Any, kind: pa.DataType | None, expected: list[Any]) -> None:
    """What pandas calls missing is NULL, and objects are looked at one by one."""
    column = read(pd.DataFrame({"x": series})).column("x")
    assert kind is None or column.type == kind
    assert column.to_pylist() == expected


def test_pandas_zones_are_kept() -> None:
    """In Arrow; Parquet stores the instant."""
    frame = pd.DataFrame({"x": pd.to_datetime(["2013-01-01 01:00", None]).tz_localize("Europe/Berlin")})
    column = read(frame).column("x")
    assert column.type.tz == "Europe/Berlin"
    assert column[0].as_py() == dt.datetime(2013, 1, 1, tzinfo=dt.UTC)


def test_the_index_of_pandas_is_not_written() -> None:
    """As with to_parquet(index=False)."""
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
    assert read(frame).column_names == ["x"]


def test_ints_that_pandas_made_floats_of_are_ints() -> None:
    """A missing value in a later chunk makes pandas change the type of the whole column."""
    frames = [pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": [3, None]})]
    assert frames[1].dtypes["x"] == "float64"
    assert read(iter(frames)).column("x").to_pylist() == [1, 2, 3, None]
    with pytest.raises(SourceUnreadableError, match="row 4 holds a value of type double"):
        read(iter([frames[0], pd.DataFrame({"x": [3, 4.5]})]))


def test_objects_of_pandas_keep_their_first_type() -> None:
    frames = [
        pd.DataFrame({"x": pd.Series([1, None], dtype=object)}),
        pd.DataFrame({"x": pd.Series(["a"], dtype=object)}),
    ]
    with pytest.raises(SourceUnreadableError, match="row 3 holds a str that column 'x' of type int64"):
        read(iter(frames))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1]]),
        pd.DataFrame([[1, 2]], columns=["x", "x"]),
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame({"x": [1j]}),
        pd.DataFrame({"x": [1]}).x,
        pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object)}),
        pl.DataFrame({"x": pl.Series([1], dtype=pl.Int128)}),
        pl.Series([1]),
        pl.LazyFrame({"x": [1]}),
        pa.array([1]),
        pa.chunked_array([[1]]),
    ],
    ids=[
        "number",
        "twice",
        "levels",
        "none",
        "complex",
        "series",
        "objects",
        "int128",
        "pl series",
        "lazy",
        "array",
        "chunks",
    ],
)
def test_what_is_no_table_with_columns_of_arrow_is_refused(frame: Any) -> None:
    """polars, for one, would hand over the addresses of its objects."""
    for made in (frame, iter([frame])):
        with pytest.raises(InvalidArgumentError) as caught:
            read(made)
        assert caught.value.remedy


def test_polars_types() -> None:
    """Categories, enumerations, lists, structs, decimals."""
    frame = pl.DataFrame(
        {
            "c": pl.Series(["a", None], dtype=pl.Categorical),
            "e": pl.Series(["a", None], dtype=pl.Enum(["a", "b"])),
            "l": pl.Series([["a"], None], dtype=pl.List(pl.Categorical)),
            "f": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2)),
            "s": [{"a": 1, "b": "x"}, None],
            "d": pl.Series([Decimal("1.25"), None], dtype=pl.Decimal(10, 2)),
            "n": [float("nan"), None],
        }
    )
    table = read(frame)
    assert table.schema.types == [
        pa.large_string(),
        pa.large_string(),
        pa.large_list(pa.large_string()),
        pa.list_(pa.int8(), 2),
        pa.struct({"a": pa.int64(), "b": pa.large_string()}),
        pa.decimal128(10, 2),
        pa.float64(),
    ]
    assert str(table.to_pydict()) == str(frame.to_dict(as_series=False))


def test_lazy_frames_say_how_they_are_streamed() -> None:
    """The remedy works."""

    def batches() -> Iterator[pl.DataFrame]:
        yield from pl.LazyFrame({"x": range(10)}).collect_batches(maintain_order=True)

    assert read(batches()).column("x").to_pylist() == list(range(10))


def test_libraries_do_not_mix() -> None:
    with pytest.raises(InvalidArgumentError, match="item 2 is a DataFrame, and those before were pandas DataFrames"):
        read(iter([pd.DataFrame({"x": [1]}), pl.DataFrame({"x": [1]})]))
    with pytest.raises(XacctError, match="item 2 is a dict, and those before were Arrow data"):
        read(iter([TABLE, {"x": 1}]))


def test_decimal_contexts_do_not_matter() -> None:
    """Nothing is rounded to the digits of the thread."""
    with decimal.localcontext(prec=3):
        assert read([{"x": Decimal("123456.789")}]).column("x").to_pylist() == [Decimal("123456.789")]
