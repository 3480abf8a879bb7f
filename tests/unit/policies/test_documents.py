"""Each document says what it must, and nothing broader."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from airflow_xacct.exceptions import InvalidArgumentError
from airflow_xacct.policies import Setup, documents
from airflow_xacct.policies.access import (
    key_statement,
    max_session_duration_seconds,
    permission_policy,
    trust_policy,
    worker_policy,
)
from airflow_xacct.policies.buckets import bucket_policy, encryption
from airflow_xacct.policies.setup import POD_IDENTITY_TAG_KEYS, PRINCIPAL_PLACEHOLDER
from tests.unit.policies.policy_matrix import CHINA, KEY, MATRIX, PRINCIPAL, make, setup_of


def statements(setup: Setup) -> list[dict[str, Any]]:
    """Every statement of every policy of a setup."""
    found = []
    for document in documents(setup):
        if isinstance(document.body, dict):
            found += document.body.get("Statement", [document.body] if "Sid" in document.body else [])
    return found


@pytest.mark.parametrize("title", MATRIX)
def test_each_statement_says_one_thing(title: str) -> None:
    """A Sid of its own, no wildcard action but in a denial, no Not-element, no resource ``*`` but in a key's policy."""
    for document in documents(setup_of(title)):
        if not isinstance(document.body, dict) or "Statement" not in document.body:
            continue
        sids = [statement["Sid"] for statement in document.body["Statement"]]
        assert len(set(sids)) == len(sids)
        for statement in document.body["Statement"]:
            assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
            listed = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            assert statement["Effect"] == "Deny" or not any("*" in action for action in listed)
            assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement)
            assert statement.get("Resource") != "*"


@pytest.mark.parametrize("title", MATRIX)
def test_documents_are_made_the_same_way_each_time(title: str) -> None:
    """ASCII JSON, as IAM wants it, in one order; each with an owner, a way to apply it, and a page."""
    first, second = documents(setup_of(title)), documents(setup_of(title))
    assert first == second
    assert len({document.name for document in first}) == len(first)
    for document in first:
        assert document.text.isascii()
        assert json.loads(document.text) == document.body
        assert document.owner
        assert document.how
        assert document.page


def test_a_worker_may_assume_the_role_and_no_other() -> None:
    """Session tags and source identity only where the connection uses them."""
    (statement,) = worker_policy(make())["Statement"]
    assert (statement["Action"], statement["Resource"]) == (
        "sts:AssumeRole",
        "arn:aws:iam::222222222222:role/DataDumpRole",
    )
    traced = worker_policy(make({"session_tags": True, "source_identity": "acme"}))["Statement"]
    assert [item["Action"] for item in traced] == ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def test_the_trust_policy_demands_what_the_connection_brings() -> None:
    """External ID, source identity, the session's name, and no other tags."""
    extra = {"session_tags": {"team": "data"}, "source_identity": "acme", "session_name_prefix": "acme-"}
    assume, tag, identity = trust_policy(make(extra, principal=PRINCIPAL))["Statement"]
    assert assume["Principal"] == {"AWS": PRINCIPAL}
    assert assume["Condition"] == {
        "StringEquals": {"sts:ExternalId": "xacct-abc", "sts:SourceIdentity": "acme"},
        "StringLike": {"sts:RoleSessionName": "acme-*"},
    }
    assert tag["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"] == [
        *("dag_id", "logical_date", "map_index", "run_id", "task_id", "team", "try_number")
    ]
    assert identity["Condition"] == {"StringEquals": {"sts:SourceIdentity": "acme"}}


def test_pod_identity_brings_six_tags() -> None:
    """They are transitive, so the role meets them though our own are off."""
    _, tag = trust_policy(make(pod_identity=True))["Statement"]
    assert tag["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"] == list(POD_IDENTITY_TAG_KEYS)


def test_an_account_is_trusted_with_its_principal_as_a_condition() -> None:
    """On every statement, not on the first alone."""
    setup = make({"session_tags": True}, trust="account", principal="arn:aws:iam::111111111111:role/airflow-*")
    for statement in trust_policy(setup)["Statement"]:
        assert statement["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
        assert statement["Condition"]["ArnLike"] == {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/airflow-*"}


def test_an_organisation_is_trusted_by_its_id() -> None:
    """The External ID stays, and everybody means everybody of the organisation."""
    setup = make({"source_identity": "acme"}, trust="organization", organization="o-a1b2c3d4e5")
    for statement in trust_policy(setup)["Statement"]:
        assert statement["Principal"] == {"AWS": "*"}
        assert statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"] == "o-a1b2c3d4e5"
    assert trust_policy(setup)["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] == "xacct-abc"


def test_an_unknown_principal_trusts_nobody() -> None:
    """The placeholder is no principal, so IAM does not store it."""
    (statement,) = trust_policy(make())["Statement"]
    assert statement["Principal"] == {"AWS": PRINCIPAL_PLACEHOLDER}
    assert ":" not in PRINCIPAL_PLACEHOLDER


def test_there_is_no_trust_without_an_external_id() -> None:
    """Account A's side needs none; Account B's is refused, with the remedy."""
    setup = make({"external_id": "", "allow_missing_external_id": True})
    assert documents(setup, ("a",))
    with pytest.raises(InvalidArgumentError, match=r"confused deputy.*airflow-xacct external-id"):
        documents(setup, ("b",))


@pytest.mark.parametrize(("wish", "granted"), [(900, 3600), (3600, 3600), (43200, 43200)])
def test_the_longest_session_is_what_the_connection_wishes(wish: int, granted: int) -> None:
    """IAM knows no maximum below an hour."""
    assert max_session_duration_seconds(make({"duration_seconds": wish})) == granted


def test_writing_is_all_a_role_may_by_default() -> None:
    """Below the prefix, in a bucket of the owner's."""
    (statement,) = permission_policy(make())["Statement"]
    assert statement["Action"] == ["s3:AbortMultipartUpload", "s3:PutObject"]
    assert statement["Resource"] == "arn:aws:s3:::acme-landing/airflow/*"
    assert statement["Condition"] == {"StringEquals": {"s3:ResourceAccount": "222222222222"}}


def test_more_is_granted_when_asked() -> None:
    """One action for each ability."""
    (statement,) = permission_policy(make(abilities=["reads", "tags", "deletes"]))["Statement"]
    assert set(statement["Action"]) - {"s3:AbortMultipartUpload", "s3:PutObject"} == {
        *("s3:GetObject", "s3:PutObjectTagging", "s3:DeleteObject")
    }


@pytest.mark.parametrize(
    ("prefix", "resource"),
    [("", "*"), ("acme", "acme/*"), ("a*b?c${d}/", "a${*}b${?}c${$}{d}/*")],
)
def test_a_prefix_is_meant_letter_by_letter(prefix: str, resource: str) -> None:
    """Its wildcards and variables are escaped, and acme does not cover acme-competitor."""
    setup = make({"prefix": prefix})
    (statement,) = permission_policy(setup)["Statement"]
    assert statement["Resource"] == f"arn:aws:s3:::acme-landing/{resource}"
    assert bucket_policy(setup)["Statement"][1]["Resource"] == statement["Resource"]


@pytest.mark.parametrize(
    ("named", "resource", "alias"),
    [
        (KEY, KEY, None),
        (KEY.rsplit("/", 1)[-1], KEY, None),
        ("alias/landing", "arn:aws:kms:eu-central-1:222222222222:key/*", "alias/landing"),
        (
            "arn:aws:kms:eu-central-1:333333333333:alias/landing",
            "arn:aws:kms:eu-central-1:333333333333:key/*",
            "alias/landing",
        ),
    ],
)
def test_a_key_is_used_through_s3_for_this_prefix_only(named: str, resource: str, alias: str | None) -> None:
    """By ARN where it is known; an alias is a condition, since it is no resource."""
    setup = make({"kms_key_id": named})
    statement = permission_policy(setup)["Statement"][1]
    condition = statement["Condition"]
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statement["Resource"] == resource
    assert condition["StringEquals"] == {
        "kms:CallerAccount": "222222222222",
        "kms:ViaService": "s3.eu-central-1.amazonaws.com",
    }
    assert condition["StringLike"]["kms:EncryptionContext:aws:s3:arn"] == [
        "arn:aws:s3:::acme-landing",
        "arn:aws:s3:::acme-landing/airflow/*",
    ]
    assert condition.get("ForAnyValue:StringEquals", {}).get("kms:ResourceAliases") == alias
    assert (encryption(setup) is None) == (alias is not None)
    assert key_statement(setup)["Principal"] == {"AWS": "arn:aws:iam::222222222222:role/DataDumpRole"}


def test_an_unknown_key_is_one_of_the_buckets_owner() -> None:
    """Any key, but through S3 of the region, for these objects."""
    setup = make({"bucket_owner": "333333333333"}, any_kms_key=True)
    assert permission_policy(setup)["Statement"][1]["Resource"] == "arn:aws:kms:eu-central-1:333333333333:key/*"
    assert encryption(setup) is None


def test_no_key_no_statement() -> None:
    """A bucket encrypted by S3 itself needs none."""
    assert [document.name for document in documents(make()) if "key" in document.name] == []


def test_the_bucket_policy_grants_only_across_accounts() -> None:
    """In one account the role's own permissions are enough; otherwise the role's ARN is named, never a session."""
    assert [item["Sid"] for item in bucket_policy(make())["Statement"]] == ["DenyInsecureTransport", "DenyOtherWriters"]
    grant = bucket_policy(make({"bucket_owner": "333333333333"}, abilities=["tags"]))["Statement"][2]
    assert grant["Principal"] == {"AWS": "arn:aws:iam::222222222222:role/DataDumpRole"}
    assert grant["Action"] == ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectTagging"]


def test_other_writers_can_be_named() -> None:
    """And the denial touches one action only, so that no administrator is locked out of the bucket."""
    loader = "arn:aws:iam::222222222222:role/Loader"
    denial = bucket_policy(make(writers=[loader]))["Statement"][1]
    assert denial["Action"] == "s3:PutObject"
    assert denial["Condition"] == {
        "ArnNotLike": {"aws:PrincipalArn": ["arn:aws:iam::222222222222:role/DataDumpRole", loader]}
    }


def test_every_arn_is_of_the_roles_partition() -> None:
    """Also services' names that differ."""
    setup = make(CHINA, any_kms_key=True, log_bucket="acme-logs", trail="acme-trail")
    text = "".join(document.text for document in documents(setup))
    assert set(re.findall(r"arn:(aws[a-z-]*):", text)) == {"aws-cn"}
    assert "s3.cn-north-1.amazonaws.com.cn" in text


@pytest.mark.parametrize(
    ("extra", "options", "told"),
    [
        ({"bucket": ""}, {}, "--bucket: it is missing"),
        (
            {"bucket": "arn:aws:s3:eu-central-1:222222222222:accesspoint/landing"},
            {},
            "which bucket is behind it is not known",
        ),
        ({}, {"principal": "AirflowExecutionRole"}, "not the ARN of a role or user"),
        ({}, {"principal": "arn:aws:sts::111111111111:assumed-role/R/s"}, "is a session"),
        ({}, {"principal": "arn:aws-cn:iam::111111111111:role/R"}, "No trust crosses partitions"),
        ({}, {"principal": "arn:aws:iam::111111111111:role/air*"}, "a principal has no wildcards"),
        ({}, {"trust": "account"}, "--trust account needs"),
        ({}, {"trust": "organization"}, "go together"),
        ({}, {"organization": "o-a1b2c3d4e5"}, "go together"),
        ({}, {"trust": "organization", "organization": "acme"}, "no id of an organisation"),
        ({}, {"trust": "everybody"}, "--trust: 'everybody' is unknown"),
        ({}, {"abilities": ["lists"]}, "--with: 'lists' is unknown"),
        ({}, {"writers": ["loader"]}, "--writer: 'loader' is not the ARN"),
        ({"region_name": ""}, {"any_kms_key": True}, "--region: it is missing"),
        ({"region_name": ""}, {"log_bucket": "acme-logs", "trail": "t-1"}, "--region: it is missing"),
        ({}, {"trail": "acme"}, "Give --log-bucket"),
        ({}, {"trail": "a b", "log_bucket": "acme-logs"}, "no name of a trail"),
        ({}, {"log_bucket": "acme-landing"}, "it is the bucket itself"),
        ({}, {"log_bucket": "s3://logs"}, "--log-bucket:"),
    ],
)
def test_what_cannot_be_set_up_is_told(extra: dict[str, Any], options: dict[str, Any], told: str) -> None:
    """What, where and the remedy."""
    with pytest.raises(InvalidArgumentError, match=re.escape(told)):
        make(extra, **options)


def test_all_problems_are_told_at_once() -> None:
    """One round is enough."""
    with pytest.raises(InvalidArgumentError) as caught:
        make({"bucket": ""}, trust="account", trail="acme", abilities=["lists"])
    assert str(caught.value).count("\n  - ") == 4
