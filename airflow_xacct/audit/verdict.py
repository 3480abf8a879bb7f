"""Whether a session is one of ours: by its name, its caller and its External ID."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.audit.deliveries import Delivery
from airflow_xacct.audit.events import AssumeRoleCall
from airflow_xacct.audit.names import NamedTask, SessionNames
from airflow_xacct.destination import Destination

__all__ = ["Expected", "ExternalId", "Judged", "Verdict", "external_id_of", "judge"]

#: ``failed`` is a call with a mistake in it, such as a duration above the role's maximum; nobody was kept out.
Verdict = Literal["known", "unknown", "denied", "failed"]
ExternalId = Literal["ours", "other", "none", "not recorded", "not checked"]

_SESSION = re.compile(r"arn:[\w-]+:sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)(?:/.*)?")
_ROLE = re.compile(r"arn:[\w-]+:iam::(?P<account>\d{12}):role/(?:.*/)?(?P<role>[^/]+)")
_ACCOUNT = re.compile(r"(?:arn:[\w-]+:(?:iam|sts)::)?(\d{12})(?::.*)?")


@dataclass(frozen=True)
class Expected:
    """What is expected of a session.

    :param callers: who may assume the role: ARNs of users or roles, unique ids (``AIDA...``, ``AROA...``) or account
        ids; nothing is said about the caller when empty.
    """

    destination: Destination
    names: SessionNames
    callers: tuple[str, ...] = ()

    def knows_caller(self, call: AssumeRoleCall) -> bool:
        """Whether it is one of the expected callers.

        In the history of the role's account a caller of another account has no ARN: then its account must do.
        """
        return not self.callers or any(_is(expected, call) for expected in self.callers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A call with what it was found to be.

    :param reasons: why it is unknown; empty otherwise.
    """

    call: AssumeRoleCall
    verdict: Verdict
    external_id: ExternalId
    task: NamedTask | None = None
    reasons: tuple[str, ...] = ()
    deliveries: tuple[Delivery, ...] = ()


def _is(expected: str, call: AssumeRoleCall) -> bool:
    if not expected.startswith("arn:"):
        return expected in (call.caller_account, call.caller_id, call.caller_id.partition(":")[0])
    if not call.caller_arn:
        account = _ACCOUNT.fullmatch(expected)
        return account is not None and account[1] == call.caller_account
    return _principal(expected) == _principal(call.caller_arn)


def _principal(arn: str) -> object:
    """A user's ARN, or account and name of a role: a session's ARN has neither the path nor always the same name."""
    match = _SESSION.fullmatch(arn) or _ROLE.fullmatch(arn)
    return match.group("account", "role") if match else arn


def external_id_of(call: AssumeRoleCall, destination: Destination) -> ExternalId:
    """How the External ID of a call compares with the connection's."""
    if not call.parameters_recorded or call.external_id_hidden:
        return "not recorded"
    if destination.external_id is None:
        return "not checked" if call.external_id else "none"
    if call.external_id is None:
        return "none"
    return "ours" if call.external_id == destination.external_id else "other"


def judge(
    call: AssumeRoleCall,
    expected: Expected,
    deliveries: Mapping[str, Sequence[Delivery]],
    asked: TaskIdentity = TaskIdentity(),  # noqa: B008 - frozen
) -> Judged:
    """Say what a call is.

    :param deliveries: by session ARN; only those that can be believed.
    :param asked: the DAG, task and run that the audit was asked about.
    """
    external_id = external_id_of(call, expected.destination)
    landed = tuple(deliveries.get(call.session_arn, ())) if call.session_arn else ()
    task, reasons = _task(call, expected, landed, asked)
    if call.denied:
        return Judged(call=call, verdict="denied", external_id=external_id, task=task)
    if call.error_code:
        return Judged(call=call, verdict="failed", external_id=external_id, task=task)
    if not expected.knows_caller(call):
        reasons.append("another caller than expected")
    if external_id == "other":
        # its last four characters only: it is another customer's, or a guess
        reasons.append(f"another External ID than ours: one that ends in {(call.external_id or '')[-4:]}")
    if external_id == "none" and expected.destination.external_id is not None:
        reasons.append("no External ID was sent, and the role was given out all the same")
    return Judged(
        call=call,
        verdict="unknown" if reasons else "known",
        external_id=external_id,
        task=task,
        reasons=tuple(reasons),
        deliveries=landed,
    )


def _task(
    call: AssumeRoleCall, expected: Expected, landed: Sequence[Delivery], asked: TaskIdentity
) -> tuple[NamedTask | None, list[str]]:
    """The task behind a session, by the best evidence there is, and what speaks against it."""
    names, name = expected.names, call.session_name
    if not name:
        return None, []
    tagged = _tagged(call)
    if tagged is not None and not names.agrees(name, tagged):
        return NamedTask.of(tagged, "tags"), ["its session tags name another task than its name"]
    if landed:
        return NamedTask.of(landed[0].identity, "delivery"), []
    if tagged is not None:
        return NamedTask.of(tagged, "tags"), []
    if names.is_outside_task(name):
        return None, []
    found = names.read(name)
    if found is None:
        return None, ["its name is not one that this connection gives"]
    ids = (asked.dag_id, asked.task_id, asked.run_id)
    if all(ids) and names.could_be(name, dag_id=ids[0], task_id=ids[1], run_id=ids[2]):
        return NamedTask(*ids, found.map_index, "arguments"), []
    return found, []


def _tagged(call: AssumeRoleCall) -> TaskIdentity | None:
    tags = {key.lower(): value for key, value in call.tags}
    if not all(tags.get(name) for name in ("dag_id", "task_id", "run_id")):
        return None
    index = tags.get("map_index", "-1")
    return TaskIdentity(
        tags["dag_id"],
        tags["task_id"],
        tags["run_id"],
        int(index) if re.fullmatch(r"\d{1,9}", index) else -1,
        int(tags.get("try_number", "0")) if re.fullmatch(r"\d{1,9}", tags.get("try_number", "0")) else 0,
    )
