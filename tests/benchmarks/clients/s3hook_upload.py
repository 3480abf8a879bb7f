"""The Amazon provider's ``S3Hook.load_file``, with the same role, a file at a time: what a task of many lines does."""

from __future__ import annotations

from pathlib import Path

import airflow.sdk.execution_time.task_runner  # noqa: F401 - every task has it

from tests.benchmarks.clients.report import arguments, measured

asked = arguments()
source = Path(asked["source"])
with measured():
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    hook = S3Hook(aws_conn_id="acme_aws")
    for path in sorted(source.iterdir()) if source.is_dir() else [source]:
        hook.load_file(str(path), f"files/{path.name}", "partner-b-landing", replace=asked["replace"])
