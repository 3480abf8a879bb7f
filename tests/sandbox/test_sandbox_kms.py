"""Buckets and objects encrypted with a KMS key, and the rights their writers need."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_xacct.sandbox import Sandbox, Scenario
from tests.sandbox.sandbox_helpers import MIB, ClientFor, allow, keys, policy, refused, statement

PUT = statement("Allow", ["s3:PutObject", "s3:AbortMultipartUpload"], "*")


@pytest.fixture
def key(case: Scenario) -> str:
    """A key of B, whose policy lets B's own policies decide; the bucket's default encryption uses it."""
    arn = case.account_b.create_key(alias="landing")
    encrypt(case, arn)
    return arn


def encrypt(case: Scenario, key: str) -> None:
    """Make a key the bucket's default."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    case.account_b.client("s3").put_bucket_encryption(
        Bucket=case.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )


def grant(case: Scenario, *actions: str, **rest: Any) -> None:
    """Let the role put, and use keys."""
    extra = [statement("Allow", list(actions), "*", **rest)] if actions else []
    case.account_b.put_role_policy("DataDumpRole", policy(PUT, *extra))


def put(s3: Any, case: Scenario, **options: Any) -> Any:
    """Put one object."""
    return s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x", **options)


def test_put_needs_generate_data_key(case: Scenario, role_s3: Any, key: str) -> None:
    """In the words of KMS; with the right it is stored and told."""
    text = f"is not authorized to perform: kms:GenerateDataKey on resource: {key} because no identity-based policy"
    with refused("AccessDenied", text, status=403):
        put(role_s3, case)
    assert keys(case) == set()
    grant(case, "kms:GenerateDataKey")
    answer = put(role_s3, case)
    assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", key)


def test_multipart_needs_decrypt_too(case: Scenario, role_s3: Any, key: str) -> None:
    """Create is content with GenerateDataKey; parts and Complete are not."""
    grant(case, "kms:GenerateDataKey")
    where = {"Bucket": case.bucket, "Key": "airflow/a"}
    where["UploadId"] = role_s3.create_multipart_upload(**where)["UploadId"]
    with refused("AccessDenied", "kms:Decrypt"):
        role_s3.upload_part(**where, PartNumber=1, Body=b"x")
    grant(case, "kms:GenerateDataKey", "kms:Decrypt")
    etag = role_s3.upload_part(**where, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    grant(case, "kms:GenerateDataKey")
    with refused("AccessDenied", "kms:Decrypt"):
        role_s3.complete_multipart_upload(**where, MultipartUpload=parts)
    grant(case, "kms:GenerateDataKey", "kms:Decrypt")
    role_s3.complete_multipart_upload(**where, MultipartUpload=parts)
    assert keys(case) == {"airflow/a"}
    grant(case)
    with refused("AccessDenied", "kms:GenerateDataKey"):
        role_s3.create_multipart_upload(Bucket=case.bucket, Key="airflow/b")


def test_a_key_named_in_the_request_is_the_one_that_counts(case: Scenario, role_s3: Any, key: str) -> None:
    """Over the bucket's default."""
    other = case.account_b.create_key(alias="other")
    case.account_b.put_role_policy("DataDumpRole", policy(PUT, statement("Allow", "kms:GenerateDataKey", other)))
    with refused("AccessDenied", key):
        put(role_s3, case)
    put(role_s3, case, ServerSideEncryption="aws:kms", SSEKMSKeyId=other)


def test_the_key_policy_decides_too(case: Scenario, role_s3: Any) -> None:
    """A key that trusts nobody else is closed to B's own role, whatever its policies."""
    closed = policy(statement("Allow", "kms:*", "*", Principal={"AWS": f"{case.account_b.id[:-1]}9"}))
    encrypt(case, case.account_b.create_key(policy=closed))
    grant(case, "kms:*")
    with refused("AccessDenied", "because no resource-based policy allows the kms:GenerateDataKey action"):
        put(role_s3, case)


def test_a_key_policy_that_names_the_role_is_enough(case: Scenario, role_s3: Any) -> None:
    """Inside one account."""
    opened = policy(statement("Allow", "kms:GenerateDataKey", "*", Principal={"AWS": case.role_arn}))
    encrypt(case, case.account_b.create_key(policy=opened))
    put(role_s3, case)


def test_a_session_policy_must_leave_the_key_open(case: Scenario, client: ClientFor, key: str) -> None:
    """Forgetting kms in a session policy locks the session out."""
    grant(case, "kms:GenerateDataKey", "kms:Decrypt")
    with refused("AccessDenied", "because no session policy allows the kms:GenerateDataKey action"):
        put(client(case.assume(Policy=json.dumps(allow("s3:PutObject")))), case)
    via = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com", "kms:CallerAccount": case.account_b.id}}
    narrow = policy(statement("Allow", "s3:PutObject", "*"), statement("Allow", "kms:*", "*", Condition=via))
    put(client(case.assume(Policy=json.dumps(narrow))), case)
    elsewhere = {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
    wrong = policy(statement("Allow", "s3:PutObject", "*"), statement("Allow", "kms:*", "*", Condition=elsewhere))
    with refused("AccessDenied", "no session policy allows"):
        put(client(case.assume(Policy=json.dumps(wrong))), case)


@pytest.mark.parametrize(
    "condition",
    [
        {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/landing"}},
        {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::acme-landing/airflow/a"}},
    ],
    ids=["alias", "encryption context"],
)
def test_conditions_of_kms(case: Scenario, role_s3: Any, key: str, condition: Any) -> None:
    """An alias is no resource of a policy; a condition can name it."""
    grant(case, "kms:GenerateDataKey", Condition=condition)
    put(role_s3, case)
    operator, values = next(iter(condition.items()))
    grant(case, "kms:GenerateDataKey", Condition={operator: dict.fromkeys(values, "another")})
    with refused("AccessDenied"):
        put(role_s3, case)


def test_an_alias_as_a_resource_grants_nothing(case: Scenario, role_s3: Any, key: str) -> None:
    """AWS: *Controlling access to aliases*."""
    alias = f"arn:aws:kms:us-east-1:{case.account_b.id}:alias/landing"
    case.account_b.put_role_policy("DataDumpRole", policy(PUT, statement("Allow", "kms:*", alias)))
    with refused("AccessDenied", "kms:GenerateDataKey"):
        put(role_s3, case)


def test_a_key_of_another_account_needs_both_sides(case: Scenario, box: Sandbox, role_s3: Any) -> None:
    """Its key policy and the role's own."""
    foreign = box.accounts[2].create_key()
    grant(case, "kms:GenerateDataKey")
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": foreign}
    with refused("AccessDenied", "no resource-based policies allow access"):
        put(role_s3, case, **named)
    opened = policy(statement("Allow", "kms:*", "*", Principal={"AWS": case.role_arn}))
    shared = box.accounts[2].create_key(policy=opened)
    put(role_s3, case, **{**named, "SSEKMSKeyId": shared})
    grant(case)
    with refused("AccessDenied", "kms:GenerateDataKey"):
        put(role_s3, case, **{**named, "SSEKMSKeyId": shared})


def test_an_unknown_or_disabled_key_is_told(case: Scenario, role_s3: Any, key: str) -> None:
    """By KMS's own codes."""
    grant(case, "kms:*")
    with refused("KMS.NotFoundException", status=400):
        put(role_s3, case, ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/none")
    case.account_b.client("kms").disable_key(KeyId=key)
    with refused("KMS.DisabledException", status=400):
        put(role_s3, case)


def test_the_aws_managed_key_needs_no_right(case: Scenario, role_s3: Any) -> None:
    """aws:kms without a key id."""
    assert put(role_s3, case, ServerSideEncryption="aws:kms")["ServerSideEncryption"] == "aws:kms"


def test_reading_needs_decrypt(case: Scenario, role_s3: Any, key: str) -> None:
    """And so does copying from it."""
    case.account_b.client("s3").put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x" * MIB)
    case.account_b.put_role_policy("DataDumpRole", policy(statement("Allow", "s3:*", "*")))
    with refused("AccessDenied", "kms:Decrypt"):
        role_s3.get_object(Bucket=case.bucket, Key="airflow/a")
    case.account_b.put_role_policy("DataDumpRole", policy(statement("Allow", ["s3:*", "kms:Decrypt"], "*")))
    answer = role_s3.get_object(Bucket=case.bucket, Key="airflow/a")
    with answer["Body"] as body:
        assert body.read() == b"x" * MIB


def test_a_bucket_can_be_made_with_its_key_and_policy(case: Scenario, client: ClientFor) -> None:
    """The helper of an account sets versioning, policy and default encryption at once."""
    key = case.account_b.create_key()
    admit = statement("Deny", "s3:PutObject", "arn:aws:s3:::acme-kms/no/*", Principal="*")
    case.account_b.create_bucket("acme-kms", versioned=True, policy=policy(admit), kms_key_id=key)
    grant(case, "kms:GenerateDataKey")
    s3 = client(case.assume())
    answer = s3.put_object(Bucket="acme-kms", Key="a", Body=b"x")
    assert (answer["SSEKMSKeyId"], bool(answer["VersionId"])) == (key, True)
    with refused("AccessDenied", "with an explicit deny in a resource-based policy"):
        s3.put_object(Bucket="acme-kms", Key="no/a", Body=b"x")
