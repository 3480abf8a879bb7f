"""``CrossAccountUploadOperator``, executed as one try of a task with a log."""

from __future__ import annotations

import airflow.sdk.execution_time.task_runner  # noqa: F401 - every task has it

from tests.benchmarks.clients.report import arguments, measured
from tests.integration.airflow_context import StateStore, TaskTry

asked = arguments()
with measured() as facts:
    from airflow_xacct.operators import CrossAccountUploadOperator

    result = TaskTry(
        lambda: CrossAccountUploadOperator(
            task_id="upload", source=asked["source"], key="files/", xacct_conn_id="acme", **asked.get("more", {})
        ),
        StateStore(),
    ).run()
    facts["objects"] = result["objects"]
