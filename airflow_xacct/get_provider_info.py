"""What Airflow learns about this package when it starts: read by every component, so it imports next to nothing."""

from __future__ import annotations

from typing import Any

from airflow_xacct import __version__
from airflow_xacct.connection_form import conn_fields, ui_field_behaviour
from airflow_xacct.destination.fields import CONN_TYPE

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, for the entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-provider-xacct",
        "name": "Amazon Web Services (cross-account)",
        "description": "Delivers data into another AWS account: one assumed role, an External ID, whole or absent.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                "hook-class-name": "airflow_xacct.hooks.base.CrossAccountHook",
                "hook-name": "Amazon Web Services (cross-account)",
                "ui-field-behaviour": ui_field_behaviour(),
                "conn-fields": conn_fields(),
            }
        ],
        "extra-links": [
            "airflow_xacct.links.cloudtrail.CloudTrailLink",
            "airflow_xacct.links.console.S3ConsoleLink",
        ],
        "task-decorators": [
            {"name": "cross_account_dump", "class-name": "airflow_xacct.decorators.cross_account_dump_task"},
        ],
        "cli": ["airflow_xacct.cli.airflow_commands.get_cli_commands"],
        "config": {
            "xacct": {
                "description": "What connections of type aws_xacct may do beyond the safe defaults, and where "
                "deliveries keep their log.",
                "options": {
                    "allowed_endpoint_hosts": _option(
                        "Hosts outside AWS that an endpoint may name, separated by commas: host, host:port, *.suffix "
                        "or [IPv6]:port. Only they may use http.",
                        kind="string",
                        default="",
                        example="minio.internal:9000, *.storage.example.com",
                    ),
                    "allow_insecure": _option(
                        "Whether a connection may switch off the verification of TLS certificates.",
                        kind="boolean",
                        default="False",
                    ),
                    "allow_proxies": _option(
                        "Whether a connection may name a proxy, which sees where data goes.",
                        kind="boolean",
                        default="False",
                    ),
                    "commit_log": _option(
                        "Where a delivery keeps the log that lets a retry go on with it and a cleared task replace it. "
                        "auto: the task state store, which Airflow has since 3.3; before, there is no log. variable: "
                        "Airflow Variables whose keys begin with xacct_commit_log, on any version. They do not expire; "
                        "airflow-xacct commit-logs deletes old ones.",
                        kind="string",
                        default="auto",
                        example="variable",
                    ),
                },
            }
        },
    }


def _option(description: str, *, kind: str, default: str, example: str | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "example": example,
        "default": default,
    }
