"""The expected owner goes on every S3 operation that takes one, in one place."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.stub import Stubber

from airflow_xacct.access.guards import EXPECTED_OWNER, guard_bucket_owner

OWNER = "222222222222"

#: What botocore's model lets no expected owner be sent with. If this list is wrong after an upgrade of botocore, look
#: at each new operation: whether it can write to, or read from, a bucket that changed hands.
TAKES_NO_OWNER = {
    "CreateBucket",  # there is no owner yet
    "CreateSession",  # directory buckets, which a connection refuses
    "ListBuckets",  # of the caller's own account
    "ListDirectoryBuckets",
    "RenameObject",  # directory buckets
    "WriteGetObjectResponse",  # answers an Object Lambda request by its route, not a bucket
}


@cache
def _model() -> Any:
    return botocore.session.Session().get_service_model("s3")


def _members(operation: str) -> set[str]:
    shape = _model().operation_model(operation).input_shape
    return set(shape.members) if shape else set()


def test_only_known_operations_take_no_expected_owner() -> None:
    """A new operation of botocore that takes no expected owner makes this fail, and somebody look at it."""
    without = {name for name in _model().operation_names if EXPECTED_OWNER not in _members(name)}
    assert without == TAKES_NO_OWNER


class _Wire:
    """Keeps what a client would send, and answers each request with an empty 200."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        self.sent.append(request)
        return AWSResponse(request.url, 200, {}, _Raw())


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _session(bucket: str = "acme-landing") -> boto3.session.Session:
    inner = botocore.session.Session()
    guard_bucket_owner(inner.get_component("event_emitter"), bucket_owner=OWNER, bucket=bucket)
    return boto3.session.Session(
        botocore_session=inner,
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="example",
        region_name="us-east-1",
    )


@pytest.fixture
def wire() -> _Wire:
    return _Wire()


def _client(wire: _Wire, bucket: str = "acme-landing") -> Any:
    client = _session(bucket).client("s3")
    client.meta.events.register_first("before-send.s3", wire)
    return client


def _header(request: Any, name: str) -> str | None:
    value = request.headers.get(name)
    return value.decode() if isinstance(value, bytes) else value


def test_each_operation_is_given_the_expected_owner() -> None:
    """The handler fills the parameter of every operation whose input has it."""
    client = _session().client("s3")
    for operation in sorted(set(_model().operation_names) - TAKES_NO_OWNER):
        model = _model().operation_model(operation)
        params: dict[str, Any] = {"Bucket": "acme-landing"}
        client.meta.events.emit(f"provide-client-params.s3.{operation}", params=params, model=model, context={})
        assert params[EXPECTED_OWNER] == OWNER, operation


def test_the_header_is_on_the_wire(wire: _Wire) -> None:
    """What leaves the client carries the header, signed."""
    _client(wire).put_object(Bucket="acme-landing", Key="a", Body=b"x")
    (request,) = wire.sent
    assert _header(request, "x-amz-expected-bucket-owner") == OWNER
    assert "x-amz-expected-bucket-owner" in (_header(request, "Authorization") or "")


def test_an_owner_named_by_the_caller_stays(wire: _Wire) -> None:
    """Somebody who names another account has the check made for that one."""
    _client(wire).put_object(Bucket="other", Key="a", Body=b"x", ExpectedBucketOwner="333333333333")
    assert _header(wire.sent[0], "x-amz-expected-bucket-owner") == "333333333333"


def test_presigned_urls_and_posts_carry_no_owner() -> None:
    """Whoever uses a presigned URL would have to send the header."""
    client = _session().client("s3")
    url = client.generate_presigned_url("put_object", Params={"Bucket": "acme-landing", "Key": "a"})
    assert "expected-bucket-owner" not in url.lower()
    post = client.generate_presigned_post("acme-landing", "a")
    assert "expected" not in str(post).lower()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"Bucket": "acme-landing", "Key": "a"}, OWNER),
        ("acme-landing/a", OWNER),
        ("/acme-landing/a", OWNER),
        ({"Bucket": "somebody-elses", "Key": "a"}, None),
        ("somebody-elses/acme-landing/a", None),
        ("arn:aws:s3:us-east-1:333333333333:accesspoint/acme-landing/object/a", None),
    ],
)
def test_the_source_owner_of_a_copy_is_set_only_when_known(wire: _Wire, source: Any, expected: str | None) -> None:
    """The owner of a foreign source is not ours to claim."""
    client = _client(wire)
    params: dict[str, Any] = {"Bucket": "acme-landing", "Key": "b", "CopySource": source}
    client.meta.events.emit(
        "provide-client-params.s3.CopyObject",
        params=params,
        model=client.meta.service_model.operation_model("CopyObject"),
        context={},
    )
    assert params.get("ExpectedSourceBucketOwner") == expected
    assert params[EXPECTED_OWNER] == OWNER


def test_resources_are_guarded_too() -> None:
    """A boto3 resource is made from the same session."""
    bucket = _session().resource("s3").Bucket("acme-landing")
    with Stubber(bucket.meta.client) as stub:
        stub.add_response("put_object", {}, {"Bucket": "acme-landing", "Key": "a", "Body": b"x", EXPECTED_OWNER: OWNER})
        bucket.put_object(Key="a", Body=b"x")
        stub.assert_no_pending_responses()
