"""``CrossAccountSqlDumpOperator``, executed as one try of a task with a log."""

from __future__ import annotations

import airflow.sdk.execution_time.task_runner  # noqa: F401 - every task has it

from tests.benchmarks.clients.report import arguments, measured
from tests.integration.airflow_context import StateStore, TaskTry

asked = arguments()
with measured() as facts:
    from airflow_xacct.operators import CrossAccountSqlDumpOperator

    result = TaskTry(
        lambda: CrossAccountSqlDumpOperator(
            task_id="dump",
            sql=f"SELECT * FROM {asked['table']}",
            sql_conn_id="source",
            xacct_conn_id="acme",
            key="orders/",
            format=asked["format"],
            compression=asked["compression"],
            **asked.get("more", {}),
        ),
        StateStore(),
        task="dump",
    ).run()
    facts["rows"] = result["rows"]
