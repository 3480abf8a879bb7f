"""From a plan to a delivery, inside a running task: the pieces that operators share."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version
from packaging.version import Version

from airflow_xacct._startup import collections_put_off
from airflow_xacct.access.policy import TaskNeeds, task_policy, with_guard
from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.delivery.boto3_store import Boto3Store
from airflow_xacct.delivery.commit import DeliveryEngine
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.progress import LogProgress
from airflow_xacct.delivery.settings import TransferSettings
from airflow_xacct.destination import narrow
from airflow_xacct.destination.readers import AUTO, OFF
from airflow_xacct.exceptions import InvalidArgumentError, OutsideDestinationError
from airflow_xacct.hooks.commit_log import commit_log, commit_log_option
from airflow_xacct.hooks.connections import connection_policy, load_destination, open_access
from airflow_xacct.links.cloudtrail import CloudTrailLink
from airflow_xacct.links.console import S3ConsoleLink
from airflow_xacct.operators._assets import emit_delivery

if TYPE_CHECKING:
    from airflow_xacct.access.session import RoleAccess
    from airflow_xacct.delivery.log import LogStore
    from airflow_xacct.delivery.result import DeliveryResult
    from airflow_xacct.destination import Destination
    from airflow_xacct.dump.plan import DeliveryPlan

log = logging.getLogger(__name__)

_TASK_STATE_STORE = (3, 3)
"""The Airflow since which a task has a state store."""

__all__ = [
    "Delivered",
    "TaskRun",
    "announce",
    "deliver",
    "has_commit_log",
    "open_destination",
    "session_policy_of",
    "task_identity",
    "task_run",
]


def open_destination(xacct_conn_id: str, *, bucket: str | None = None, prefix: str | None = None) -> Destination:
    """The connection's destination, narrowed by what the task says.

    :raises ConfigurationError: no such connection, one with problems, no bucket, or a task that asks for more than the
        connection allows.
    """
    destination = narrow(load_destination(xacct_conn_id), bucket=bucket, prefix=prefix)
    if destination.bucket is None:
        raise InvalidArgumentError(
            "no bucket is named",
            where=f"connection {xacct_conn_id!r}",
            remedy="Set the extra bucket of the connection, or the argument bucket of the task.",
        )
    return destination


@dataclass(frozen=True, slots=True)
class TaskRun:
    """What a delivery needs to know of the running task.

    :param identity: who asks.
    :param generation: how often the run was cleared.
    :param run_mark: changes when the run was cleared or made anew, as far as ``generation`` does not say it.
    :param log: where the delivery keeps its log; ``None`` outside a task, and before Airflow 3.3 unless
        ``[xacct] commit_log`` names a place.
    """

    identity: TaskIdentity
    generation: int = 0
    run_mark: str = ""
    log: LogStore | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery, and where its traces are.

    :param region: it was delivered to, where that is known.
    :param sts_region: of the STS endpoint that handed out the session.
    """

    result: DeliveryResult
    session_arn: str
    region: str | None
    sts_region: str | None


def task_identity(context: Mapping[str, Any]) -> TaskIdentity:
    """Who asks, from a task's context; an empty one is outside a task."""
    ti = context.get("ti")
    if ti is None:
        return TaskIdentity()
    logical_date = context.get("logical_date")
    return TaskIdentity(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number or 0,
        logical_date=logical_date.isoformat() if logical_date else "",
    )


def has_commit_log() -> bool:
    """Whether a task of this Airflow would have a commit log."""
    return Version(airflow_version).release >= _TASK_STATE_STORE or commit_log_option() == "variable"


def task_run(context: Mapping[str, Any]) -> TaskRun:
    """Read a task's context; an empty one is outside a task.

    :raises InvalidArgumentError: ``[xacct] commit_log`` has an unknown value.
    :raises CommitLogError: it names a place that this Airflow has not.
    """
    identity = task_identity(context)
    ti = context.get("ti")
    if ti is None:
        return TaskRun(identity)
    dag_run = context.get("dag_run")
    return TaskRun(
        identity,
        generation=getattr(dag_run, "clear_number", 0) or 0,
        run_mark=_run_mark(dag_run, ti),
        log=commit_log(identity, context.get("task_state_store")),
    )


def _run_mark(dag_run: Any, ti: Any) -> str:
    """What is the same for all tries, and not after a clear or in a run that was deleted and made again.

    Before Airflow 3.2 ``clear_number`` counts only while the run is finished, but ``max_tries`` grows with every clear
    (``clear_task_instances``). A run that is made again under the same name starts at another time; what is kept in
    Variables does not go with the old one, as the task state store does.
    """
    started = getattr(dag_run, "start_date", None)
    return f"{started.timestamp() if started else ''}/{getattr(ti, 'max_tries', '')}"


def deliver(
    destination: Destination,
    plan: DeliveryPlan,
    run: TaskRun,
    *,
    allow_delete: bool = False,
    session_policy: str | Mapping[str, Any] | None = None,
    settings: TransferSettings | None = None,
) -> Delivered:
    """Assume the role and deliver a plan.

    :param session_policy: what the task asks for; see :func:`session_policy_of`.
    :raises AccessError: the other account refused.
    :raises SourceError: the source changed or could not be read.
    :raises DeliveryError: it did not land as asked.
    """
    settings = settings or TransferSettings()
    policy = session_policy_of(destination, plan, session_policy, allow_delete=allow_delete, reads=run.log is None)
    with collections_put_off():
        access = open_access(destination, identity=run.identity, policy=policy)
        store = open_store(access, settings)
    engine = DeliveryEngine(
        store=store,
        log=run.log,
        identity=DeliveryIdentity(
            conn_id=destination.conn_id,
            bucket=str(destination.bucket),
            account=destination.bucket_owner,
            dag_id=run.identity.dag_id,
            task_id=run.identity.task_id,
            run_id=run.identity.run_id,
            map_index=run.identity.map_index,
            generation=run.generation,
            run_mark=run.run_mark,
            session_arn=access.session_arn,
            dataset=plan.root,
        ),
        settings=settings,
    )
    result = engine.deliver(
        plan.objects,
        if_exists=plan.if_exists,
        manifest_key=plan.manifest_key,
        manifest="always" if plan.manifest_key else "never",
        manifest_attributes=plan.attributes,
        signature=plan.signature,
        tombstone=plan.tombstone,
        whole=plan.whole,
        success_key=plan.success_key,
        stand_in=plan.stand_in,
        describe=plan.describe,
        versions=plan.versions,
        allow_delete=allow_delete,
        progress=LogProgress(log, time.monotonic),
    )
    return Delivered(result, access.session_arn, access.region(), access.sts_region())


def announce(
    context: Any, operator: Any, destination: Destination, *, root: str, delivered: Delivered
) -> dict[str, Any]:
    """Tell Airflow what was delivered: the asset's event, the links of the task's page, and the return value."""
    emit_delivery(
        context,
        alias=operator.asset_alias,
        destination=destination,
        dataset=operator.dataset,
        key=root,
        delivery=delivered.result,
    )
    S3ConsoleLink.persist(context, operator, destination, region=delivered.region, key=root)
    CloudTrailLink.persist(
        context,
        operator,
        partition=destination.role.partition,
        region=delivered.sts_region,
        session_arn=delivered.session_arn,
    )
    return delivered.result.to_json()


def session_policy_of(
    destination: Destination,
    plan: DeliveryPlan,
    asked: str | Mapping[str, Any] | None,
    *,
    allow_delete: bool = False,
    reads: bool = False,
) -> str:
    """The session policy of a delivery: the connection's choice, which the task may narrow and never widen.

    :param asked: ``None`` for the connection's choice; ``"auto"``; ``"off"``, which the connection must allow by saying
        it too; or a document, to which the denials of the guard are added.
    :param reads: the delivery has no log, and looks at its own objects instead where the role may.
    :raises InvalidArgumentError: it is none of these, or does not fit.
    :raises OutsideDestinationError: ``"off"`` where the connection does not say so.
    """
    if asked is None and destination.session_policy != AUTO:
        return connection_policy(destination)
    if asked in (None, AUTO):
        keys = (plan.root, *([plan.manifest_key] if plan.manifest_key else []))
        tags = bool(plan.attributes.tags)
        return task_policy(
            destination, TaskNeeds(keys, tags=tags, reads=reads, deletes=allow_delete), region=destination.region_name
        )
    if asked == OFF:
        if destination.session_policy != OFF:
            raise OutsideDestinationError(
                "the task asks for a session without a policy, and its connection does not",
                where=f"session_policy, connection {destination.conn_id!r}",
                remedy="Leave session_policy out, or set the extra session_policy to off.",
            )
        return ""
    return with_guard(destination, asked)


def open_store(access: RoleAccess, settings: TransferSettings) -> Boto3Store:
    """The bucket of a destination, with a client that repeats calls and one that never does."""
    to = access.destination
    common: dict[str, Any] = {
        "max_pool_connections": settings.parts_in_flight + settings.objects_in_flight,
        # we compute CRC64NVME ourselves and send it; botocore's own default would add a second checksum
        "request_checksum_calculation": "when_required",
    }
    arn = f"arn:{to.role.partition}:s3:::{to.bucket}"

    def explain(error: Exception, action: str, key: str) -> Exception:
        return access.explain(error, action=action, resource=f"{arn}/{key}" if key else arn)

    return Boto3Store(
        client=access.client("s3", **common),
        single_attempt_client=access.client("s3", **common, retries={"total_max_attempts": 1, "mode": "standard"}),
        bucket=str(to.bucket),
        translate=explain,
    )
