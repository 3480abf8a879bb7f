"""What a new process pays until it has its first S3 client of the role, once all is imported."""

from __future__ import annotations

import gc

import airflow.sdk.execution_time.supervisor
import airflow.sdk.execution_time.task_runner  # noqa: F401 - every task has both
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_xacct.hooks.connections import load_destination, open_access
from airflow_xacct.hooks.s3 import CrossAccountS3Hook
from tests.benchmarks.clients.report import arguments, measured

ways = {
    "ours": lambda: open_access(load_destination("acme")).client("s3"),
    "CrossAccountS3Hook": lambda: CrossAccountS3Hook("acme").get_conn(),
    "S3Hook": lambda: S3Hook(aws_conn_id="acme_aws").get_conn(),
}
# as the LocalExecutor does before it forks; without it, whether a walk of the collector through all of Airflow falls
# into the measured time is chance
gc.collect()
gc.freeze()
with measured():
    ways[arguments()["way"]]()
