"""The Python dump operator against two accounts: what a function makes, whole or absent in Account B."""

from __future__ import annotations

import datetime as dt
import gc
import gzip
import io
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_xacct.exceptions import (
    ConfigurationError,
    InvalidArgumentError,
    OutsideDestinationError,
    SourceError,
    SourceUnreadableError,
    StaleObjectsError,
    XacctError,
)
from airflow_xacct.operators import CrossAccountDumpOperator
from airflow_xacct.sandbox import Scenario
from tests.integration.airflow_context import StateStore, TaskTry

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("price", pa.decimal128(12, 2)),
        ("at", pa.timestamp("us", "UTC")),
        ("day", pa.date32()),
        ("tags", pa.list_(pa.string())),
    ]
)
MOMENT = dt.datetime(2013, 1, 1, 12, 30, 0, 7, tzinfo=dt.UTC)
ROWS = [
    {"id": 1, "name": "eins", "price": Decimal("1.10"), "at": MOMENT, "day": MOMENT.date(), "tags": ["a", "b"]},
    {"id": 2, "name": 'mit "Quote", Komma', "price": None, "at": None, "day": None, "tags": None},
    {"id": 3, "name": "neue\nZeile 🌍", "price": Decimal("-0.25"), "at": MOMENT, "day": dt.date(1, 1, 1), "tags": []},
]
Dump = Callable[..., TaskTry]


@pytest.fixture
def dump(worker: Scenario) -> Dump:
    """Make a task that dumps; by default with a log, as on Airflow 3.3."""

    def make(function: Any = None, *, store: StateStore | None = None, **arguments: Any) -> TaskTry:
        given = {"python_callable": function, "xacct_conn_id": "xacct_default", "key": "orders/", **arguments}
        return TaskTry(lambda: CrossAccountDumpOperator(task_id="dump", **given), store or StateStore(), task="dump")

    return make


def rows() -> Iterator[dict[str, Any]]:
    yield from ROWS


def numbers(count: int) -> Iterator[dict[str, int]]:
    yield from ({"n": number} for number in range(count))


def landed(worker: Scenario) -> dict[str, bytes]:
    """Every object in B's bucket, as B reads it."""
    return {key: worker.account_b.read(worker.bucket, key) for key in worker.account_b.objects(worker.bucket)}


def assert_nothing_landed(worker: Scenario) -> None:
    assert landed(worker) == {}
    assert worker.box.open_multipart_uploads(worker.bucket) == []


def test_parquet_reads_back_value_by_value(worker: Scenario, dump: Dump, tmp_path: Path) -> None:
    """By pyarrow, DuckDB, pandas and polars alike."""
    result = dump(rows, key="orders.parquet", format="parquet", schema=SCHEMA).run()
    (body,) = landed(worker).values()
    file = tmp_path / "orders.parquet"
    file.write_bytes(body)
    assert pq.read_table(file).to_pylist() == ROWS
    assert pq.read_schema(file).equals(SCHEMA)
    assert pl.read_parquet(file).to_dicts() == ROWS
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        described = connection.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()
        assert [row[1] for row in described] == [
            "BIGINT",
            "VARCHAR",
            "DECIMAL(12,2)",
            "TIMESTAMP WITH TIME ZONE",
            "DATE",
            "VARCHAR[]",
        ]
        counted = connection.execute(f"SELECT count(*), sum(price), min(day)::VARCHAR FROM '{file}'").fetchone()
    assert counted == (3, Decimal("0.85"), "0001-01-01")
    frame = pd.read_parquet(file, dtype_backend="pyarrow")
    assert [row["name"] for row in frame.to_dict("records")] == [row["name"] for row in ROWS]
    assert frame["price"].sum() == Decimal("0.85")
    assert (result["objects"], result["rows"], result["manifest_uri"]) == (1, 3, "")


def test_csv_and_json_lines(worker: Scenario, dump: Dump) -> None:
    """Each with its manifest, where the key is a prefix."""
    result = dump(rows, key="csv/").run()
    dump(rows, key="jsonl/", format="jsonl").run()
    objects = landed(worker)
    manifest = json.loads(objects["airflow/csv/_manifest.json"])
    assert manifest["xacct"]["totals"]["rows"] == result["rows"] == 3
    assert objects["airflow/csv/part-00000.csv"].decode() == (
        "id,name,price,at,day,tags\n"
        '1,eins,1.10,2013-01-01 12:30:00.000007+00,2013-01-01,"[""a"",""b""]"\n'
        '2,"mit ""Quote"", Komma",,,,\n'
        '3,"neue\nZeile 🌍",-0.25,2013-01-01 12:30:00.000007+00,0001-01-01,[]\n'
    )
    lines = [json.loads(line) for line in objects["airflow/jsonl/part-00000.jsonl"].decode().splitlines()]
    assert [line["tags"] for line in lines] == [["a", "b"], None, []]
    assert lines[2]["name"] == "neue\nZeile 🌍"


def test_the_collector_runs_while_the_function_does(worker: Scenario, dump: Dump) -> None:
    """It is put off for our own imports alone, and a function may make garbage by the gigabyte."""
    seen = []

    def watching() -> Iterator[dict[str, int]]:
        seen.append(gc.isenabled())
        yield {"n": 1}
        seen.append(gc.isenabled())

    dump(watching, format="csv").run()
    assert seen == [True, True]
    assert gc.isenabled()


@pytest.mark.parametrize(
    "make",
    [
        lambda: [(1, "a"), (2, None)],
        lambda: [{"x": 1, "y": "a"}, {"x": 2, "y": None}],
        lambda: pa.table({"x": [1, 2], "y": ["a", None]}),
        lambda: pd.DataFrame({"x": [1, 2], "y": ["a", None]}),
        lambda: pl.DataFrame({"x": [1, 2], "y": ["a", None]}),
    ],
    ids=["tuples", "dicts", "arrow", "pandas", "polars"],
)
def test_one_table_whoever_makes_it(worker: Scenario, dump: Dump, make: Callable[[], Any]) -> None:
    """Returned by a function, yielded by one, or given as data."""
    ways: list[dict[str, Any]] = [{"function": make}, {"function": lambda: iter([make()])}, {"data": make()}]
    for number, way in enumerate(ways):
        dump(key=f"{number}.csv", schema=["x", "y"], **way).run()
    assert landed(worker) == {f"airflow/{number}.csv": b"x,y\n1,a\n2,\n" for number in range(3)}


def test_partitions_limits_and_versions_are_those_of_every_dump(worker: Scenario, dump: Dump) -> None:
    """Nothing of them is the function's business."""
    result = dump(lambda: numbers(10), key="n/", max_rows_per_object=4, compression="gzip", part_prefix="p-").run()
    assert (result["objects"], result["rows"]) == (3, 10)
    halves = ({"half": number // 5, "n": number} for number in range(10))
    dump(lambda: halves, key="h/", partition_by=["half"], drop_partition_columns=True, partitions={"ds": "d"}).run()
    dump(lambda: numbers(1), key="v/", layout="versioned", success_file=True, schema_file=True).run()
    keys = [key.removeprefix("airflow/") for key in landed(worker) if "_manifest" not in key]
    versions = [key.rpartition("/")[2] for key in keys if key.startswith("v/_versions/")]
    assert sorted(versions) == ["_schema.json", "part-00000.csv"]
    assert [key for key in keys if not key.startswith("v/")] == [
        "h/ds=d/half=0/part-00000.csv",
        "h/ds=d/half=1/part-00000.csv",
        *[f"n/p-0000{number}.csv.gz" for number in range(3)],
    ]


@pytest.mark.parametrize("schema", [{"n": "int64"}, SCHEMA, ["n"]], ids=["mapping", "schema", "names"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_an_empty_dump_has_its_columns(worker: Scenario, dump: Dump, schema: Any, form: str) -> None:
    """So that a reader finds what it looks for."""
    result = dump(lambda: iter(()), format=form, schema=schema).run()
    assert (result["objects"], result["rows"]) == (1, 0)


def test_bytes_of_an_exact_key_are_delivered_as_they_are(worker: Scenario, dump: Dump, tmp_path: Path) -> None:
    """Returned, yielded in pieces, or from a file; any number of them, since parts are sent as they fill."""
    body = os.urandom(9 * 1024 * 1024)
    file = tmp_path / "report.pdf"
    file.write_bytes(body)
    makes: list[Callable[[], Any]] = [
        lambda: body,
        lambda: (body[at : at + 100_000] for at in range(0, len(body), 100_000)),
        lambda: file.open("rb"),
    ]
    for number, make in enumerate(makes):
        result = dump(make, key=f"{number}/report.pdf", format="bytes").run()
        assert (result["objects"], result["bytes"], result["rows"]) == (1, len(body), None)
    assert list(landed(worker).values()) == [body] * 3
    head = worker.account_b.client("s3").head_object(Bucket=worker.bucket, Key="airflow/0/report.pdf")
    assert head["ContentType"] == "application/pdf"


def test_the_parts_of_a_dump_are_small(worker: Scenario, dump: Dump) -> None:
    """5 MiB each, S3's least: the memory of a dump is that of five parts. An ETag ends in their number."""
    body = bytes(1024 * 1024)
    dump(lambda: itertools.repeat(body, 11), key="zeros.bin", format="bytes").run()
    (key,) = landed(worker)
    head = worker.account_b.client("s3").head_object(Bucket=worker.bucket, Key=key)
    assert (head["ContentLength"], head["ETag"].strip('"').partition("-")[2]) == (11 * 1024 * 1024, "3")


def test_names_and_bytes_below_a_prefix(worker: Scenario, dump: Dump) -> None:
    """Several objects, one manifest."""

    def files() -> Iterator[tuple[str, Any]]:
        yield "a.txt", b"a"
        yield "deep/b.txt", io.BytesIO(b"b")
        yield "c.txt", iter([b"c", b"c"])

    result = dump(files, key="files/", partitions={"ds": "d"}, format="bytes", compression="gzip").run()
    objects = landed(worker)
    manifest = json.loads(objects.pop("airflow/files/ds=d/_manifest.json"))
    assert {key: gzip.decompress(body) for key, body in objects.items()} == {
        "airflow/files/ds=d/a.txt.gz": b"a",
        "airflow/files/ds=d/c.txt.gz": b"cc",
        "airflow/files/ds=d/deep/b.txt.gz": b"b",
    }
    assert len(manifest["entries"]) == result["objects"] == 3


def test_a_single_object_may_be_compressed_and_partitioned(worker: Scenario, dump: Dump) -> None:
    """Its own session may write the key that it then has."""
    for form in ("csv", "bytes"):
        data = [{"x": 1}] if form == "csv" else b"x\n1\n"
        result = dump(data=data, key=f"{form}/x.csv", format=form, compression="gzip", partitions={"ds": "d"}).run()
        assert result["uri"] == f"s3://{worker.bucket}/airflow/{form}/ds=d/x.csv.gz"
    assert [gzip.decompress(body) for body in landed(worker).values()] == [b"x\n1\n"] * 2


def test_the_function_gets_what_a_python_task_gets(worker: Scenario, dump: Dump) -> None:
    """Positional and keyword arguments, and the context by name."""
    seen = {}

    def make(a: int, b: int, logical_date: Any = None, **context: Any) -> list[dict[str, int]]:
        seen.update(context, day=logical_date)
        return [{"a": a, "b": b}]

    dump(make, key="x.csv", op_args=[1], op_kwargs={"b": 2}).run()
    assert landed(worker) == {"airflow/x.csv": b"a,b\n1,2\n"}
    assert seen["day"] == dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    assert seen["ti"].task_id == "dump"

    def plain(a: int) -> list[dict[str, int]]:
        return [{"a": a}]

    with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
        dump(plain, key="y.csv", op_args=[1], op_kwargs={"c": 2}).run()


def test_the_function_stays_in_the_threads_of_the_task(worker: Scenario, dump: Dump) -> None:
    """A connection of sqlite3, for one, may be used by no other."""
    threads = set()

    def query() -> Iterator[tuple[int]]:
        with closing(sqlite3.connect(":memory:")) as connection:
            numbered = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 30000) SELECT n FROM c"
            for row in connection.execute(numbered):
                threads.add(threading.get_ident())
                yield row

    before = threading.active_count()
    assert dump(query, schema=["n"], max_rows_per_object=9_000).run()["rows"] == 30_000
    assert threads == {threading.get_ident()}
    assert threading.active_count() <= before


def test_a_committed_delivery_does_not_call_the_function(worker: Scenario, dump: Dump) -> None:
    """Unless the task was cleared, or the function is another one."""
    calls = itertools.count(1)  # not a list, whose items would be part of what the function is

    def make() -> list[dict[str, int]]:
        return [{"n": next(calls)}]

    task = dump(make, key="n.csv")
    first = task.run()
    assert task.run(try_number=2) == first
    assert landed(worker) == {"airflow/n.csv": b"n\n1\n"}
    assert task.run(clear_number=1)["rows"] == 1
    assert landed(worker) == {"airflow/n.csv": b"n\n2\n"}

    def changed() -> list[dict[str, int]]:
        return [{"n": 10}]

    dump(changed, key="n.csv", store=task.store).run(clear_number=1, try_number=2)
    assert landed(worker) == {"airflow/n.csv": b"n\n10\n"}
    dump(lambda n: [{"n": n}], key="n.csv", op_args=[11], store=task.store).run(clear_number=1, try_number=3)
    dump(lambda n: [{"n": n}], key="n.csv", op_args=[12], store=task.store).run(clear_number=1, try_number=4)
    assert landed(worker) == {"airflow/n.csv": b"n\n12\n"}


def test_fewer_bytes_than_before_need_a_delete(worker: Scenario, dump: Dump) -> None:
    """An object without rows can stand for rows, and nothing can stand for bytes."""
    task = dump(lambda: [("a", b"a"), ("b", b"b")], key="files/", format="bytes")
    task.run()
    with pytest.raises(StaleObjectsError, match="airflow/files/b"):
        dump(lambda: [("a", b"a")], key="files/", format="bytes", store=task.store).run(clear_number=1)


FAILURES: list[tuple[str, Callable[[], Any], type[BaseException], str]] = [
    ("value", lambda: ({"n": n if n < 200_000 else "x"} for n in range(300_000)), SourceUnreadableError, "row 200,001"),
    ("kind", lambda: iter([{"n": 1}, (1,)]), InvalidArgumentError, "item 2 is a tuple"),
    ("nothing", lambda: None, InvalidArgumentError, "None was yielded or returned"),
    ("bytes", lambda: b"bytes", InvalidArgumentError, "format='bytes'"),
    ("unsorted", lambda: iter([{"n": 1}, {"n": 2}, {"n": 1}]), SourceError, "comes back"),
    ("theirs", lambda: (1 / (n - 200_000) for n in range(200_001)), ConfigurationError, "a float is no row"),
]


@pytest.mark.parametrize(("make", "error", "what"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
def test_nothing_lands_of_what_fails(
    worker: Scenario, dump: Dump, make: Callable[[], Any], error: type[BaseException], what: str
) -> None:
    """However late."""
    partitions = ["n"] if "comes back" in what else ()
    with pytest.raises(error, match=what) as caught:
        dump(make, partition_by=partitions).run()
    assert isinstance(caught.value, XacctError)
    assert caught.value.remedy
    assert_nothing_landed(worker)


@pytest.mark.parametrize("error", [LookupError("theirs"), AirflowSkipException("nothing today")], ids=["error", "skip"])
@pytest.mark.parametrize("form", ["csv", "bytes"])
def test_an_error_of_the_function_is_raised_as_it_is(worker: Scenario, dump: Dump, error: Exception, form: str) -> None:
    """Its finally has run by then, and nothing landed."""
    done = []

    def make() -> Iterator[Any]:
        try:
            for number in range(300_000):
                yield {"n": number} if form == "csv" else b"x" * 100
            raise error
        finally:
            done.append(True)

    with pytest.raises(type(error)) as caught:
        dump(make, key="x", format=form).run()
    assert caught.value is error
    assert done == [True]
    assert_nothing_landed(worker)


def test_a_generator_is_closed_when_the_delivery_fails(worker: Scenario, dump: Dump) -> None:
    """Here the bucket refuses, in the middle of an endless function."""
    done = []

    def endless() -> Iterator[dict[str, str]]:
        try:
            while True:
                yield {"x": "0123456789" * 100}
        finally:
            done.append(threading.get_ident())

    worker.account_b.client("s3").put_bucket_policy(
        Bucket=worker.bucket,
        Policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:PutObject",
                        "Resource": f"arn:aws:s3:::{worker.bucket}/*",
                    }
                ],
            }
        ),
    )
    with pytest.raises(XacctError, match="s3:PutObject was denied"):
        dump(endless).run()
    assert done == [threading.get_ident()]
    assert_nothing_landed(worker)


KILLED = """
import signal, sys, time
from airflow_xacct.operators import CrossAccountDumpOperator
from tests.integration.airflow_context import TaskTry

def rows():
    try:
        for number in range(400_000):
            yield {"text": f"{number:0100d}"}
        print("ready", flush=True)
        time.sleep(600)
        yield {"text": "never"}
    finally:
        print("closed", flush=True)

operator = CrossAccountDumpOperator(task_id="dump", python_callable=rows, xacct_conn_id="xacct_default", key="x/")
signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())  # as Airflow 3 does
TaskTry(lambda: operator, task="dump").run()
"""


def test_a_killed_task_closes_the_generator_and_leaves_nothing(worker: Scenario) -> None:
    """Airflow 3 raises nothing itself on SIGTERM: it tells the operator, and waits some seconds."""
    environment = {**os.environ, **worker.environment(), "PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, env=environment, text=True)
    assert child.stdout is not None
    with child.stdout as output:
        assert "ready" in (line.strip() for line in output)
        assert len(worker.box.open_multipart_uploads(worker.bucket)) == 1
        child.send_signal(signal.SIGTERM)
        assert "closed" in (line.strip() for line in output)
    assert child.wait(timeout=60) == 143
    assert_nothing_landed(worker)


@pytest.mark.parametrize(
    ("arguments", "error", "what"),
    [
        ({}, InvalidArgumentError, "no function and no data"),
        ({"function": rows, "data": []}, InvalidArgumentError, "both a function and data"),
        ({"data": iter([])}, InvalidArgumentError, "only once"),
        ({"function": rows, "schema": {"id": "varchar"}}, InvalidArgumentError, "'varchar'"),
        ({"function": rows, "format": "xlsx"}, InvalidArgumentError, "'xlsx'"),
        ({"function": rows, "key": "../x.csv"}, OutsideDestinationError, "key"),
        ({"data": b"x", "key": "x", "format": "bytes", "schema": ["x"]}, InvalidArgumentError, "bytes have no columns"),
        ({"data": b"x", "key": "x", "format": "bytes", "partition_by": ["x"]}, InvalidArgumentError, "is for rows"),
        ({"data": b"x", "key": "x", "format": "bytes", "compression": "snappy"}, InvalidArgumentError, "'snappy'"),
        ({"data": b"x", "key": "x/", "format": "bytes"}, InvalidArgumentError, "pairs of a name"),
        ({"data": [("../x", b"")], "format": "bytes"}, InvalidArgumentError, "'../x' can be no object"),
        ({"data": [("x", b""), ("x", b"")], "format": "bytes"}, InvalidArgumentError, "two things"),
        ({"data": [], "format": "bytes"}, SourceError, "nothing to deliver"),
        ({"data": ["text"], "key": "x", "format": "bytes"}, InvalidArgumentError, "a str stands where bytes"),
    ],
)
def test_bad_arguments_get_an_error_and_nothing_is_written(
    worker: Scenario, dump: Dump, arguments: dict[str, Any], error: type[XacctError], what: str
) -> None:
    """With what, where and the remedy."""
    with pytest.raises(error, match=what) as caught:
        dump(**arguments).run()
    assert caught.value.where
    assert caught.value.remedy
    assert_nothing_landed(worker)


def test_openlineage_is_told_what_it_became(worker: Scenario, dump: Dump) -> None:
    """What a function reads nobody knows."""
    task = dump(rows, key="orders.csv")
    result = task.run()
    operator = task.make()
    lineage = operator.get_openlineage_facets_on_complete(SimpleNamespace(xcom_pull=lambda **_: result))
    assert lineage.inputs == []
    assert [(d.namespace, d.name) for d in lineage.outputs] == [(f"s3://{worker.bucket}", "airflow/orders.csv")]
