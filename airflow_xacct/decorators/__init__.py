"""``@task.cross_account_dump``, which Airflow finds by the provider's metadata."""

from __future__ import annotations

from airflow_xacct.decorators.cross_account_dump import cross_account_dump_task

__all__ = ["cross_account_dump_task"]
