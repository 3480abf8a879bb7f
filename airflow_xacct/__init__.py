"""Deliver data into another AWS account from Apache Airflow.

Importing this package imports neither boto3 nor a database driver: the names below are loaded on first use.
"""

from __future__ import annotations

__version__ = "0.1.0"
