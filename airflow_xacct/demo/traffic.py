"""What the sandbox saw of the run on the wire: who asked STS and S3 for what, and what every call carried."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_xacct.demo.findings import Finding, counted
from airflow_xacct.sandbox.records import AssumeRoleEvent, RequestRecord

__all__ = ["check_order", "check_traffic"]

_WRITES = frozenset({"PUT", "POST", "DELETE"})
# a session name has 64 characters, so long ids are cut; this much of each is always there
_LEGIBLE_CHARS = 8


def check_traffic(
    requests: Sequence[RequestRecord],
    events: Sequence[AssumeRoleEvent],
    *,
    role_arn: str,
    bucket_owner: str,
    dag_id: str,
) -> list[Finding]:
    """Every check of what the tasks of a DAG sent.

    :param requests: all requests of the run, without the sandbox's own.
    :param events: all AssumeRole calls of the run.
    """
    to_s3 = [request for request in requests if request.service == "s3"]
    return [
        _check_owner([request for request in to_s3 if request.method in _WRITES], bucket_owner),
        _check_identity(to_s3, role_arn),
        _check_sessions(events, dag_id),
    ]


def check_order(requests: Sequence[RequestRecord], tables: Sequence[str]) -> Finding:
    """Whether each table was complete, its manifest written, before the first byte of the next was sent.

    :param requests: all requests of the run.
    :param tables: in the order that they must come in.
    """
    writes = [request for request in requests if request.service == "s3" and request.method in _WRITES]
    problems, after = [], -1
    for table in tables:
        places = [place for place, request in enumerate(writes) if f"/{table}/" in request.key]
        if not places:
            problems.append(f"S3 saw no write of {table}")
            continue
        if places[0] <= after:
            problems.append(f"{table} began before the table ahead of it was complete")
        last = writes[places[-1]]
        if not (last.key.endswith(f"/{table}/_manifest.json") and last.status == 200):
            problems.append(f"the last write of {table} was {last.operation} {last.key}, not its manifest")
        after = max(after, places[-1])
    detail = f"{tables[-1]} began when {', '.join(tables[:-1])} were complete, one after the other"
    return Finding.of("in order", detail, problems)


def _check_owner(writes: Sequence[RequestRecord], bucket_owner: str) -> Finding:
    problems = [] if writes else ["S3 saw no write at all"]
    problems += [
        f"{request.operation} {request.key} named {request.expected_owner or 'nobody'}"
        for request in writes
        if request.expected_owner != bucket_owner
    ]
    detail = f"{counted(len(writes), 'write')} to S3, each only if account {bucket_owner} owns the bucket"
    return Finding.of("expected owner", detail, problems)


def _check_identity(requests: Sequence[RequestRecord], role_arn: str) -> Finding:
    account, _, name = role_arn.partition("arn:aws:iam::")[2].partition(":role/")
    session = f"arn:aws:sts::{account}:assumed-role/{name.rpartition('/')[2]}/"
    problems = [
        f"{request.operation} {request.key} was sent by {request.caller_arn or 'nobody'}"
        for request in requests
        if not request.caller_arn.startswith(session)
    ]
    detail = f"{name} asked S3, and the worker's own key never did"
    return Finding.of("right identity", detail, problems if requests else ["S3 saw no request at all"])


def _check_sessions(events: Sequence[AssumeRoleEvent], dag_id: str) -> Finding:
    problems = [] if events else ["STS saw no AssumeRole"]
    for event in events:
        if not event.granted:
            problems.append(f"STS refused {event.session_name}: {event.error}")
        if not event.external_id_given:
            problems.append(f"{event.session_name} was asked for without the External ID")
        if not event.session_name.startswith(dag_id[:_LEGIBLE_CHARS]):
            problems.append(f"{event.session_name} does not name the DAG")
    example = f", such as {events[-1].session_name}" if events else ""
    detail = f"{counted(len(events), 'session')}, each with the External ID and named after its task{example}"
    return Finding.of("traceable", detail, problems)
