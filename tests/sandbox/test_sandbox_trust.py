"""Who may assume B's role: the contract everything else stands on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_xacct.sandbox import Sandbox, Scenario
from tests.sandbox.sandbox_helpers import ClientFor, allow, policy, refused, statement

NOT_ALLOWED = "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/DataDumpRole"


def trust(case: Scenario, **changes: Any) -> None:
    """Replace B's trust policy, by default with the right one."""
    right = {
        "Effect": "Allow",
        "Principal": {"AWS": case.worker.user_arn},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": case.external_id}},
    }
    document = policy({k: v for k, v in {**right, **changes}.items() if v is not None})
    case.account_b.client("iam").update_assume_role_policy(RoleName="DataDumpRole", PolicyDocument=json.dumps(document))


def test_the_right_external_id_is_granted(case: Scenario, client: ClientFor) -> None:
    """The positive twin of all below: a session of B's role."""
    identity = client(case.assume(RoleSessionName="dag.task"), "sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::222222222222:assumed-role/DataDumpRole/dag.task"
    assert identity["Account"] == case.account_b.id


@pytest.mark.parametrize("external_id", ["wrong-one", "XACCT", None], ids=["wrong", "case", "missing"])
def test_another_external_id_is_refused(case: Scenario, external_id: str | None) -> None:
    """Missing and wrong are refused alike."""
    with refused("AccessDenied", NOT_ALLOWED, status=403):
        case.assume(ExternalId=external_id)


def test_the_external_id_is_compared_in_its_case(case: Scenario) -> None:
    """StringEquals is exact."""
    with refused("AccessDenied", NOT_ALLOWED):
        case.assume(ExternalId=case.external_id.upper())


def test_without_the_condition_no_external_id_is_needed(case: Scenario) -> None:
    """It protects B only when B's trust policy demands it."""
    trust(case, Condition=None)
    assert case.assume(ExternalId=None)["AccessKeyId"]


def test_a_third_account_is_not_trusted(case: Scenario, box: Sandbox, client: ClientFor) -> None:
    """A user of another account with every right of its own, and the right External ID."""
    stranger = box.accounts[2].create_user("stranger", allow("*"))
    with refused("AccessDenied", NOT_ALLOWED):
        client(stranger, "sts").assume_role(
            RoleArn=case.role_arn, RoleSessionName="stranger", ExternalId=case.external_id
        )


def test_another_user_of_a_is_not_trusted(case: Scenario, client: ClientFor) -> None:
    """The trust policy names the worker, not its account."""
    other = case.account_a.create_user("other", allow("sts:AssumeRole"))
    with refused("AccessDenied", NOT_ALLOWED):
        client(other, "sts").assume_role(RoleArn=case.role_arn, RoleSessionName="other", ExternalId=case.external_id)


def test_trusting_the_account_trusts_whom_the_account_allows(case: Scenario, client: ClientFor) -> None:
    """A trust in A's root lets A's own policies decide."""
    trust(case, Principal={"AWS": f"arn:aws:iam::{case.account_a.id}:root"})
    allowed = case.account_a.create_user("allowed", allow("sts:AssumeRole", case.role_arn))
    plain = case.account_a.create_user("plain")
    asked = {"RoleArn": case.role_arn, "RoleSessionName": "me", "ExternalId": case.external_id}
    assert client(allowed, "sts").assume_role(**asked)["Credentials"]
    with refused("AccessDenied", NOT_ALLOWED):
        client(plain, "sts").assume_role(**asked)


@pytest.mark.parametrize("role", ["role/NoSuchRole", "role/team/DataDumpRole"], ids=["absent", "other path"])
def test_an_absent_role_is_refused_like_a_forbidden_one(case: Scenario, role: str) -> None:
    """Nobody learns which roles exist."""
    with refused("AccessDenied", "is not authorized to perform: sts:AssumeRole", status=403):
        case.assume(RoleArn=f"arn:aws:iam::222222222222:{role}")


def test_a_role_with_a_path_is_assumed_by_its_whole_arn(case: Scenario, client: ClientFor) -> None:
    """The session's ARN leaves the path out."""
    arn = case.account_b.create_role(
        "Nested",
        path="/team/x/",
        trust=policy({"Effect": "Allow", "Principal": {"AWS": case.worker.user_arn}, "Action": "sts:AssumeRole"}),
    )
    case.account_a.client("iam").put_user_policy(
        UserName="airflow-worker", PolicyName="sandbox", PolicyDocument=json.dumps(allow("sts:AssumeRole", arn))
    )
    identity = client(case.assume(RoleArn=arn, ExternalId=None), "sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::222222222222:assumed-role/Nested/sandbox"


def test_a_caller_without_the_right_to_assume_is_refused(case: Scenario) -> None:
    """B's trust alone does not let A's worker in: across accounts both sides must allow."""
    case.account_a.client("iam").delete_user_policy(UserName="airflow-worker", PolicyName="sandbox")
    with refused("AccessDenied", NOT_ALLOWED):
        case.assume()


def test_a_deny_in_the_trust_policy_wins(case: Scenario) -> None:
    """An explicit Deny beats every Allow."""
    right = statement("Allow", "sts:AssumeRole", "*")
    del right["Resource"]
    right["Principal"] = {"AWS": case.worker.user_arn}
    denied = {**right, "Effect": "Deny", "Condition": {"StringLike": {"sts:RoleSessionName": "bad*"}}}
    case.account_b.client("iam").update_assume_role_policy(
        RoleName="DataDumpRole", PolicyDocument=json.dumps(policy(right, denied))
    )
    assert case.assume(RoleSessionName="good")
    with refused("AccessDenied", NOT_ALLOWED):
        case.assume(RoleSessionName="bad.one")


def test_every_call_is_logged_with_its_outcome(case: Scenario, box: Sandbox) -> None:
    """The log stands where CloudTrail would be."""
    with refused("AccessDenied"):
        case.assume(ExternalId=None)
    case.assume(RoleSessionName="dag.task")
    refusal, grant = box.assume_role_events
    assert (refusal.granted, refusal.external_id_given) == (False, False)
    assert refusal.error.startswith("AccessDenied: User: arn:aws:iam::111111111111:user/airflow-worker")
    assert (grant.granted, grant.external_id_given, grant.error) == (True, True, "")
    assert grant.source_identity_arn == case.worker.user_arn
    assert (grant.role_arn, grant.session_name) == (case.role_arn, "dag.task")


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        ("RoleSessionName", "x", "at 'roleSessionName' failed to satisfy constraint: Member must have length"),
        ("RoleSessionName", "x" * 65, "Member must have length less than or equal to 64"),
        ("RoleSessionName", "a b", "Member must satisfy regular expression pattern: [\\w+=,.@-]*"),
        ("RoleSessionName", "ümlaut", "Member must satisfy regular expression pattern"),
        ("ExternalId", "", "at 'externalId' failed to satisfy constraint: Member must have length greater than"),
        ("ExternalId", "a b", "at 'externalId' failed to satisfy constraint: Member must satisfy regular"),
        ("ExternalId", "x" * 1225, "Member must have length less than or equal to 1224"),
        ("SourceIdentity", "x", "at 'sourceIdentity' failed to satisfy constraint"),
        ("SourceIdentity", "aws:me", "failed to satisfy constraint: Member must satisfy regular"),
        ("RoleArn", "arn:aws:iam::1", "at 'roleArn' failed to satisfy constraint"),
        ("RoleArn", "arn:aws:iam::222222222222:user/DataDumpRole", "is invalid"),
        ("Policy", "{" + " " * 2048, "at 'policy' failed to satisfy constraint: Member must have length"),
    ],
)
def test_a_parameter_outside_its_limits_is_refused(
    assume: Callable[..., Any], parameter: str, value: str, text: str
) -> None:
    """The limits of the *AssumeRole* page, in its words."""
    with refused("ValidationError", text, status=400):
        assume(**{parameter: value})


def test_all_broken_limits_are_told_at_once(assume: Callable[..., Any]) -> None:
    """As STS does it."""
    with refused("ValidationError", "3 validation errors detected: "):
        assume(RoleSessionName="x y", ExternalId="", DurationSeconds=10)


def test_a_malformed_session_policy_is_refused(case: Scenario) -> None:
    """A policy that is no policy."""
    with refused("MalformedPolicyDocument"):
        case.assume(Policy='{"Version": "2012-10-17"}')


def test_inside_one_account_the_trust_policy_is_needed_too(case: Scenario, client: ClientFor) -> None:
    """A user of B with every right in B is not trusted by B's role."""
    insider = case.account_b.create_user("insider", allow("*"))
    asked = {"RoleArn": case.role_arn, "RoleSessionName": "insider", "ExternalId": case.external_id}
    with refused("AccessDenied", NOT_ALLOWED):
        client(insider, "sts").assume_role(**asked)
    trust(case, Principal={"AWS": insider.user_arn})
    assert client(insider, "sts").assume_role(**asked)["Credentials"]


def test_a_principal_named_inside_its_account_needs_no_policy_of_its_own(case: Scenario, client: ClientFor) -> None:
    """Naming the account instead does need one (AWS: *Cross-account policy evaluation logic*)."""
    plain = case.account_b.create_user("plain")
    asked = {"RoleArn": case.role_arn, "RoleSessionName": "plain", "ExternalId": case.external_id}
    trust(case, Principal={"AWS": case.account_b.id})
    with refused("AccessDenied", NOT_ALLOWED):
        client(plain, "sts").assume_role(**asked)
    trust(case, Principal={"AWS": plain.user_arn})
    assert client(plain, "sts").assume_role(**asked)["Credentials"]
