"""Hooks that reach another AWS account; loaded on first use, so that DAG files import them cheaply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_xacct._lazy import lazy_exports

if TYPE_CHECKING:
    from airflow_xacct.hooks.base import CrossAccountHook
    from airflow_xacct.hooks.s3 import CrossAccountS3Hook

__all__ = ["CrossAccountHook", "CrossAccountS3Hook"]

__getattr__: Any = lazy_exports(
    __name__,
    {
        "CrossAccountHook": "airflow_xacct.hooks.base",
        "CrossAccountS3Hook": "airflow_xacct.hooks.s3",
    },
)
