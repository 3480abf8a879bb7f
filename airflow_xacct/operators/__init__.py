"""Operators that deliver into another AWS account.

Importing them in a DAG file imports neither boto3 nor pyarrow nor a database driver: those load when a task runs.
"""

from __future__ import annotations

from airflow_xacct.operators.dump import CrossAccountDumpOperator
from airflow_xacct.operators.sql_dump import CrossAccountSqlDumpOperator
from airflow_xacct.operators.upload import CrossAccountUploadOperator

__all__ = ["CrossAccountDumpOperator", "CrossAccountSqlDumpOperator", "CrossAccountUploadOperator"]
