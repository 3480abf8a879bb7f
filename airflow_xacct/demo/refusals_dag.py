"""The DAG of the five refusals. The demo copies this file into its own Airflow; it is no example to follow.

Every task fails, and its error is noted as Airflow hands it to a failure callback: the words a user finds in the log.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import dag

from airflow_xacct.demo.refusals import DAG_ID, REFUSALS
from airflow_xacct.operators import CrossAccountUploadOperator


def note_error(context: Any) -> None:
    """Append the error of a task to a file beside the database."""
    error = context["exception"]
    note = {
        "task_id": context["ti"].task_id,
        "type": type(error).__name__,
        "what": getattr(error, "what", str(error)),
        "message": str(error),
    }
    with (Path(os.environ["AIRFLOW_HOME"]) / "refusals.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")


@dag(
    dag_id=DAG_ID,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"on_failure_callback": note_error, "retries": 0},
)
def refusals() -> None:
    """Five tasks that depend on nothing, so that the failure of one does not keep the others from failing."""
    for refusal in REFUSALS:
        CrossAccountUploadOperator(
            task_id=refusal.task_id,
            xacct_conn_id=refusal.conn_id,
            data="This must not arrive.\n",
            key=f"{refusal.task_id}.txt",
        )


refusals()
