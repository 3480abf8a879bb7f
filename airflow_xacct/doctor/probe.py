"""The one upload that is really begun: a few bytes below the prefix, removed again at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.facts import Facts

__all__ = ["UploadTrial", "try_upload"]

_BODY = b"xacct doctor\n"
_ABORT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class UploadTrial:
    """What S3 answered, step by step; a step that was not reached is ``None``.

    :param left: the number of an upload that could not be removed; empty for none.
    """

    create: Answer
    part: Answer | None = None
    abort: Answer | None = None
    left: str = ""

    @property
    def refused(self) -> Answer | None:
        """The first step that was refused."""
        steps = (self.create, self.part, self.abort)
        return next((answer for answer in steps if answer is not None and not answer.ok), None)

    @property
    def refused_by_kms(self) -> Answer | None:
        """The step that the KMS key refused."""
        refused = self.refused
        if refused is None:
            return None
        by_kms = refused.denial.action.startswith("kms:") or refused.code.startswith("KMS.")
        return refused if by_kms else None

    @property
    def encryption(self) -> str:
        """How the object would have been encrypted, in words."""
        told = self.create.data
        algorithm = str(told.get("ServerSideEncryption", ""))
        key = str(told.get("SSEKMSKeyId", ""))
        return f"{algorithm} with {key}" if key else algorithm


def try_upload(facts: Facts) -> UploadTrial:
    """Begin an upload as a delivery does, send one part, remove it: no object ever appears.

    A part is what makes KMS show itself whole: it needs kms:GenerateDataKey and kms:Decrypt (AWS: *Protecting data
    using SSE-KMS*).
    """
    kms_key = facts.destination.kms_key_id
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    request: dict[str, Any] = {
        "Key": facts.key,
        "ChecksumAlgorithm": "CRC64NVME",
        "ChecksumType": "FULL_OBJECT",
        **encryption,
    }
    create = facts.s3(facts.writer, "s3:PutObject", "create_multipart_upload", request, key=facts.key, once=True)
    if not create.ok:
        return UploadTrial(create)
    upload = {"Key": facts.key, "UploadId": create.data["UploadId"]}
    part = None
    try:
        sent = {**upload, "PartNumber": 1, "Body": _BODY, "ChecksumAlgorithm": "CRC64NVME"}
        part = facts.s3(facts.writer, "s3:PutObject", "upload_part", sent, key=facts.key)
    finally:
        abort = _abort(facts, upload)
    return UploadTrial(create, part, abort, "" if abort.ok else str(upload["UploadId"]))


def _abort(facts: Facts, upload: dict[str, Any]) -> Answer:
    for _ in range(_ABORT_ATTEMPTS):
        answer = facts.s3(facts.writer, "s3:AbortMultipartUpload", "abort_multipart_upload", upload, key=facts.key)
        if answer.ok:
            break
    return answer
