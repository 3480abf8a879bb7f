"""How long a session lasts, and what it carries through a chain of roles."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_xacct.sandbox import Sandbox, Scenario
from tests.sandbox.sandbox_helpers import ClientFor, allow, policy, refused

TOO_LONG = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
CHAINED = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."


@pytest.mark.parametrize("seconds", [1, 899, 43201, 86400])
def test_a_duration_outside_the_limits_of_sts_is_refused(assume: Callable[..., Any], seconds: int) -> None:
    """900 to 43200, for every role."""
    with refused("ValidationError", f"Value '{seconds}' at 'durationSeconds' failed to satisfy constraint"):
        assume(DurationSeconds=seconds)


def test_a_session_lasts_as_long_as_asked(case: Scenario) -> None:
    """The expiry in the answer."""
    ends = case.assume(DurationSeconds=900)["Expiration"]
    left = ends - datetime.now(UTC)
    assert timedelta(seconds=890) < left <= timedelta(seconds=900)


def test_the_roles_own_limit_holds(case: Scenario) -> None:
    """A role allows an hour unless it says more."""
    with refused("ValidationError", TOO_LONG, status=400):
        case.assume(DurationSeconds=3601)
    case.account_b.client("iam").update_role(RoleName="DataDumpRole", MaxSessionDuration=43200)
    assert case.assume(DurationSeconds=43200)


def test_an_unauthorised_caller_does_not_learn_the_limit(case: Scenario) -> None:
    """The role's limit is told to those it trusts."""
    with refused("AccessDenied"):
        case.assume(DurationSeconds=43200, ExternalId="wrong-one")


@pytest.fixture
def chain(case: Scenario, client: ClientFor) -> Any:
    """Assume A's role first, then B's with the session of the first; both trust freely."""
    open_trust = policy(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{case.account_a.id}:root"},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        }
    )
    first = case.account_a.create_role("Hop", trust=open_trust, policy=allow("sts:*"))
    last = case.account_b.create_role(
        "Landing", trust=open_trust, policy=allow("s3:PutObject"), max_session_duration=43200
    )
    case.account_a.client("iam").put_user_policy(
        UserName="airflow-worker", PolicyName="sandbox", PolicyDocument=json.dumps(allow("sts:*"))
    )

    def assume(first_options: dict[str, Any], last_options: dict[str, Any]) -> Any:
        hop = case.assume(RoleArn=first, ExternalId=None, **first_options)
        asked = {"RoleArn": last, "RoleSessionName": "landing", **last_options}
        return client(hop, "sts").assume_role(**asked)

    return assume


def test_a_chained_session_lasts_an_hour_at_most(chain: Any) -> None:
    """Whatever the role allows."""
    with refused("ValidationError", CHAINED, status=400):
        chain({}, {"DurationSeconds": 3601})
    assert chain({}, {"DurationSeconds": 3600})["Credentials"]


def test_the_source_identity_sticks_through_a_chain(chain: Any, box: Sandbox) -> None:
    """Set once, it is in every later session (AWS: *Monitor and control actions taken with assumed roles*)."""
    answer = chain({"SourceIdentity": "airflow"}, {})
    assert answer["SourceIdentity"] == "airflow"
    assert [event.source_identity for event in box.assume_role_events] == ["airflow", "airflow"]


def test_the_source_identity_cannot_change_in_a_chain(chain: Any) -> None:
    """Another one is refused; the same one is fine."""
    with refused("ValidationError", "cannot be changed"):
        chain({"SourceIdentity": "airflow"}, {"SourceIdentity": "somebody"})
    assert chain({"SourceIdentity": "airflow"}, {"SourceIdentity": "airflow"})


def test_transitive_tags_pass_on_and_others_do_not(chain: Any, box: Sandbox) -> None:
    """AWS: *Pass session tags in AWS STS*."""
    tags = [{"Key": "dag", "Value": "flights"}, {"Key": "task", "Value": "dump"}]
    chain({"Tags": tags, "TransitiveTagKeys": ["dag"]}, {"Tags": [{"Key": "run", "Value": "1"}]})
    assert box.assume_role_events[-1].tags == {"dag": "flights", "run": "1"}


def test_a_transitive_tag_cannot_be_replaced(chain: Any) -> None:
    """Not by another case of its key either."""
    with refused("InvalidParameterValue", "conflicts with a transitive tag key from the calling session"):
        chain(
            {"Tags": [{"Key": "dag", "Value": "flights"}], "TransitiveTagKeys": ["dag"]},
            {"Tags": [{"Key": "DAG", "Value": "other"}]},
        )


@pytest.mark.parametrize(
    ("action", "option"),
    [
        ("sts:TagSession", {"Tags": [{"Key": "dag", "Value": "flights"}]}),
        ("sts:SetSourceIdentity", {"SourceIdentity": "airflow"}),
    ],
)
@pytest.mark.parametrize("side", ["caller", "trust"])
def test_tags_and_source_identity_need_a_right_on_both_sides(
    case: Scenario, action: str, option: dict[str, Any], side: str
) -> None:
    """The caller's policy and the role's trust policy must both name the action."""
    iam_a, iam_b = case.account_a.client("iam"), case.account_b.client("iam")

    def set_up(caller: list[str], trusted: list[str]) -> None:
        iam_a.put_user_policy(UserName="airflow-worker", PolicyName="sandbox", PolicyDocument=json.dumps(allow(caller)))
        document = policy({"Effect": "Allow", "Principal": {"AWS": case.worker.user_arn}, "Action": trusted})
        iam_b.update_assume_role_policy(RoleName="DataDumpRole", PolicyDocument=json.dumps(document))

    both, plain = ["sts:AssumeRole", action], ["sts:AssumeRole"]
    set_up(plain, both) if side == "caller" else set_up(both, plain)
    assert case.assume()
    with refused("AccessDenied", f"is not authorized to perform: {action} on resource: {case.role_arn}"):
        case.assume(**option)
    set_up(both, both)
    assert case.assume(**option)


def test_tags_reach_the_conditions_of_policies(case: Scenario, client: ClientFor) -> None:
    """aws:PrincipalTag on what the session does."""
    document = policy(
        {
            "Effect": "Allow",
            "Principal": {"AWS": case.worker.user_arn},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }
    )
    case.account_b.client("iam").update_assume_role_policy(RoleName="DataDumpRole", PolicyDocument=json.dumps(document))
    case.account_a.client("iam").put_user_policy(
        UserName="airflow-worker", PolicyName="sandbox", PolicyDocument=json.dumps(allow("sts:*"))
    )
    case.account_b.put_role_policy(
        "DataDumpRole",
        allow("s3:PutObject", f"arn:aws:s3:::{case.bucket}/" + "${aws:PrincipalTag/team}/*"),
    )
    s3 = client(case.assume(Tags=[{"Key": "team", "Value": "ops"}]))
    s3.put_object(Bucket=case.bucket, Key="ops/a", Body=b"a")
    with refused("AccessDenied"):
        s3.put_object(Bucket=case.bucket, Key="hr/a", Body=b"a")
    with refused("AccessDenied"):
        client(case.assume()).put_object(Bucket=case.bucket, Key="ops/b", Body=b"b")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]}, "InvalidParameterValue"),
        ({"Tags": [{"Key": "a", "Value": "1"}], "TransitiveTagKeys": ["b"]}, "InvalidParameterValue"),
        ({"Tags": [{"Key": "a", "Value": "x" * 257}]}, "ValidationError"),
        ({"Tags": [{"Key": "x" * 129, "Value": ""}]}, "ValidationError"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "ValidationError"),
    ],
    ids=["twice", "transitive of none", "long value", "long key", "51"],
)
def test_tags_outside_their_limits_are_refused(assume: Callable[..., Any], options: dict[str, Any], code: str) -> None:
    """The limits of the *AssumeRole* page."""
    with refused(code):
        assume(**options)


def test_the_packed_size_is_told_in_percent(assume: Callable[..., Any]) -> None:
    """A session policy that fills the limit is told as such."""
    small = assume(Policy=json.dumps(allow("s3:PutObject")))["PackedPolicySize"]
    large = assume(Policy=json.dumps(allow("s3:PutObject", "arn:aws:s3:::b/" + "x" * 1800)))["PackedPolicySize"]
    assert 0 < small < large <= 100


def test_expired_credentials_are_refused(case: Scenario, box: Sandbox, client: ClientFor) -> None:
    """Each service says so in its own code."""
    credentials = case.assume()
    s3 = client(credentials)
    s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"a")
    box.expire_sessions()
    with refused("ExpiredToken", "The provided token has expired.", status=400):
        s3.put_object(Bucket=case.bucket, Key="airflow/b", Body=b"b")
    with refused("ExpiredToken", "The security token included in the request is expired", status=403):
        client(credentials, "sts").get_caller_identity()
    with refused("ExpiredTokenException", status=400):
        client(credentials, "dynamodb").list_tables()
    assert client(case.assume()).put_object(Bucket=case.bucket, Key="airflow/b", Body=b"b")


def test_revoked_sessions_are_denied_and_new_ones_are_not(case: Scenario, box: Sandbox, client: ClientFor) -> None:
    """By a Deny in the role's policies, as IAM's console does it."""
    old = client(case.assume())
    box.revoke_sessions(case.role_arn)
    with refused("AccessDenied", "with an explicit deny in an identity-based policy"):
        old.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x")
    client(case.assume()).put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x")


def test_other_services_see_the_session_too(case: Scenario, client: ClientFor) -> None:
    """DynamoDB stays under ministack's own enforcement, with the same sessions and session policies."""
    case.account_b.client("dynamodb").create_table(
        TableName="landing",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"TableName": "landing", "Item": {"id": {"S": "1"}}}
    with refused("AccessDeniedException"):
        client(case.assume(), "dynamodb").put_item(**item)
    case.account_b.put_role_policy("DataDumpRole", allow("dynamodb:PutItem"))
    client(case.assume(), "dynamodb").put_item(**item)
    with refused("AccessDeniedException"):
        client(case.assume(Policy=json.dumps(allow("s3:*"))), "dynamodb").put_item(**item)
