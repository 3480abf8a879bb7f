"""The SQL dump operator against two accounts: rows of real databases, whole or absent in Account B."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.exceptions import (
    ConfigurationError,
    ConnectionNotFoundError,
    InvalidArgumentError,
    MissingDependencyError,
    ObjectExistsError,
    OutsideDestinationError,
    SourceError,
    StaleObjectsError,
    XacctError,
)
from airflow_xacct.operators import CrossAccountSqlDumpOperator
from airflow_xacct.sandbox import Scenario, drop_response
from tests.databases import Server, ServerMissing, postgres_server
from tests.integration.airflow_context import StateStore, TaskTry

pa = pytest.importorskip("pyarrow", reason="pyarrow is the package behind the extra 'sql'")
import pyarrow.dataset  # noqa: E402
import pyarrow.parquet  # noqa: E402

ROWS = [(1, "eins", 1.5, 1), (2, 'mit "Quote", Komma', None, 1), (3, "neue\nZeile 🌍", -0.25, 2), (4, "", 4.0, None)]
Dump = Callable[..., TaskTry]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite database behind the connection ``source_db``."""
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER, name TEXT, price REAL, month INTEGER)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE_DB", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return path


@pytest.fixture
def dump(worker: Scenario, database: Path) -> Dump:
    """Make a task that dumps; by default with a log, as on Airflow 3.3."""

    def make(*, log: bool = True, **arguments: Any) -> TaskTry:
        given = {
            "sql": "SELECT * FROM orders ORDER BY id",
            "sql_conn_id": "source_db",
            "xacct_conn_id": "xacct_default",
            **arguments,
        }
        store = StateStore() if log else None
        return TaskTry(lambda: CrossAccountSqlDumpOperator(task_id="dump", **given), store, task="dump")

    return make


def landed(worker: Scenario) -> dict[str, bytes]:
    """Every object in B's bucket, as B reads it."""
    return {key: worker.account_b.read(worker.bucket, key) for key in worker.account_b.objects(worker.bucket)}


def assert_nothing_landed(worker: Scenario) -> None:
    assert landed(worker) == {}
    assert worker.box.open_multipart_uploads(worker.bucket) == []


def test_csv_lands_with_a_manifest(worker: Scenario, dump: Dump) -> None:
    """A prefix: one part, and the manifest that names it with its rows."""
    result = dump(key="orders/").run()
    objects = landed(worker)
    manifest = json.loads(objects.pop("airflow/orders/_manifest.json"))
    ((key, body),) = objects.items()
    assert key == "airflow/orders/part-00000.csv"
    rows = list(csv.reader(io.StringIO(body.decode())))
    assert rows[0] == ["id", "name", "price", "month"]
    assert [row[1] for row in rows[1:]] == [row[1] for row in ROWS]
    assert result["rows"] == manifest["xacct"]["totals"]["rows"] == 4
    assert manifest["entries"][0]["url"] == f"s3://{worker.bucket}/{key}"


def test_an_exact_key_is_one_object(worker: Scenario, dump: Dump) -> None:
    """No manifest unless it is asked for."""
    result = dump(key="orders.jsonl", format="jsonl").run()
    ((key, body),) = landed(worker).items()
    assert key == "airflow/orders.jsonl"
    read = [json.loads(line) for line in body.decode().splitlines()]
    assert [tuple(row.values()) for row in read] == ROWS
    assert (result["objects"], result["rows"], result["manifest_uri"]) == (1, 4, "")


def test_parquet_partitions_read_as_a_dataset(worker: Scenario, dump: Dump, tmp_path: Path) -> None:
    """Hive partitions from the data; pyarrow reads the layout as it is."""
    result = dump(key="orders/", format="parquet", partition_by=["month"], drop_partition_columns=True).run()
    objects = landed(worker)
    assert {key for key in objects if key.endswith(".parquet")} == {
        "airflow/orders/month=1/part-00000.parquet",
        "airflow/orders/month=2/part-00000.parquet",
        "airflow/orders/month=__HIVE_DEFAULT_PARTITION__/part-00000.parquet",
    }
    for key, body in objects.items():
        if key.endswith(".parquet"):
            target = tmp_path / "out" / key
            target.parent.mkdir(parents=True)
            target.write_bytes(body)
    table = pyarrow.dataset.dataset(tmp_path / "out/airflow/orders", partitioning="hive").to_table().to_pylist()
    assert {(row["id"], row["name"], row["price"], row["month"]) for row in table} == set(ROWS)
    assert result["objects"] == 3


def test_parquet_says_whose_rows_it_holds(worker: Scenario, dump: Dump) -> None:
    """In the file's own metadata, for whoever has nothing but the file; a try's number is not among it."""
    sql = "SELECT * FROM orders"
    task = dump(key="orders.parquet", format="parquet", sql=sql)
    task.run()
    (body,) = landed(worker).values()
    metadata = pyarrow.parquet.read_metadata(io.BytesIO(body)).metadata
    assert {name.decode(): text.decode() for name, text in metadata.items() if name.startswith(b"xacct.")} == {
        "xacct.dag_id": "nyc",
        "xacct.query_sha256": hashlib.sha256(sql.encode()).hexdigest(),
        "xacct.run_id": "manual__2013-01-01",
        "xacct.task_id": "dump",
    }


def test_objects_roll_by_rows(worker: Scenario, dump: Dump) -> None:
    """Deterministic names, each object with its header."""
    result = dump(key="orders/", max_rows_per_object=3, compression="gzip").run()
    keys = [key for key in landed(worker) if "part-" in key]
    assert keys == [f"airflow/orders/part-0000{number}.csv.gz" for number in range(2)]
    assert (result["objects"], result["rows"]) == (2, 4)


def test_an_empty_result_still_delivers(worker: Scenario, dump: Dump) -> None:
    """Header or schema only, so that a reader finds what it looks for."""
    for form in ("csv", "jsonl", "parquet"):
        result = dump(key=f"{form}/", format=form, sql="SELECT * FROM orders WHERE id < 0").run()
        assert (result["objects"], result["rows"]) == (1, 0)
    objects = landed(worker)
    assert objects["airflow/csv/part-00000.csv"] == b"id,name,price,month\n"
    assert objects["airflow/jsonl/part-00000.jsonl"] == b""
    table = pyarrow.parquet.read_table(io.BytesIO(objects["airflow/parquet/part-00000.parquet"]))
    assert table.column_names == ["id", "name", "price", "month"]


def test_parameters_are_bound(worker: Scenario, dump: Dump) -> None:
    """Never pasted: a value that looks like SQL is a value."""
    evil = "x' OR '1'='1"
    assert dump(key="a.csv", sql="SELECT * FROM orders WHERE name = ?", parameters=[evil]).run()["rows"] == 0
    assert dump(key="b.csv", sql="SELECT * FROM orders WHERE id = :id", parameters={"id": 2}).run()["rows"] == 1


def test_a_scheduled_dump_is_idempotent_by_its_key(worker: Scenario, dump: Dump, database: Path) -> None:
    """Another run replaces, and a re-run of the same one returns what is there."""
    task = dump(key="orders/")
    first = task.run()
    assert task.run(try_number=2) == first
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO orders VALUES (5, 'neu', 5.0, 3)")
    assert task.run(try_number=3) == first
    assert task.run(clear_number=1)["rows"] == 5
    assert dump(key="orders/").run(run_id="another")["rows"] == 5
    assert len(landed(worker)) == 2


def test_a_changed_query_is_delivered_anew(worker: Scenario, dump: Dump) -> None:
    """A corrected query in the same run is not answered with the old result."""
    task = dump(key="orders/")
    task.run()
    changed = dump(key="orders/", sql="SELECT * FROM orders WHERE id = 1")
    changed.store = task.store
    assert changed.run(try_number=2)["rows"] == 1


@pytest.mark.parametrize("allow_delete", [False, True])
def test_fewer_objects_than_before_are_emptied(
    worker: Scenario, dump: Dump, database: Path, allow_delete: bool
) -> None:
    """A stale part beside the new ones would be read with them. The role may not delete, whatever the task asks for."""
    task = dump(key="orders/", max_rows_per_object=1, format="parquet", allow_delete=allow_delete)
    task.run()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM orders WHERE id > 2")
    result = task.run(clear_number=1)
    objects = landed(worker)
    manifest = json.loads(objects["airflow/orders/_manifest.json"])
    rows = {
        key: pyarrow.parquet.read_table(io.BytesIO(body)).num_rows
        for key, body in objects.items()
        if key.endswith(".parquet")
    }
    assert list(rows.values()) == [1, 1, 0, 0]
    assert (result["objects"], result["rows"], len(manifest["entries"])) == (2, 2, 2)
    emptied = [f"s3://{worker.bucket}/{key}" for key, count in rows.items() if not count]
    assert [one["url"] for one in manifest["xacct"]["emptied"]] == emptied
    assert worker.box.open_multipart_uploads(worker.bucket) == []


def test_another_compression_needs_a_delete(worker: Scenario, dump: Dump) -> None:
    """An object whose name says another format cannot be emptied: refused before anything changes."""
    task = dump(key="orders/")
    task.run()
    before = landed(worker)
    packed = dump(key="orders/", compression="gzip")
    packed.store = task.store
    with pytest.raises(StaleObjectsError, match=r"part-00000\.csv"):
        packed.run(clear_number=1)
    assert landed(worker) == before
    assert worker.box.open_multipart_uploads(worker.bucket) == []


def test_a_versioned_dump_with_schema_and_marker(worker: Scenario, dump: Dump, database: Path) -> None:
    """Each delivery has a folder; the session of the task may write there, at the manifest's key, and the marker's."""
    task = dump(key="orders/", layout="versioned", schema_file=True, success_file=True, if_exists="error")
    for clear_number in range(2):
        result = task.run(clear_number=clear_number)
        manifest = json.loads(landed(worker)["airflow/orders/_manifest.json"])
        version = manifest["xacct"]["dump"]["version"]
        assert result["uri"].endswith(f"airflow/orders/_versions/{version}/part-00000.csv")
        assert landed(worker)["airflow/orders/_SUCCESS"] == b""
        schema = json.loads(landed(worker)[f"airflow/orders/_versions/{version}/_schema.json"])
        assert [column["name"] for column in schema["columns"]] == ["id", "name", "price", "month"]
    assert len([key for key in landed(worker) if key.endswith("part-00000.csv")]) == 2
    other = dump(key="orders/", layout="versioned", if_exists="error")
    with pytest.raises(ObjectExistsError, match="the key of its manifest"):
        other.run()
    skipping = dump(key="orders/", layout="versioned", if_exists="skip")
    assert (skipping.run()["objects"], skipping.run(try_number=2)["skipped"]) == (0, 1)


def test_if_exists_error_refers_to_others(worker: Scenario, dump: Dump) -> None:
    """What somebody else put there stays."""
    worker.account_b.client("s3").put_object(Bucket=worker.bucket, Key="airflow/orders.csv", Body=b"theirs")
    with pytest.raises(ObjectExistsError):
        dump(key="orders.csv", if_exists="error").run()
    assert landed(worker) == {"airflow/orders.csv": b"theirs"}


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"])
def test_a_lost_answer_changes_nothing(worker: Scenario, dump: Dump, operation: str) -> None:
    """Each kind of call is carried out and its answer lost, once: one whole delivery."""
    rule = worker.box.faults.add(operation, action=drop_response)
    result = dump(key="orders/", max_rows_per_object=2).run()
    assert rule.fired == 1
    assert (result["objects"], result["rows"]) == (2, 4)
    assert len(landed(worker)) == 3
    left = worker.box.open_multipart_uploads(worker.bucket)
    assert len(left) == (1 if operation == "CreateMultipartUpload" else 0)  # the upload nobody was told of


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"sql": "SELEC 1"}, XacctError),
        ({"sql": "SELECT * FROM nowhere"}, SourceError),
        ({"sql": "SELECT 1; SELECT 2"}, InvalidArgumentError),
        ({"sql": "DELETE FROM orders"}, InvalidArgumentError),
        ({"sql": ""}, InvalidArgumentError),
        ({"sql": "SELECT id, id FROM orders"}, InvalidArgumentError),
        ({"partition_by": ["nothing"]}, XacctError),
        ({"format": "xlsx"}, InvalidArgumentError),
        ({"format": "csv", "compression": "snappy"}, InvalidArgumentError),
        ({"key": "orders.csv", "max_rows_per_object": 2}, InvalidArgumentError),
        ({"key": "orders.csv", "success_file": True}, InvalidArgumentError),
        ({"key": "orders.csv", "layout": "versioned", "manifest": True}, InvalidArgumentError),
        ({"layout": "versioned", "manifest": False}, InvalidArgumentError),
        ({"layout": "elsewhere"}, InvalidArgumentError),
        ({"if_exists": "skip", "manifest": False}, InvalidArgumentError),
        ({"schema_file": "yes"}, InvalidArgumentError),
        ({"key": "../orders.csv"}, OutsideDestinationError),
        ({"if_exists": "maybe"}, InvalidArgumentError),
        ({"fast_path": "require"}, InvalidArgumentError),
        ({"sql_conn_id": "gone"}, ConnectionNotFoundError),
        ({"sql_conn_id": ""}, InvalidArgumentError),
        ({"sql_conn_id": "xacct_default"}, ConfigurationError),
        ({"key": "m.json", "manifest_key": "m.json"}, InvalidArgumentError),
    ],
)
def test_bad_input_gets_an_error_and_nothing_is_written(
    worker: Scenario, dump: Dump, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """With what, where and the remedy."""
    with pytest.raises(error) as caught:
        dump(**{"key": "orders/", **arguments}).run()
    assert isinstance(caught.value, XacctError)
    assert caught.value.where
    assert caught.value.remedy
    assert_nothing_landed(worker)


def test_a_type_without_a_provider_says_which(worker: Scenario, dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package to install is named."""
    monkeypatch.setenv("AIRFLOW_CONN_ODD", "oddbase://host/db")
    with pytest.raises(MissingDependencyError, match="oddbase"):
        dump(key="orders/", sql_conn_id="odd").run()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL; skipped with the reason where there is none."""
    try:
        context = postgres_server()
        server = context.__enter__()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    yield server
    context.__exit__(None, None, None)


@pytest.fixture
def pg(worker: Scenario, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The connection ``pg``."""
    uri = f"postgres://{postgres.user}:{postgres.password}@{postgres.host}:{postgres.port}/{postgres.database}"
    monkeypatch.setenv("AIRFLOW_CONN_PG", uri)
    return "pg"


QUERY = """
SELECT i AS id, (i * 1.10)::numeric(12,2) AS price, CASE WHEN i % 3 = 0 THEN NULL ELSE 'n "' || i END AS name,
       timestamptz '2013-01-01 12:00+02' + i * interval '1 day' AS at, i % 2 = 0 AS even, (i % 4) AS month
FROM generate_series(1, 20000) AS i
"""


def test_postgres_csv_is_the_servers_own(worker: Scenario, dump: Dump, pg: str) -> None:
    """COPY's bytes, untouched, with a header."""
    result = dump(sql=QUERY, sql_conn_id=pg, key="orders.csv", fast_path="require").run()
    (body,) = landed(worker).values()
    rows = list(csv.reader(io.StringIO(body.decode())))
    assert rows[0] == ["id", "price", "name", "at", "even", "month"]
    assert len(rows) == 20_001
    assert rows[3][1:3] == ["3.30", ""]
    assert result["rows"] == 20_000


def test_postgres_parquet_keeps_types(worker: Scenario, dump: Dump, pg: str) -> None:
    """Decimals and time zones, by the fast path and through a cursor alike."""
    tables = []
    for way in ("require", "forbid"):
        dump(sql=QUERY, sql_conn_id=pg, key=f"{way}.parquet", format="parquet", fast_path=way).run()
        tables.append(pyarrow.parquet.read_table(io.BytesIO(landed(worker)[f"airflow/{way}.parquet"])))
    assert str(tables[0].schema.field("price").type) == "decimal128(12, 2)"
    assert tables[0].to_pylist() == tables[1].to_pylist()


def test_postgres_partitions(worker: Scenario, dump: Dump, pg: str) -> None:
    """Sorted by the server, one object a month."""
    result = dump(sql=QUERY, sql_conn_id=pg, key="p/", format="jsonl", partition_by=["month"], compression="zstd").run()
    assert (result["objects"], result["rows"]) == (4, 20_000)


def test_the_databases_password_is_in_no_error(worker: Scenario, dump: Dump, pg: str, postgres: Server) -> None:
    """A refused login or query shows neither the password nor the parameters."""
    with pytest.raises(SourceError) as caught:
        dump(sql="SELECT * FROM secret_table WHERE a = %s", parameters=["hunter2"], sql_conn_id=pg, key="x.csv").run()
    assert postgres.password not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert_nothing_landed(worker)
