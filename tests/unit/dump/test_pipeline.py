"""From rows to objects: keys, partitions, rolling, one pass, bounded memory, threads that always end."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import zstandard

from airflow_xacct.delivery.commit import DeliveryEngine
from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.destination import Destination, parse
from airflow_xacct.dump.arrow_pool import POOL
from airflow_xacct.dump.formats import CsvOptions, JsonLinesOptions, ParquetOptions
from airflow_xacct.dump.once import OncePayload
from airflow_xacct.dump.pipeline import MIN_OBJECT_BYTES, DumpSpec, ObjectDump, dump_objects
from airflow_xacct.dump.read_ahead import ReadAhead, ReadAheadStopped
from airflow_xacct.dump.rolling import Chunk, End, Event
from airflow_xacct.dump.rows import RowSource, TextBlock, TextSource
from airflow_xacct.exceptions import (
    InvalidArgumentError,
    MissingDependencyError,
    OutsideDestinationError,
    SourceChangedError,
    SourceError,
)

KEY_ARN = "arn:aws:kms:eu-central-1:222222222222:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture(scope="module")
def destination() -> Destination:
    return parse(
        "acme",
        {
            "role_arn": "arn:aws:iam::222222222222:role/DataDumpRole",
            "external_id": "ext-1234",
            "bucket": "acme-landing",
            "prefix": "airflow/",
            "kms_key_id": KEY_ARN,
        },
    )


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever a test does to a dump, its threads have ended when it is closed."""
    yield
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("xacct-")]
    assert not [thread for thread in ours if thread.name != "xacct-sandbox"]


class Rows:
    """A query in memory. ``closed`` counts; ``fail`` is raised after the last batch."""

    name = "the query"

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, fail: BaseException | None = None) -> None:
        self._batches = batches
        self._schema = schema
        self._fail = fail
        self.closed = 0

    def schema(self) -> pa.Schema:
        return self._schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from self._batches
        if self._fail is not None:
            raise self._fail

    def close(self) -> None:
        self.closed += 1


class Text:
    """A server that writes CSV in memory."""

    name = "the server"

    def __init__(self, columns: list[str], blocks: list[TextBlock]) -> None:
        self.columns = columns
        self.database_types = ["text"] * len(columns)
        self._blocks = blocks
        self.closed = 0

    def blocks(self) -> Iterator[TextBlock]:
        yield from self._blocks

    def close(self) -> None:
        self.closed += 1


def rows(size: int = 7, **columns: list[Any]) -> Rows:
    """A query of these columns, in batches of ``size`` rows."""
    batch = pa.record_batch(columns)
    batches = [batch.slice(start, size) for start in range(0, batch.num_rows, size)]
    return Rows(batches, batch.schema)


def read_all(dump: ObjectDump) -> dict[str, tuple[bytes, int | None]]:
    """Key, bytes and rows of every object, read as the engine reads them."""
    found = {}
    with dump:
        for plan in dump:
            reader = plan.payload.open()
            assert plan.payload.max_size_bytes is None
            blocks = []
            while block := reader.read(1000):
                blocks.append(block)
            assert all(len(block) == 1000 for block in blocks[:-1])
            assert reader.read(10) == b""
            reader.finish()
            assert plan.key not in found
            found[plan.key] = (b"".join(blocks), reader.rows)
            reader.close()
            reader.close()
    return found


Dump = Callable[..., dict[str, tuple[bytes, int | None]]]


@pytest.fixture
def dump(destination: Destination) -> Dump:
    """Dump a source and read what comes of it; the source is closed."""

    def run(source: Rows | Text, **spec: Any) -> dict[str, tuple[bytes, int | None]]:
        found = read_all(dump_objects(source, DumpSpec(**{"key": "t/", **spec}), destination))
        assert source.closed
        return found

    return run


def test_the_doubles_are_sources() -> None:
    """They have the shape that the pipeline asks for."""
    assert isinstance(rows(a=[1]), RowSource)
    assert isinstance(Text(["a"], []), TextSource)
    assert not isinstance(rows(a=[1]), TextSource)


@pytest.mark.parametrize(
    ("form", "compression", "name", "content_type"),
    [
        ("csv", None, "part-00000.csv", "text/csv"),
        ("csv", "gzip", "part-00000.csv.gz", "application/gzip"),
        ("csv", "zstd", "part-00000.csv.zst", "application/zstd"),
        ("jsonl", "none", "part-00000.jsonl", "application/x-ndjson"),
        ("jsonl", "zstd", "part-00000.jsonl.zst", "application/zstd"),
        ("parquet", None, "part-00000.parquet", "application/vnd.apache.parquet"),
        ("parquet", "gzip", "part-00000.parquet", "application/vnd.apache.parquet"),
    ],
)
def test_names_and_types(destination: Destination, form: str, compression: str, name: str, content_type: str) -> None:
    """Format and compression show in both, and the connection's KMS key is asked for."""
    spec = DumpSpec(key="t/", format=form, compression=compression, partitions={"ds": "2013-01-01"})
    with dump_objects(rows(a=[1]), spec, destination) as made:
        plan = next(made)
        assert plan.key == f"airflow/t/ds=2013-01-01/{name}"
        assert (plan.attributes.content_type, plan.attributes.kms_key_id) == (content_type, KEY_ARN)
        assert plan.payload.name == plan.key


def test_a_declaration_is_checked_without_the_source() -> None:
    """Before a database is asked."""
    for options in ({"delimeter": ";"}, {"formulas": "escape", "quoting": "none", "null_text": "-"}, ParquetOptions()):
        with pytest.raises(InvalidArgumentError):
            DumpSpec(key="t/", options=options).check()
    with pytest.raises(InvalidArgumentError):
        DumpSpec(key="t/", compression="zstd", compression_level=23).check()


def test_options_as_a_dictionary(dump: Dump) -> None:
    """As in a DAG file that imports nothing."""
    ((body, _),) = dump(rows(a=[1], b=["x;y"]), options={"delimiter": ";", "header": False}).values()
    assert body == b'1;"x;y"\n'
    assert DumpSpec(key="t/", options={"delimiter": ";"}).format_options == CsvOptions(delimiter=";")


def test_where_the_rows_come_from(dump: Dump) -> None:
    """In each Parquet file; and no part of what tells whether the declaration changed."""
    spec = {"format": "parquet", "provenance": {"dag_id": "sales"}, "max_rows_per_object": 1}
    made = dump(rows(a=[1, 2]), **spec)
    assert [pq.read_metadata(io.BytesIO(body)).metadata[b"xacct.dag_id"] for body, _ in made.values()] == [b"sales"] * 2
    assert repr(DumpSpec(key="t/", provenance={"dag_id": "sales"})) == repr(DumpSpec(key="t/"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_every_object_begins_with_its_mark(dump: Dump, encoding: str) -> None:
    """And rolls by the bytes of its encoding."""
    made = dump(rows(a=[1, 2, 3]), options={"encoding": encoding}, max_rows_per_object=2)
    assert [body.decode(encoding) for body, _ in made.values()] == ["a\n1\n2\n", "a\n3\n"]


def test_attributes_that_were_given_stay(destination: Destination) -> None:
    given = ObjectAttributes(content_type="text/plain", kms_key_id="alias/mine", tags={"a": "b"})
    with dump_objects(rows(a=[1]), DumpSpec(key="t/"), destination, given) as made:
        assert next(made).attributes == given


@pytest.mark.parametrize(
    ("key", "compression", "wanted"),
    [
        ("t/all.csv", None, "airflow/t/all.csv"),
        ("t/all.csv", "zstd", "airflow/t/all.csv.zst"),
        ("all.csv.gz", "gzip", "airflow/all.csv.gz"),
        ("", None, "airflow/part-00000.csv"),
    ],
)
def test_exact_keys(dump: Dump, key: str, compression: str | None, wanted: str) -> None:
    """The suffix of the compression is added unless it is there; an empty key is the connection's prefix."""
    assert list(dump(rows(a=[1]), key=key, compression=compression)) == [wanted]


@pytest.mark.parametrize(
    "limit", [{"max_rows_per_object": 10}, {"max_bytes_per_object": MIN_OBJECT_BYTES}, {"partition_by": ["a"]}]
)
def test_an_exact_key_holds_one_object(dump: Dump, limit: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="several objects cannot share the key"):
        dump(rows(a=[1]), key="t/all.csv", **limit)


@pytest.mark.parametrize("key", ["../up/", "/root/", "a/../../b/"])
def test_a_key_cannot_leave_the_prefix(dump: Dump, key: str) -> None:
    with pytest.raises(OutsideDestinationError):
        dump(rows(a=[1]), key=key)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"format": "avro"}, "'avro' is not known here"),
        ({"compression": "snappy"}, "'snappy' is not known here"),
        ({"format": "parquet", "options": CsvOptions()}, "CsvOptions are no options of 'parquet'"),
        ({"options": JsonLinesOptions()}, "Give CsvOptions"),
        ({"max_rows_per_object": 0}, "max_rows_per_object"),
        ({"max_bytes_per_object": 1024}, "max_bytes_per_object"),
        ({"max_partitions": True}, "max_partitions"),
        ({"partition_by": "month"}, r"Give a list of columns: \['month'\]"),
        ({"partition_by": ["b", "c"]}, r"no column 'b', 'c' to partition by.*There are 'a'"),
        ({"partition_by": ["a", "a"]}, "comes twice"),
        ({"partition_by": ["a"], "drop_partition_columns": True}, "no column would be left"),
        ({"part_prefix": "../"}, "part_prefix"),
        ({"compression_level": 3}, "compression_level"),
        ({"compression": "gzip", "compression_level": 10}, "no compression level of gzip"),
        ({"options": {"delimeter": ";"}}, "did you mean 'delimiter'"),
        ({"format": "jsonl", "options": {"delimiter": ";"}}, "'delimiter', which is one of 'csv'"),
        ({"options": {"quoting": "none"}}, "null_text"),
        ({"partitions": {"1": 2}}, "no name for a partition"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_dumped(destination: Destination, spec: dict[str, Any], text: str) -> None:
    """Found before the first row, and the source is closed."""
    source = rows(a=[1])
    with pytest.raises(InvalidArgumentError, match=text):
        dump_objects(source, DumpSpec(**{"key": "t/", **spec}), destination)
    assert source.closed


def test_columns_that_share_a_name(destination: Destination) -> None:
    """Both kinds of sources."""
    batch = pa.RecordBatch.from_arrays([pa.array([1])] * 3, names=["a", "b", "a"])
    for source in (Rows([batch], batch.schema), Text(["a", "b", "a"], [])):
        with pytest.raises(InvalidArgumentError, match="two columns have the name 'a'"):
            dump_objects(source, DumpSpec(key="t/"), destination)
        assert source.closed
    with pytest.raises(InvalidArgumentError, match="columns share the name 'a', 'b'"):
        dump_objects(Text(["a", "b", "a", "b"], []), DumpSpec(key="t/"), destination)


def test_pyarrow_is_missing(destination: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows need it; what a server wrote does not."""
    source = rows(a=[1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match="the query needs pyarrow"):
        dump_objects(source, DumpSpec(key="t/"), destination)
    made = read_all(dump_objects(Text(["a"], [TextBlock(b"1\n", 1)]), DumpSpec(key="t/"), destination))
    assert made == {"airflow/t/part-00000.csv": (b"a\n1\n", 1)}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_row_limit_is_exact(dump: Dump, form: str) -> None:
    """However the source batched them; the last object has the rest, and none is empty."""
    made = dump(rows(7, a=list(range(25))), format=form, max_rows_per_object=10)
    assert [count for _, count in made.values()] == [10, 10, 5]
    assert list(made) == [f"airflow/t/part-0000{number}.{form}" for number in range(3)]
    made = dump(rows(5, a=list(range(20))), format=form, max_rows_per_object=10)
    assert [count for _, count in made.values()] == [10, 10]


def test_each_object_has_a_header(dump: Dump) -> None:
    made = dump(rows(a=[1, 2, 3]), max_rows_per_object=2)
    assert [body for body, _ in made.values()] == [b"a\n1\n2\n", b"a\n3\n"]


def _noise(count: int) -> list[str]:
    noise = random.Random(1)
    return [noise.randbytes(500).hex() for _ in range(count)]


@pytest.mark.parametrize(
    ("form", "compression"),
    [("csv", "none"), ("csv", "gzip"), ("jsonl", "zstd"), ("parquet", "none"), ("parquet", "zstd")],
)
def test_a_byte_limit_holds(dump: Dump, form: str, compression: str) -> None:
    """No object is larger, few are much smaller, and no row is lost or out of order."""
    texts = _noise(14_000)
    made = dump(
        rows(3000, i=list(range(len(texts))), a=texts),
        format=form,
        compression=compression,
        max_bytes_per_object=MIN_OBJECT_BYTES,
    )
    sizes = [len(body) for body, _ in made.values()]
    assert len(sizes) > 1
    assert max(sizes) <= MIN_OBJECT_BYTES
    assert min(sizes[:-1]) > MIN_OBJECT_BYTES * 0.45
    read = [row for body, _ in made.values() for row in _read(form, compression, body)]
    assert read == list(range(len(texts)))


def _read(form: str, compression: str, body: bytes) -> list[int]:
    """The column ``i``."""
    if form == "parquet":
        found: list[int] = pq.read_table(io.BytesIO(body)).column("i").to_pylist()
        return found
    if compression == "gzip":
        body = gzip.decompress(body)
    elif compression == "zstd":
        body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
    text = io.StringIO(body.decode(), newline="")
    if form == "csv":
        return [int(row["i"]) for row in csv.DictReader(text)]
    return [json.loads(line)["i"] for line in text]


def test_both_limits_together(dump: Dump) -> None:
    """Whichever comes first, in text that a server wrote, too."""
    texts = _noise(6000)
    made = dump(rows(1000, a=texts), max_rows_per_object=5000, max_bytes_per_object=MIN_OBJECT_BYTES)
    assert max(count or 0 for _, count in made.values()) < 5000
    data = "".join(f"{text}\n" for text in texts).encode()
    line = len(texts[0]) + 1
    blocks = [TextBlock(data[i * 1000 * line : (i + 1) * 1000 * line], 1000) for i in range(6)]
    copied = dump(Text(["a"], blocks), max_rows_per_object=3500, max_bytes_per_object=MIN_OBJECT_BYTES)
    assert [count for _, count in copied.values()] == [3500, 2500]
    assert b"".join(body.removeprefix(b"a\n") for body, _ in copied.values()) == data
    copied = dump(Text(["a"], blocks), max_rows_per_object=4500, max_bytes_per_object=MIN_OBJECT_BYTES)
    assert [count for _, count in copied.values()] == [4000, 2000]


def test_the_same_rows_give_the_same_objects(dump: Dump) -> None:
    """Whatever the batches: a later try compares its parts with those of an earlier one."""
    texts, keys = _noise(2000), [i // 700 for i in range(2000)]
    for form in ("csv", "jsonl", "parquet"):
        first, second = (
            dump(
                rows(size, k=keys, a=texts),
                format=form,
                compression="zstd",
                partition_by=["k"],
                max_rows_per_object=300,
                options=ParquetOptions(row_group_rows=128) if form == "parquet" else None,
            )
            for size in (2000, 33)
        )
        assert first == second


@pytest.mark.parametrize(
    ("form", "wanted"),
    [("csv", b"a,b\n"), ("jsonl", b"")],
)
def test_no_rows_still_deliver_an_object(dump: Dump, form: str, wanted: bytes) -> None:
    """Header or schema alone; with empty batches, with none, and with partitions."""
    schema = pa.schema({"a": pa.int64(), "b": pa.string()})
    empty = pa.RecordBatch.from_pylist([], schema)
    for batches in ([], [empty, empty]):
        assert dump(Rows(batches, schema), format=form) == {f"airflow/t/part-00000.{form}": (wanted, 0)}
    assert list(dump(Rows([], schema), format=form, partition_by=["a"])) == [f"airflow/t/part-00000.{form}"]


def test_no_rows_in_parquet_and_text(dump: Dump) -> None:
    schema = pa.schema({"a": pa.int64(), "b": pa.string()})
    ((body, count),) = dump(Rows([], schema), format="parquet").values()
    assert (pq.read_schema(io.BytesIO(body)), count) == (schema, 0)
    for blocks in ([], [TextBlock(b"", 0)]):
        assert dump(Text(["a", "b c"], blocks)) == {"airflow/t/part-00000.csv": (b"a,b c\n", 0)}


def test_text_is_delivered_untouched(dump: Dump) -> None:
    """The server's bytes behind the header, compressed on request."""
    blocks = [TextBlock(b'1,"a ""b""\n"\n', 1), TextBlock(b'2,""\n3,\n', 2), TextBlock(b"", 0)]
    data = b'id,t\n1,"a ""b""\n"\n2,""\n3,\n'
    assert dump(Text(["id", "t"], blocks)) == {"airflow/t/part-00000.csv": (data, 3)}
    ((body, _),) = dump(Text(["id", "t"], blocks), compression="gzip").values()
    assert gzip.decompress(body) == data
    options = CsvOptions(header=False)
    assert dump(Text(["id", "t"], blocks), options=options)["airflow/t/part-00000.csv"][0] == data[5:]


def test_text_rolls_between_rows(dump: Dump) -> None:
    """A line end in quotes is none."""
    block = TextBlock(b'1,"a\nb"\n2,"""\n"""\n3,\n4,x\n5,y\n', 5)
    made = dump(Text(["id", "t"], [block, TextBlock(b"6,z\n", 1)]), max_rows_per_object=2)
    assert [body for body, _ in made.values()] == [
        b'id,t\n1,"a\nb"\n2,"""\n"""\n',
        b"id,t\n3,\n4,x\n",
        b"id,t\n5,y\n6,z\n",
    ]
    assert [count for _, count in made.values()] == [2, 2, 2]


@pytest.mark.parametrize(
    "spec", [{"format": "jsonl"}, {"partition_by": ["a"]}, {"options": CsvOptions(header=False, delimiter=";")}]
)
def test_text_cannot_become_something_else(dump: Dump, spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="the server writes CSV by itself"):
        dump(Text(["a"], []), **spec)


def test_partitions_of_the_data(dump: Dump) -> None:
    """Numbered in each partition, NULL by Hive's name, values escaped, the column still in the file."""
    source = rows(
        2,
        y=[2013, 2013, 2013, 2014, None, None],
        k=["a/b", "a/b", "c", "c", "c", None],
        v=[1, 2, 3, 4, 5, 6],
    )
    made = dump(source, partition_by=["y", "k"], partitions={"ds": "d"}, max_rows_per_object=1)
    assert {key.removeprefix("airflow/t/ds=d/"): body for key, (body, _) in made.items()} == {
        "y=2013/k=a%2Fb/part-00000.csv": b"y,k,v\n2013,a/b,1\n",
        "y=2013/k=a%2Fb/part-00001.csv": b"y,k,v\n2013,a/b,2\n",
        "y=2013/k=c/part-00000.csv": b"y,k,v\n2013,c,3\n",
        "y=2014/k=c/part-00000.csv": b"y,k,v\n2014,c,4\n",
        "y=__HIVE_DEFAULT_PARTITION__/k=c/part-00000.csv": b"y,k,v\n,c,5\n",
        "y=__HIVE_DEFAULT_PARTITION__/k=__HIVE_DEFAULT_PARTITION__/part-00000.csv": b"y,k,v\n,,6\n",
    }


def test_partition_columns_may_be_left_out(destination: Destination) -> None:
    spec = DumpSpec(key="t/", partition_by=["m"], drop_partition_columns=True)
    made = dump_objects(rows(a=[1, 2], m=[1, 2], b=["x", "y"]), spec, destination)
    assert [(column.name, column.type) for column in made.schema.columns] == [("a", "int64"), ("b", "string")]
    assert [body for body, _ in read_all(made).values()] == [b"a,b\n1,x\n", b"a,b\n2,y\n"]
    assert made.rows == 2


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        ([True, False], pa.bool_(), ["true", "false"]),
        ([Decimal(5), Decimal(-1)], pa.decimal128(38, 0), ["5", "-1"]),
        ([0, 1], pa.date32(), ["1970-01-01", "1970-01-02"]),
        (["é", "x y"], pa.large_string(), ["é", "x y"]),
        ([None, None], pa.null(), ["__HIVE_DEFAULT_PARTITION__"]),
    ],
)
def test_types_that_name_partitions(dump: Dump, values: list[Any], kind: pa.DataType, wanted: list[str]) -> None:
    made = dump(rows(k=pa.array(values, kind), v=[1, 2]), partition_by=["k"])
    assert [key.split("/")[2] for key in made] == [f"k={text}" for text in wanted]


@pytest.mark.parametrize("kind", [pa.float64(), pa.timestamp("us"), pa.decimal128(5, 2), pa.list_(pa.int8())], ids=str)
def test_types_that_name_no_partition(destination: Destination, kind: pa.DataType) -> None:
    source = Rows([], pa.schema({"k": kind, "v": pa.int8()}))
    with pytest.raises(InvalidArgumentError, match=r"column 'k' is of the type .* which names no partition"):
        dump_objects(source, DumpSpec(key="t/", partition_by=["k"]), destination)


def test_a_column_whose_name_hive_cannot_have(destination: Destination) -> None:
    source = Rows([], pa.schema({"a b": pa.int8(), "v": pa.int8()}))
    with pytest.raises(InvalidArgumentError, match=r"no name for a partition.*partition_by"):
        dump_objects(source, DumpSpec(key="t/", partition_by=["a b"]), destination)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["a", "b", "a"], "partition k=a/ comes back after it ended.*sorted by k"),
        (["a", "__HIVE_DEFAULT_PARTITION__"], "which Hive reads as NULL"),
        (["a", ""], "cannot be named: the partition 'k' has an empty value"),
        (["a", ".."], "cannot be named"),
        (["a", "b", "c", "d"], "more than 3 partitions"),
    ],
)
def test_partitions_that_cannot_be_told_apart(dump: Dump, values: list[str], text: str) -> None:
    """An error rather than objects whose readers see other values."""
    with pytest.raises(SourceError, match=text):
        dump(rows(1, k=values), partition_by=["k"], max_partitions=3)


def test_duckdb_and_pyarrow_read_the_layout(dump: Dump, tmp_path: Any) -> None:
    """Hive partitions, the column in the path alone."""
    source = rows(10, id=list(range(100)), m=[i // 40 for i in range(100)])
    for key, (body, _) in dump(
        source, format="parquet", partition_by=["m"], drop_partition_columns=True, max_rows_per_object=15
    ).items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    table = pyarrow.dataset.dataset(tmp_path / "airflow/t", partitioning="hive").to_table().sort_by("id")
    assert table.to_pylist() == [{"id": i, "m": i // 40} for i in range(100)]
    with duckdb.connect() as connection:
        query = f"SELECT m, count(*) FROM read_parquet('{tmp_path}/**/*.parquet', hive_partitioning=true) GROUP BY m"
        assert sorted(connection.execute(query).fetchall()) == [(0, 40), (1, 40), (2, 20)]


def test_a_column_that_the_files_keep_has_its_type_named(dump: Dump, tmp_path: Any) -> None:
    """As the receiver's page says: pyarrow would take the path's number for an int32; DuckDB takes the file's."""
    source = rows(10, id=list(range(100)), m=[i // 40 for i in range(100)])
    for key, (body, _) in dump(source, format="parquet", partition_by=["m"]).items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    partitioning = pyarrow.dataset.partitioning(pa.schema([("m", pa.int64())]), flavor="hive")
    for how in ({"partitioning": partitioning}, {}):
        table = pyarrow.dataset.dataset(tmp_path / "airflow/t", **how).to_table().sort_by("id")
        assert table.to_pylist() == [{"id": i, "m": i // 40} for i in range(100)]
    with duckdb.connect() as connection:
        query = f"SELECT m, count(*) FROM read_parquet('{tmp_path}/**/*.parquet', hive_partitioning=true) GROUP BY m"
        assert sorted(connection.execute(query).fetchall()) == [(0, 40), (1, 40), (2, 20)]


def test_rows_pass_by_once(destination: Destination) -> None:
    """A second pass is refused with what to do, and so is an object that was left half read."""
    source = rows(a=list(range(1000)))
    with dump_objects(source, DumpSpec(key="t/", max_rows_per_object=500), destination) as made:
        plan = next(made)
        reader = plan.payload.open()
        assert reader.read(10) == b"a\n0\n1\n2\n3\n"
        assert reader.rows == 500  # those of the blocks that were drawn
        with pytest.raises(SourceChangedError, match=r"read once and are gone.*Let the task run again"):
            plan.payload.open()
        with pytest.raises(SourceError, match="was not read to its end before the next object"):
            next(made)
        reader.close()
        with pytest.raises(SourceChangedError, match="closed before it was read to its end"):
            reader.read(10)
    with pytest.raises(ReadAheadStopped):
        next(made._events)


def test_a_part_is_all_that_a_reader_holds() -> None:
    """Each chunk is let go once it stands in the part."""

    class Body(bytearray):
        """Bytes whose life can be watched."""

    held: list[weakref.ref[Body]] = []
    most = 0

    def events() -> Iterator[Event]:
        nonlocal most
        for number in range(20):
            body = Body(bytes([number]) * 10)
            held.append(weakref.ref(body))
            most = max(most, sum(one() is not None for one in held))
            yield Chunk(memoryview(body), number)
        yield End(20)

    reader = OncePayload("rows", "a test", events()).open()
    assert reader.read(95) == b"".join(bytes([number]) * 10 for number in range(10))[:95]
    assert reader.read(1000) == b"".join(bytes([number]) * 10 for number in range(20))[95:]
    assert reader.read(1) == b""
    assert most <= 3


def test_a_dump_that_was_closed_gives_nothing_more(destination: Destination) -> None:
    """Neither bytes nor an end that would make half an object look whole."""
    with dump_objects(rows(a=list(range(1000))), DumpSpec(key="t/"), destination) as made:
        reader = next(made).payload.open()
    made.close()
    with pytest.raises(SourceChangedError, match="closed before"):
        reader.read(10)


def test_a_dump_nobody_read(destination: Destination) -> None:
    source = rows(a=[1])
    with dump_objects(source, DumpSpec(key="t/"), destination):
        pass
    assert source.closed == 1


@pytest.mark.parametrize("error", [SourceError("the connection was lost"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_ends_the_source_ends_the_reader(destination: Destination, form: str, error: BaseException) -> None:
    """Again and again, never as an end that looks like success."""
    batch = pa.record_batch({"a": _noise(3000)})
    options = ParquetOptions(row_group_rows=1000) if form == "parquet" else None
    source = Rows([batch], batch.schema, fail=error)
    with dump_objects(source, DumpSpec(key="t/", format=form, options=options), destination) as made:
        reader = next(made).payload.open()
        assert len(reader.read(1000)) == 1000
        for _ in range(2):
            with pytest.raises(type(error)) as caught:
                reader.read(10_000_000)
            assert caught.value is error
        with pytest.raises(SourceError, match="was not read to its end"):
            next(made)
    assert source.closed == 1


def test_an_encoder_that_fails_ends_the_source(destination: Destination) -> None:
    """The source could go on for ever."""

    def forever() -> Iterator[pa.RecordBatch]:
        while True:
            yield pa.record_batch({"f": [float("nan")]})

    source = Rows(forever(), pa.schema({"f": pa.float64()}))
    with (
        pytest.raises(SourceError, match="NaN or infinity"),
        dump_objects(source, DumpSpec(key="t/", format="jsonl"), destination) as made,
    ):
        next(made).payload.open().read(1)
    assert source.closed == 1


def test_a_source_that_waits_is_ended_by_its_close(destination: Destination) -> None:
    """A query that sends nothing is cancelled while its thread waits for rows."""
    cancelled, waits = threading.Event(), threading.Event()

    class Waiting(Rows):
        def batches(self) -> Iterator[pa.RecordBatch]:
            waits.set()
            cancelled.wait()
            raise SourceError("cancelled")
            yield

        def close(self) -> None:
            cancelled.set()

    waiting = Waiting([], pa.schema({"a": pa.int64()}))
    made = dump_objects(waiting, DumpSpec(key="t/"), destination)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            next(made)
        except ReadAheadStopped as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert waits.wait(10)
    made.close()
    asking.join()
    assert cancelled.is_set()
    assert errors


def test_the_source_is_closed_although_its_close_fails(destination: Destination) -> None:
    """Its error comes out, and no thread is left behind."""

    class Stubborn(Rows):
        def close(self) -> None:
            super().close()
            raise SourceError("the connection is gone")

    batch = pa.record_batch({"a": [1]})
    made = dump_objects(Stubborn([batch] * 50, batch.schema), DumpSpec(key="t/"), destination)
    reader = next(made).payload.open()
    reader.read(1)
    with pytest.raises(SourceError, match="connection is gone"):
        made.close()


def test_reading_ahead_waits_for_room() -> None:
    """No more than the limit and one item waits, however fast the source is."""
    made = []

    def items() -> Iterator[bytes]:
        for number in range(100):
            made.append(number)
            yield bytes(10)

    ahead = ReadAhead(items(), len, 25, "xacct-test")
    for count, item in enumerate(ahead, 1):
        assert item == bytes(10)
        assert len(made) <= count + 4
    assert 10 <= ahead.peak_bytes <= 30
    ahead.stop()
    ahead.join()


def test_reading_ahead_can_be_stopped_before_it_began() -> None:
    ahead = ReadAhead(iter([b"x"]), len, 1, "xacct-test")
    ahead.stop()
    ahead.join()
    with pytest.raises(ReadAheadStopped):
        next(ahead)


@pytest.mark.parametrize(
    ("form", "compression", "options"),
    [
        ("csv", "zstd", None),
        ("jsonl", "gzip", None),
        ("parquet", "zstd", ParquetOptions(row_group_bytes=2 * 1024 * 1024)),
    ],
)
def test_memory_does_not_grow_with_the_rows(
    destination: Destination, form: str, compression: str, options: Any
) -> None:
    """Arrow's and Python's memory together, at ten times the rows."""

    def peak(count: int) -> int:
        batch = pa.record_batch({"i": list(range(2000)), "t": [f"some text {i * 7919}" * 4 for i in range(2000)]})

        def batches() -> Iterator[pa.RecordBatch]:
            for _ in range(count):
                # a copy, as a source makes new rows
                yield pa.RecordBatch.from_arrays([pa.concat_arrays([c, c]) for c in batch.columns], schema=batch.schema)

        most = 0
        pools = (pa.default_memory_pool(), POOL)
        before = sum(pool.bytes_allocated() for pool in pools)
        spec = DumpSpec(key="t/", format=form, compression=compression, options=options)
        tracemalloc.start()
        try:
            with dump_objects(Rows(batches(), batch.schema), spec, destination) as made:
                for plan in made:
                    reader = plan.payload.open()
                    while reader.read(64 * 1024):
                        most = max(most, sum(pool.bytes_allocated() for pool in pools) - before)
                assert made.rows == count * 4000
            return most + tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(30), peak(300)
    assert many < 80 * 1024 * 1024
    assert many < few * 1.5 + 20 * 1024 * 1024


def test_the_engine_delivers_it(destination: Destination) -> None:
    """Through the real engine into a store in memory: rows in the result, bytes in the bucket."""
    store = FakeStore()
    identity = DeliveryIdentity(
        conn_id="acme", bucket="acme-landing", account="222222222222", dag_id="d", task_id="t", run_id="r",
        dataset="airflow/t/",
    )  # fmt: skip
    source = rows(10, a=list(range(25)))
    with dump_objects(source, DumpSpec(key="t/", max_rows_per_object=10), destination) as made:
        result = DeliveryEngine(store, None, identity).deliver(
            made, if_exists="replace", manifest_key="airflow/t/_manifest.json"
        )
        assert made.rows == 25
    assert result.rows == 25
    bodies = {key: held.body for key, held in store.objects.items() if key.endswith(".csv")}
    assert bodies["airflow/t/part-00002.csv"] == b"a\n20\n21\n22\n23\n24\n"
    assert len(bodies) == 3


def test_the_engine_puts_one_small_object(destination: Destination) -> None:
    """Whose reader is asked for the next object before it is closed."""
    store = FakeStore()
    identity = DeliveryIdentity(
        conn_id="acme", bucket="acme-landing", account="222222222222", dag_id="d", task_id="t", run_id="r",
        dataset="airflow/t/",
    )  # fmt: skip
    with dump_objects(rows(a=[1, None]), DumpSpec(key="t/all.csv"), destination) as made:
        result = DeliveryEngine(store, None, identity).deliver(made, if_exists="replace")
    assert result.rows == 2
    assert store.objects["airflow/t/all.csv"].body == b"a\n1\n\n"
