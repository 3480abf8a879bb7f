"""What a task would do, found out without its source and without AWS: what it reads, assumes, writes and needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_xacct.access.policy import TaskNeeds
from airflow_xacct.hooks.connections import open_access
from airflow_xacct.operators._delivery import session_policy_of

if TYPE_CHECKING:
    from airflow_xacct.access.session import RoleAccess
    from airflow_xacct.access.task_identity import TaskIdentity
    from airflow_xacct.destination import Destination
    from airflow_xacct.dump.plan import DeliveryPlan

__all__ = ["Intent", "outline"]

_SHOWN_CHARS = 4
# SSE-KMS with multipart uploads (AWS: *Protecting data using server-side encryption with AWS KMS keys*)
_KMS_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an operator declares, after its templates were rendered.

    :param reads: one line for each thing that would be read.
    :param writes: the full key of each object; or, where the data decides, what keys would look like.
    :param known: whether these are all objects, and not a pattern.
    :param plan: its objects are not looked at.
    """

    reads: Sequence[str]
    writes: Sequence[str]
    known: bool
    plan: DeliveryPlan


def outline(
    destination: Destination,
    intent: Intent,
    identity: TaskIdentity,
    *,
    has_log: bool,
    allow_delete: bool = False,
    session_policy: str | Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The outline of a task, as JSON has it. Nobody is asked; the External ID is cut to its last letters.

    :param has_log: whether a run would have a commit log; without one the session may look at its own objects.
    :raises ConfigurationError: the connection, or an argument, cannot be right.
    """
    policy = session_policy_of(destination, intent.plan, session_policy, allow_delete=allow_delete, reads=not has_log)
    access = open_access(destination, identity=identity, policy=policy)
    return {
        "task": {"dag_id": identity.dag_id, "task_id": identity.task_id},
        "reads": list(intent.reads),
        "assumes": _assumes(destination, access),
        "writes": _writes(destination, intent, allow_delete=allow_delete),
        "role_needs": _role_needs(destination, intent, allow_delete=allow_delete),
        "session_policy": json.loads(policy) if policy else None,
    }


def _assumes(destination: Destination, access: RoleAccess) -> dict[str, Any]:
    request = access.request
    return {
        "connection": destination.conn_id,
        "role": request.role_arn,
        "by": access.source.description,
        "external_id": _cut(request.external_id),
        "session_name": request.session_name,
        "source_identity": request.source_identity or None,
        "session_tags": dict(request.tags),
        "duration_seconds": request.duration_seconds,
    }


def _writes(destination: Destination, intent: Intent, *, allow_delete: bool) -> dict[str, Any]:
    plan = intent.plan
    bucket = f"s3://{destination.bucket}/"
    attributes = plan.attributes
    return {
        "bucket": str(destination.bucket),
        "owner": destination.bucket_owner,
        "region": destination.region_name or None,
        "objects": [bucket + key for key in intent.writes],
        "objects_known": intent.known,
        "manifest": bucket + plan.manifest_key if plan.manifest_key else None,
        "success_file": bucket + plan.success_key if plan.success_key else None,
        "if_exists": plan.if_exists,
        "may_delete": allow_delete,
        "storage_class": attributes.storage_class or None,
        "kms_key_id": attributes.kms_key_id or None,
        "metadata": dict(attributes.metadata),
        "tags": dict(attributes.tags),
    }


def _role_needs(destination: Destination, intent: Intent, *, allow_delete: bool) -> list[str]:
    """What the role in Account B must allow below the prefix, and on the key where one is named."""
    needs = TaskNeeds((), tags=bool(intent.plan.attributes.tags), deletes=allow_delete)
    key = intent.plan.attributes.kms_key_id or destination.kms_key_id
    return [*needs.actions, *(_KMS_ACTIONS if key else ())]


def _cut(external_id: str | None) -> str | None:
    """The last letters: enough to compare, and nothing to copy from a build log."""
    return f"...{external_id[-_SHOWN_CHARS:]}" if external_id else None
