"""Checksums and multipart uploads, as AWS verifies, stores and tells them."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from awscrt import checksums
from botocore.config import Config

from airflow_xacct.sandbox import Scenario
from tests.sandbox.sandbox_helpers import MIB, ClientFor, allow, crc64, keys, refused

PARTS = [b"a" * (5 * MIB), b"b" * (5 * MIB + 3), b"the end"]
WHOLE = b"".join(PARTS)
WRONG = crc64(b"something else")


class Upload:
    """One multipart upload below the prefix."""

    def __init__(self, case: Scenario, s3: Any, key: str = "airflow/big", **create: Any) -> None:
        self.case, self.s3, self.key = case, s3, key
        self.created = s3.create_multipart_upload(Bucket=case.bucket, Key=key, **create)
        self.id = self.created["UploadId"]
        self.parts: list[dict[str, Any]] = []

    def where(self, **more: Any) -> dict[str, Any]:
        return {"Bucket": self.case.bucket, "Key": self.key, "UploadId": self.id, **more}

    def send(self, *bodies: bytes, **options: Any) -> Upload:
        for body in bodies:
            number = len(self.parts) + 1
            checksum = {"ChecksumCRC64NVME": crc64(body), **options}
            answer = self.s3.upload_part(**self.where(PartNumber=number, Body=body, **checksum))
            part = {"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC64NVME": answer.get("ChecksumCRC64NVME")}
            self.parts.append({name: value for name, value in part.items() if value})
        return self

    def complete(self, **options: Any) -> Any:
        return self.s3.complete_multipart_upload(**self.where(MultipartUpload={"Parts": self.parts}, **options))


def full(case: Scenario, s3: Any, **create: Any) -> Upload:
    """An upload with a full-object CRC64NVME."""
    return Upload(case, s3, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT", **create)


class TestPut:
    """PutObject."""

    def test_a_right_checksum_is_stored_and_told(self, case: Scenario, role_s3: Any) -> None:
        """On the answer, on HEAD and on GetObjectAttributes."""
        where = {"Bucket": case.bucket, "Key": "airflow/a"}
        answer = role_s3.put_object(**where, Body=b"hello", ChecksumCRC64NVME=crc64(b"hello"))
        assert (answer["ChecksumCRC64NVME"], answer["ChecksumType"]) == (crc64(b"hello"), "FULL_OBJECT")
        s3 = case.account_b.client("s3")
        head = s3.head_object(**where, ChecksumMode="ENABLED")
        assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (crc64(b"hello"), "FULL_OBJECT")
        assert "ChecksumCRC64NVME" not in s3.head_object(**where)

    @pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256"])
    def test_a_wrong_checksum_is_refused(self, case: Scenario, role_s3: Any, algorithm: str) -> None:
        """Of every algorithm; nothing is stored."""
        length = {"CRC64NVME": 8, "SHA1": 20, "SHA256": 32}.get(algorithm, 4)
        wrong = {f"Checksum{algorithm}": base64.b64encode(b"\1" * length).decode()}
        with refused("BadDigest", f"The {algorithm} you specified did not match the calculated checksum", status=400):
            role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"hello", **wrong)
        assert keys(case) == set()

    def test_a_wrong_md5_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """Content-MD5."""
        with refused("BadDigest", status=400):
            md5 = base64.b64encode(hashlib.md5(b"x").digest()).decode()  # noqa: S324
            role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"hello", ContentMD5=md5)
        assert keys(case) == set()


class TestFullObject:
    """Multipart uploads with one checksum for the whole (AWS: *Checking object integrity in Amazon S3*)."""

    def test_the_whole_is_verified_stored_and_told(self, case: Scenario, role_s3: Any) -> None:
        """From Create to HEAD."""
        upload = full(case, role_s3)
        assert (upload.created["ChecksumAlgorithm"], upload.created["ChecksumType"]) == ("CRC64NVME", "FULL_OBJECT")
        answer = upload.send(*PARTS).complete(
            ChecksumCRC64NVME=crc64(WHOLE), ChecksumType="FULL_OBJECT", MpuObjectSize=len(WHOLE)
        )
        assert (answer["ChecksumCRC64NVME"], answer["ChecksumType"]) == (crc64(WHOLE), "FULL_OBJECT")
        assert case.account_b.read(case.bucket, upload.key) == WHOLE
        s3 = case.account_b.client("s3")
        where = {"Bucket": case.bucket, "Key": upload.key}
        head = s3.head_object(**where, ChecksumMode="ENABLED")
        got = s3.get_object(**where, ChecksumMode="ENABLED")
        got["Body"].close()
        told = s3.get_object_attributes(**where, ObjectAttributes=["Checksum", "ObjectSize"])
        for found in (head, got, told["Checksum"]):
            assert (found["ChecksumCRC64NVME"], found["ChecksumType"]) == (crc64(WHOLE), "FULL_OBJECT")
        assert told["ObjectSize"] == len(WHOLE)

    def test_full_object_is_the_default_of_crc64nvme(self, case: Scenario, role_s3: Any) -> None:
        """And the only type it has."""
        upload = Upload(case, role_s3, ChecksumAlgorithm="CRC64NVME").send(b"x")
        assert upload.created["ChecksumType"] == "FULL_OBJECT"
        assert upload.complete()["ChecksumCRC64NVME"] == crc64(b"x")
        with refused("InvalidRequest", "The COMPOSITE checksum type cannot be used with the crc64nvme"):
            Upload(case, role_s3, ChecksumAlgorithm="CRC64NVME", ChecksumType="COMPOSITE")
        with refused("InvalidRequest", "The FULL_OBJECT checksum type cannot be used with the sha256"):
            Upload(case, role_s3, ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")

    @pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C"])
    def test_the_other_crcs_know_it_too(self, case: Scenario, role_s3: Any, algorithm: str) -> None:
        """On request."""
        compute = {"CRC32": zlib.crc32, "CRC32C": checksums.crc32c}[algorithm]
        upload = Upload(case, role_s3, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
        for number, body in enumerate(PARTS, 1):
            answer = role_s3.upload_part(**upload.where(PartNumber=number, Body=body, ChecksumAlgorithm=algorithm))
            upload.parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        whole = base64.b64encode(compute(WHOLE).to_bytes(4, "big")).decode()
        assert upload.complete(**{f"Checksum{algorithm}": whole})[f"Checksum{algorithm}"] == whole

    def test_a_composite_upload_stays_composite(self, case: Scenario, role_s3: Any) -> None:
        """The digest of the parts' digests, with their number."""
        upload = Upload(case, role_s3, ChecksumAlgorithm="SHA256")
        for number, body in enumerate(PARTS, 1):
            answer = role_s3.upload_part(**upload.where(PartNumber=number, Body=body, ChecksumAlgorithm="SHA256"))
            part = {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]}
            upload.parts.append(part)
        answer = upload.complete()
        digests = b"".join(hashlib.sha256(part).digest() for part in PARTS)
        whole = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-3"
        assert (answer["ChecksumSHA256"], answer["ChecksumType"]) == (whole, "COMPOSITE")

    def test_a_wrong_part_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """BadDigest; the part is not there afterwards."""
        upload = full(case, role_s3)
        with refused("BadDigest", status=400):
            upload.send(b"hello", ChecksumCRC64NVME=WRONG)
        listed = case.account_b.client("s3").list_parts(**upload.where())
        assert listed.get("Parts", []) == []

    def test_a_part_of_another_algorithm_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """What Create declared counts."""
        upload = full(case, role_s3)
        with refused("InvalidRequest", "expected checksum Type: crc64nvme, actual checksum Type: crc32"):
            role_s3.upload_part(**upload.where(PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32"))

    def test_a_wrong_whole_is_refused_and_the_upload_lives_on(self, case: Scenario, role_s3: Any) -> None:
        """BadDigest; the same parts complete with the right one."""
        upload = full(case, role_s3).send(b"hello")
        with refused("BadDigest", status=400):
            upload.complete(ChecksumCRC64NVME=WRONG)
        assert keys(case) == set()
        assert upload.complete(ChecksumCRC64NVME=crc64(b"hello"))["ChecksumCRC64NVME"] == crc64(b"hello")

    def test_a_wrong_part_checksum_on_complete_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """InvalidPart."""
        upload = full(case, role_s3).send(b"hello")
        upload.parts[0]["ChecksumCRC64NVME"] = WRONG
        with refused("InvalidPart", status=400):
            upload.complete()

    def test_a_wrong_size_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """x-amz-mp-object-size."""
        upload = full(case, role_s3).send(b"hello")
        with refused("InvalidRequest", "x-amz-mp-object-size", status=400):
            upload.complete(ChecksumCRC64NVME=crc64(b"hello"), MpuObjectSize=6)
        assert upload.complete(ChecksumCRC64NVME=crc64(b"hello"), MpuObjectSize=5)["ChecksumType"] == "FULL_OBJECT"

    def test_another_checksum_type_on_complete_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """The upload's own counts."""
        upload = full(case, role_s3).send(b"hello")
        with refused("InvalidRequest", "created using the FULL_OBJECT checksum mode"):
            upload.complete(ChecksumType="COMPOSITE")

    def test_a_versioned_object_keeps_it(self, case: Scenario, role_s3: Any) -> None:
        """Also when it is no longer the current version."""
        s3 = case.account_b.client("s3")
        s3.put_bucket_versioning(Bucket=case.bucket, VersioningConfiguration={"Status": "Enabled"})
        version = full(case, role_s3).send(b"hello").complete()["VersionId"]
        role_s3.put_object(Bucket=case.bucket, Key="airflow/big", Body=b"newer")
        head = s3.head_object(Bucket=case.bucket, Key="airflow/big", VersionId=version, ChecksumMode="ENABLED")
        assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (crc64(b"hello"), "FULL_OBJECT")


class TestUploads:
    """The life of a multipart upload."""

    def test_a_small_part_in_the_middle_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """EntityTooSmall; only the last part may be smaller than 5 MiB."""
        upload = full(case, role_s3).send(b"a" * (5 * MIB - 1), b"end")
        with refused("EntityTooSmall", "smaller than the minimum allowed size", status=400):
            upload.complete()
        assert keys(case) == set()
        assert len(case.box.open_multipart_uploads(case.bucket)) == 1

    def test_the_last_one_sent_under_a_number_counts(self, case: Scenario, role_s3: Any) -> None:
        """A part may be sent again."""
        upload = full(case, role_s3).send(b"old")
        upload.parts.clear()
        upload.send(b"new").complete(ChecksumCRC64NVME=crc64(b"new"))
        assert case.account_b.read(case.bucket, upload.key) == b"new"

    def test_parts_out_of_order_are_refused(self, case: Scenario, role_s3: Any) -> None:
        """InvalidPartOrder."""
        upload = full(case, role_s3).send(*PARTS)
        upload.parts.reverse()
        with refused("InvalidPartOrder", status=400):
            upload.complete()

    def test_a_part_that_was_never_sent_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """InvalidPart."""
        upload = full(case, role_s3).send(b"x")
        upload.parts[0]["ETag"] = '"0123456789abcdef0123456789abcdef"'
        with refused("InvalidPart", status=400):
            upload.complete()

    def test_complete_again_is_answered_again(self, case: Scenario, role_s3: Any) -> None:
        """For a while, with the same answer (AWS: *CompleteMultipartUpload*)."""
        upload = full(case, role_s3).send(b"hello")
        first = upload.complete(ChecksumCRC64NVME=crc64(b"hello"))
        again = upload.complete(ChecksumCRC64NVME=crc64(b"hello"))
        assert (first["ETag"], first["ChecksumCRC64NVME"]) == (again["ETag"], again["ChecksumCRC64NVME"])

    def test_complete_again_with_a_condition_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """The key is taken by then: our own earlier write looks like a conflict."""
        upload = full(case, role_s3).send(b"hello")
        upload.complete(IfNoneMatch="*")
        with refused("PreconditionFailed", status=412):
            upload.complete(IfNoneMatch="*")

    def test_after_complete_there_is_nothing_to_abort(self, case: Scenario, role_s3: Any) -> None:
        """NoSuchUpload, and the object stays."""
        upload = full(case, role_s3).send(b"hello")
        upload.complete()
        with refused("NoSuchUpload", status=404):
            role_s3.abort_multipart_upload(**upload.where())
        with refused("NoSuchUpload", status=404):
            upload.send(b"more")
        assert keys(case) == {"airflow/big"}

    def test_after_abort_there_is_nothing_left(self, case: Scenario, role_s3: Any) -> None:
        """NoSuchUpload for everything."""
        upload = full(case, role_s3).send(b"hello")
        role_s3.abort_multipart_upload(**upload.where())
        for call in (upload.complete, lambda: role_s3.abort_multipart_upload(**upload.where())):
            with refused("NoSuchUpload", status=404):
                call()
        assert case.box.open_multipart_uploads(case.bucket) == []
        assert keys(case) == set()

    def test_another_session_of_the_role_may_finish_it(self, case: Scenario, client: ClientFor, role_s3: Any) -> None:
        """Uploads belong to the bucket, not to the session."""
        upload = full(case, role_s3).send(b"hello")
        upload.s3 = client(case.assume(RoleSessionName="another"))
        assert upload.complete()["ETag"]

    def test_abort_needs_its_own_right(self, case: Scenario, role_s3: Any) -> None:
        """s3:AbortMultipartUpload."""
        upload = full(case, role_s3)
        case.account_b.put_role_policy("DataDumpRole", allow("s3:PutObject"))
        with refused("AccessDenied", "s3:AbortMultipartUpload"):
            role_s3.abort_multipart_upload(**upload.where())

    def test_tags_and_metadata_of_create_are_on_the_object(self, case: Scenario, role_s3: Any) -> None:
        """Everything but the bytes is fixed at Create."""
        case.account_b.put_role_policy("DataDumpRole", allow(["s3:PutObject", "s3:PutObjectTagging"]))
        create = {
            "Tagging": "a=b",
            "Metadata": {"token": "t"},
            "ContentType": "text/csv",
            "StorageClass": "STANDARD_IA",
        }
        full(case, role_s3, **create).send(b"x").complete()
        s3 = case.account_b.client("s3")
        head = s3.head_object(Bucket=case.bucket, Key="airflow/big")
        assert (head["Metadata"], head["ContentType"], head["StorageClass"]) == (
            {"token": "t"},
            "text/csv",
            "STANDARD_IA",
        )
        assert s3.get_object_tagging(Bucket=case.bucket, Key="airflow/big")["TagSet"] == [{"Key": "a", "Value": "b"}]


class TestConditions:
    """If-None-Match (AWS: *How to prevent object overwrites with conditional writes*)."""

    @pytest.fixture
    def taken(self, case: Scenario) -> str:
        """A key that somebody else holds."""
        case.account_b.client("s3").put_object(Bucket=case.bucket, Key="airflow/big", Body=b"foreign")
        return "airflow/big"

    def test_put_of_a_taken_key_is_refused(self, case: Scenario, role_s3: Any, taken: str) -> None:
        """412, and the foreign object stays."""
        with refused("PreconditionFailed", "At least one of the pre-conditions", status=412):
            role_s3.put_object(Bucket=case.bucket, Key=taken, Body=b"ours", IfNoneMatch="*")
        assert case.account_b.read(case.bucket, taken) == b"foreign"
        role_s3.put_object(Bucket=case.bucket, Key="airflow/free", Body=b"ours", IfNoneMatch="*")
        assert case.account_b.read(case.bucket, "airflow/free") == b"ours"

    def test_complete_of_a_taken_key_is_refused_and_the_upload_lives_on(
        self, case: Scenario, role_s3: Any, taken: str
    ) -> None:
        """412; it can be aborted, which proves that the object is not ours."""
        upload = full(case, role_s3).send(b"ours")
        with refused("PreconditionFailed", status=412):
            upload.complete(IfNoneMatch="*", ChecksumCRC64NVME=crc64(b"ours"))
        assert case.account_b.read(case.bucket, taken) == b"foreign"
        role_s3.abort_multipart_upload(**upload.where())

    def test_after_a_refusal_complete_may_still_replace(self, case: Scenario, role_s3: Any, taken: str) -> None:
        """Without the condition, with its checksum intact."""
        upload = full(case, role_s3).send(b"ours")
        with refused("PreconditionFailed"):
            upload.complete(IfNoneMatch="*")
        assert upload.complete(ChecksumCRC64NVME=crc64(b"ours"))["ChecksumType"] == "FULL_OBJECT"
        assert case.account_b.read(case.bucket, taken) == b"ours"

    def test_copy_to_a_taken_key_is_refused(self, case: Scenario, role_s3: Any, taken: str) -> None:
        """412."""
        case.account_b.put_role_policy("DataDumpRole", allow("s3:*"))
        role_s3.put_object(Bucket=case.bucket, Key="airflow/source", Body=b"ours")
        source = {"Bucket": case.bucket, "Key": "airflow/source"}
        with refused("PreconditionFailed", status=412):
            role_s3.copy_object(Bucket=case.bucket, Key=taken, CopySource=source, IfNoneMatch="*")
        assert case.account_b.read(case.bucket, taken) == b"foreign"

    def test_a_deleted_key_is_free(self, case: Scenario, role_s3: Any, taken: str) -> None:
        """Also behind a delete marker."""
        s3 = case.account_b.client("s3")
        s3.put_bucket_versioning(Bucket=case.bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.delete_object(Bucket=case.bucket, Key=taken)
        role_s3.put_object(Bucket=case.bucket, Key=taken, Body=b"ours", IfNoneMatch="*")

    def test_only_the_star_is_implemented(self, case: Scenario, role_s3: Any) -> None:
        """As on AWS."""
        with refused("NotImplemented", status=501):
            role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x", IfNoneMatch='"etag"')

    def test_if_match_needs_the_right_to_read(self, case: Scenario, role_s3: Any, taken: str) -> None:
        """A role that can only write cannot compare."""
        etag = case.account_b.client("s3").head_object(Bucket=case.bucket, Key=taken)["ETag"]
        with refused("AccessDenied", "s3:GetObject"):
            role_s3.put_object(Bucket=case.bucket, Key=taken, Body=b"ours", IfMatch=etag)
        case.account_b.put_role_policy("DataDumpRole", allow(["s3:PutObject", "s3:GetObject"]))
        with refused("PreconditionFailed"):
            role_s3.put_object(Bucket=case.bucket, Key=taken, Body=b"ours", IfMatch='"another"')
        role_s3.put_object(Bucket=case.bucket, Key=taken, Body=b"ours", IfMatch=etag)


def test_a_put_above_five_gib_is_refused_before_its_body(case: Scenario, role_s3: Any) -> None:
    """By its Content-Length."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", int(case.box.endpoint_url.rpartition(":")[2]))
    connection.putrequest("PUT", f"/{case.bucket}/airflow/huge")
    connection.putheader("Content-Length", str(5 * 1024**3 + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"<Code>EntityTooLarge</Code>" in answer.read()
    connection.close()


def test_boto3s_own_transfer_works(case: Scenario, client: ClientFor, tmp_path: Any) -> None:
    """upload_file above the multipart threshold, with its default CRC32."""
    path = tmp_path / "data"
    path.write_bytes(WHOLE)
    s3 = client(case.assume())
    s3.upload_file(str(path), case.bucket, "airflow/file")
    assert case.account_b.read(case.bucket, "airflow/file") == WHOLE


def test_without_a_checksum_s3_computes_one(case: Scenario, client: ClientFor) -> None:
    """CRC64NVME over the whole, for single puts and for multiparts."""
    s3 = client(case.assume(), config=Config(request_checksum_calculation="when_required"))
    s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"hello")
    upload = Upload(case, s3, key="airflow/b")
    etag = s3.upload_part(**upload.where(PartNumber=1, Body=b"hello"))["ETag"]
    upload.parts.append({"PartNumber": 1, "ETag": etag})
    assert upload.complete()["ChecksumCRC64NVME"] == crc64(b"hello")
    for key in ("airflow/a", "airflow/b"):
        head = case.account_b.client("s3").head_object(Bucket=case.bucket, Key=key, ChecksumMode="ENABLED")
        assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (crc64(b"hello"), "FULL_OBJECT")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"Key": "airflow/" + "ü" * 509}, "KeyTooLongError"),
        ({"Key": "airflow/a", "Metadata": {"token": "x" * 2045}}, "MetadataTooLarge"),
        ({"Key": "airflow/a", "ExpectedBucketOwner": "me"}, "InvalidBucketOwnerAWSAccountID"),
        ({"Key": "airflow/a", "ACL": "public-read"}, "AccessControlListNotSupported"),
    ],
)
def test_what_no_object_may_have_is_refused(case: Scenario, role_s3: Any, options: Any, code: str) -> None:
    """Names, metadata, owners and ACLs outside their limits."""
    case.account_b.put_role_policy("DataDumpRole", allow("s3:*"))
    with refused(code, status=400):
        role_s3.put_object(Bucket=case.bucket, Body=b"x", **options)
    assert keys(case) == set()
    role_s3.put_object(Bucket=case.bucket, Key="airflow/" + "ü" * 508, Body=b"x", Metadata={"token": "x" * 2043})
