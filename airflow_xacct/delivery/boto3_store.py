"""The store as boto3 speaks to S3.

Ordinary requests take the short way of :mod:`airflow_xacct.delivery.lean_wire`; what is out of the ordinary, that of
the client. There are two clients of one session: one that retries, for calls that may be repeated; one that takes a
single wire attempt, for those whose repetition would change their meaning. Neither is given the expected owner here:
the access layer adds it to every call of its clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from airflow_xacct.delivery.lean_wire import LeanWire, complete_body
from airflow_xacct.delivery.store import (
    AnswerLost,
    NoSuchUpload,
    ObjectAttributes,
    ObjectHead,
    ObjectReceipt,
    PartReceipt,
    PreconditionFailed,
    WriteConflict,
)
from airflow_xacct.exceptions import ChecksumMismatchError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Boto3Store", "Translate"]

Translate = Callable[[Exception, str, str], Exception]
"""Makes one of our errors of what boto3 raised: the exception, the IAM action, the key."""

_CHECKSUM_HEADER = "x-amz-checksum-crc64nvme"
_NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED, _THROTTLED, _SERVER_ERROR = 404, 409, 412, 429, 500

# no connection was made, so nothing was sent; every other failure of the transport may have come after sending
_NEVER_SENT = (aws.EndpointConnectionError, aws.ConnectTimeoutError)
_LOST = (aws.HTTPClientError, aws.ConnectionError, aws.IncompleteReadError, ResponseParserError)


class Boto3Store:
    """One bucket, through boto3.

    :param client: retries by itself.
    :param single_attempt_client: made with ``retries={"total_max_attempts": 1}``.
    :param bucket: a name, or an access point's ARN or alias.
    :param translate: turns refusals into our errors.
    """

    def __init__(self, client: S3Client, single_attempt_client: S3Client, bucket: str, translate: Translate) -> None:
        self._client = client
        self._once = single_attempt_client
        self._bucket = bucket
        self._translate = translate
        for each in (client, single_attempt_client):
            for operation in ("PutObject", "UploadPart"):
                each.meta.events.register(
                    f"before-call.s3.{operation}", _leave_payload_unsigned, f"xacct-unsigned-{operation}"
                )
        self._wire = LeanWire(client, bucket)

    @property
    def bucket(self) -> str:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        return self._bucket

    def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, checksum: str, if_absent: bool
    ) -> ObjectReceipt:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`.

        :raises WriteConflict: another write of the key was under way (only with ``if_absent``).
        """
        given = {"ChecksumCRC64NVME": checksum, **_if_absent(if_absent), **_attributes(attributes)}
        with self._answers("s3:PutObject", key):
            answer = self._lean("PutObject", key, given, body, once=if_absent)
            if answer is None:
                client: Any = self._once if if_absent else self._client
                answer = client.put_object(Bucket=self._bucket, Key=key, Body=body, **given)
            etag = _told(answer, "ETag")
        return ObjectReceipt(etag, checksum, len(body), answer.get("VersionId", ""))

    def create_multipart(self, key: str, attributes: ObjectAttributes) -> str:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        given = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT", **_attributes(attributes)}
        with self._answers("s3:PutObject", key):
            answer = self._lean("CreateMultipartUpload", key, given, once=True)
            if answer is None:
                client: Any = self._once
                answer = client.create_multipart_upload(Bucket=self._bucket, Key=key, **given)
            return _told(answer, "UploadId")

    def upload_part(
        self, key: str, upload_id: str, part_number: int, body: bytes | memoryview, *, checksum: str
    ) -> PartReceipt:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        whole = body if isinstance(body, bytes) else bytes(body)
        given = {"PartNumber": part_number, "UploadId": upload_id, "ChecksumCRC64NVME": checksum}
        with self._answers("s3:PutObject", key):
            answer = self._lean("UploadPart", key, given, whole)
            if answer is None:
                client: Any = self._client
                answer = client.upload_part(Bucket=self._bucket, Key=key, Body=whole, **given)
            etag = _told(answer, "ETag")
        return PartReceipt(etag, checksum, len(whole))

    def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[PartReceipt],
        *,
        checksum: str,
        size_bytes: int,
        if_absent: bool,
    ) -> ObjectReceipt:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        given = {
            "UploadId": upload_id,
            "ChecksumCRC64NVME": checksum,
            "ChecksumType": "FULL_OBJECT",
            "MpuObjectSize": size_bytes,
            **_if_absent(if_absent),
        }
        listed = [
            {"ETag": part.etag, "ChecksumCRC64NVME": part.checksum, "PartNumber": number}
            for number, part in enumerate(parts, 1)
        ]
        with self._answers("s3:PutObject", key):
            answer = self._lean("CompleteMultipartUpload", key, given, complete_body(listed), once=True)
            if answer is None:
                client: Any = self._once
                upload = {"Parts": listed}
                answer = client.complete_multipart_upload(Bucket=self._bucket, Key=key, MultipartUpload=upload, **given)
            etag = _told(answer, "ETag")
        return ObjectReceipt(etag, checksum, size_bytes, answer.get("VersionId", ""))

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        with self._answers("s3:AbortMultipartUpload", key):
            if self._lean("AbortMultipartUpload", key, {"UploadId": upload_id}) is not None:
                return
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)

    def head(self, key: str) -> ObjectHead | None:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        try:
            with self._answers("s3:GetObject", key):
                answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except _NotThereError:
            return None
        metadata = {name.lower(): value for name, value in answer["Metadata"].items()}
        return ObjectHead(answer["ContentLength"], answer["ETag"], metadata)

    def delete(self, key: str) -> None:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        with self._answers("s3:DeleteObject", key):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _lean(
        self, name: str, key: str, given: dict[str, Any], body: bytes = b"", *, once: bool = False
    ) -> dict[str, Any] | None:
        """Take the short way; ``None`` where the request is the client's to send.

        :param once: the request must not be sent a second time unless it was certainly not carried out.
        """
        try:
            return self._wire.call(name, key, given, body)
        except aws.ClientError as exc:
            if once or (_status(exc) < _SERVER_ERROR and _status(exc) != _THROTTLED):
                raise
        except _NEVER_SENT:
            pass
        except _LOST:
            if once:
                raise
        return None

    @contextmanager
    def _answers(self, action: str, key: str) -> Iterator[None]:
        """Turn what boto3 raises into what the protocol of stores says."""
        where = f"s3://{self._bucket}/{key}"
        try:
            yield
        except aws.ClientError as exc:
            raise self._answer(exc, action, key, where) from exc
        except _NEVER_SENT as exc:
            raise self._translate(exc, action, key) from exc
        except _LOST as exc:
            raise _lost(f"no answer to {action}: {exc}", where) from exc
        except aws.BotoCoreError as exc:
            raise self._translate(exc, action, key) from exc

    def _answer(self, exc: aws.ClientError, action: str, key: str, where: str) -> Exception:
        """The meaning of an answer that is an error. In a 200 answer it has a code, and botocore calls it a 500."""
        code = exc.response.get("Error", {}).get("Code", "")
        status = _status(exc)
        if code == "PreconditionFailed" or status == _PRECONDITION_FAILED:
            return PreconditionFailed("412: an object holds the key", where=where)
        if code == "ConditionalRequestConflict" or status == _CONFLICT:
            return WriteConflict(f"409: another operation on the key is under way ({code})", where=where)
        if code == "NoSuchUpload":
            return NoSuchUpload("404: the upload was completed, aborted, or never existed", where=where)
        if code == "BadDigest":
            return ChecksumMismatchError(
                "S3 computed another checksum than we did: the bytes changed on their way",
                where=where,
                remedy="Let the task run again. If it happens again, look at the worker's memory and network.",
            )
        if action == "s3:GetObject" and (code in ("404", "NoSuchKey") or status == _NOT_FOUND):
            return _NotThereError()
        if status >= _SERVER_ERROR or code == "RequestTimeout":
            return _lost(f"S3 answered {code} ({status}) to {action}", where)
        return self._translate(exc, action, key)


def _status(exc: aws.ClientError) -> int:
    return exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


class _NotThereError(Exception):
    """HEAD found nothing."""


def _told(answer: Mapping[str, Any], name: str) -> str:
    """What an answer must tell: without it, nobody knows what was done."""
    if not answer.get(name):
        raise ResponseParserError(f"it has no {name}")
    return str(answer[name])


def _lost(what: str, where: str) -> AnswerLost:
    return AnswerLost(what, where=where, remedy="S3 or the network is disturbed. Let the task run again later.")


def _if_absent(if_absent: bool) -> dict[str, Any]:
    return {"IfNoneMatch": "*"} if if_absent else {}


def _attributes(attributes: ObjectAttributes) -> dict[str, Any]:
    """AWS: *PutObject* and *CreateMultipartUpload*, which take the same ones. What is empty is left out."""
    given = {
        "ContentType": attributes.content_type,
        "ContentEncoding": attributes.content_encoding,
        "StorageClass": attributes.storage_class,
        "SSEKMSKeyId": attributes.kms_key_id,
        "ServerSideEncryption": "aws:kms" if attributes.kms_key_id else "",
        "Metadata": dict(attributes.metadata),
        "Tagging": urlencode(attributes.tags),
    }
    return {name: value for name, value in given.items() if value}


def _leave_payload_unsigned(params: dict[str, Any], **_: Any) -> None:
    """Tell botocore of the checksum it is handed, so that over TLS it does not hash the payload with SHA-256 as well.

    It leaves the payload out of the signature when it made a checksum by itself, and overlooks one that it was given.
    """
    if _CHECKSUM_HEADER in params["headers"]:
        params["context"].setdefault("checksum", {})["request_algorithm"] = {
            "algorithm": "crc64nvme",
            "in": "header",
            "name": _CHECKSUM_HEADER,
        }
