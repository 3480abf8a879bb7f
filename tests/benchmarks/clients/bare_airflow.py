"""Airflow and nothing else: what a task has in memory before it begins."""

from __future__ import annotations

import airflow.sdk.execution_time.task_runner  # noqa: F401 - the import is what is measured

from tests.benchmarks.clients.report import measured

with measured():
    pass
