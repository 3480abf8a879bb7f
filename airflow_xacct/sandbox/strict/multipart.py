"""Multipart uploads as AWS answers them: full-object checksums, part sizes, tags, what happens after the end.

AWS: *Checking object integrity in Amazon S3* ("Full object and composite checksum types"), *CompleteMultipartUpload*,
*Amazon S3 multipart upload limits*.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl

from awscrt import checksums

from airflow_xacct.sandbox.emulator import Emulator
from airflow_xacct.sandbox.store import Record, Store
from airflow_xacct.sandbox.strict.answers import Refusal
from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["ALGORITHMS", "MultipartRules", "full_object_checksum", "precondition_failed"]

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
MIN_PART_SIZE_BYTES = 5 * 1024 * 1024

_ROLLING: dict[str, tuple[Callable[[bytes, int], int], int]] = {
    "CRC32": (zlib.crc32, 4),
    "CRC32C": (checksums.crc32c, 4),
    "CRC64NVME": (checksums.crc64nvme, 8),
}
_PART = re.compile(r"<PartNumber>\s*(\d+)\s*</PartNumber>")


def full_object_checksum(algorithm: str, bodies: Iterable[bytes]) -> str:
    """The checksum of the parts as one object, in base64."""
    compute, width_bytes = _ROLLING[algorithm]
    value = 0
    for body in bodies:
        value = compute(body, value)
    return base64.b64encode(value.to_bytes(width_bytes, "big")).decode()


class MultipartRules:
    """What is looked at before, and mended after, ministack carries out a multipart operation."""

    def __init__(self, emulator: Emulator, store: Store) -> None:
        self._emulator = emulator
        self._store = store

    def upload(self, owner: str, request: Request) -> Record | None:
        """The upload a request names, ``None`` when it is no longer there, or not for this key."""
        found = self._store.upload(owner, request.argument("uploadId"))
        return found if found and (found["bucket"], found["key"]) == (request.bucket, request.key) else None

    async def create(self, owner: str, request: Request) -> Response:
        """CreateMultipartUpload; remembers the checksum type and the tags, which ministack does not."""
        algorithm = request.headers.get("x-amz-checksum-algorithm", "").upper()
        kind = _checksum_type(algorithm, request.headers.get("x-amz-checksum-type", "").upper())
        tags = dict(parse_qsl(request.headers.get("x-amz-tagging", ""), keep_blank_values=True))
        if len(tags) > 10:
            raise Refusal(400, "BadRequest", "Object tags cannot be greater than 10")
        answer = await self._emulator.call_s3(owner, request)
        named = re.search(rb"<UploadId>([^<]+)</UploadId>", answer.body)
        record = self._store.upload(owner, named[1].decode()) if named else None
        if record is not None:
            record["xacct_tags"] = tags
            record["xacct_checksum_type"] = kind
            if algorithm:
                answer.headers["x-amz-checksum-type"] = kind
        return answer

    async def upload_part(self, owner: str, request: Request) -> Response:
        """UploadPart; a checksum of another algorithm than the upload's is refused."""
        record = self.upload(owner, request)
        declared = (record or {}).get("checksum_algorithm")
        for algorithm in ALGORITHMS:
            if declared and algorithm != declared and f"x-amz-checksum-{algorithm.lower()}" in request.headers:
                text = (
                    f"Checksum Type mismatch occurred, expected checksum Type: {declared.lower()}, "
                    f"actual checksum Type: {algorithm.lower()}"
                )
                raise Refusal(400, "InvalidRequest", text)
        return await self._emulator.call_s3(owner, request)

    async def complete(self, owner: str, request: Request) -> Response:
        """CompleteMultipartUpload; a repeated one succeeds, unless its condition no longer holds."""
        record = self.upload(owner, request)
        if record is None:
            done = self._store.completed(owner, request.argument("uploadId"))
            exists = self._store.current(owner, request.bucket, request.key) is not None
            if done is not None and exists and request.headers.get("if-none-match"):
                raise precondition_failed("If-None-Match")
            return await self._emulator.call_s3(owner, request)
        numbers = [int(number) for number in _PART.findall(request.body.decode("utf-8", "replace"))]
        _check_parts(numbers, record)
        algorithm = record["checksum_algorithm"]
        whole = self._check_full_object(request, record, numbers, algorithm or "CRC64NVME")
        if whole:
            # without an algorithm ministack makes no composite of its own; the parts' checksums stay verified
            record["checksum_algorithm"] = None
        answer = await self._emulator.call_s3(owner, request)
        if answer.status != 200:
            record["checksum_algorithm"] = algorithm
            return answer
        if whole:
            self._note_full_object(owner, request, answer, algorithm or "CRC64NVME", whole)
        if record.get("xacct_tags"):
            self._store.set_tags(owner, request.bucket, request.key, record["xacct_tags"])
        return answer

    @staticmethod
    def _check_full_object(request: Request, record: Record, numbers: list[int], algorithm: str) -> str:
        """The checksum of the whole, compared with the one the caller sent; empty for a composite upload."""
        kind = record.get("xacct_checksum_type")
        claimed_kind = request.headers.get("x-amz-checksum-type", "").upper()
        if claimed_kind and claimed_kind != kind:
            text = (
                f"The upload was created using the {kind} checksum mode. "
                "The complete request must use the same checksum mode."
            )
            raise Refusal(400, "InvalidRequest", text)
        if kind != "FULL_OBJECT":
            return ""
        bodies = [record["parts"][number]["body"] for number in numbers if number in record["parts"]]
        whole = full_object_checksum(algorithm, bodies)
        claimed = request.headers.pop(f"x-amz-checksum-{algorithm.lower()}", "")
        if claimed and claimed != whole:
            text = f"The {algorithm} you specified did not match the calculated checksum."
            raise Refusal(400, "BadDigest", text)
        return whole

    def _note_full_object(self, owner: str, request: Request, answer: Response, algorithm: str, whole: str) -> None:
        self._store.set_full_checksum(owner, request.bucket, request.key, algorithm, whole)
        told = f"<Checksum{algorithm}>{whole}</Checksum{algorithm}><ChecksumType>FULL_OBJECT</ChecksumType>"
        end = b"</CompleteMultipartUploadResult>"
        answer.body = answer.body.replace(end, told.encode() + end)
        done = self._store.completed(owner, request.argument("uploadId"))
        if done is not None:
            # what a repeated Complete is answered
            done["response"] = (*done["response"][:2], answer.body)


def _checksum_type(algorithm: str, asked: str) -> str:
    """The checksum type of an upload; each algorithm knows the ones the table of AWS gives it.

    Without an algorithm S3 computes a CRC64NVME of its own.
    """
    kind = asked or ("FULL_OBJECT" if algorithm in ("", "CRC64NVME") else "COMPOSITE")
    full_only, composite_only = algorithm in ("", "CRC64NVME"), algorithm.startswith("SHA")
    if (kind == "FULL_OBJECT" and composite_only) or (kind == "COMPOSITE" and full_only):
        name = algorithm.lower() or "null"
        text = f"The {kind} checksum type cannot be used with the {name} checksum algorithm."
        raise Refusal(400, "InvalidRequest", text)
    return kind


def _check_parts(numbers: list[int], record: Record) -> None:
    if not numbers:
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        raise Refusal(400, "MalformedXML", text)
    if sorted(set(numbers)) != numbers:
        text = "The list of parts was not in ascending order. The parts list must be specified in order by part number."
        raise Refusal(400, "InvalidPartOrder", text)
    for number in numbers[:-1]:
        part = record["parts"].get(number)
        if part is not None and part["size"] < MIN_PART_SIZE_BYTES:
            fields = {
                "ProposedSize": str(part["size"]),
                "MinSizeAllowed": str(MIN_PART_SIZE_BYTES),
                "PartNumber": str(number),
                "ETag": part["etag"].strip('"'),
            }
            text = "Your proposed upload is smaller than the minimum allowed size"
            raise Refusal(400, "EntityTooSmall", text, fields=fields)


def precondition_failed(condition: str) -> Refusal:
    """412, with the condition that does not hold (AWS: *Conditional requests*)."""
    text = "At least one of the pre-conditions you specified did not hold"
    return Refusal(412, "PreconditionFailed", text, fields={"Condition": condition})
