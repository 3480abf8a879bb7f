"""What every client finds around it: connections, credentials and endpoints, and nothing of this machine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.benchmarks.sink import Sink
from tests.benchmarks.source_table import Database

__all__ = ["environment", "psql"]

_ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
# over plain http botocore would hash every payload with SHA-256; over TLS, as with AWS, it does not
_CLIENT = {"s3": {"payload_signing_enabled": False, "addressing_style": "path"}}


def environment(sink: Sink, source: Database | None, home: Path) -> dict[str, str]:
    """The variables of a client.

    The connection ``acme`` is ours, ``acme_aws`` the Amazon provider's with the same role.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW_"))}
    ours = {
        "role_arn": _ROLE,
        "external_id": "benchmark",
        "region_name": "eu-central-1",
        "bucket": "partner-b-landing",
        "endpoint_url": sink.url,
        "config_kwargs": _CLIENT,
    }
    amazons = {
        "role_arn": _ROLE,
        "assume_role_kwargs": {"ExternalId": "benchmark"},
        "region_name": "eu-central-1",
        "endpoint_url": sink.url,
        "config_kwargs": _CLIENT,
    }
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__XACCT__ALLOWED_ENDPOINT_HOSTS": "127.0.0.1",
        "AIRFLOW_CONN_ACME": json.dumps({"conn_type": "aws_xacct", "extra": ours}),
        "AIRFLOW_CONN_ACME_AWS": json.dumps({"conn_type": "aws", "extra": amazons}),
        "AWS_ACCESS_KEY_ID": "AKIASINKSINKSINKSINK",
        "AWS_SECRET_ACCESS_KEY": "sink",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": sink.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    if source is not None:
        variables["AIRFLOW_CONN_SOURCE"] = source.url
    return kept | variables


def psql() -> str:
    """The path of ``psql``; empty where there is none."""
    found = shutil.which("psql")
    if found is None:
        from tests.databases import _postgres_binaries

        beside = _postgres_binaries() / "psql"
        found = str(beside) if beside.exists() else ""
    return found
