"""Deliver one file to several partner accounts, each through its own connection.

Every partner has an own AWS account, role, External ID and bucket, which is to say an own connection. The list of
connections is made when the DAG runs, so a new partner is a new connection and a new entry, not a new task. Each
delivery is a mapped task of its own: one partner's refusal neither stops nor delays the others, and a retry goes to
that partner alone.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
        "partner_conn_ids": Param(
            ["xacct_default"],
            type="array",
            items={"type": "string"},
            description="The connections of the partners, one each.",
        ),
        "work_folder": Param(
            f"{tempfile.gettempdir()}/xacct_fan_out",
            type="string",
            description="Where the file is made. Workers on several hosts need a folder they share.",
        ),
    },
)
def xacct_fan_out() -> None:
    @task
    def write_prices(day: str, folder: str) -> str:
        """Stands for whatever makes the file; returns where it is."""
        prices = Path(folder) / "prices.csv"
        prices.parent.mkdir(parents=True, exist_ok=True)
        prices.write_text(f"sku,price,valid_from\nA-1,9.90,{day}\nB-2,14.50,{day}\n", encoding="utf-8")
        return str(prices)

    # [START fan_out]
    @task
    def partners(**context: Any) -> list[str]:
        """Which connections to deliver to; a query of your own list of partners fits here as well."""
        return list(context["params"]["partner_conn_ids"])

    CrossAccountUploadOperator.partial(
        task_id="deliver_prices",
        source=write_prices("{{ ds }}", "{{ params.work_folder }}/{{ run_id }}"),
        key="prices/{{ ds }}.csv",
        map_index_template="{{ task.xacct_conn_id }}",
    ).expand(xacct_conn_id=partners())
    # [END fan_out]


xacct_fan_out()
