"""``@task.cross_account_dump`` run by Airflow: the example DAG, and what a decorator of Airflow can do."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from airflow_xacct.demo.airflow_process import AirflowProcess, airflow_environment
from airflow_xacct.sandbox import Scenario
from tests.dags.dag_runs import Ran, RunDag

DECORATED = """
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, dag, task

from airflow_xacct.operators import CrossAccountDumpOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
def decorated():
    @task.cross_account_dump(xacct_conn_id="xacct_default", key="mapped/{{ ti.map_index }}.csv")
    def numbers(n: int, factor: int, run_id=None, **context: Any) -> dict[str, Any]:
        yield {"n": n * factor, "run": run_id.partition("__")[0], "index": context["ti"].map_index}

    mapped = numbers.partial(factor=10).expand(n=[1, 2, 3])
    other = numbers.override(task_id="other", key="other.jsonl", format="jsonl")(n=5, factor="{{ 1 + 1 }}")

    @task.cross_account_dump(
        xacct_conn_id="xacct_default",
        key="several.csv",
        multiple_outputs=True,
        schema={"uri": "string", "rows": "int64"},
    )
    def deliveries(found: list[dict[str, Any]], one: dict[str, Any]):
        return [(each["uri"], each["rows"]) for each in [*found, one]]

    several = deliveries(mapped, other)

    @task
    def listed() -> list[dict[str, Any]]:
        return [{"a": 1, "b": "{{ not rendered }}"}]

    CrossAccountDumpOperator(task_id="data", xacct_conn_id="xacct_default", key="data.csv", data=listed())
    CrossAccountDumpOperator(
        task_id="literal", xacct_conn_id="xacct_default", key="literal.csv", data=[{"a": "{{ dag.dag_id }}"}]
    )
    CrossAccountDumpOperator.partial(
        task_id="frames", xacct_conn_id="xacct_default", python_callable=lambda text: [{"text": text}]
    ).expand_kwargs([{"key": f"{text}.csv", "op_kwargs": {"text": text}} for text in ("x", "y")])

    @task
    def check(uri: str) -> None:
        assert uri.endswith("/airflow/several.csv"), uri

    check(several["uri"])


decorated()


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
def asynchronous():
    @task.cross_account_dump(xacct_conn_id="xacct_default", key="never.csv")
    async def numbers():
        yield {"n": 1}

    numbers()


asynchronous()
"""


def test_the_example_delivers_rows_and_batches(run_dag: RunDag, xacct_accounts: Scenario) -> None:
    """With the types that were asked for, every value as the functions made it."""
    ran = run_dag("xacct_python_dump")
    assert ran.exit_status == 0, ran.output
    objects = {
        key: xacct_accounts.account_b.read(xacct_accounts.bucket, key)
        for key in xacct_accounts.account_b.objects(xacct_accounts.bucket)
    }
    folders = {key.rpartition("/")[0]: key for key in objects}
    trips, readings = sorted(folders, reverse=True)
    midnight = datetime.fromisoformat(trips.rpartition("=")[2]).replace(tzinfo=UTC)
    rows = pq.read_table(io.BytesIO(objects[f"{trips}/part-00000.parquet"])).to_pylist()
    assert len(rows) == 20_000
    assert rows[11] == {
        "trip": 11,
        "started_at": midnight + timedelta(seconds=11),
        "fare": Decimal("2.75"),
        "note": None,
    }
    frames = [pl.read_ndjson(objects[f"{readings}/part-0000{number}.jsonl.zst"]) for number in range(2)]
    assert [len(frame) for frame in frames] == [50_000, 86_400 - 50_000]
    assert frames[1].row(-1) == (23, 3_599, 20 + 23 / 10 + 3_599 / 36_000)
    manifest = json.loads(objects[f"{readings}/_manifest.json"])
    assert manifest["xacct"]["totals"]["rows"] == 86_400


@pytest.fixture
def run_here(airflow_home: Path, xacct_accounts: Scenario, tmp_path: Path) -> Callable[[str], Ran]:
    """Run a DAG of the file above."""

    def run(dag_id: str) -> Ran:
        (tmp_path / "decorated.py").write_text(DECORATED, encoding="utf-8")
        environment = {
            **airflow_environment(airflow_home, os.environ),
            **xacct_accounts.environment(),
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        }
        log = tmp_path / "run.log"
        status = AirflowProcess(environment).run(["dags", "test", dag_id], log=log)
        return Ran(status, log.read_text(encoding="utf-8"))

    return run


def test_the_decorator_maps_overrides_renders_and_returns_the_summary(
    run_here: Callable[[str], Ran], xacct_accounts: Scenario
) -> None:
    """As any decorator of a task; what the function returns stays out of XCom."""
    ran = run_here("decorated")
    assert ran.exit_status == 0, ran.output
    bucket = xacct_accounts.bucket
    objects = {
        key.removeprefix("airflow/"): xacct_accounts.account_b.read(bucket, key).decode()
        for key in xacct_accounts.account_b.objects(bucket)
    }
    urls = "".join(f"s3://{bucket}/airflow/{key},1\n" for key in ("mapped/0.csv", "mapped/1.csv", "mapped/2.csv"))
    assert objects == {
        "mapped/0.csv": "n,run,index\n10,manual,0\n",
        "mapped/1.csv": "n,run,index\n20,manual,1\n",
        "mapped/2.csv": "n,run,index\n30,manual,2\n",
        "other.jsonl": '{"n":"22222","run":"manual","index":-1}\n',
        "several.csv": f"uri,rows\n{urls}s3://{bucket}/airflow/other.jsonl,1\n",
        "data.csv": "a,b\n1,{{ not rendered }}\n",
        "literal.csv": "a\ndecorated\n",
        "x.csv": "text\nx\n",
        "y.csv": "text\ny\n",
    }


def test_an_asynchronous_function_fails_with_the_remedy(
    run_here: Callable[[str], Ran], xacct_accounts: Scenario
) -> None:
    """And not with a coroutine that nobody awaited."""
    ran = run_here("asynchronous")
    assert ran.exit_status != 0
    assert "the function is asynchronous (function numbers). Give a plain function or generator" in ran.output
    assert xacct_accounts.account_b.objects(xacct_accounts.bucket) == {}
