"""Deliver one file a day into a bucket of another AWS account.

The connection `xacct_default` names the role in the other account, its External ID, the bucket and the prefix. The
task assumes that role and may write below that prefix only; the worker's own identity never reaches the bucket.

A retry of the task never finds its own earlier object in the way. An object somebody else put there is not
overwritten: the task fails, because `if_exists` is `"error"` unless it is set.
"""

# type hints do not say that an operator's argument may be the result of a task
# mypy: disable-error-code="arg-type"

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

# on Airflow 3 alone this would be: from airflow.sdk import Param, dag, task
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_xacct.operators import CrossAccountUploadOperator


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["xacct", "example"],
    doc_md=__doc__,
    params={
        "work_folder": Param(
            f"{tempfile.gettempdir()}/xacct_upload_file",
            type="string",
            description="Where the file is made. Workers on several hosts need a folder they share.",
        ),
    },
)
def xacct_upload_file() -> None:
    @task
    def write_report(day: str, folder: str) -> str:
        """Stands for whatever makes the file; returns where it is."""
        report = Path(folder) / "report.json"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps({"day": day, "orders": 1418, "revenue": "51210.40"}) + "\n", encoding="utf-8")
        return str(report)

    # [START upload_file]
    CrossAccountUploadOperator(
        task_id="deliver_report",
        xacct_conn_id="xacct_default",
        source=write_report("{{ ds }}", "{{ params.work_folder }}/{{ run_id }}"),
        key="reports/{{ ds }}.json",
    )
    # [END upload_file]


xacct_upload_file()
