"""Every option of Parquet, as it stands in the file, and as pyarrow, DuckDB, pandas and polars read it."""

from __future__ import annotations

import datetime as dt
import io
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_xacct.dump.formats import ParquetOptions, format_spec
from airflow_xacct.dump.formats.parquet_columns import bloom_filter_bytes
from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError, SourceError

Encode = Callable[..., bytes]

ROWS = 3000
BATCH = pa.record_batch(
    {
        "id": pa.array(range(ROWS), pa.int64()),
        "name": [f"customer {i * 7919 % ROWS}" for i in range(ROWS)],
        "carrier": [f"carrier {i % 7}" for i in range(ROWS)],
        "price": pa.array([Decimal(i) / 4 for i in range(ROWS)], pa.decimal128(12, 2)),
        "at": pa.array([dt.datetime.fromisoformat("2013-01-01T05:00:00.123456")] * ROWS, pa.timestamp("us")),
        "tags": [[i, i + 1] for i in range(ROWS)],
    }
)
EVERYTHING: dict[str, Any] = {
    "row_group_rows": 1000,
    "dictionaries": ["carrier"],
    "statistics": ["id", "name", "price", "at"],
    "bloom_filters": ["id", "name"],
    "page_index": True,
    "page_checksums": True,
    "data_page_version": "2.0",
    "data_page_bytes": 4096,
    "timestamp_unit": "ms",
    "truncate_timestamps": True,
    "sorted_by": ["id"],
    "metadata": {"team": "sales"},
}


def metadata(data: bytes) -> pq.FileMetaData:
    return pq.read_metadata(io.BytesIO(data))


def chunk(data: bytes, name: str) -> pq.ColumnChunkMetaData:
    group = metadata(data).row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    return next(found for found in chunks if found.path_in_schema.split(".")[0] == name)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "none"])
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_four_readers_read_it(encode: Encode, tmp_path: Path, options: dict[str, Any], compression: str) -> None:
    """Whatever was chosen, with every compression."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(encode("parquet", BATCH, options=options, compression=compression))
    wanted = BATCH.to_pylist()
    if options:
        for row in wanted:
            row["at"] = row["at"].replace(microsecond=123_000)
    assert pq.read_table(path, page_checksum_verification=True).to_pylist() == wanted
    with duckdb.connect() as connection:
        rows = connection.execute(f"FROM read_parquet('{path}')").fetchall()
    assert rows == [tuple(row.values()) for row in wanted]
    assert pl.read_parquet(path).to_dicts() == wanted
    assert pd.read_parquet(path).drop(columns="tags").to_dict("records") == [
        {**{name: value for name, value in row.items() if name != "tags"}, "at": pd.Timestamp(row["at"])}
        for row in wanted
    ]


def test_dictionaries_by_name(encode: Encode) -> None:
    """Instead of what the first rows show: a nested column stands for what is in it, an empty list for none."""
    made = encode("parquet", BATCH, options={"dictionaries": ["name", "tags"]})
    assert {name: chunk(made, name).has_dictionary_page for name in BATCH.schema.names} == {
        "id": False, "name": True, "carrier": False, "price": False, "at": False, "tags": True,
    }  # fmt: skip
    auto = encode("parquet", BATCH)
    assert [name for name in BATCH.schema.names if chunk(auto, name).has_dictionary_page] == ["carrier", "at"]
    none = encode("parquet", BATCH, options={"dictionaries": []})
    assert not [name for name in BATCH.schema.names if chunk(none, name).has_dictionary_page]


def test_statistics_by_name(encode: Encode) -> None:
    made = encode("parquet", BATCH, options={"statistics": ["id", "tags"]})
    assert [name for name in BATCH.schema.names if chunk(made, name).is_stats_set] == ["id", "tags"]


def test_bloom_filters(encode: Encode, tmp_path: Path) -> None:
    """A filter in each row group of the columns that were named; DuckDB excludes by it what is not there."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(encode("parquet", BATCH, options={"bloom_filters": ["name"], "row_group_rows": 1000}))
    with duckdb.connect() as connection:
        probe = f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{path}', 'name', $1)"
        there = connection.execute(probe, ["customer 5"]).fetchall()
        excluded = connection.execute(probe, ["customer x"]).fetchall()
        filters = connection.execute(
            f"SELECT path_in_schema, bloom_filter_length FROM parquet_metadata('{path}') WHERE bloom_filter_offset > 0"
        ).fetchall()
    assert (False,) in there
    assert len(there) == 3
    assert sum(hidden for (hidden,) in excluded) >= 2
    assert [name for name, _ in filters] == ["name"] * 3
    assert all(size <= bloom_filter_bytes(1000, 0.01) <= 2 * size for _, size in filters)


@pytest.mark.parametrize("values", [1, 1000, ROWS])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.000001])
def test_filters_have_the_size_that_was_reckoned(encode: Encode, values: int, share: float) -> None:
    """Objects roll by it."""
    options = {"bloom_filters": ["id"], "bloom_filter_values": values, "bloom_filter_false_positives": share}
    found = chunk(encode("parquet", BATCH, options=options), "id").bloom_filter_length
    assert found is not None
    assert found <= bloom_filter_bytes(values, share) <= found + 64
    larger = {**options, "bloom_filter_values": 131_072}
    # newer releases make a filter smaller afterwards when fewer values came
    folded = chunk(encode("parquet", BATCH, options=larger), "id").bloom_filter_length
    assert folded is not None
    assert folded <= bloom_filter_bytes(131_072, share)


def test_bloom_filters_need_a_newer_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before the database is asked, with the version that can; everything else works with the older one."""
    monkeypatch.setattr(pa, "__version__", "22.0.0")
    with pytest.raises(
        MissingDependencyError, match=r"Bloom filters need pyarrow 24 or later, and 22\.0\.0 is installed"
    ):
        format_spec("parquet").options({"bloom_filters": ["id"]})
    format_spec("parquet").options({name: value for name, value in EVERYTHING.items() if name != "bloom_filters"})


def test_page_index_and_checksums(encode: Encode) -> None:
    made = encode("parquet", BATCH, options={"page_index": True, "page_checksums": True})
    assert chunk(made, "id").has_column_index
    assert chunk(made, "id").has_offset_index
    assert not chunk(encode("parquet", BATCH), "id").has_column_index
    at = chunk(made, "id").data_page_offset + 60
    damaged = made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :]
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(io.BytesIO(damaged), columns=["id"], page_checksum_verification=True)


def test_smaller_pages(encode: Encode) -> None:
    """More of them, which shows in the size of the index."""
    few, many = (
        len(encode("parquet", BATCH, options={"page_index": True, "data_page_bytes": size}, compression="none"))
        for size in (1 << 20, 1 << 10)
    )
    assert many > few + 500


def test_data_pages_of_version_2(encode: Encode) -> None:
    one, two = (encode("parquet", BATCH, options={"data_page_version": version}) for version in ("1.0", "2.0"))
    assert one == encode("parquet", BATCH) != two


def test_timestamps_in_another_unit(encode: Encode) -> None:
    """Nested ones too, zones kept; what does not fit is an error that names the column, or is cut when asked for."""
    columns = {
        "s": pa.array([1], pa.timestamp("s")),
        "n": pa.array([1_000_000], pa.timestamp("ns", "UTC")),
        "l": pa.array([[2_000_000]], pa.list_(pa.timestamp("ns"))),
        "f": pa.array([[3, 4]], pa.list_(pa.timestamp("s"), 2)),
        "m": pa.array([[("k", {"t": 5})]], pa.map_(pa.string(), pa.struct({"t": pa.timestamp("s")}))),
        "i": [7],
    }
    read = pq.read_table(io.BytesIO(encode("parquet", pa.record_batch(columns), options={"timestamp_unit": "ms"})))
    kinds = dict(zip(read.schema.names, read.schema.types, strict=True))
    assert (kinds["s"], kinds["n"]) == (pa.timestamp("ms"), pa.timestamp("ms", "UTC"))
    assert kinds["l"].value_type == kinds["f"].value_type == kinds["m"].item_type.field(0).type == pa.timestamp("ms")
    epoch = dt.datetime.fromisoformat("1970-01-01T00:00:00")
    (row,) = read.to_pylist()
    assert row["n"].replace(tzinfo=None) - epoch == dt.timedelta(milliseconds=1)
    assert row["l"] == [epoch + dt.timedelta(milliseconds=2)]
    assert row["m"] == [("k", {"t": epoch + dt.timedelta(seconds=5)})]

    fine = pa.record_batch({"at": pa.array([1, -1], pa.timestamp("ns"))})
    with pytest.raises(SourceError, match=r"the column 'at' holds a timestamp that does not fit into timestamp\[us\]"):
        encode("parquet", fine, options={"timestamp_unit": "us"})
    cut = encode("parquet", fine, options={"timestamp_unit": "us", "truncate_timestamps": True})
    assert pq.read_table(io.BytesIO(cut))["at"].to_pylist() == [epoch, epoch]
    far = pa.record_batch({"at": pa.array([2**62], pa.timestamp("s"))})
    with pytest.raises(SourceError, match="does not fit"):
        encode("parquet", far, options={"timestamp_unit": "us", "truncate_timestamps": True})


def test_sorted_rows(encode: Encode) -> None:
    """Said in each row group, by several columns, in any batches."""
    rows = [(i // 100, f"{i % 100:02d}") for i in range(500)]
    batch = pa.record_batch({"x": [0.5] * 500, "a": [a for a, _ in rows], "b": [b for _, b in rows]})
    pieces = [batch.slice(start, 70) for start in range(0, 500, 70)]
    made = encode("parquet", *pieces, options={"sorted_by": ["a", "b"], "row_group_rows": 200})
    for index in range(3):
        assert metadata(made).row_group(index).sorting_columns == (pq.SortingColumn(1), pq.SortingColumn(2))


@pytest.mark.parametrize(
    "columns",
    [
        {"a": [2, 1], "b": ["x", "y"]},
        {"a": [1, 1], "b": ["b", "a"]},
        {"a": [1, 1, 1], "b": ["a", "c", "b"]},
        {"a": [1, None], "b": ["x", "y"]},
        {"a": [1.0, float("nan")], "b": ["x", "y"]},
        {"a": ["a", "B"], "b": ["x", "y"]},
    ],
    ids=["first", "second", "later", "null", "nan", "collation"],
)
def test_rows_in_another_order(encode: Encode, columns: dict[str, list[Any]]) -> None:
    """A reader would skip what it takes to be elsewhere, so it is an error."""
    with pytest.raises(SourceError, match="the rows are not sorted by 'a', 'b'"):
        encode("parquet", pa.record_batch(columns), options={"sorted_by": ["a", "b"]})


def test_metadata(encode: Encode) -> None:
    """The DAG's own, and where the rows come from, in one order; nothing of ours where nothing was said."""
    provenance = {"run_id": "manual__1", "dag_id": "sales"}
    made = encode("parquet", BATCH, options={"metadata": {"team": "é"}}, provenance=provenance)
    assert made == encode(
        "parquet", BATCH, options={"metadata": {"team": "é"}}, provenance=dict(sorted(provenance.items()))
    )
    found = metadata(made).metadata
    assert {key: text for key, text in found.items() if key != b"ARROW:schema"} == {
        b"xacct.dag_id": b"sales",
        b"xacct.run_id": b"manual__1",
        b"team": "é".encode(),
    }
    assert set(metadata(encode("parquet", BATCH)).metadata) == {b"ARROW:schema"}
    assert b"xacct.dag_id" in metadata(encode("parquet", BATCH.slice(0, 0), provenance=provenance)).metadata


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"dictionaries": ["x"]}, "there is no column 'x'"),
        ({"statistics": ["id", "x"]}, "there is no column 'x'"),
        ({"bloom_filters": ["x"]}, "there is no column 'x'"),
        ({"sorted_by": ["x"]}, "there is no column 'x'"),
        ({"dictionaries": ["flag"]}, "the column 'flag' of the type bool can have none"),
        ({"bloom_filters": ["flag"]}, "the column 'flag' of the type bool can have none"),
        ({"bloom_filters": ["tags"]}, "the column 'tags' of the type list"),
        ({"bloom_filters": ["nothing"]}, "the column 'nothing' of the type null can have none"),
        ({"sorted_by": ["tags"]}, "the column 'tags' of the type list"),
        ({"sorted_by": ["uuid"]}, "the column 'uuid' of the type extension<arrow.uuid> can have none"),
    ],
    ids=repr,
)
def test_columns_that_cannot_have_it(options: dict[str, Any], text: str) -> None:
    """Found before the first row, with the option it is about."""
    schema = pa.schema(
        {
            "id": pa.int64(),
            "flag": pa.bool_(),
            "tags": pa.list_(pa.int64()),
            "nothing": pa.null(),
            "uuid": pa.uuid(),
        }
    )
    with pytest.raises(InvalidArgumentError) as caught:
        format_spec("parquet").encoder(schema, options=options)
    assert text in str(caught.value)
    assert caught.value.where == next(iter(options))


@pytest.mark.parametrize("level", [1, 22])
def test_levels_of_zstd(encode: Encode, level: int) -> None:
    made = encode("parquet", BATCH, compression="zstd", level=level)
    assert pq.read_table(io.BytesIO(made)).num_rows == ROWS


def test_the_end_of_the_file_is_bounded(encode: Encode) -> None:
    """By what objects roll: Bloom filters and indexes come at the end, all at once."""
    noise = random.Random(1)
    batch = pa.record_batch({"a": [noise.randbytes(8).hex() for _ in range(8000)], "b": list(range(8000))})
    options = ParquetOptions(
        row_group_rows=1000,
        bloom_filters=["a", "b"],
        bloom_filter_false_positives=1e-6,
        page_index=True,
        data_page_bytes=1 << 20,
        metadata={"k": "é" * 500},
    )
    encoder = format_spec("parquet").encoder(batch.schema, compression="none", options=options)
    made = encode("parquet", batch, compression="none", options=options)
    (piece,) = encoder.pieces(batch)
    assert len(made) <= encoder.bound_bytes(piece.size_bytes(8000), 8)
