"""What goes wrong with a query while Airflow runs it: nothing is written, and the next try delivers the whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk import DAG

from airflow_xacct.dump.sources.sql import postgres_copy
from airflow_xacct.exceptions import SourceUnreadableError
from airflow_xacct.operators import CrossAccountSqlDumpOperator
from airflow_xacct.sandbox import Scenario
from tests.databases import Server
from tests.integration.airflow_context import StateStore, TaskTry

pytest.importorskip("pyarrow", reason="pyarrow is the package behind the extra 'sql'")


@pytest.fixture
def warehouse(worker: Scenario, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The connection of the database, read by the hook of Airflow's own provider."""
    uri = f"postgres://{postgres.user}:{postgres.password}@{postgres.host}:{postgres.port}/{postgres.database}"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", uri)
    return "warehouse"


def landed(worker: Scenario) -> dict[str, bytes]:
    return {key: worker.account_b.read(worker.bucket, key) for key in worker.account_b.objects(worker.bucket)}


class LostAt:
    """Ends the server's process once so many rows have been read, as a failover would."""

    def __init__(self, server: Server, rows: int) -> None:
        self.server = server
        self.rows = rows
        self.seen = 0
        self.real = postgres_copy.copy_blocks

    def __call__(self, *arguments: Any) -> Iterator[Any]:
        for block in self.real(*arguments):
            self.seen += block.rows
            if self.seen >= self.rows:
                self._terminate()
            yield block

    def _terminate(self) -> None:
        server = self.server
        place = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
        with psycopg.connect(**place, dbname=server.database, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'")


def test_a_connection_lost_at_row_three_million(
    worker: Scenario, warehouse: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try fails and says how far it came; nothing is there; the next try delivers all four million."""
    lost = LostAt(postgres, 3_000_000)
    monkeypatch.setattr(postgres_copy, "copy_blocks", lost)
    task = TaskTry(
        lambda: CrossAccountSqlDumpOperator(
            task_id="dump",
            sql="SELECT i FROM generate_series(1, 4000000) AS i",
            sql_conn_id=warehouse,
            xacct_conn_id="xacct_default",
            key="numbers/",
            max_rows_per_object=1_500_000,
        ),
        StateStore(),
        task="dump",
    )
    with pytest.raises(SourceUnreadableError, match=r"connection to the database was lost after 3,\d\d\d,\d\d\d rows"):
        task.run()
    assert 3_000_000 <= lost.seen < 4_000_000
    assert landed(worker) == {}
    assert worker.box.open_multipart_uploads(worker.bucket) == []

    monkeypatch.setattr(postgres_copy, "copy_blocks", lost.real)
    result = task.run(try_number=2)
    assert (result["rows"], result["objects"]) == (4_000_000, 3)
    parts = [body for key, body in sorted(landed(worker).items()) if "part-" in key]
    lines = b"".join(part.removeprefix(b"i\n") for part in parts).split()
    assert lines == [b"%d" % i for i in range(1, 4_000_001)]


def test_a_sql_file_is_a_template(worker: Scenario, warehouse: str, tmp_path: Path) -> None:
    """Its Jinja is rendered, beside the bound parameters; a missing file is an error of Airflow's."""
    (tmp_path / "numbers.sql").write_text(
        "SELECT i, '{{ params.mark }}' AS mark FROM generate_series(1, 9) AS i -- from a file\nWHERE i > %(least)s\n"
    )
    with DAG("from_file", start_date=datetime(2013, 1, 1, tzinfo=UTC), template_searchpath=str(tmp_path)):
        operator = CrossAccountSqlDumpOperator(
            task_id="dump",
            sql="numbers.sql",
            sql_conn_id=warehouse,
            xacct_conn_id="xacct_default",
            key="{{ params.mark }}.csv",
            parameters={"least": "{{ params.least }}"},
        )
    operator.resolve_template_files()
    operator.render_template_fields({"params": {"mark": "spring", "least": 7}})
    assert operator.sql.endswith("WHERE i > %(least)s")
    assert TaskTry(lambda: operator, task="dump").run()["rows"] == 2
    assert landed(worker) == {"airflow/spring.csv": b"i,mark\n8,spring\n9,spring\n"}
