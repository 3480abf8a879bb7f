"""S3 as AWS refuses: the order of checks around every operation.

The signature is verified already; then come the bucket's region and owner, the policies, the key of KMS, and what the
single operations add. Only what passes is carried out by ministack, with the rights of the bucket's owner.
"""

from __future__ import annotations

from airflow_xacct.sandbox.emulator import Emulator
from airflow_xacct.sandbox.store import Store
from airflow_xacct.sandbox.strict.answers import Refusal
from airflow_xacct.sandbox.strict.buckets import Bucket, BucketAccess
from airflow_xacct.sandbox.strict.copies import CopyRules
from airflow_xacct.sandbox.strict.deletes import delete_objects
from airflow_xacct.sandbox.strict.kms import KmsRules
from airflow_xacct.sandbox.strict.multipart import MultipartRules, full_object_checksum
from airflow_xacct.sandbox.strict.principals import Caller
from airflow_xacct.sandbox.strict.s3_actions import NOT_EMULATED
from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["MAX_PUT_SIZE_BYTES", "S3Rules"]

MAX_PUT_SIZE_BYTES = 5 * 1024**3

_MAX_KEY_BYTES = 1024
_MAX_METADATA_BYTES = 2048

_CREATING = frozenset({"CompleteMultipartUpload", "CopyObject", "PutObject"})
_READING = frozenset({"GetObject", "GetObjectAttributes", "GetObjectTagging", "HeadObject"})
_TELLING_ENCRYPTION = frozenset(
    {*_CREATING, "CreateMultipartUpload", "GetObject", "HeadObject", "UploadPart", "UploadPartCopy"}
)


class S3Rules:
    """Answers every S3 request of a sandbox."""

    def __init__(self, emulator: Emulator, store: Store) -> None:
        self._emulator = emulator
        self._store = store
        self._access = BucketAccess(store)
        self._kms = KmsRules(store)
        self._multipart = MultipartRules(emulator, store)
        self._copies = CopyRules(emulator, store, self._access, self._kms, self._multipart)

    async def answer(self, request: Request, caller: Caller) -> Response:
        """Carry out an authenticated request, or refuse it.

        :raises Refusal: as AWS would.
        """
        if not request.operation or request.operation in NOT_EMULATED:
            text = f"{request.operation or request.method} is not emulated by the sandbox."
            raise Refusal(501, "NotImplemented", text)
        self._unwrap(request)
        if request.operation in ("ListBuckets", "CreateBucket"):
            self._access.permit_in_account(request, caller)
            return await self._emulator.call_s3(caller.account, request)
        bucket = self._access.find(request.bucket)
        bucket.check_region(request)
        bucket.check_owner(request.headers.get("x-amz-expected-bucket-owner", ""))
        _check_limits(request)
        if request.operation == "DeleteObjects":
            return await delete_objects(self._emulator, self._access, request, caller, bucket)
        self._access.permit(request, caller, bucket)
        self._kms.check(request, caller, bucket.owner, self._stored_encryption(request, bucket))
        answer = await self._carry_out(request, caller, bucket)
        self._finish(request, caller, bucket, answer)
        return answer

    def _unwrap(self, request: Request) -> None:
        """Undo what is only transport: headers hoisted into a presigned URL, and the aws-chunked body."""
        if "X-Amz-Signature" in request.query:
            request.headers = self._store.with_hoisted_headers(request.headers, request.query)
            request.query = {k: v for k, v in request.query.items() if not k.lower().startswith("x-amz-")}
        request.body = self._store.decoded_body(request.body, request.headers)
        condition = request.headers.get("if-none-match", "*")
        if condition != "*" and request.operation in _CREATING:
            text = "A header you provided implies functionality that is not implemented"
            raise Refusal(501, "NotImplemented", text, fields={"Header": "If-None-Match", "Value": condition})

    def _stored_encryption(self, request: Request, bucket: Bucket) -> dict[str, str] | None:
        """The encryption of the upload or object a request is about, ``None`` when it makes a new one."""
        if request.operation in ("CompleteMultipartUpload", "UploadPart", "UploadPartCopy"):
            record = self._multipart.upload(bucket.owner, request)
        elif request.operation == "GetObject":
            record = self._store.current(bucket.owner, bucket.name, request.key)
        else:
            return None
        return dict((record or {}).get("preserved_headers", {}))

    async def _carry_out(self, request: Request, caller: Caller, bucket: Bucket) -> Response:
        match request.operation:
            case "CopyObject" | "UploadPartCopy":
                return await self._copies.copy(request, caller, bucket)
            case "CreateMultipartUpload":
                return await self._multipart.create(bucket.owner, request)
            case "UploadPart":
                return await self._multipart.upload_part(bucket.owner, request)
            case "CompleteMultipartUpload":
                return await self._multipart.complete(bucket.owner, request)
            case _:
                return await self._emulator.call_s3(bucket.owner, request)

    def _finish(self, request: Request, caller: Caller, bucket: Bucket, answer: Response) -> None:
        """What ministack leaves out of an answer, or tells differently."""
        if answer.status == 404 and request.operation in _READING:
            # without s3:ListBucket nobody learns that a key is free (AWS: *HeadObject*, "Permissions")
            self._access.permit_action(request, caller, bucket, "s3:ListBucket", f"arn:aws:s3:::{bucket.name}")
        if answer.status not in (200, 206):
            return
        if request.operation in _TELLING_ENCRYPTION and not answer.header("x-amz-server-side-encryption"):
            # every object is encrypted since January 2023, and S3 says so
            answer.headers["x-amz-server-side-encryption"] = "AES256"
        stored = self._store.current(bucket.owner, bucket.name, request.key) or {}
        if request.operation == "PutObject":
            if not stored["checksums"]:
                # S3 computes one even when nobody asked (AWS: *Checking object integrity in Amazon S3*)
                whole = full_object_checksum("CRC64NVME", [request.body])
                self._store.set_full_checksum(bucket.owner, bucket.name, request.key, "CRC64NVME", whole)
            for algorithm, value in stored["checksums"].items():
                answer.headers[f"x-amz-checksum-{algorithm.lower()}"] = value
                answer.headers["x-amz-checksum-type"] = "FULL_OBJECT"
        if request.operation == "GetObjectAttributes" and stored.get("checksum_type") == "FULL_OBJECT":
            # ministack calls the checksum of every multipart object composite
            answer.body = answer.body.replace(b">COMPOSITE<", b">FULL_OBJECT<")


def _check_limits(request: Request) -> None:
    """What the names and the metadata of an object may be (AWS: *Naming Amazon S3 objects*, *Working with object
    metadata*).
    """
    length = len(request.key.encode())
    if length > _MAX_KEY_BYTES:
        fields = {"Size": str(length), "MaxSizeAllowed": str(_MAX_KEY_BYTES)}
        raise Refusal(400, "KeyTooLongError", "Your key is too long", fields=fields)
    metadata = {k.removeprefix("x-amz-meta-"): v for k, v in request.headers.items() if k.startswith("x-amz-meta-")}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > _MAX_METADATA_BYTES:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        fields = {"Size": str(size), "MaxSizeAllowed": str(_MAX_METADATA_BYTES)}
        raise Refusal(400, "MetadataTooLarge", text, fields=fields)
