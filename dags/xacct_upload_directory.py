"""Deliver a directory tree a day as one Hive partition, with a manifest.

Every file below the folder becomes one object. All of them are staged first and then appear together; the manifest is
written last, so whoever loads by manifest never sees half a delivery. It has the form Redshift's `COPY ... MANIFEST`
reads:

    sales/ds=2026-01-01/emea/berlin.csv.gz
    sales/ds=2026-01-01/emea/paris.csv.gz
    sales/ds=2026-01-01/apac/tokyo.csv.gz
    sales/ds=2026-01-01/_manifest.json
"""

# type hints do not say that an operator's argument may be the result of a task
# mypy: disable-error-code="arg-type"

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

# on Airflow 3 alone this would be: from airflow.sdk import Param, dag, task
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_xacct.operators import CrossAccountUploadOperator

STORES = {"emea/berlin": 120, "emea/paris": 80, "apac/tokyo": 200}


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["xacct", "example"],
    doc_md=__doc__,
    params={
        "work_folder": Param(
            f"{tempfile.gettempdir()}/xacct_upload_directory",
            type="string",
            description="Where the files are made. Workers on several hosts need a folder they share.",
        ),
    },
)
def xacct_upload_directory() -> None:
    @task
    def write_sales(folder: str) -> str:
        """Stands for whatever makes the files: one for each store, in a folder for each region."""
        for store, sales in STORES.items():
            table = Path(folder) / f"{store}.csv"
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text("sale,amount\n" + "".join(f"{n},{n}.50\n" for n in range(sales)), encoding="utf-8")
        return folder

    # [START upload_directory]
    CrossAccountUploadOperator(
        task_id="deliver_sales",
        xacct_conn_id="xacct_default",
        source=write_sales("{{ params.work_folder }}/{{ run_id }}"),
        key="sales/",  # ends in "/": each file keeps its path below the folder
        partitions={"ds": "{{ ds }}"},
        compression="gzip",
        manifest=True,
    )
    # [END upload_directory]


xacct_upload_directory()
