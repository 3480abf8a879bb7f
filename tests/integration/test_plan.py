"""``plan``: what it says is what then happens, and saying it asks nobody."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.cli.dag_task import Moment, delivery_tasks, rendered
from airflow_xacct.cli.main import main
from airflow_xacct.sandbox import Scenario
from tests.integration.airflow_context import StateStore, TaskTry

DAG_FILE = """
from airflow.sdk import DAG, task
from airflow_xacct.operators import *

with DAG("nyc", schedule="@daily", params={"limit": 3}):
    CrossAccountUploadOperator(
        task_id="files", xacct_conn_id="xacct_default", source="FOLDER/*.txt", key="files/",
        partitions={"ds": "{{ ds }}"}, tags={"team": "data"}, allow_delete=True,
    )
    CrossAccountSqlDumpOperator(
        task_id="orders", xacct_conn_id="xacct_default", sql_conn_id="source_db",
        sql="SELECT * FROM orders WHERE id <= :most LIMIT {{ params.limit }}", parameters={"most": 41},
        key="orders/", partitions={"ds": "{{ logical_date | ds }}"}, partition_by=["month"], compression="gzip",
        success_file=True,
    )
    CrossAccountSqlDumpOperator(
        task_id="versions", xacct_conn_id="xacct_default", sql_conn_id="source_db", sql="SELECT 1 AS n",
        key="versions/", layout="versioned", format="jsonl",
    )
    @task.cross_account_dump(xacct_conn_id="xacct_default", key="rows/{{ ds_nodash }}.csv")
    def rows():
        yield {"n": 1}
    rows()
    CrossAccountUploadOperator.partial(task_id="mapped", xacct_conn_id="xacct_default").expand(data=["a", "b"])
    CrossAccountUploadOperator(
        task_id="late", xacct_conn_id="xacct_default", data="{{ ti.xcom_pull('rows') }}", key="x"
    )
    CrossAccountUploadOperator(task_id="odd", xacct_conn_id="xacct_default", data="{{ nothing }}", key="x")
    CrossAccountUploadOperator(task_id="wide", xacct_conn_id="xacct_default", data="a", key="../x")
    task(lambda: 1, task_id="plain")()
"""
MOMENT = Moment(datetime(2013, 1, 1, tzinfo=UTC), (datetime(2013, 1, 1, tzinfo=UTC),) * 2, {})


@pytest.fixture
def dag_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAG file, and what its tasks read."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(name * 3)
    database = tmp_path / "source.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER, month INTEGER)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(1, 1), (2, 1), (3, 2)])
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE_DB", json.dumps({"conn_type": "sqlite", "host": str(database)}))
    path = tmp_path / "nyc.py"
    path.write_text(DAG_FILE.replace("FOLDER", str(tmp_path)))
    return path


def planned(file: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """The outlines by task, as the command prints them."""
    main(["plan", str(file), "--logical-date", "2013-01-01", "--json", *options])
    return {outline["task"]["task_id"]: outline for outline in json.loads(capsys.readouterr().out)}


def run(file: Path, task_id: str) -> TaskTry:
    """Run a task of the file as it was planned."""

    def make() -> Any:
        (task,) = delivery_tasks(file, task_id)
        return rendered(task, MOMENT.context_of(task))

    ran = TaskTry(make, StateStore(), task=task_id)
    ran.run(run_id="manual__2013-01-01T00:00:00+00:00")
    return ran


def test_nobody_is_asked_and_nothing_is_written(
    worker: Scenario, dag_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither STS nor S3; the database is not even there."""
    dag_file.with_name("source.db").unlink()
    before = len(worker.box.requests)
    outlines = planned(dag_file, capsys)
    assert len(worker.box.requests) == before
    assert not dag_file.with_name("source.db").exists()
    assert not worker.account_b.objects(worker.bucket)
    assert list(outlines) == ["files", "orders", "versions", "rows", "mapped", "late", "odd", "wide"]


def test_what_it_says_of_files_is_what_lands(
    worker: Scenario, dag_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All keys are known, sizes too, and the role's needs are those of the arguments."""
    outline = planned(dag_file, capsys)["files"]
    assert outline["reads"] == [f"{dag_file.parent}/{name}.txt (3 bytes)" for name in ("a", "b")]
    assert outline["role_needs"] == [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:PutObject",
        "s3:PutObjectTagging",
    ]
    writes = outline["writes"]
    assert writes["objects_known"]
    assert writes["tags"] == {"team": "data"}
    assert writes["may_delete"]
    worker.account_b.put_role_policy(
        "DataDumpRole",
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": outline["role_needs"],
                    "Resource": f"arn:aws:s3:::{worker.bucket}/{worker.prefix}*",
                }
            ],
        },
    )
    run(dag_file, "files")
    landed = {f"s3://{worker.bucket}/{key}" for key in worker.account_b.objects(worker.bucket)}
    assert landed == {*writes["objects"], writes["manifest"]}


def test_what_it_says_of_the_session_is_what_sts_is_asked(
    worker: Scenario, dag_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Role, session name and policy to the letter; of the External ID the end."""
    outline = planned(dag_file, capsys)["orders"]
    run(dag_file, "orders")
    asked = worker.box.assume_role_events[-1]
    assumes = outline["assumes"]
    assert assumes["role"] == worker.role_arn
    assert assumes["session_name"] == asked.session_name
    assert outline["session_policy"] == json.loads(asked.session_policy)
    assert assumes["external_id"] == f"...{worker.external_id[-4:]}"
    assert worker.external_id not in json.dumps(outline)


def test_what_only_the_data_knows_is_a_pattern(
    worker: Scenario, dag_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Partitions and versions in capitals; everything else is as it lands. Bound values stay away."""
    outlines = planned(dag_file, capsys)
    orders, versions, rows = outlines["orders"], outlines["versions"], outlines["rows"]
    folder = f"s3://{worker.bucket}/airflow/orders/ds=2013-01-01/"
    assert orders["reads"] == [
        "connection 'source_db', with 1 bound parameter: SELECT * FROM orders WHERE id <= :most LIMIT 3"
    ]
    assert "41" not in json.dumps(orders)
    assert orders["writes"]["objects"] == [f"{folder}month=MONTH/part-00000.csv.gz"]
    assert not orders["writes"]["objects_known"]
    assert orders["writes"]["success_file"] == f"{folder}_SUCCESS"
    assert versions["writes"]["objects"] == [
        f"s3://{worker.bucket}/airflow/versions/_versions/VERSION/part-00000.jsonl"
    ]
    assert rows["writes"]["objects"] == [f"s3://{worker.bucket}/airflow/rows/20130101.csv"]
    assert rows["writes"]["objects_known"]
    run(dag_file, "orders")
    landed = {f"s3://{worker.bucket}/{key}" for key in worker.account_b.objects(worker.bucket)}
    assert landed == {
        f"{folder}month=1/part-00000.csv.gz",
        f"{folder}month=2/part-00000.csv.gz",
        f"{folder}_manifest.json",
        f"{folder}_SUCCESS",
    }


@pytest.mark.parametrize(
    ("task_id", "said"),
    [
        ("mapped", "it is mapped: what it maps over is known in a run only"),
        ("late", "what the task 'rows' returns is known in a run only"),
        ("odd", "a template uses what only a run has: 'nothing' is undefined"),
        ("wide", "'../x'"),
    ],
)
def test_a_task_without_a_plan_says_why_and_the_others_have_theirs(
    worker: Scenario, dag_file: Path, capsys: pytest.CaptureFixture[str], task_id: str, said: str
) -> None:
    """Its error stands in its place, and the exit status tells."""
    assert main(["plan", str(dag_file), "--task", task_id]) == 1
    assert said in capsys.readouterr().out


def test_params_and_the_interval_are_the_runs(
    worker: Scenario, dag_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A param may be given, and one that the DAG does not allow is an error."""
    outline = planned(dag_file, capsys, "--task", "orders", "--param", "limit=9")["orders"]
    assert outline["reads"][0].endswith("LIMIT 9")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["no-such-file.py"], "there is no such file"),
        (["FILE", "--task", "nope"], "there is no task 'nope'"),
        (["FILE", "--task", "plain"], "delivers nothing into another account"),
        (["FILE", "--logical-date", "yesterday"], "'yesterday' is no date"),
        (["FILE", "--param", "limit"], "'limit' is no NAME=VALUE"),
        (["BROKEN"], "the file cannot be loaded: "),
    ],
    ids=["file", "task", "plain", "date", "param", "broken"],
)
def test_what_cannot_be_planned_is_said(
    worker: Scenario, dag_file: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    """One line, with what to do."""
    broken = dag_file.with_name("broken.py")
    broken.write_text("from airflow.sdk import DAG\n1 / 0\n")
    given = [{"FILE": str(dag_file), "BROKEN": str(broken)}.get(word, word) for word in argv]
    assert main(["plan", *given]) == 1
    assert said in capsys.readouterr().err


def test_the_text_for_a_person(worker: Scenario, dag_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the page shows."""
    assert main(["plan", str(dag_file), "--task", "orders", "--logical-date", "2013-01-01"]) == 0
    text = capsys.readouterr().out
    for line in (
        "nyc.orders",
        f"  assumes  {worker.role_arn}, by the worker's own identity",
        "           if an object is there already: replace",
        "  needs    s3:AbortMultipartUpload, s3:PutObject: what the role must allow",
    ):
        assert line in text.splitlines()
