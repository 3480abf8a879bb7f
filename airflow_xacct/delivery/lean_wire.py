"""S3 requests with botocore's endpoint, credentials and HTTP session, and without its model in between.

Most of what a small request costs is botocore's way from parameters to a signed request: it validates, serialises,
resolves an endpoint and emits a dozen events, each time with the same outcome for one bucket. Here one call takes that
way, and is answered before it is sent; later requests take its URL and headers and are signed and sent as it would have
been. Redirects and sessions that are not accepted any more are left to the client, retries to the store, and errors to
botocore's parser.
"""

from __future__ import annotations

import io
import logging
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import create_parser

from airflow_xacct.access.renewal import refuses_session
from airflow_xacct.delivery.lean_sign import Signer

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from mypy_boto3_s3 import S3Client

__all__ = ["LeanWire", "complete_body"]

logger = logging.getLogger(__name__)

_OK, _OTHER, _REFUSED, _SERVER_ERROR = 200, 300, 400, 500
#: What an answer must hold to be one, and whether S3 says it in a header.
_PROOF = {
    "CompleteMultipartUpload": ("ETag", False),
    "CreateMultipartUpload": ("UploadId", False),
    "PutObject": ("ETag", True),
    "UploadPart": ("ETag", True),
}

_OWNER_HEADER = "x-amz-expected-bucket-owner"
#: What botocore adds to one request or one attempt of it, and S3 does not need.
_PASSING = ("amz-sdk-", "content-length", "x-amzn-trace-id")
_DIRECTORY = "--x-s3"  # AWS: *Directory bucket naming rules*; making a request would begin a session there
_SAFE_IN_KEYS = "/~"  # botocore's percent_encode of a greedy URI label


@dataclass(frozen=True, slots=True)
class _Operation:
    """How the scalars of one operation travel, from botocore's own model of it."""

    model: OperationModel
    method: str
    fixed_query: str
    headers: Mapping[str, str]
    query: Mapping[str, str]

    @classmethod
    def of(cls, client: S3Client, name: str) -> _Operation:
        model = client.meta.service_model.operation_model(name)
        placed: dict[str, dict[str, str]] = {"header": {}, "querystring": {}}
        members = model.input_shape.members if model.input_shape is not None else {}
        for member, shape in members.items():
            found = placed.get(shape.serialization.get("location", ""))
            if found is not None:
                found[member] = shape.serialization["name"]
        _, _, fixed = model.http["requestUri"].partition("?")
        return cls(model, model.http["method"], fixed, placed["header"], placed["querystring"])


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What all requests to the bucket have in common."""

    path_of_bucket: str
    headers: Mapping[str, str]
    http_session: Any
    signer: Signer


class LeanWire:
    """Sends the requests of one bucket. Thread-safe.

    :param client: whose endpoint, credentials, HTTP session and event handlers are used.
    :param bucket: a name, or an access point's ARN or alias.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._lock = threading.Lock()
        self._learned = False
        self._pattern: _Pattern | None = None
        self._operations: dict[str, _Operation] = {}
        self._parser = create_parser("rest-xml")

    def call(self, name: str, key: str, params: Mapping[str, Any], body: bytes = b"") -> dict[str, Any] | None:
        """Send one request, once.

        :param name: of the operation, as botocore's model has it.
        :param params: its scalar members, and ``Metadata``; without bucket and key.
        :returns: the parsed answer; or ``None`` where the client should send it: it was not sent, or it was redirected
            or refused for the sake of the session, and so certainly not carried out.
        :raises ClientError: S3 answered with an error, in a 200 answer too.
        :raises BotoCoreError: there was no answer.
        """
        pattern = self._common()
        if pattern is None:
            return None
        operation = self._operation(name)
        answer = pattern.http_session.send(self._signed(pattern, operation, key, params, body))
        return self._read(operation, answer)

    def _read(self, operation: _Operation, answer: AWSResponse) -> dict[str, Any] | None:
        status = answer.status_code
        if status < _OTHER and operation.model.name in _PROOF:
            if told := _told(operation.model.name, answer):
                return told
            # a 200 answer may hold an error all the same (AWS: *CompleteMultipartUpload*); botocore calls it a 500
            status = _SERVER_ERROR
        parsed: Any = self._parse(operation, answer, status)
        if status < _OTHER:
            return dict(parsed)
        error = parsed.get("Error", {})
        if status < _REFUSED or refuses_session(error.get("Code", ""), error.get("Message", "")):
            return None
        raise ClientError(parsed, operation.model.name)

    def _parse(self, operation: _Operation, answer: AWSResponse, status: int) -> Any:
        raw = {
            "headers": answer.headers,
            "status_code": status,
            "body": answer.content,
            "context": {"operation_name": operation.model.name},
        }
        shape: Any = operation.model.output_shape  # its stubs overlook that an operation may have none
        return self._parser.parse(raw, shape)

    def _operation(self, name: str) -> _Operation:
        if name not in self._operations:
            self._operations[name] = _Operation.of(self._client, name)
        return self._operations[name]

    def _signed(
        self, pattern: _Pattern, operation: _Operation, key: str, params: Mapping[str, Any], body: bytes
    ) -> AWSPreparedRequest:
        headers = dict(pattern.headers)
        queries = [operation.fixed_query] if operation.fixed_query else []
        for name, value in params.items():
            if name == "Metadata":
                headers |= {f"x-amz-meta-{entry}": text for entry, text in value.items()}
            elif name in operation.query:
                queries.append(f"{operation.query[name]}={quote(str(value), safe='-._~')}")
            else:
                headers[operation.headers[name]] = str(value)
        path = pattern.path_of_bucket + quote(key, safe=_SAFE_IN_KEYS)
        streaming = operation.model.has_streaming_input
        return pattern.signer.request(operation.method, path, queries, headers, body, streaming=streaming)

    def _common(self) -> _Pattern | None:
        if not self._learned:
            with self._lock:
                if not self._learned:
                    self._pattern = self._learn()
                    self._learned = True
        return self._pattern

    def _learn(self) -> _Pattern | None:
        """Let botocore make a request of its own, which is never sent, and look at it.

        The HTTP session is not public in botocore. Without it, and wherever the request is signed in another way than
        for an ordinary bucket (directory buckets, multi-Region access points), the client does everything.
        """
        http_session = getattr(getattr(self._client, "_endpoint", None), "http_session", None)
        if http_session is None or self._bucket.endswith(_DIRECTORY):
            return None
        key = f"xacct-pattern-{secrets.token_hex(8)}"
        with self._caught(key) as caught:
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId="none")
            except (BotoCoreError, ClientError) as exc:
                logger.debug("No pattern of requests to %s: %s", self._bucket, exc)
                return None
        url, _, _ = caught.get("url", "").partition("?")
        headers = {name: _text(value) for name, value in caught.get("headers", ()) if not _is_passing(name)}
        owner = any(name.lower() == _OWNER_HEADER for name in headers)
        if caught.get("signature_version") != "s3v4" or not owner or not url.endswith("/" + key):
            return None
        context = caught["context"]
        signing = {
            "signing_name": context.get("signing", {}).get("signing_name", caught["signing_name"]),
            "region_name": context.get("signing", {}).get("region", caught["region_name"]),
            "signature_version": caught["signature_version"],
        }
        kept = {"client_config": context["client_config"], "signing": context.get("signing", {})}
        parts = urlsplit(url)
        signer = Signer(f"{parts.scheme}://{parts.netloc}", caught["request_signer"], signing, kept)
        return _Pattern(parts.path.removesuffix(key), headers, http_session, signer)

    @contextmanager
    def _caught(self, key: str) -> Iterator[dict[str, Any]]:
        """Catch the request for one key: before it is signed, and before it is sent."""
        caught: dict[str, Any] = {}

        def before_sign(request: Any, **facts: Any) -> None:
            if request.url.partition("?")[0].endswith(key):
                caught.update(facts, url=request.url, headers=list(request.headers.items()), context=request.context)

        def before_send(request: Any, **_: Any) -> AWSResponse | None:
            if not request.url.partition("?")[0].endswith(key):
                return None
            headers: Any = {}
            return AWSResponse(request.url, _OK, headers, _Empty())

        events: Any = self._client.meta.events  # its stubs know no handler that answers
        events.register_last("before-sign.s3.AbortMultipartUpload", before_sign, unique_id=key + "-sign")
        events.register_first("before-send.s3.AbortMultipartUpload", before_send, unique_id=key + "-send")
        try:
            yield caught
        finally:
            events.unregister("before-sign.s3.AbortMultipartUpload", unique_id=key + "-sign")
            events.unregister("before-send.s3.AbortMultipartUpload", unique_id=key + "-send")


class _Empty(io.BytesIO):
    """The body of an answer, as urllib3 has it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def complete_body(parts: list[dict[str, Any]]) -> bytes:
    """The document of CompleteMultipartUpload.

    :param parts: ``PartNumber``, ``ETag``, ``ChecksumCRC64NVME`` of each, in order.
    """
    inner = "".join(
        "<Part>" + "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in part.items()) + "</Part>"
        for part in parts
    )
    return (
        '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        + inner
        + "</CompleteMultipartUpload>"
    ).encode()


def _told(name: str, answer: AWSResponse) -> dict[str, Any] | None:
    """What the store asks of an answer; ``None`` for one that is an error, or no answer to this operation."""
    proof, in_header = _PROOF[name]
    told: dict[str, Any] = {proof: answer.headers.get(proof)} if in_header else {}
    if answer.content:
        try:
            root = ET.fromstring(answer.content)  # noqa: S314 - what S3 says, which botocore reads likewise
        except ET.ParseError:
            return None
        if root.tag.endswith("Error"):  # which may have an ETag, too: that of an invalid part
            return None
        told |= {child.tag.rpartition("}")[2]: child.text for child in root}
    told["VersionId"] = answer.headers.get("x-amz-version-id", "")
    return told if told.get(proof) else None


def _is_passing(name: str) -> bool:
    return name.lower().startswith(_PASSING)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
