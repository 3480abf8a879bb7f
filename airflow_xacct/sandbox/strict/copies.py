"""Copies, also between accounts: the source is read and the destination written under the caller's rights.

AWS: *CopyObject*, *UploadPartCopy*, *Copying objects*, "Copying objects across accounts".
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlencode

from airflow_xacct.sandbox.emulator import Emulator
from airflow_xacct.sandbox.store import Store
from airflow_xacct.sandbox.strict.answers import S3_NAMESPACE, Refusal, element, xml_document
from airflow_xacct.sandbox.strict.buckets import Bucket, BucketAccess
from airflow_xacct.sandbox.strict.kms import KmsRules
from airflow_xacct.sandbox.strict.multipart import MultipartRules
from airflow_xacct.sandbox.strict.principals import Caller
from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["CopyRules"]

_KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
_CONDITIONS = {
    "x-amz-copy-source-if-match": "if-match",
    "x-amz-copy-source-if-none-match": "if-none-match",
    "x-amz-copy-source-if-modified-since": "if-modified-since",
    "x-amz-copy-source-if-unmodified-since": "if-unmodified-since",
}
_MAX_COPY_SIZE_BYTES = 5 * 1024**3


class CopyRules:
    """Carries out a copy as a read and a write, since the two buckets may have two owners."""

    def __init__(
        self,
        emulator: Emulator,
        store: Store,
        access: BucketAccess,
        kms: KmsRules,
        multipart: MultipartRules,
    ) -> None:
        self._emulator = emulator
        self._store = store
        self._access = access
        self._kms = kms
        self._multipart = multipart

    async def copy(self, request: Request, caller: Caller, bucket: Bucket) -> Response:
        """CopyObject or UploadPartCopy; the write was permitted already.

        :raises Refusal: the caller may not read the source, or it has another owner than the caller expects.
        """
        path, _, version = request.headers["x-amz-copy-source"].lstrip("/").partition("?versionId=")
        name, _, key = unquote(path).partition("/")
        if not name or not key:
            raise Refusal(
                400, "InvalidArgument", "Copy Source must mention the source bucket and key: /sourcebucket/sourcekey"
            )
        source = self._access.find(name)
        source.check_owner(request.headers.get("x-amz-source-expected-bucket-owner", ""))
        read = self._read(request, source, key, version)
        self._access.permit(read, caller, source)
        stored = self._store.current(source.owner, source.name, key) or {}
        self._kms.check(read, caller, source.owner, stored.get("preserved_headers", {}))
        found = await self._emulator.call_s3(source.owner, read)
        if found.status >= 300:
            self._refuse(request, caller, source, read, found)
        if request.operation == "UploadPartCopy":
            return await self._write_part(request, bucket, found)
        return await self._write_object(request, caller, bucket, source, read, found)

    @staticmethod
    def _read(request: Request, source: Bucket, key: str, version: str) -> Request:
        headers = {_CONDITIONS[name]: value for name, value in request.headers.items() if name in _CONDITIONS}
        if byte_range := request.headers.get("x-amz-copy-source-range"):
            headers["range"] = byte_range
        query = {"versionId": version} if version else {}
        return Request(
            method="GET",
            raw_path=f"/{quote(source.name)}/{quote(key)}",
            raw_query=urlencode(query),
            headers=headers,
            service="s3",
            operation="GetObject",
            bucket=source.name,
            key=key,
            signed_region=source.region,
        )

    def _refuse(self, request: Request, caller: Caller, source: Bucket, read: Request, found: Response) -> None:
        if found.status == 404:
            self._access.permit_action(read, caller, source, "s3:ListBucket", f"arn:aws:s3:::{source.name}")
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.", fields={"Key": read.key})
        if found.status in (304, 412):
            text = "At least one of the pre-conditions you specified did not hold"
            raise Refusal(412, "PreconditionFailed", text)
        code = re.search(rb"<Code>([^<]+)</Code>", found.body)
        text = f"The copy source cannot be read ({request.headers['x-amz-copy-source']})"
        raise Refusal(found.status, code[1].decode() if code else "InvalidRequest", text)

    async def _write_part(self, request: Request, bucket: Bucket, found: Response) -> Response:
        query = {name: request.argument(name) for name in ("partNumber", "uploadId")}
        write = self._write(request, found.body, {}, urlencode(query), "UploadPart")
        answer = await self._multipart.upload_part(bucket.owner, write)
        return _result("CopyPartResult", answer) if answer.status == 200 else answer

    async def _write_object(
        self, request: Request, caller: Caller, bucket: Bucket, source: Bucket, read: Request, found: Response
    ) -> Response:
        if len(found.body) > _MAX_COPY_SIZE_BYTES:
            text = "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
            raise Refusal(400, "InvalidRequest", text)
        if request.headers.get("x-amz-metadata-directive", "COPY").upper() == "COPY":
            headers = {
                name.lower(): value
                for name, value in found.headers.items()
                if name.lower() in _KEPT or name.lower().startswith("x-amz-meta-")
            }
        else:
            headers = {
                name: value
                for name, value in request.headers.items()
                if name in _KEPT or name.startswith("x-amz-meta-")
            }
        tags = self._tags(request, caller, bucket, source, read)
        if tags:
            headers["x-amz-tagging"] = tags
        write = self._write(request, found.body, headers, "", "PutObject")
        answer = await self._emulator.call_s3(bucket.owner, write)
        if answer.status != 200:
            return answer
        stored = self._store.current(bucket.owner, bucket.name, request.key) or {}
        for algorithm, value in stored.get("checksums", {}).items():
            answer.headers[f"x-amz-checksum-{algorithm.lower()}"] = value
        return _result("CopyObjectResult", answer)

    def _tags(self, request: Request, caller: Caller, bucket: Bucket, source: Bucket, read: Request) -> str:
        """Tags travel with the object unless they are replaced, and need rights of their own on both sides."""
        if request.headers.get("x-amz-tagging-directive", "COPY").upper() == "REPLACE":
            return request.headers.get("x-amz-tagging", "")
        found = self._store.tags(source.owner, source.name, read.key, read.query)
        if not found:
            return ""
        self._access.permit_action(
            read, caller, source, "s3:GetObjectTagging", f"arn:aws:s3:::{source.name}/{read.key}"
        )
        self._access.permit_action(
            request, caller, bucket, "s3:PutObjectTagging", f"arn:aws:s3:::{bucket.name}/{request.key}"
        )
        return urlencode(found)

    @staticmethod
    def _write(request: Request, body: bytes, headers: dict[str, str], query: str, operation: str) -> Request:
        passed = {
            name: value
            for name, value in request.headers.items()
            if name == "if-none-match"
            or name.startswith(("x-amz-server-side", "x-amz-storage", "x-amz-acl", "x-amz-grant", "x-amz-object-lock"))
        }
        algorithm = request.headers.get("x-amz-checksum-algorithm", "")
        if algorithm:
            passed["x-amz-sdk-checksum-algorithm"] = algorithm
        return Request(
            method="PUT",
            raw_path=request.raw_path,
            raw_query=query,
            headers={**passed, **headers},
            body=body,
            service="s3",
            operation=operation,
            bucket=request.bucket,
            key=request.key,
            signed_region=request.signed_region,
        )


def _result(name: str, answer: Response) -> Response:
    from ministack.core.responses import now_iso

    content = element("LastModified", now_iso()) + element("ETag", answer.header("etag"))
    for header, value in answer.headers.items():
        if header.lower().startswith("x-amz-checksum-c") or header.lower().startswith("x-amz-checksum-sha"):
            content += element(f"Checksum{header.rsplit('-', 1)[-1].upper()}", value)
    kept = {k: v for k, v in answer.headers.items() if k.lower().startswith(("x-amz-server-side", "x-amz-version-id"))}
    return xml_document(f'<{name} xmlns="{S3_NAMESPACE}">{content}</{name}>', headers=kept)
