"""The store over boto3: what it sends, and what it makes of every kind of answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import exceptions as aws
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from airflow_xacct.access.guards import guard_bucket_owner
from airflow_xacct.delivery.boto3_store import Boto3Store
from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.lean_wire import LeanWire
from airflow_xacct.delivery.store import (
    AnswerLost,
    NoSuchUpload,
    ObjectAttributes,
    PreconditionFailed,
    WriteConflict,
)
from airflow_xacct.exceptions import AccessDeniedError, ThrottledError, TransportError, XacctError
from airflow_xacct.sandbox import Scenario, drop_request, drop_response, error_in_200, status

KEY = "airflow/orders.csv"
PLAIN = ObjectAttributes()
CHECKSUM = checksum_of(b"abc")
FULL = ObjectAttributes(
    content_type="text/csv",
    content_encoding="gzip",
    storage_class="STANDARD_IA",
    kms_key_id="alias/acme",
    metadata={"team": "data"},
    tags={"a b": "c&d", "e": "f"},
)


def staged(store: Boto3Store) -> tuple[str, list[Any]]:
    """An upload with one part."""
    upload_id = store.create_multipart(KEY, PLAIN)
    return upload_id, [store.upload_part(KEY, upload_id, 1, b"abc", checksum=CHECKSUM)]


def complete(store: Boto3Store, upload_id: str, parts: list[Any], *, if_absent: bool = True) -> Any:
    """Complete it."""
    return store.complete_multipart(KEY, upload_id, parts, checksum=CHECKSUM, size_bytes=3, if_absent=if_absent)


def test_what_is_sent(boto3_store: Callable[..., Boto3Store], xacct_accounts: Scenario) -> None:
    """One checksum, full object, on every call that takes it; the size and the condition on Complete."""
    store = boto3_store(owner=False)
    complete(store, *staged(store))
    create, part, last = (r for r in xacct_accounts.box.requests if r.key == KEY)
    assert create.headers["x-amz-checksum-algorithm"] == "CRC64NVME"
    assert create.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert part.headers["x-amz-checksum-crc64nvme"] == CHECKSUM
    assert last.headers["x-amz-checksum-crc64nvme"] == CHECKSUM
    assert last.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert last.headers["x-amz-mp-object-size"] == "3"
    assert last.headers["if-none-match"] == "*"
    for request in (create, part, last):
        checksums = [name for name in request.headers if name.startswith(("x-amz-checksum-crc", "x-amz-checksum-sha"))]
        assert checksums in ([], ["x-amz-checksum-crc64nvme"])
        assert "content-md5" not in request.headers


def test_without_the_condition_none_is_sent(boto3_store: Callable[..., Boto3Store], xacct_accounts: Scenario) -> None:
    """To replace is to send no condition."""
    store = boto3_store()
    complete(store, *staged(store), if_absent=False)
    store.put(KEY, b"abc", PLAIN, checksum=CHECKSUM, if_absent=False)
    assert not any("if-none-match" in request.headers for request in xacct_accounts.box.requests)


class Wire:
    """Two clients over TLS whose requests go nowhere: each is kept, and answered with the next answer.

    :param lean: the requests carry the expected owner, without which the client sends them itself.
    """

    def __init__(self, *answers: Exception | tuple[int, bytes], lean: bool, bucket: str = "acme") -> None:
        self.lean = lean
        self.answers = list(answers)
        self.sent: list[Any] = []
        config = Config(retries={"total_max_attempts": 1}, request_checksum_calculation="when_required")
        self.clients = [self._client(config) for _ in range(2)]
        self.store = Boto3Store(*self.clients, bucket, lambda error, action, key: XacctError(f"{action}: {error}"))

    def _client(self, config: Config) -> Any:
        client = boto3.client(
            "s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b", config=config
        )
        client._endpoint.http_session.send = self._answer
        if self.lean:
            guard_bucket_owner(client.meta.events, bucket_owner="222222222222")
        return client

    def _answer(self, request: Any) -> AWSResponse:
        self.sent.append(request)
        answer = self.answers.pop(0) if self.answers else (200, b"")
        if isinstance(answer, Exception):
            raise answer
        raw = type("Raw", (), {"stream": lambda self, **_: iter([answer[1]]), "read": lambda self: answer[1]})()
        return AWSResponse(request.url, answer[0], {"ETag": '"e"', "x-amz-version-id": "v"}, raw)


@pytest.mark.parametrize("lean", [False, True])
def test_over_tls_the_payload_is_not_hashed_again(lean: bool) -> None:
    """The checksum it was handed is enough for botocore to leave SHA-256 out."""
    wire = Wire(lean=lean)
    wire.store.upload_part(KEY, "id", 1, b"abc", checksum=CHECKSUM)
    wire.store.put(KEY, b"abc", PLAIN, checksum=CHECKSUM, if_absent=True)
    for request in wire.sent:
        assert request.headers["X-Amz-Content-SHA256"] == b"UNSIGNED-PAYLOAD"
        assert request.headers["x-amz-checksum-crc64nvme"] == CHECKSUM.encode()


@pytest.mark.parametrize("lean", [False, True])
def test_every_attribute_is_sent_and_empty_ones_are_not(lean: bool) -> None:
    """Encryption, class, metadata and tags as S3 takes them."""
    wire = Wire((200, b"<R><UploadId>id</UploadId></R>"), lean=lean)
    wire.store.create_multipart(KEY, FULL)
    wire.store.put(KEY, b"abc", PLAIN, checksum=CHECKSUM, if_absent=False)
    full, plain = ({name.lower(): value for name, value in request.headers.items()} for request in wire.sent)
    assert full["content-type"] == b"text/csv"
    assert full["content-encoding"] == b"gzip"
    assert full["x-amz-storage-class"] == b"STANDARD_IA"
    assert full["x-amz-server-side-encryption"] == b"aws:kms"
    assert full["x-amz-server-side-encryption-aws-kms-key-id"] == b"alias/acme"
    assert full["x-amz-meta-team"] == b"data"
    assert full["x-amz-tagging"] == b"a+b=c%26d&e=f"
    assert not [name for name in plain if name.startswith(("x-amz-meta", "x-amz-server", "x-amz-storage", "x-amz-tag"))]


#: What botocore gives a request for its own purposes, and what is of the moment.
_OF_THE_MOMENT = ("amz-sdk-", "authorization", "x-amz-date", "expect", "user-agent")


def all_calls(store: Boto3Store, key: str) -> None:
    """Every call that may take the short way."""
    store.create_multipart(key, FULL)
    store.create_multipart(key, PLAIN)
    part = store.upload_part(key, "an+id/=", 7, b"abc", checksum=CHECKSUM)
    complete(store, "an+id/=", [part, part])
    complete(store, "an+id/=", [part], if_absent=False)
    store.put(key, b"abc", FULL, checksum=CHECKSUM, if_absent=True)
    store.put(key, b"", PLAIN, checksum=checksum_of(b""), if_absent=False)
    store.abort_multipart(key, "an+id/=")


def seen_on(wire: Wire, key: str, monkeypatch: pytest.MonkeyPatch, *, lean: bool) -> list[Any]:
    """Method, URL, headers and body of each request."""
    if not lean:
        monkeypatch.setattr(LeanWire, "call", lambda *args, **kwargs: None)
    all_calls(wire.store, key)
    return [
        (
            request.method,
            request.url,
            {n.lower(): v for n, v in request.headers.items() if not n.lower().startswith(_OF_THE_MOMENT)},
            request.body.read() if hasattr(request.body, "read") else request.body or b"",
        )
        for request in wire.sent
    ]


@pytest.mark.parametrize("bucket", ["acme", "acme.dots", "arn:aws:s3:eu-west-1:222222222222:accesspoint/landing"])
@pytest.mark.parametrize("key", ["airflow/ds=2013-01-01/a b+c~&é#?%41.csv", "x"], ids=["odd", "plain"])
def test_the_short_way_sends_what_the_client_would(bucket: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte, but for what is of the moment; the expected owner and the condition are among it."""
    answers = [(200, b"<R><UploadId>id</UploadId></R>")] * 2 + [(200, b"")] + [(200, b"<R><ETag>e</ETag></R>")] * 2
    short = seen_on(Wire(*answers, lean=True, bucket=bucket), key, monkeypatch, lean=True)
    long = seen_on(Wire(*answers, lean=True, bucket=bucket), key, monkeypatch, lean=False)
    assert short == long
    assert len(short) == 8
    assert all(headers["x-amz-expected-bucket-owner"] == b"222222222222" for _, _, headers, _ in short)


@pytest.mark.parametrize("bucket", ["acme--euw1-az1--x-s3", "arn:aws:s3::222222222222:accesspoint/abc.mrap"])
def test_buckets_that_sign_otherwise_are_the_clients(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory bucket has sessions of its own, a multi-Region access point another signature."""
    wire = Wire(lean=True, bucket=bucket)
    made = LeanWire(wire.clients[0], bucket)
    assert made.call("AbortMultipartUpload", KEY, {"UploadId": "id"}) is None


def test_a_session_that_is_not_accepted_is_the_clients() -> None:
    """The client knows how to assume the role once more; what it makes of the answer is the answer."""
    refused = (400, error("ExpiredToken"))
    wire = Wire(refused, (200, b"<R><UploadId>id</UploadId></R>"), lean=True)
    assert wire.store.create_multipart(KEY, PLAIN) == "id"
    assert len(wire.sent) == 2


def error(code: str, more: str = "") -> bytes:
    """The body of an answer that is an error."""
    return f"<Error><Code>{code}</Code><Message>said</Message>{more}</Error>".encode()


def result(root: str, inner: str) -> bytes:
    """The body of an answer, as S3 writes them."""
    xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{xmlns}">{inner}</{root}>'.encode()


@pytest.mark.parametrize("lean", [False, True])
def test_what_an_answer_tells(lean: bool) -> None:
    """Upload id, entity tag and version are read where S3 puts them, on the short way as by the client."""
    created = result("InitiateMultipartUploadResult", "<Bucket>acme</Bucket><UploadId>a&amp;b</UploadId>")
    completed = result("CompleteMultipartUploadResult", "<Key>k</Key>\n<ETag>&quot;whole-1&quot;</ETag>")
    wire = Wire((200, created), (200, b""), (200, completed), (200, b""), lean=lean)
    upload_id, parts = staged(wire.store)
    whole = complete(wire.store, upload_id, parts)
    put = wire.store.put(KEY, b"abc", PLAIN, checksum=CHECKSUM, if_absent=True)
    assert (upload_id, parts[0].etag, whole.etag, put.etag) == ("a&b", '"e"', '"whole-1"', '"e"')
    assert (whole.version_id, put.version_id) == ("v", "v")
    assert len(wire.sent) == 4


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("body", [b"", result("Some", "<Key>k</Key>")], ids=["none", "less"])
def test_an_answer_that_does_not_tell_is_none(body: bytes, lean: bool) -> None:
    """A 200 answer without the entity tag proves nothing, also when a header has one; so does one without an id."""
    wire = Wire((200, body), (200, body), lean=lean)
    with pytest.raises(AnswerLost):
        complete(wire.store, "id", [])
    with pytest.raises(AnswerLost):
        wire.store.create_multipart(KEY, PLAIN)


def test_every_header_goes_over_the_wire_once() -> None:
    """Ours, the signer's and what the HTTP library adds by itself do not meet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        seen: list[bytes] = []
        thread = threading.Thread(target=answer_once, args=(server, seen))
        thread.start()
        client = boto3.client(
            "s3",
            region_name="eu-west-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            aws_session_token="c",
            endpoint_url=url,
            config=Config(retries={"total_max_attempts": 1}),
        )
        guard_bucket_owner(client.meta.events, bucket_owner="222222222222")
        store = Boto3Store(client, client, "acme", lambda error, action, key: error)
        store.upload_part("a b", "an+id", 1, b"abc", checksum=CHECKSUM)
        thread.join()
        client.close()
    head, _, body = seen[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    names = [line.partition(":")[0].lower() for line in lines]
    assert first == "PUT /acme/a%20b?partNumber=1&uploadId=an%2Bid HTTP/1.1"
    assert body == b"abc"
    assert sorted(names) == [
        "accept-encoding",
        "authorization",
        "content-length",
        "host",
        "user-agent",
        "x-amz-checksum-crc64nvme",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-expected-bucket-owner",
        "x-amz-security-token",
    ]
    assert f"Host: {url.removeprefix('http://')}" in lines
    assert "Content-Length: 3" in lines


def answer_once(server: socket.socket, seen: list[bytes]) -> None:
    """Keep one request with a body of three bytes, and accept it."""
    connection, _ = server.accept()
    with connection:
        received = b""
        while not received.endswith(b"\r\n\r\nabc") and (block := connection.recv(65536)):
            received += block
        seen.append(received)
        connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((412, error("PreconditionFailed")), PreconditionFailed),
        ((409, error("ConditionalRequestConflict")), WriteConflict),
        ((409, error("OperationAborted")), WriteConflict),
        ((404, error("NoSuchUpload")), NoSuchUpload),
        ((200, error("InternalError")), AnswerLost),
        ((200, error("NoSuchUpload")), NoSuchUpload),
        ((200, error("InvalidPart", "<ETag>of the part</ETag>")), AnswerLost),
        ((500, error("InternalError")), AnswerLost),
        ((503, error("SlowDown")), AnswerLost),
        ((400, error("RequestTimeout")), AnswerLost),
        ((200, b"<CompleteMultipartUploadResult><ETag>cut o"), AnswerLost),
        (aws.ReadTimeoutError(endpoint_url="u"), AnswerLost),
        (aws.ConnectionClosedError(endpoint_url="u"), AnswerLost),
        (aws.ResponseStreamingError(error="u"), AnswerLost),
        (aws.HTTPClientError(error="u"), AnswerLost),
        (aws.SSLError(endpoint_url="u", error="in the middle"), AnswerLost),
        (aws.ProxyConnectionError(proxy_url="u"), AnswerLost),
        (aws.IncompleteReadError(actual_bytes=1, expected_bytes=2), AnswerLost),
        (aws.EndpointConnectionError(endpoint_url="u"), XacctError),
        (aws.ConnectTimeoutError(endpoint_url="u"), XacctError),
        ((403, error("AccessDenied")), XacctError),
    ],
)
def test_what_an_answer_to_complete_means(answer: Any, expected: type[Exception], lean: bool) -> None:
    """Four verdicts, and everything that is none: exactly one request is sent for each."""
    wire = Wire(answer, answer, lean=lean)
    with pytest.raises(expected) as caught:
        wire.store.complete_multipart(KEY, "id", [], checksum=CHECKSUM, size_bytes=0, if_absent=True)
    assert type(caught.value) is expected
    unsent = lean and isinstance(answer, (aws.EndpointConnectionError, aws.ConnectTimeoutError))
    assert len(wire.sent) == (2 if unsent else 1)


def test_nothing_was_sent_when_there_is_no_connection() -> None:
    """No connection is no doubt: the request was certainly not carried out."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    seen = []
    once = boto3.client(
        "s3",
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        endpoint_url=url,
        config=Config(retries={"total_max_attempts": 1}),
    )

    def explain(error: Exception, action: str, key: str) -> Exception:
        seen.append((action, key))
        return TransportError("unreachable")

    store = Boto3Store(once, once, "acme", explain)
    with pytest.raises(TransportError) as caught:
        store.create_multipart(KEY, PLAIN)
    assert not isinstance(caught.value, AnswerLost)
    assert seen == [("s3:PutObject", KEY)]


def test_parameters_that_botocore_refuses_are_explained() -> None:
    """Nothing leaves the store that is not one of our errors."""
    wire = Wire(lean=True)
    with pytest.raises(XacctError, match="Parameter validation failed"):
        wire.store.head("")
    assert not wire.sent


@pytest.mark.parametrize("action", [drop_response, drop_request, status(503, "SlowDown"), error_in_200()])
def test_over_the_wire_a_lost_answer_is_one_attempt(
    boto3_store: Callable[..., Boto3Store], xacct_accounts: Scenario, action: Any
) -> None:
    """Complete is asked once, whatever happens to its answer."""
    store, box = boto3_store(owner=False), xacct_accounts.box
    upload_id, parts = staged(store)
    rule = box.faults.add("CompleteMultipartUpload", action=action)
    with pytest.raises(AnswerLost, match="airflow/orders"):
        complete(store, upload_id, parts)
    assert rule.seen == 1


def test_calls_that_may_be_repeated_are(boto3_store: Callable[..., Boto3Store], xacct_accounts: Scenario) -> None:
    """A part and an abort are idempotent, so botocore's own retries may work."""
    store, box = boto3_store(owner=False, attempts=2), xacct_accounts.box
    upload_id = store.create_multipart(KEY, PLAIN)
    rule = box.faults.add("UploadPart", action=drop_response)
    store.upload_part(KEY, upload_id, 1, b"abc", checksum=CHECKSUM)
    assert rule.seen > 1
    store.abort_multipart(KEY, upload_id)


def test_refusals_are_explained(boto3_store: Callable[..., Boto3Store]) -> None:
    """The role may write below its prefix and nothing else; each refusal names its action."""
    store = boto3_store(owner=False)
    with pytest.raises(AccessDeniedError) as put:
        store.put("elsewhere", b"abc", PLAIN, checksum=CHECKSUM, if_absent=True)
    with pytest.raises(AccessDeniedError) as head:
        store.head(KEY)
    with pytest.raises(AccessDeniedError) as delete:
        store.delete(KEY)
    assert [c.value.action for c in (put, head, delete)] == ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]


def test_throttling_is_no_verdict(boto3_store: Callable[..., Boto3Store], xacct_accounts: Scenario) -> None:
    """A client that gives up on throttling leaves the question open."""
    store, box = boto3_store(owner=False), xacct_accounts.box
    box.faults.add("CreateMultipartUpload", action=status(429, "Throttling"), times=None)
    with pytest.raises(ThrottledError):
        store.create_multipart(KEY, PLAIN)
