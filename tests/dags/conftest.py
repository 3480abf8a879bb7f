"""One Airflow for the session, whose tasks are A's workers in the sandbox."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.demo.airflow_process import AirflowProcess, airflow_environment
from airflow_xacct.demo.dag_files import dags_folder
from airflow_xacct.demo.source import Source, load_sqlite
from airflow_xacct.sandbox import Scenario
from tests.dags.dag_runs import Ran, RunDag


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a migrated database."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "tmp").mkdir()
    process = AirflowProcess(airflow_environment(home, os.environ))
    assert process.run(["db", "migrate"], log=home / "db-migrate.log") == 0, (home / "db-migrate.log").read_text()
    return home


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Source]:
    """The demo's SQLite database, made once."""
    path = tmp_path_factory.mktemp("warehouse") / "nycflights13.db"
    return path, load_sqlite(path)


@pytest.fixture
def warehouse(loaded: tuple[Path, Source], tmp_path: Path) -> tuple[Path, Source]:
    """A copy of it for one test, behind the connection ``warehouse``."""
    path, source = loaded
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    return copy, replace(source, connection=json.dumps({"conn_type": "sqlite", "host": str(copy)}))


@pytest.fixture
def run_dag(airflow_home: Path, xacct_accounts: Scenario, request: pytest.FixtureRequest) -> RunDag:
    """Run an example DAG as its file is, and return how it ended."""
    source = request.getfixturevalue("warehouse")[1].environment() if "warehouse" in request.fixturenames else {}

    def run(dag_id: str, conf: Mapping[str, Any] | None = None, *, day: str = "") -> Ran:
        environment = {
            **airflow_environment(airflow_home, os.environ),
            **xacct_accounts.environment(),
            **source,
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder()),
        }
        log = airflow_home / f"{dag_id}.log"
        options = ["--conf", json.dumps(conf)] if conf else []
        which = [dag_id, day] if day else [dag_id]
        status = AirflowProcess(environment).run(["dags", "test", *which, *options], log=log)
        return Ran(status, log.read_text(encoding="utf-8"))

    return run
