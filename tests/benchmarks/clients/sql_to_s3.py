"""The Amazon provider's ``SqlToS3Operator``."""

from __future__ import annotations

from typing import Any

import airflow.sdk.execution_time.task_runner  # noqa: F401 - every task has it

from tests.benchmarks.clients.report import arguments, measured

asked = arguments()
with measured():
    from airflow.providers.amazon.aws.transfers.sql_to_s3 import SqlToS3Operator

    options: dict[tuple[str, str], dict[str, Any]] = {
        ("csv", "none"): {"index": False},
        ("csv", "gzip"): {"index": False, "compression": "gzip"},
        ("jsonl", "none"): {"orient": "records", "lines": True},
        ("parquet", "zstd"): {"compression": "zstd"},
    }
    SqlToS3Operator(
        task_id="dump",
        query=f"SELECT * FROM {asked['table']}",
        sql_conn_id="source",
        s3_bucket="partner-b-landing",
        s3_key="orders",
        aws_conn_id="acme_aws",
        file_format="json" if asked["format"] == "jsonl" else asked["format"],
        replace=True,
        df_kwargs=options[asked["format"], asked["compression"]],
    ).execute({})
