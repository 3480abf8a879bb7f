"""CloudTrail's LookupEvents in the sandbox: what is in whose history, and which questions are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config

from airflow_xacct.sandbox import AccessKey, Sandbox, Scenario
from tests.sandbox.sandbox_helpers import ClientFor, allow, refused

UNCHECKED = Config(parameter_validation=False, retries={"total_max_attempts": 1})


@pytest.fixture
def trail_a(case: Scenario, client: ClientFor) -> Any:
    """The event history of A, read by an auditor."""
    return client(case.account_a.create_user("auditor", allow("cloudtrail:LookupEvents")), "cloudtrail")


@pytest.fixture
def trail_b(case: Scenario) -> Any:
    """The event history of B."""
    return case.account_b.client("cloudtrail")


def events(trail: Any, **asked: Any) -> list[dict[str, Any]]:
    """The documents of a look-up, newest first."""
    return [json.loads(event["CloudTrailEvent"]) for event in trail.lookup_events(**asked)["Events"]]


def by(name: str, value: str) -> list[dict[str, str]]:
    """One lookup attribute."""
    return [{"AttributeKey": name, "AttributeValue": value}]


def test_a_granted_call_is_in_both_accounts_and_one_id_joins_them(case: Scenario, trail_a: Any, trail_b: Any) -> None:
    """Each account has its own event, and B's does not say more of the caller than account and principal id."""
    credentials = case.assume(RoleSessionName="nyc.upload.manual__1", DurationSeconds=1800)
    [in_a], [in_b] = events(trail_a), events(trail_b)
    assert in_a["sharedEventID"] == in_b["sharedEventID"]
    assert in_a["eventID"] != in_b["eventID"]
    assert (in_a["recipientAccountId"], in_b["recipientAccountId"]) == (case.account_a.id, case.account_b.id)
    assert in_a["userIdentity"] == {
        "type": "IAMUser",
        "principalId": in_b["userIdentity"]["principalId"],
        "arn": case.worker.user_arn,
        "accountId": case.account_a.id,
        "accessKeyId": case.worker.access_key_id,
        "userName": "airflow-worker",
    }
    assert in_b["userIdentity"].keys() == {"type", "principalId", "accountId"}
    assert in_b["userIdentity"]["type"] == "AWSAccount"
    for document in (in_a, in_b):
        assert document["eventSource"] == "sts.amazonaws.com"
        assert document["awsRegion"] == case.box.region
        assert document["requestParameters"] == {
            "roleArn": case.role_arn,
            "roleSessionName": "nyc.upload.manual__1",
            "externalId": case.external_id,
            "durationSeconds": 1800,
        }
        elements = document["responseElements"]
        assert elements["credentials"]["accessKeyId"] == credentials["AccessKeyId"]
        assert elements["assumedRoleUser"]["arn"].endswith(":assumed-role/DataDumpRole/nyc.upload.manual__1")
        assert document["resources"] == [
            {"accountId": case.account_b.id, "type": "AWS::IAM::Role", "ARN": case.role_arn}
        ]


def test_no_event_holds_a_secret(case: Scenario, trail_a: Any, trail_b: Any) -> None:
    """Neither the secret key nor the token of the session, nor the caller's own."""
    credentials = case.assume()
    written = json.dumps(events(trail_a) + events(trail_b))
    for secret in (credentials["SecretAccessKey"], credentials["SessionToken"], case.worker.secret_access_key):
        assert secret not in written
    assert credentials["AccessKeyId"] in written


def test_a_denied_call_is_in_the_callers_account_only(case: Scenario, trail_a: Any, trail_b: Any) -> None:
    """With STS's words, and without the parameters of the call."""
    with refused("AccessDenied"):
        case.assume(ExternalId="somebody-elses")
    [event] = trail_a.lookup_events()["Events"]
    document = json.loads(event["CloudTrailEvent"])
    assert document["errorCode"] == "AccessDenied"
    assert document["errorMessage"].endswith(f"sts:AssumeRole on resource: {case.role_arn}")
    assert document["requestParameters"] is None
    assert document["responseElements"] is None
    assert "sharedEventID" not in document
    assert event["Resources"] == []
    assert events(trail_b) == []


def test_a_call_with_impossible_parameters_keeps_them(case: Scenario, trail_a: Any) -> None:
    """A validation error is no denial."""
    with refused("ValidationError"):
        case.assume(DurationSeconds=43200)
    [document] = events(trail_a)
    assert document["errorCode"] == "ValidationError"
    assert document["requestParameters"]["durationSeconds"] == 43200


def test_an_event_is_in_the_region_of_the_endpoint_that_was_asked(case: Scenario, client: ClientFor) -> None:
    """Not in the bucket's region, and not in every region."""
    sts = client(case.worker, "sts", region="eu-central-1")
    sts.assume_role(RoleArn=case.role_arn, RoleSessionName="far", ExternalId=case.external_id)
    assert events(case.account_b.client("cloudtrail")) == []
    [document] = events(case.account_b.client("cloudtrail", region="eu-central-1"))
    assert document["awsRegion"] == "eu-central-1"


def test_tags_source_identity_and_what_a_chain_hands_on_are_recorded(case: Scenario, client: ClientFor) -> None:
    """In the second hop the inherited tags stand apart, and the caller is the first hop's session."""
    first, second = case.account_a, case.account_b
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]

    def trust(principal: str) -> dict[str, Any]:
        return {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions}],
        }

    user = first.create_user("chainer", allow(actions))
    hub = first.create_role("hub", trust=trust(user.user_arn), policy=allow(actions))
    goal = second.create_role("goal", trust=trust(hub), policy=allow("s3:PutObject"))
    session = client(user, "sts").assume_role(
        RoleArn=hub,
        RoleSessionName="one",
        SourceIdentity="airflow",
        Tags=[{"Key": "dag_id", "Value": "nyc"}],
        TransitiveTagKeys=["dag_id"],
    )["Credentials"]
    client(session, "sts").assume_role(RoleArn=goal, RoleSessionName="two", Tags=[{"Key": "try", "Value": "1"}])
    last, before = events(first.client("cloudtrail"))
    assert "sharedEventID" not in before  # caller and role are of one account
    assert before["requestParameters"]["tags"] == [{"key": "dag_id", "value": "nyc"}]
    assert before["requestParameters"]["transitiveTagKeys"] == ["dag_id"]
    assert last["requestParameters"]["incomingTransitiveTags"] == {"dag_id": "nyc"}
    assert last["requestParameters"]["tags"] == [{"key": "try", "value": "1"}]
    assert last["requestParameters"]["sourceIdentity"] == last["responseElements"]["sourceIdentity"] == "airflow"
    assert last["userIdentity"]["type"] == "AssumedRole"
    assert last["userIdentity"]["arn"].endswith(":assumed-role/hub/one")
    assert last["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == hub
    assert last["userIdentity"]["sessionContext"]["sourceIdentity"] == "airflow"


def test_events_come_in_pages_newest_first(case: Scenario, trail_b: Any) -> None:
    """Fifty at most in one, none twice, none left out."""
    names = [f"nyc.upload.run-{number}" for number in range(53)]
    for name in names:
        case.assume(RoleSessionName=name)
    first = trail_b.lookup_events(LookupAttributes=by("EventName", "AssumeRole"))
    assert len(first["Events"]) == 50
    pages = trail_b.get_paginator("lookup_events").paginate(
        LookupAttributes=by("EventName", "AssumeRole"), PaginationConfig={"PageSize": 20}
    )
    told = [
        json.loads(e["CloudTrailEvent"])["requestParameters"]["roleSessionName"] for p in pages for e in p["Events"]
    ]
    assert told == names[::-1]
    with refused("InvalidNextTokenException"):
        trail_b.lookup_events(LookupAttributes=by("ReadOnly", "true"), NextToken=first["NextToken"])
    with refused("InvalidNextTokenException"):
        trail_b.lookup_events(NextToken="garbage")


@pytest.mark.parametrize("name", ["AccessKeyId", "EventId", "EventName", "EventSource", "ReadOnly", "Username"])
def test_an_attribute_finds_its_events_and_no_others(case: Scenario, trail_a: Any, name: str) -> None:
    """Each attribute that is a field of the event."""
    case.assume()
    [event] = trail_a.lookup_events()["Events"]
    assert len(events(trail_a, LookupAttributes=by(name, event[name]))) == 1
    assert events(trail_a, LookupAttributes=by(name, "another")) == []


def test_resources_find_role_session_and_key(case: Scenario, trail_b: Any) -> None:
    """By the role's ARN, the session's ARN and name, and the access key that was handed out."""
    key = case.assume(RoleSessionName="nyc.upload.run")["AccessKeyId"]
    arn = f"arn:aws:sts::{case.account_b.id}:assumed-role/DataDumpRole/nyc.upload.run"
    for name in (case.role_arn, arn, "nyc.upload.run", key):
        assert len(events(trail_b, LookupAttributes=by("ResourceName", name))) == 1
    assert events(trail_b, LookupAttributes=by("ResourceName", case.role_arn[:-1])) == []
    assert len(events(trail_b, LookupAttributes=by("ResourceType", "AWS::IAM::Role"))) == 1


def test_a_time_range_includes_its_ends(case: Scenario, trail_b: Any) -> None:
    """And nothing before or after."""
    case.assume()
    [event] = trail_b.lookup_events()["Events"]
    moment, second = event["EventTime"], timedelta(seconds=1)
    assert len(events(trail_b, StartTime=moment, EndTime=moment)) == 1
    assert events(trail_b, StartTime=moment + second) == []
    assert events(trail_b, EndTime=moment - second) == []


def test_wrong_questions_are_refused(case: Scenario, client: ClientFor) -> None:
    """With the error that LookupEvents has for each."""
    user = case.account_a.create_user("asker", allow("cloudtrail:LookupEvents"))
    trail = client(user, "cloudtrail", config=UNCHECKED)
    now = datetime.now(UTC)
    with refused("InvalidLookupAttributesException"):
        trail.lookup_events(LookupAttributes=[*by("EventName", "AssumeRole"), *by("ReadOnly", "true")])
    with refused("InvalidLookupAttributesException"):
        trail.lookup_events(LookupAttributes=by("RoleArn", case.role_arn))
    for number in (0, 51):
        with refused("InvalidMaxResultsException"):
            trail.lookup_events(MaxResults=number)
    with refused("InvalidTimeRangeException"):
        trail.lookup_events(StartTime=now, EndTime=now - timedelta(days=1))
    with refused("InvalidEventCategoryException"):
        trail.lookup_events(EventCategory="management")
    assert trail.lookup_events(EventCategory="insight")["Events"] == []


@pytest.mark.parametrize("policy", [None, allow("s3:*"), {**allow("cloudtrail:LookupEvents")}])
def test_the_caller_needs_the_permission(case: Scenario, client: ClientFor, policy: Any) -> None:
    """cloudtrail:LookupEvents, in the caller's own policy."""
    trail = client(case.account_a.create_user("reader", policy), "cloudtrail")
    if policy and "cloudtrail" in json.dumps(policy):
        assert trail.lookup_events()["Events"] == []
        return
    text = "cloudtrail:LookupEvents because no identity-based policy allows the cloudtrail:LookupEvents action"
    with refused("AccessDeniedException", text, status=400):
        trail.lookup_events()


def test_a_session_of_the_dump_role_reads_no_history(case: Scenario, client: ClientFor) -> None:
    """The role that A assumes does not tell A what happens in B."""
    with refused("AccessDeniedException"):
        client(case.assume(), "cloudtrail").lookup_events()


def test_a_strangers_signature_leaves_no_event(case: Scenario, client: ClientFor, trail_a: Any) -> None:
    """Only authenticated calls are recorded."""
    thief = client(AccessKey(case.worker.access_key_id, "guessed"), "sts")
    with refused("SignatureDoesNotMatch"):
        thief.assume_role(RoleArn=case.role_arn, RoleSessionName="thief")
    assert events(trail_a) == []


@pytest.fixture
def timed_box() -> tuple[dict[str, float], Any]:
    """Stands for the clock of a sandbox of its own; the session's is in use."""
    from airflow_xacct.sandbox.records import AssumeRoleEvent
    from airflow_xacct.sandbox.strict.answers import element, xml_document
    from airflow_xacct.sandbox.strict.cloudtrail import CloudTrail
    from airflow_xacct.sandbox.strict.principals import Caller
    from airflow_xacct.sandbox.wire import Request

    now = {"seconds": 1_700_000_000.0}
    calls: list[AssumeRoleEvent] = []
    trail = CloudTrail(calls, lambda: now["seconds"])
    root = Caller("arn:aws:iam::111111111111:root", "111111111111", "Root")
    arn = "arn:aws:iam::111111111111:role/Hub"

    def granted(request: Request, caller: Caller) -> Any:
        calls.append(AssumeRoleEvent(datetime.fromtimestamp(now["seconds"], UTC), caller.arn, arn, "s", granted=True))
        return xml_document(element("Expiration", "2023-11-14T23:13:20Z"))

    def ask() -> list[Any]:
        found = trail.lookup(Request("POST", "/", "", {}, b"{}", signed_region="eu-west-1"), root)
        return list(json.loads(found.body)["Events"])

    form = f"RoleArn={arn}&RoleSessionName=s".encode()
    trail.watch(Request("POST", "/", "", {}, form, signed_region="eu-west-1"), root, granted)
    return now, (ask, calls)


def test_the_history_ends_after_ninety_days(timed_box: tuple[dict[str, float], Any]) -> None:
    """By the sandbox's own clock."""
    now, (ask, _) = timed_box
    now["seconds"] += 90 * 86400
    assert len(ask()) == 1
    now["seconds"] += 1
    assert ask() == []


def test_a_reset_sandbox_has_no_history(timed_box: tuple[dict[str, float], Any], box: Sandbox) -> None:
    """What is forgotten of the calls is forgotten of the history."""
    _, (ask, calls) = timed_box
    calls.clear()
    assert ask() == []
    assert events(box.account_b.client("cloudtrail")) == []
