"""A bucket that is not owned by the account one expects stores and tells nothing, on every operation."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from airflow_xacct.sandbox import Scenario
from airflow_xacct.sandbox.operations import s3_operations
from airflow_xacct.sandbox.strict.s3_actions import NOT_EMULATED
from tests.sandbox.sandbox_helpers import ClientFor, allow, keys, refused

MODEL = botocore.session.get_session().get_service_model("s3")
TAKING_OWNER = sorted(op.name for op in s3_operations() if op.takes_expected_owner)


def minimal(shape: Any) -> Any:
    """The least valid value of a shape: its required members only."""
    match shape.type_name:
        case "structure":
            names = shape.required_members or (list(shape.members)[:1] if shape.is_tagged_union else [])
            return {name: minimal(shape.members[name]) for name in names}
        case "list":
            return [minimal(shape.member)]
        case "map":
            return {}
        case "integer" | "long":
            return 1
        case "boolean":
            return True
        case "timestamp":
            return "2030-01-01T00:00:00Z"
        case "blob":
            return b"x"
        case _:
            return shape.enum[0] if shape.enum else "x" * int(shape.metadata.get("min", 1))


def arguments(case: Scenario, operation: str) -> dict[str, Any]:
    """The least arguments of an operation on B's bucket."""
    found: dict[str, Any] = minimal(MODEL.operation_model(operation).input_shape)
    found["Bucket"] = case.bucket
    if "Key" in found:
        found["Key"] = "airflow/a"
    if "CopySource" in found:
        found["CopySource"] = {"Bucket": case.bucket, "Key": "airflow/a"}
    return found


@pytest.fixture
def owner_s3(case: Scenario, client: ClientFor) -> Any:
    """S3 as somebody in B who may do everything there."""
    return client(case.account_b.create_user("owner", allow("s3:*")))


def call(s3: Any, operation: str, **parameters: Any) -> Any:
    """Call an operation by its name in the model."""
    return getattr(s3, botocore.xform_name(operation))(**parameters)


def outcome(s3: Any, operation: str, **parameters: Any) -> tuple[str, int]:
    """The error code and the HTTP status of a call."""
    try:
        answer = call(s3, operation, **parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    if hasattr(answer.get("Body"), "close"):
        answer["Body"].close()
    return "", answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("operation", [name for name in TAKING_OWNER if name not in NOT_EMULATED])
def test_a_wrong_expected_owner_is_refused(case: Scenario, owner_s3: Any, operation: str) -> None:
    """On every operation that takes one; with the right owner it is not that which stands in the way."""
    case.account_b.client("s3").put_object(Bucket=case.bucket, Key="airflow/a", Body=b"before")
    parameters = arguments(case, operation)
    code, status = outcome(owner_s3, operation, **parameters, ExpectedBucketOwner=case.account_a.id)
    assert (code, status) in (("AccessDenied", 403), ("403", 403))
    assert case.account_b.read(case.bucket, "airflow/a") == b"before"
    assert keys(case) == {"airflow/a"}
    assert case.box.open_multipart_uploads(case.bucket) == []
    code, status = outcome(owner_s3, operation, **parameters, ExpectedBucketOwner=case.account_b.id)
    assert code not in ("AccessDenied", "403")
    assert status < 500
    assert [r.operation for r in case.box.requests if r.service == "s3"][-2:] == [operation] * 2


def test_what_is_not_emulated_says_so(case: Scenario, owner_s3: Any) -> None:
    """Operations ministack has not: 501, never another operation's answer."""
    missing = [name for name in TAKING_OWNER if name in NOT_EMULATED]
    print("not emulated:", ", ".join(missing))
    for operation in missing:
        assert outcome(owner_s3, operation, **arguments(case, operation)) == ("NotImplemented", 501), operation


def test_a_wrong_source_owner_is_refused(case: Scenario, owner_s3: Any) -> None:
    """On both kinds of copies."""
    s3 = case.account_b.client("s3")
    s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x" * 10)
    upload = s3.create_multipart_upload(Bucket=case.bucket, Key="airflow/b")["UploadId"]
    source = {"Bucket": case.bucket, "Key": "airflow/a"}
    whole = {"Bucket": case.bucket, "Key": "airflow/b", "CopySource": source}
    part = {**whole, "UploadId": upload, "PartNumber": 1}
    for operation, parameters in (("CopyObject", whole), ("UploadPartCopy", part)):
        with refused("AccessDenied", status=403):
            call(owner_s3, operation, **parameters, ExpectedSourceBucketOwner=case.account_a.id)
    assert keys(case) == {"airflow/a"}
    assert s3.list_parts(Bucket=case.bucket, Key="airflow/b", UploadId=upload).get("Parts") is None
    for operation, parameters in (("CopyObject", whole), ("UploadPartCopy", part)):
        call(owner_s3, operation, **parameters, ExpectedSourceBucketOwner=case.account_b.id)
    assert case.account_b.read(case.bucket, "airflow/b") == b"x" * 10


def test_the_owner_is_recorded(case: Scenario, role_s3: Any) -> None:
    """So that a test can see whether the product sent it."""
    role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x", ExpectedBucketOwner=case.account_b.id)
    role_s3.put_object(Bucket=case.bucket, Key="airflow/b", Body=b"x")
    assert [r.expected_owner for r in case.box.requests if r.service == "s3"] == [case.account_b.id, ""]
