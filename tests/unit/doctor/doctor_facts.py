"""Facts about a connection that nobody has to be asked for."""

from __future__ import annotations

from typing import Any

from botocore.credentials import Credentials

from airflow_xacct.access.session import RoleAccess
from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.destination import DeploymentOptions, Destination, parse
from airflow_xacct.doctor import Doors, Facts
from airflow_xacct.doctor.answer import Answer

EXTRA = {
    "role_arn": "arn:aws:iam::222222222222:role/team/DataDumpRole",
    "external_id": "the-external-id-of-b",
    "region_name": "eu-central-1",
    "bucket": "acme-landing",
    "prefix": "airflow/",
}


class Nobody:
    """A source that is never asked."""

    description = "nobody"
    cache_key = "nobody"

    def credentials(self) -> Credentials:
        return Credentials("AKIANOBODY", "secret")


def make_facts(known: dict[str, Any] | None = None, **extras: Any) -> Facts:
    """Facts of a connection with some extras changed; ``known`` are answers already given."""
    extra = {name: value for name, value in {**EXTRA, **extras}.items() if value is not None}

    def open_access(destination: Destination) -> RoleAccess:
        return RoleAccess(destination, Nobody(), TaskIdentity(), DeploymentOptions())

    facts = Facts("acme", Doors(lambda conn_id: parse(conn_id, extra), open_access))
    arn = "arn:aws:sts::111111111111:assumed-role/AirflowWorker/i-0abc"
    identity = Answer(data={"Arn": arn, "Account": "111111111111"}, status=200)
    facts.__dict__.update({"identity": identity, **(known or {})})
    return facts
