"""The generated documents are enough, and nothing in them is too much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_xacct.exceptions import AccessDeniedError, XacctError
from airflow_xacct.policies.setup import POD_IDENTITY_TAG_KEYS
from airflow_xacct.sandbox import Sandbox
from tests.integration.policy_accounts import (
    BUCKET,
    PREFIX,
    ROLE,
    A,
    B,
    C,
    Case,
    World,
    actions,
    assert_denied,
    without,
)

CASES = {
    "role and bucket in different accounts, the key trusts the role alone": Case(
        extra={"bucket_owner": C}, options={"any_kms_key": True}, key=C, key_leaves_it_to_iam=False
    ),
    # the role's permissions alone decide: no bucket policy and no key names it
    "one account, the key leaves it to IAM": Case(
        options={"any_kms_key": True}, key=B, again=("WriteBelowPrefix", "EncryptThroughS3")
    ),
    "a chain with source identity and tags": Case(
        extra={"source_identity": "acme", "session_tags": True, "session_name_prefix": "acme-"},
        hop={"source_identity": "acme", "session_tags": {"team": "data"}},
    ),
    "EKS Pod Identity": Case(options={"pod_identity": True}, pod_tags=POD_IDENTITY_TAG_KEYS, again=("TagSession",)),
}

#: What the sandbox does not evaluate, or not in this case: (document, Sid, action) -> AWS's page and the reason.
#: The whole list is shown to be exactly what the proof leaves out.
NOT_EVALUATED = {
    ("b-bucket-policy", "DenyInsecureTransport", "s3:*"): (
        "Security best practices for Amazon S3",
        "the sandbox speaks plain HTTP, so the statement denies everything: shown by a test of its own",
    ),
    ("b-log-bucket-policy", "DenyInsecureTransport", "s3:*"): (
        "Security best practices for Amazon S3",
        "the same statement, for a bucket that no worker reaches",
    ),
    ("b-log-bucket-policy", "AllowAccessLogs", "s3:PutObject"): (
        "Enabling Amazon S3 server access logging",
        "the sandbox delivers no access logs",
    ),
    ("b-log-bucket-policy", "AllowTrailToCheckAcl", "s3:GetBucketAcl"): (
        "Amazon S3 bucket policy for CloudTrail",
        "the sandbox has no CloudTrail",
    ),
    ("b-log-bucket-policy", "AllowTrailEvents", "s3:PutObject"): (
        "Amazon S3 bucket policy for CloudTrail",
        "the sandbox has no CloudTrail",
    ),
}
#: The statement of the key is for keys that leave nothing to IAM; where IAM decides, it is not applied.
NEEDLESS = {("one account, the key leaves it to IAM", "b-key-statement")}


def in_force(case: Case) -> dict[str, Any]:
    """The documents of a case as the sandbox can hold them."""
    return without(case.bodies, "b-bucket-policy", "DenyInsecureTransport")


def removals() -> list[Any]:
    """Every action of every document, in the first case that has it."""
    found, seen = [], set(NOT_EVALUATED)
    for title, case in CASES.items():
        for name, sid, action in actions(in_force(case)):
            if (title, name) in NEEDLESS or ((name, sid, action) in seen and sid not in case.again):
                continue
            seen.add((name, sid, action))
            found.append(pytest.param(title, name, sid, action, id=f"{title}: {name} {sid} {action}"))
    return found


@pytest.fixture
def empty(xacct_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The accounts, with nothing in them."""
    xacct_sandbox.reset()
    yield xacct_sandbox
    xacct_sandbox.reset()


@pytest.mark.parametrize("title", CASES)
def test_the_documents_are_enough(title: str, empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applied by each owner, they let the worker deliver, and keep others out."""
    world = World(empty, CASES[title], monkeypatch)
    world.build(in_force(CASES[title]))
    world.check()


@pytest.mark.parametrize(("title", "name", "sid", "action"), removals())
def test_no_action_is_too_much(
    title: str, name: str, sid: str, action: str, empty: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any one of them, something that must work fails, or something that must not work does."""
    world = World(empty, CASES[title], monkeypatch)
    world.build(without(in_force(CASES[title]), name, sid, action))
    with pytest.raises((XacctError, ClientError, AssertionError, pytest.fail.Exception)):
        world.check()


def test_what_the_sandbox_cannot_show_is_listed() -> None:
    """Every action of a setup with everything is proved above, or stands in the list, and the list has no more."""
    everything = Case(
        extra={"source_identity": "acme", "session_tags": True, "bucket_owner": C},
        options={"any_kms_key": True, "log_bucket": "acme-logs", "trail": "acme", "versioning": True},
    )
    proved = {tuple(parameter.values[1:]) for parameter in removals()}
    assert set(actions(everything.bodies)) - proved == set(NOT_EVALUATED)
    assert all(page and reason for page, reason in NOT_EVALUATED.values())


TRACED = Case(extra={"source_identity": "acme", "session_tags": True, "session_name_prefix": "acme-"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"ExternalId": None},
        {"ExternalId": "xacct-for-c"},
        {"SourceIdentity": None},
        {"SourceIdentity": "mallory"},
        {"RoleSessionName": "other-x"},
        {"Tags": [{"Key": "Project", "Value": "x"}]},
    ],
    ids=str,
)
def test_each_demand_of_the_trust_policy_holds(
    wrong: Mapping[str, Any], empty: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the right worker must bring, and may not bring."""
    world = World(empty, TRACED, monkeypatch)
    bodies = TRACED.bodies
    # A's own policy must not be what refuses
    bodies["a-worker-policy"]["Statement"] = [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]
    world.build(bodies)
    right = {"SourceIdentity": "acme", "Tags": [{"Key": "dag_id", "Value": "nyc"}]}
    assert world.assume(**right)["Credentials"]
    assert_denied(lambda: world.assume(**{**right, **wrong}))


def test_another_identity_of_account_a_is_not_trusted(empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The principal is one role or user, whatever A allows its others."""
    case = Case()
    world = World(empty, case, monkeypatch)
    world.build(case.bodies)
    assert world.assume()["Credentials"]
    other = empty.account_a.create_user("other", case.bodies["a-worker-policy"])
    asked = {"RoleArn": ROLE, "RoleSessionName": "other", "ExternalId": "xacct-for-b"}
    assert_denied(lambda: world.assume_as(other, **asked))


def test_an_account_is_trusted_with_a_condition_on_who_it_is(empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--trust account``: a pattern of ARNs, and nobody else of the account."""
    case = Case(options={"trust": "account", "principal": f"arn:aws:iam::{A}:user/airflow-*"})
    world = World(empty, case, monkeypatch)
    world.build(in_force(case))
    world.check()
    other = empty.account_a.create_user("other", case.bodies["a-worker-policy"])
    asked = {"RoleArn": ROLE, "RoleSessionName": "other", "ExternalId": "xacct-for-b"}
    assert_denied(lambda: world.assume_as(other, **asked))


def test_an_organisation_is_trusted_by_its_id_alone(empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox has no organisations: nobody belongs to one, so the condition keeps everybody out."""
    case = Case(options={"trust": "organization", "organization": "o-a1b2c3d4e5", "principal": None})
    world = World(empty, case, monkeypatch)
    world.build(case.bodies)
    assert_denied(world.assume)
    opened = case.bodies["b-role-trust"]
    del opened["Statement"][0]["Condition"]["StringEquals"]["aws:PrincipalOrgID"]
    world.accounts[B].client("iam").update_assume_role_policy(
        RoleName="DataDumpRole", PolicyDocument=json.dumps(opened)
    )
    assert world.assume()["Credentials"]


def test_plain_http_is_denied(empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the TLS statement in force, a sandbox that speaks HTTP refuses even the right role."""
    world = World(empty, CASES["EKS Pod Identity"], monkeypatch)
    world.build(CASES["EKS Pod Identity"].bodies)
    with pytest.raises(AccessDeniedError):
        world.check_upload()


def test_a_bucket_that_changed_hands_gets_nothing(empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role itself writes to no bucket of another owner, also for who forgets the expected owner."""
    case = Case()
    world = World(empty, case, monkeypatch)
    world.build(in_force(case))
    s3 = empty.client(world.assume()["Credentials"], "s3")
    try:
        where = {"Bucket": BUCKET, "Key": PREFIX + "a"}
        s3.put_object(**where, Body=b"x")
        for key in world.owner.objects(BUCKET):
            world.owner.client("s3").delete_object(Bucket=BUCKET, Key=key)
        world.owner.client("s3").delete_bucket(Bucket=BUCKET)
        bait = {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
        world.accounts[C].create_bucket(BUCKET, policy={"Version": "2012-10-17", "Statement": [bait]})
        assert_denied(lambda: s3.put_object(**where, Body=b"x"))
        assert world.accounts[C].objects(BUCKET) == {}
    finally:
        s3.close()


@pytest.mark.parametrize("named", ["alias/landing", "any"])
def test_a_key_is_used_for_the_deliveries_only(named: str, empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its alias, or unnamed: not for another bucket, however much else the role may; by alias, no other key."""
    alias = {} if named == "any" else {"kms_key_id": named}
    case = Case(extra=alias, options={"any_kms_key": named == "any"}, key=B)
    world = World(empty, case, monkeypatch)
    world.build(in_force(case))
    world.check()
    more = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    world.accounts[B].client("iam").put_role_policy(
        RoleName="DataDumpRole",
        PolicyName="more",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [more]}),
    )
    world.owner.create_bucket("elsewhere", kms_key_id=world.key_arn)
    other_key = world.accounts[B].create_key(alias="other")
    s3 = empty.client(world.assume()["Credentials"], "s3")
    try:
        s3.put_object(Bucket=BUCKET, Key=PREFIX + "a", Body=b"x")
        assert_denied(lambda: s3.put_object(Bucket="elsewhere", Key="a", Body=b"x"))
        if alias:
            by_other = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": other_key}
            assert_denied(lambda: s3.put_object(Bucket=BUCKET, Key=PREFIX + "b", Body=b"x", **by_other))
    finally:
        s3.close()


def test_settings_are_in_place(empty: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket's settings are taken as they are by S3's own API."""
    case = Case(options={"log_bucket": "acme-logs", "versioning": True})
    world = World(empty, case, monkeypatch)
    bodies = in_force(case)
    world.build(bodies)
    s3 = world.owner.client("s3")
    world.owner.create_bucket("acme-logs", policy=bodies["b-log-bucket-policy"])
    s3.put_bucket_logging(Bucket=BUCKET, BucketLoggingStatus=bodies["b-bucket-logging"])
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=bodies["b-bucket-versioning"])
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert (rule["Filter"], rule["AbortIncompleteMultipartUpload"]) == ({"Prefix": PREFIX}, {"DaysAfterInitiation": 7})
    assert s3.get_bucket_logging(Bucket=BUCKET)["LoggingEnabled"]["TargetBucket"] == "acme-logs"
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"


def test_the_demo_passes_with_the_documents() -> None:
    """Airflow itself, five real tables, and every check and refusal of the demo; a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.demo_with_policies"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=400,
    )
    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown
    assert "policies of 8 documents are in place" in shown
    assert "All of it is as it must be" in shown
    assert "✘" not in shown
