"""Deliver what Python functions make into another AWS account: rows with a schema, and Arrow batches.

A function that yields is a task: what it yields is streamed as it comes, in flat memory, and appears in the other
account when its last row is stored, or not at all. The task returns a small summary of the delivery, which is what the
next task gets; the data itself never passes through XCom.
"""

# type hints do not say that a task's argument may be the result of a task
# mypy: disable-error-code="arg-type"

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

# on Airflow 3 alone this would be: from airflow.sdk import dag, task
from airflow.providers.common.compat.sdk import dag, task

if TYPE_CHECKING:
    import pyarrow as pa


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["xacct", "example"],
    doc_md=__doc__,
)
def xacct_python_dump() -> None:
    # [START rows]
    @task.cross_account_dump(
        xacct_conn_id="xacct_default",
        key="trips/",
        partitions={"ds": "{{ ds }}"},
        format="parquet",
        schema={"trip": "int64", "started_at": "timestamptz", "fare": "decimal128(8, 2)", "note": "string"},
    )
    def dump_trips(trips: int, day: str) -> Iterator[dict[str, Any]]:
        """One row after the other, as an API or a queue hands them out."""
        midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
        for trip in range(trips):
            yield {
                "trip": trip,
                "started_at": midnight + timedelta(seconds=trip),
                "fare": Decimal(trip) / 4,
                "note": None if trip % 10 else "airport",
            }

    # [END rows]

    # [START arrow]
    @task.cross_account_dump(
        xacct_conn_id="xacct_default",
        key="readings/",
        partitions={"ds": "{{ ds }}"},
        format="jsonl",
        compression="zstd",
        max_rows_per_object=50_000,
    )
    def dump_readings(hours: int) -> Iterator[pa.RecordBatch]:
        """Whole batches; a pandas or polars DataFrame could stand here as well."""
        import pyarrow as pa

        for hour in range(hours):
            seconds = range(3_600)
            yield pa.record_batch(
                {
                    "hour": pa.array([hour] * len(seconds), pa.int8()),
                    "second": pa.array(seconds, pa.int16()),
                    "celsius": pa.array([20 + hour / 10 + second / 36_000 for second in seconds]),
                }
            )

    # [END arrow]

    @task
    def report(delivery: dict[str, Any]) -> str:
        """What a delivery returns is small: where it is, and how many rows it has."""
        return f"{delivery['rows']:,} rows are in {delivery['manifest_uri']}"

    trips, readings = dump_trips(trips=20_000, day="{{ ds }}"), dump_readings(hours=24)
    report.override(task_id="report_trips")(trips)
    report.override(task_id="report_readings")(readings)


xacct_python_dump()
