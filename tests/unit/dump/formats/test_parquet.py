"""Parquet: types stay what they are, row groups stay small."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_xacct.dump.blocks import Slice
from airflow_xacct.dump.formats import ParquetOptions, format_spec
from airflow_xacct.dump.formats.parquet_rows import ArrowRows
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

Encode = Callable[..., bytes]


def test_every_type_comes_back(encode: Encode, every_type: pa.RecordBatch) -> None:
    """Value by value, and the type with it, but for seconds, which Parquet does not have."""
    names = [name for name in every_type.schema.names if name != "empty"]  # Parquet has no struct without fields
    batch = every_type.select(names)
    read = pq.read_table(io.BytesIO(encode("parquet", batch)))
    assert read.to_pylist() == batch.to_pylist()
    assert [field.name for field in read.schema] == names
    for name in ("i8", "u64", "f32", "money", "tiny", "huger", "local", "nanos", "day", "time", "span", "id", "doc"):
        assert read.schema.field(name).type == batch.schema.field(name).type


def test_duckdb_pandas_and_polars_read_it(encode: Encode, every_type: pa.RecordBatch, tmp_path: Any) -> None:
    path = tmp_path / "rows.parquet"
    names = ["i8", "i64", "u64", "f64", "money", "tiny", "huge", "text", "blob", "local", "day", "time", "flag", "list"]
    batch = every_type.select(names)
    path.write_bytes(encode("parquet", batch))
    with duckdb.connect() as connection:
        read = connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchall()
    assert read == [tuple(row.values()) for row in batch.to_pylist()]
    assert pl.read_parquet(path).select("i64", "money", "text").to_dicts() == (
        batch.select(["i64", "money", "text"]).to_pylist()
    )
    assert pd.read_parquet(path)["money"].iloc[0] == batch.column("money")[0].as_py()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pa.month_day_nano_interval(), "month_day_nano_interval"),
        (pa.decimal128(5, -2), r"decimal128\(5, -2\)"),
        (pa.struct([]), "struct<>"),
    ],
)
def test_a_type_parquet_does_not_have(kind: pa.DataType, text: str) -> None:
    """Found before the first row, by the column's name."""
    with pytest.raises(InvalidArgumentError, match=f"column 'odd' is of the type {text}, which Parquet cannot hold"):
        format_spec("parquet").encoder(pa.schema([("fine", pa.int8()), ("odd", kind)]))


@pytest.mark.parametrize(
    ("compression", "level", "wanted"),
    [
        ("zstd", None, "ZSTD"),
        ("zstd", 9, "ZSTD"),
        ("snappy", None, "SNAPPY"),
        ("gzip", None, "GZIP"),
        ("none", None, "UNCOMPRESSED"),
    ],
)
def test_compressions(encode: Encode, compression: str, level: int | None, wanted: str) -> None:
    batch = pa.record_batch({"a": list(range(1000))})
    read = pq.ParquetFile(io.BytesIO(encode("parquet", batch, compression=compression, level=level)))
    assert read.metadata.row_group(0).column(0).compression == wanted
    assert read.read().to_pylist() == batch.to_pylist()


@pytest.mark.parametrize(
    ("compression", "level"), [("snappy", 1), ("none", 3), ("zstd", 23), ("gzip", 10), ("zstd", True)]
)
def test_levels_that_do_not_exist(encode: Encode, compression: str, level: int) -> None:
    with pytest.raises(InvalidArgumentError, match="level"):
        encode("parquet", pa.record_batch({"a": [1]}), compression=compression, level=level)


def _groups(data: bytes) -> list[int]:
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    return [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]


def test_row_groups_by_rows(encode: Encode) -> None:
    """However the source batched them; and the same bytes."""
    rows = list(range(2500))
    options = ParquetOptions(row_group_rows=1000)
    one = encode("parquet", pa.record_batch({"a": rows}), options=options)
    many = encode("parquet", *[pa.record_batch({"a": rows[i : i + 70]}) for i in range(0, 2500, 70)], options=options)
    assert _groups(one) == [1000, 1000, 500]
    assert one == many


def test_row_groups_by_bytes(encode: Encode) -> None:
    """Wide rows make row groups of fewer rows; also where they are wide for a nested value."""
    options = ParquetOptions(row_group_bytes=100_000)
    wide = encode("parquet", pa.record_batch({"a": ["x" * 996] * 250}), options=options)
    assert _groups(wide) == [100, 100, 50]
    lists = encode("parquet", pa.record_batch({"a": [[1] * 1000] * 25}), options=options)
    assert _groups(lists) == [13, 12]


def test_objects_with_a_limit_have_smaller_row_groups() -> None:
    encoder = format_spec("parquet").encoder(pa.schema({"a": pa.int64()}), max_object_bytes=8 * 1024 * 1024)
    assert encoder.block_bytes == 2 * 1024 * 1024


@pytest.mark.parametrize("wrong", [{"row_group_rows": 0}, {"row_group_bytes": 0}])
def test_limits_of_row_groups(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        ParquetOptions(**wrong)


def test_dictionaries_only_where_they_pay(encode: Encode) -> None:
    """Few distinct values in the first rows: yes. Keys, booleans, nested and single rows: no."""
    rows = 4000
    batch = pa.record_batch(
        {
            "carrier": [f"carrier {i % 7}" for i in range(rows)],
            "id": list(range(rows)),
            "flag": [i % 2 == 0 for i in range(rows)],
            "l": [[i % 3] for i in range(rows)],
            "none": pa.nulls(rows, pa.int64()),
        }
    )
    group = pq.ParquetFile(io.BytesIO(encode("parquet", batch))).metadata.row_group(0)
    dictionaries = {group.column(i).path_in_schema: group.column(i).has_dictionary_page for i in range(5)}
    assert dictionaries == {"carrier": True, "id": False, "flag": False, "l.list.element": False, "none": True}


def test_values_that_arrow_cannot_write(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow's own errors come out as ours."""

    def write_table(*_: object, **__: object) -> None:
        raise pa.ArrowNotImplementedError("Lists with non-zero length null components are not supported")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", write_table)
    with pytest.raises(SourceError, match="cannot be written as Parquet: Lists with non-zero"):
        encode("parquet", pa.record_batch({"a": [1]}))


def test_statistics(encode: Encode) -> None:
    batch = pa.record_batch({"a": [3, 1, None]})
    column = pq.ParquetFile(io.BytesIO(encode("parquet", batch))).metadata.row_group(0).column(0)
    assert (column.statistics.min, column.statistics.max, column.statistics.null_count) == (1, 3, 1)
    without = encode("parquet", batch, options=ParquetOptions(statistics=False))
    assert not pq.ParquetFile(io.BytesIO(without)).metadata.row_group(0).column(0).is_stats_set


def test_nothing_of_the_driver_is_in_the_file(encode: Encode) -> None:
    """Metadata of the source would make the bytes depend on who read the rows."""
    schema = pa.schema([pa.field("a", pa.int64(), metadata={"driver": "x"})], metadata={"made": "now"})
    batch = pa.RecordBatch.from_arrays([pa.array([1])], schema=schema)
    read = pq.read_schema(io.BytesIO(encode("parquet", batch)))
    assert not {b"made", b"driver"} & {*(read.metadata or {}), *(read.field("a").metadata or {})}


def test_no_rows_at_all(encode: Encode) -> None:
    """The schema is delivered all the same."""
    batch = pa.record_batch({"a": pa.array([], pa.decimal128(12, 2)), "b": pa.array([], pa.string())})
    read = pq.read_table(io.BytesIO(encode("parquet", batch)))
    assert read.schema == batch.schema
    assert read.num_rows == 0


@settings(max_examples=50, deadline=None)
@given(data=st.data(), texts=st.lists(st.none() | st.text(max_size=20), min_size=1, max_size=50))
def test_sizes_do_not_depend_on_batches(data: st.DataObject, texts: list[str | None]) -> None:
    """Any split of rows has the sizes of its parts, in small and large types alike."""
    clean = [None if text is None else text.encode("utf-8", "replace").decode() for text in texts]
    columns = {
        "t": pa.array(clean),
        "l": pa.array(clean, pa.large_string()),
        "i": pa.array(range(len(clean)), pa.int8()),
    }
    batch = pa.record_batch(columns)
    cut = data.draw(st.integers(0, len(clean)))
    whole, first, second = ArrowRows(batch), ArrowRows(batch.slice(0, cut)), ArrowRows(batch.slice(cut))
    assert whole.size_bytes(cut) == first.size_bytes(cut)
    assert whole.size_bytes(len(clean)) == first.size_bytes(cut) + second.size_bytes(len(clean) - cut)
    assert Slice(whole, cut, len(clean)).size_bytes == second.size_bytes(len(clean) - cut)
