"""What it takes to import a name, once Airflow is loaded."""

from __future__ import annotations

import importlib

import airflow.sdk.execution_time.task_runner  # noqa: F401 - every task has it

from tests.benchmarks.clients.report import arguments, measured

with measured():
    module, _, name = arguments()["name"].rpartition(".")
    getattr(importlib.import_module(module), name)
