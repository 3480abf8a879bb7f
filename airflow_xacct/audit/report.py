"""The audit as a whole: sessions with what they delivered, and what stands out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.audit.deliveries import Delivery
from airflow_xacct.audit.history import Reading
from airflow_xacct.audit.verdict import Expected, Judged, Verdict, judge

__all__ = ["LIMITS", "SCHEMA_VERSION", "Report", "Scope", "Session", "make_report"]

SCHEMA_VERSION = 1
LIMITS = (
    "CloudTrail's event history holds 90 days, of one account and region at a time; an event may come 15 minutes late, "
    "and a session assumed in a region that was not searched is not seen."
)
#: AWS: *AssumeRole*, DurationSeconds: no session lives longer, so one that delivered was assumed within that time.
_LONGEST_SESSION = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What was looked at.

    :param side: ``a``, the caller's account, or ``b``, the role's.
    :param auditor_arn: who looked.
    :param asked: DAG, task and run that the audit is about; empty ones are any.
    """

    role_arn: str
    side: str
    account: str
    auditor_arn: str
    since: datetime
    until: datetime
    asked: TaskIdentity
    callers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """All calls for one session that were found to be the same; credentials are refreshed by a call of the same name.

    :param all: oldest first, at least one.
    """

    all: tuple[Judged, ...]

    @property
    def first(self) -> Judged:
        """Its first call."""
        return self.all[0]

    @property
    def last(self) -> Judged:
        """Its last call."""
        return self.all[-1]

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """What it delivered."""
        return self.first.deliveries

    def distinct(self, name: str) -> list[str]:
        """The values of one attribute of its calls, each once."""
        return list(dict.fromkeys(value for judged in self.all if (value := str(getattr(judged.call, name)))))


@dataclass(frozen=True)
class Report:
    """What the audit found.

    :param misfits: manifests that cannot be read or believed.
    :param unmatched: deliveries without a session in the time range, which may have been assumed before it.
    :param missing: deliveries whose session must have been assumed in the time range, and was not.
    """

    scope: Scope
    reading: Reading
    sessions: tuple[Session, ...]
    misfits: tuple[Delivery, ...] = ()
    unmatched: tuple[Delivery, ...] = ()
    missing: tuple[Delivery, ...] = field(default=())

    def having(self, verdict: Verdict) -> list[Session]:
        """The sessions of one verdict."""
        return [session for session in self.sessions if session.first.verdict == verdict]

    @property
    def clean(self) -> bool:
        """Whether nothing stands out."""
        odd = [session for session in self.sessions if session.first.verdict in ("unknown", "denied")]
        return not (odd or self.misfits or self.missing or self.reading.unreadable)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; ``docs/audit.md`` documents the schema."""
        scope = self.scope
        kinds: tuple[Verdict, ...] = ("known", "unknown", "denied", "failed")
        return {
            "schema_version": SCHEMA_VERSION,
            "role_arn": scope.role_arn,
            "as": scope.side,
            "account": scope.account,
            "auditor_arn": scope.auditor_arn,
            "since": _time(scope.since),
            "until": _time(scope.until),
            "dag_id": scope.asked.dag_id or None,
            "task_id": scope.asked.task_id or None,
            "run_id": scope.asked.run_id or None,
            "expected_callers": list(scope.callers),
            "regions": self.reading.regions,
            "regions_not_searched": dict(self.reading.unsearched),
            "lookups": self.reading.lookups,
            "unreadable_events": self.reading.unreadable,
            "limits": LIMITS,
            "notes": list(scope.notes),
            "clean": self.clean,
            "summary": {
                **{kind: sum(len(session.all) for session in self.having(kind)) for kind in kinds},
                "misfit_manifests": len(self.misfits),
                "deliveries_without_session": len(self.missing),
            },
            "sessions": [_session_json(session) for session in self.sessions],
            "misfit_manifests": [_delivery_json(one) for one in self.misfits],
            "unmatched_deliveries": [_delivery_json(one) for one in self.unmatched],
            "deliveries_without_session": [_delivery_json(one) for one in self.missing],
        }


def make_report(scope: Scope, reading: Reading, expected: Expected, deliveries: Sequence[Delivery]) -> Report:
    """Join the calls with the deliveries.

    Calls and deliveries of other DAGs, tasks and runs than those asked for are left out. Sessions that are unknown
    never are, whatever they are called, nor denied calls that were recorded without a name.
    """
    believed = [one for one in deliveries if not one.problems]
    wanted = [one for one in believed if _delivers(one, scope.asked)]
    by_arn: dict[str, list[Delivery]] = {}
    for one in believed:
        by_arn.setdefault(one.session_arn, []).append(one)
    judged = [judge(call, expected, by_arn, scope.asked) for call in reading.calls]
    kept = [one for one in judged if _concerns(one, scope.asked, expected)]
    granted = {one.call.session_arn for one in judged if one.verdict in ("known", "unknown")}
    lost = [one for one in wanted if one.session_arn not in granted]
    missing = [one for one in lost if _must_be_there(one, scope)]
    return Report(
        scope,
        reading,
        tuple(_sessions(kept)),
        misfits=tuple(one for one in deliveries if one.problems),
        unmatched=tuple(one for one in lost if one not in missing),
        missing=tuple(missing),
    )


def _delivers(one: Delivery, asked: TaskIdentity) -> bool:
    pairs = (
        (asked.dag_id, one.identity.dag_id),
        (asked.task_id, one.identity.task_id),
        (asked.run_id, one.identity.run_id),
    )
    return all(not wish or wish == have for wish, have in pairs)


def _concerns(one: Judged, asked: TaskIdentity, expected: Expected) -> bool:
    if not asked or one.verdict == "unknown" or not one.call.session_name:
        return True
    ids = {"dag_id": asked.dag_id, "task_id": asked.task_id, "run_id": asked.run_id}
    if one.task is not None and one.task.known_by != "name":
        return all(not wish or wish == getattr(one.task, name) for name, wish in ids.items())
    return expected.names.could_be(one.call.session_name, **ids)


def _must_be_there(one: Delivery, scope: Scope) -> bool:
    made = one.created_at
    return made is not None and scope.since + _LONGEST_SESSION <= made <= scope.until


def _sessions(judged: Iterable[Judged]) -> list[Session]:
    groups: dict[Any, list[Judged]] = {}
    for one in judged:
        call = one.call
        caller = call.caller_arn or call.caller_id
        key = (one.verdict, call.session_arn, caller, one.external_id, one.reasons, call.error_message)
        groups.setdefault(key, []).append(one)
    return [Session(tuple(group)) for group in groups.values()]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _session_json(session: Session) -> dict[str, Any]:
    first, call = session.first, session.first.call
    return {
        "verdict": first.verdict,
        "reasons": list(first.reasons),
        "session_arn": call.session_arn or None,
        "session_name": call.session_name or None,
        "first_assumed": _time(call.time),
        "last_assumed": _time(session.last.call.time),
        "times_assumed": len(session.all),
        "regions": session.distinct("region"),
        "caller": {
            "arn": call.caller_arn or None,
            "account": call.caller_account or None,
            "principal_id": call.caller_id or None,
        },
        "external_id": first.external_id,
        "external_id_last_four": (call.external_id or "")[-4:] if first.external_id in ("ours", "other") else None,
        "source_identity": call.source_identity or None,
        "session_tags": dict(call.tags),
        "source_ips": session.distinct("source_ip"),
        "user_agents": session.distinct("user_agent"),
        "access_key_ids": session.distinct("access_key_id"),
        "event_ids": session.distinct("event_id"),
        "shared_event_ids": session.distinct("shared_event_id"),
        "task": _task_json(first),
        "deliveries": [_delivery_json(one) for one in session.deliveries],
        "error": {"code": call.error_code, "message": call.error_message} if call.error_code else None,
    }


def _task_json(judged: Judged) -> Mapping[str, Any] | None:
    task = judged.task
    if task is None:
        return None
    return {
        "dag_id": task.dag_id,
        "task_id": task.task_id,
        "run_id": task.run_id,
        "map_index": task.map_index,
        "known_by": task.known_by,
    }


def _delivery_json(one: Delivery) -> dict[str, Any]:
    return {
        "uri": one.uri,
        "evidence": one.evidence,
        "state": one.state or None,
        "session_arn": one.session_arn or None,
        "dag_id": one.identity.dag_id or None,
        "task_id": one.identity.task_id or None,
        "run_id": one.identity.run_id or None,
        "map_index": one.identity.map_index,
        "objects": one.objects,
        "size_bytes": one.size_bytes,
        "rows": one.rows,
        "created_at": _time(one.created_at),
        "problems": list(one.problems),
    }
