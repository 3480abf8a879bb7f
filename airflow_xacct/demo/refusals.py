"""Five deliveries that must not happen, each tried by a real task, each refused for its own reason.

``refusals_dag.py`` tries them and notes the errors; here is what makes them wrong, and what proves that it was that
which stopped them: the error's type, what Account B's STS and S3 were asked and answered, and that no bucket of any
account changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_xacct.demo.findings import Finding
from airflow_xacct.exceptions import AccessDeniedError, AssumeRoleError, ConnectionNotFoundError, XacctError
from airflow_xacct.sandbox.records import AssumeRoleEvent, RequestRecord

__all__ = ["DAG_ID", "REFUSALS", "SNIPED_BUCKET", "Evidence", "Refusal", "TaskError", "judge", "read_errors"]

DAG_ID = "xacct_refusals"
SNIPED_BUCKET = "acme-archive"
_OTHER_PREFIX = "payroll/"
_CONN_TYPE = "aws_xacct"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the accounts saw while the five deliveries were tried.

    :param state_before: every object and open upload of every account, in any form that compares.
    :param bucket_owner: the account the bucket should belong to.
    :param bait_taken: whether the role could write into the other owner's bucket when nobody named an owner; only
        then does a refusal prove that the owner was what it was refused for.
    """

    requests: Sequence[RequestRecord]
    events: Sequence[AssumeRoleEvent]
    state_before: object
    state_after: object
    bucket_owner: str
    bait_taken: bool

    def sessions_of(self, task_id: str) -> list[AssumeRoleEvent]:
        """The AssumeRole calls of one task, which its session name tells."""
        return [event for event in self.events if f".{task_id[:12]}" in event.session_name]

    def writes_of(self, task_id: str) -> list[RequestRecord]:
        """The S3 requests of one task, which its key tells."""
        return [request for request in self.requests if request.service == "s3" and task_id in request.key]


Proof = Callable[[str, Evidence], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One delivery that must not happen.

    :param task_id: of the task that tries it; its key begins with it too.
    :param name: for people.
    :param error: what the task must end with.
    :param change: what makes the connection wrong: new extras, ``None`` to leave one out; no mapping at all: there is
        no such connection.
    :param proof: says what is missing from the evidence that it was refused for this reason.
    """

    task_id: str
    name: str
    error: type[XacctError]
    change: Mapping[str, Any] | None
    proof: Proof

    @property
    def conn_id(self) -> str:
        """The connection the task uses."""
        return f"xacct_{self.task_id}"

    def connection(self, right: Mapping[str, Any]) -> dict[str, str]:
        """The environment variable of the connection, made from the extras of the right one."""
        if self.change is None:
            return {}
        extra = {name: value for name, value in {**right, **self.change}.items() if value is not None}
        return {f"AIRFLOW_CONN_{self.conn_id.upper()}": json.dumps({"conn_type": _CONN_TYPE, "extra": extra})}


def _refused_by_sts(*, external_id: bool) -> Proof:
    def proof(task_id: str, seen: Evidence) -> Iterable[str]:
        asked = seen.sessions_of(task_id)
        if not asked:
            yield "STS was never asked, so Account B refused nothing"
        if any(event.granted for event in asked):
            yield "STS granted the role"
        if any(event.external_id_given is not external_id for event in asked):
            yield f"the call carried {'no' if external_id else 'an'} External ID"
        if seen.writes_of(task_id):
            yield "S3 was asked all the same"

    return proof


def _refused_by_s3(task_id: str, seen: Evidence) -> Iterable[str]:
    asked = seen.writes_of(task_id)
    if not asked:
        yield "S3 was never asked, so Account B refused nothing"
    for request in asked:
        if request.status != 403:
            yield f"S3 answered {request.operation} with {request.status}"
        if request.expected_owner != seen.bucket_owner:
            yield f"{request.operation} named {request.expected_owner or 'nobody'} as the expected owner"


def _refused_for_its_owner(task_id: str, seen: Evidence) -> Iterable[str]:
    yield from _refused_by_s3(task_id, seen)
    if not seen.bait_taken:
        yield "the role could not have written there anyway, so the owner proves nothing"


def _nobody_was_asked(task_id: str, seen: Evidence) -> Iterable[str]:
    # the worker's own keys are in its environment: a fall back to them would show here
    if seen.sessions_of(task_id) or seen.writes_of(task_id):
        yield "a request went out without a connection"


REFUSALS = (
    Refusal(
        "no_external_id",
        "no External ID",
        AssumeRoleError,
        # without the second extra the connection itself is an error, and Account B would not be asked
        {"external_id": None, "allow_missing_external_id": True},
        _refused_by_sts(external_id=False),
    ),
    Refusal(
        "wrong_external_id",
        "wrong External ID",
        AssumeRoleError,
        {"external_id": "somebody-elses-external-id"},
        _refused_by_sts(external_id=True),
    ),
    Refusal("another_prefix", "another prefix", AccessDeniedError, {"prefix": _OTHER_PREFIX}, _refused_by_s3),
    Refusal(
        "another_owner",
        "another owner's bucket",
        AccessDeniedError,
        {"bucket": SNIPED_BUCKET},
        _refused_for_its_owner,
    ),
    Refusal("forgotten", "a missing connection", ConnectionNotFoundError, None, _nobody_was_asked),
)


@dataclass(frozen=True, slots=True)
class TaskError:
    """The error of one task.

    :param type: the name of its class.
    :param what: what happened, without where and what to do.
    :param message: all of it.
    """

    type: str
    what: str
    message: str


def read_errors(lines: Iterable[str]) -> dict[str, TaskError]:
    """What ``refusals_dag.py`` noted, by task."""
    noted = [json.loads(line) for line in lines if line.strip()]
    return {entry.pop("task_id"): TaskError(**entry) for entry in noted}


def judge(refusal: Refusal, errors: Mapping[str, TaskError], seen: Evidence) -> Finding:
    """Whether one delivery was refused, for its own reason, leaving nothing behind."""
    error = errors.get(refusal.task_id)
    problems = []
    if error is None:
        problems.append("the task did not fail")
    elif error.type != refusal.error.__name__:
        problems.append(f"the task must end with {refusal.error.__name__}")
    problems += refusal.proof(refusal.task_id, seen)
    if seen.state_before != seen.state_after:
        problems.append("a bucket changed while the five were tried")
    return Finding.of(
        refusal.name,
        f"{error.type}: {error.what}" if error else "no error",
        problems,
        message=f"{error.type}: {error.message}" if error else "",
    )
