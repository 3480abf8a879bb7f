"""Copies within and between accounts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_xacct.sandbox import Sandbox, Scenario
from tests.sandbox.sandbox_helpers import MIB, allow, crc64, policy, refused, statement

SOURCE = {"Bucket": "source-of-a", "Key": "raw/a.csv"}
READ = "arn:aws:s3:::source-of-a/*"


@pytest.fixture
def source(case: Scenario) -> Any:
    """A bucket of Account A with an object; B's role may read it as far as its own policies say."""
    case.account_a.create_bucket("source-of-a")
    case.account_a.client("s3").put_object(
        **SOURCE, Body=b"0123456789", ContentType="text/csv", Metadata={"origin": "a"}, CacheControl="no-cache"
    )
    case.account_b.put_role_policy("DataDumpRole", allow("s3:*"))
    return case.account_a.client("s3")


def admit(s3: Any, case: Scenario, action: str | list[str] = "s3:GetObject") -> None:
    """Let B's role read A's bucket."""
    grant = statement("Allow", action, [READ, "arn:aws:s3:::source-of-a"], Principal={"AWS": case.role_arn})
    s3.put_bucket_policy(Bucket="source-of-a", Policy=json.dumps(policy(grant)))


def copy(s3: Any, case: Scenario, **options: Any) -> Any:
    """Copy A's object into B's bucket."""
    return s3.copy_object(**{"Bucket": case.bucket, "Key": "airflow/a.csv", "CopySource": SOURCE, **options})


def test_a_copy_between_accounts_brings_the_bytes(case: Scenario, role_s3: Any, source: Any) -> None:
    """With the source's metadata, and B as the owner."""
    admit(source, case)
    answer = copy(role_s3, case, ExpectedBucketOwner=case.account_b.id, ExpectedSourceBucketOwner=case.account_a.id)
    assert answer["CopyObjectResult"]["ETag"] == source.head_object(**SOURCE)["ETag"]
    assert case.account_b.read(case.bucket, "airflow/a.csv") == b"0123456789"
    head = case.account_b.client("s3").head_object(Bucket=case.bucket, Key="airflow/a.csv")
    assert (head["ContentType"], head["Metadata"], head["CacheControl"]) == ("text/csv", {"origin": "a"}, "no-cache")


def test_metadata_can_be_replaced(case: Scenario, role_s3: Any, source: Any) -> None:
    """MetadataDirective REPLACE leaves nothing of the source's."""
    admit(source, case)
    copy(role_s3, case, MetadataDirective="REPLACE", Metadata={"token": "t"}, ContentType="application/x-b")
    head = case.account_b.client("s3").head_object(Bucket=case.bucket, Key="airflow/a.csv")
    assert (head["ContentType"], head["Metadata"]) == ("application/x-b", {"token": "t"})
    assert "CacheControl" not in head


def test_the_checksum_of_a_copy_can_be_asked_for(case: Scenario, role_s3: Any, source: Any) -> None:
    """ChecksumAlgorithm."""
    admit(source, case)
    answer = copy(role_s3, case, ChecksumAlgorithm="CRC64NVME")
    assert answer["CopyObjectResult"]["ChecksumCRC64NVME"] == crc64(b"0123456789")


def test_without_the_sources_policy_it_is_refused(case: Scenario, role_s3: Any, source: Any) -> None:
    """A's bucket does not admit B's role."""
    with refused("AccessDenied", "Access Denied", status=403):
        copy(role_s3, case)
    assert case.account_b.objects(case.bucket) == {}


def test_without_the_roles_own_right_to_read_it_is_refused(case: Scenario, role_s3: Any, source: Any) -> None:
    """A's bucket admits it, B's policy does not."""
    admit(source, case)
    case.account_b.put_role_policy("DataDumpRole", allow("s3:PutObject"))
    with refused("AccessDenied"):
        copy(role_s3, case)


def test_without_the_right_to_write_it_is_refused(case: Scenario, role_s3: Any, source: Any) -> None:
    """The destination is a write like any other."""
    admit(source, case)
    case.account_b.put_role_policy("DataDumpRole", allow(["s3:GetObject", "s3:PutObject"], [READ]))
    with refused("AccessDenied", "s3:PutObject"):
        copy(role_s3, case)


def test_a_session_policy_narrows_the_source_too(case: Scenario, client: Any, source: Any) -> None:
    """The session may write and not read."""
    admit(source, case)
    s3 = client(case.assume(Policy=json.dumps(allow("s3:PutObject"))))
    with refused("AccessDenied"):
        copy(s3, case)


def test_the_other_direction_is_refused_the_same_way(case: Scenario, box: Sandbox, client: Any, source: Any) -> None:
    """A's own user pushing into B without B's bucket policy."""
    user = case.account_a.create_user("pusher", allow("s3:*"))
    with refused("AccessDenied"):
        copy(client(user), case)
    grant = statement("Allow", "s3:PutObject", f"arn:aws:s3:::{case.bucket}/*", Principal={"AWS": user.user_arn})
    case.account_b.client("s3").put_bucket_policy(Bucket=case.bucket, Policy=json.dumps(policy(grant)))
    copy(client(user), case)
    assert case.account_b.read(case.bucket, "airflow/a.csv") == b"0123456789"


def test_a_missing_source_is_hidden_without_list(case: Scenario, role_s3: Any, source: Any) -> None:
    """403 without s3:ListBucket on the source, 404 with it."""
    missing = {**SOURCE, "Key": "raw/none"}
    admit(source, case)
    with refused("AccessDenied"):
        copy(role_s3, case, CopySource=missing)
    admit(source, case, ["s3:GetObject", "s3:ListBucket"])
    with refused("NoSuchKey", status=404):
        copy(role_s3, case, CopySource=missing)


def test_tags_travel_with_rights_of_their_own(case: Scenario, role_s3: Any, source: Any) -> None:
    """Reading them at the source and writing them here."""
    source.put_object_tagging(**SOURCE, Tagging={"TagSet": [{"Key": "a", "Value": "b c"}]})
    admit(source, case)
    with refused("AccessDenied"):
        copy(role_s3, case)
    admit(source, case, ["s3:GetObject", "s3:GetObjectTagging"])
    copy(role_s3, case)
    tags = case.account_b.client("s3").get_object_tagging(Bucket=case.bucket, Key="airflow/a.csv")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b c"}]


@pytest.mark.parametrize(
    ("condition", "ok"),
    [("CopySourceIfMatch", True), ("CopySourceIfNoneMatch", False)],
)
def test_conditions_on_the_source(case: Scenario, role_s3: Any, source: Any, condition: str, ok: bool) -> None:
    """412 when they do not hold."""
    admit(source, case)
    etag = source.head_object(**SOURCE)["ETag"]
    if ok:
        copy(role_s3, case, **{condition: etag})
        return
    with refused("PreconditionFailed", status=412):
        copy(role_s3, case, **{condition: etag})


def test_an_old_version_can_be_copied(case: Scenario, role_s3: Any, source: Any) -> None:
    """It needs s3:GetObjectVersion."""
    source.put_bucket_versioning(Bucket="source-of-a", VersioningConfiguration={"Status": "Enabled"})
    version = source.put_object(**SOURCE, Body=b"old")["VersionId"]
    source.put_object(**SOURCE, Body=b"new")
    admit(source, case)
    with refused("AccessDenied"):
        copy(role_s3, case, CopySource={**SOURCE, "VersionId": version})
    admit(source, case, ["s3:GetObject", "s3:GetObjectVersion"])
    copy(role_s3, case, CopySource={**SOURCE, "VersionId": version})
    assert case.account_b.read(case.bucket, "airflow/a.csv") == b"old"


def test_parts_can_be_copied(case: Scenario, role_s3: Any, source: Any) -> None:
    """UploadPartCopy with a range, between accounts, under a full-object checksum."""
    body = b"x" * (5 * MIB) + b"0123456789"
    source.put_object(**SOURCE, Body=body)
    where = {"Bucket": case.bucket, "Key": "airflow/big"}
    upload = role_s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    where["UploadId"] = upload["UploadId"]
    ranges = [f"bytes=0-{5 * MIB - 1}", f"bytes={5 * MIB}-{len(body) - 1}"]
    asked = {**where, "CopySource": SOURCE, "PartNumber": 1, "CopySourceRange": ranges[0]}
    with refused("AccessDenied"):
        role_s3.upload_part_copy(**asked)
    admit(source, case)
    parts = []
    for number, one in enumerate(ranges, 1):
        answer = role_s3.upload_part_copy(**{**asked, "PartNumber": number, "CopySourceRange": one})
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    role_s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}, ChecksumCRC64NVME=crc64(body))
    assert case.account_b.read(case.bucket, "airflow/big") == body
