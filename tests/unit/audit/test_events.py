"""Reading CloudTrail's events, also those that look otherwise than the sandbox's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_xacct.audit.events import read_event

ROLE = "arn:aws:iam::222222222222:role/team/DataDumpRole"


def event(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "eventName": "AssumeRole",
        "eventTime": "2026-11-24T08:00:00Z",
        "awsRegion": "eu-central-1",
        "requestParameters": {"roleArn": ROLE, "roleSessionName": "nyc.upload.run", "externalId": "ours"},
        "responseElements": {"credentials": {"accessKeyId": "ASIA1", "sessionToken": "a-token"}},
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/w", "accountId": "1", "principalId": "AIDA1"},
        **changes,
    }
    return {"CloudTrailEvent": json.dumps(document)}


def test_a_granted_call() -> None:
    """The session's ARN is without the role's path, and the token is not kept."""
    call = read_event(event())
    assert call is not None
    assert call.time == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert call.session_arn == "arn:aws:sts::222222222222:assumed-role/DataDumpRole/nyc.upload.run"
    assert (call.access_key_id, call.external_id, call.denied) == ("ASIA1", "ours", False)
    assert "a-token" not in repr(call)


def test_a_denied_call_without_parameters_names_the_role_in_its_text() -> None:
    """AWS may leave them out."""
    text = f"User: arn:aws:iam::1:user/w is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    call = read_event(event(requestParameters=None, responseElements=None, errorCode="AccessDenied", errorMessage=text))
    assert call is not None
    assert (call.role_arn, call.session_arn, call.denied, call.parameters_recorded) == (ROLE, "", True, False)


def test_a_denied_call_with_parameters_keeps_them() -> None:
    """AWS may as well write them down."""
    call = read_event(event(responseElements=None, errorCode="AccessDenied", errorMessage="no"))
    assert call is not None
    assert (call.session_name, call.external_id, call.denied) == ("nyc.upload.run", "ours", True)


def test_a_service_as_the_caller() -> None:
    """It has neither ARN nor account."""
    call = read_event(event(userIdentity={"type": "AWSService", "invokedBy": "ecs-tasks.amazonaws.com"}))
    assert call is not None
    assert (call.caller_id, call.caller_arn) == ("ecs-tasks.amazonaws.com", "")


def test_a_hidden_external_id_is_not_compared() -> None:
    """CloudTrail writes this for what it takes for a secret."""
    hidden = {"roleArn": ROLE, "roleSessionName": "s1", "externalId": "HIDDEN_DUE_TO_SECURITY_REASONS"}
    call = read_event(event(requestParameters=hidden))
    assert call is not None
    assert call.external_id_hidden


def test_tags_of_the_call_and_of_the_chain() -> None:
    """Both are the session's."""
    asked = {
        "roleArn": ROLE,
        "roleSessionName": "s1",
        "tags": [{"key": "dag_id", "value": "nyc"}],
        "incomingTransitiveTags": {"team": "data"},
    }
    call = read_event(event(requestParameters=asked))
    assert call is not None
    assert call.tags == (("dag_id", "nyc"), ("team", "data"))


@pytest.mark.parametrize("changes", [{"eventName": "AssumeRoleWithSAML"}, {"requestParameters": None}])
def test_other_events_are_passed_over(changes: dict[str, Any]) -> None:
    """What names no role says nothing of ours."""
    assert read_event(event(**changes)) is None


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"CloudTrailEvent": "{"},
        {"CloudTrailEvent": "[]"},
        {"CloudTrailEvent": None},
        {"CloudTrailEvent": "[" * 100_000},
        event(eventTime="now"),
        event(eventTime=5),
        event(requestParameters="x"),
        event(requestParameters={"roleArn": ROLE, "tags": [{"key": "x"}]}),
    ],
)
def test_what_is_no_event_is_told_apart(broken: dict[str, Any]) -> None:
    """It is counted as unreadable, and nothing else is raised."""
    with pytest.raises(ValueError):
        read_event(broken)
