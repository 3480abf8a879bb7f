"""Reading an object: the checksum of what passed, lines that break, and refusals in the receiver's words."""

from __future__ import annotations

import os
import tracemalloc
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_xacct.delivery.checksum import EMPTY, checksum_of
from airflow_xacct.exceptions import (
    AccessDeniedError,
    EndpointUnreachableError,
    ExpiredCredentialsError,
    OutcomeUnknownError,
    RefusedError,
    ThrottledError,
    XacctError,
)
from airflow_xacct.verify.reading import BLOCK_SIZE_BYTES, ObjectStream
from airflow_xacct.verify.refusals import explain

ME = "arn:aws:iam::222222222222:user/receiver"
URI = "s3://acme-landing/airflow/orders/a.csv"


class Wire:
    """An object behind a line that breaks after so many bytes each time.

    :param breaks: after how many bytes of each connection; ``None`` for never.
    """

    def __init__(self, body: bytes, breaks: int | None = None, *, quietly: bool = False) -> None:
        self.body = body
        self.breaks = breaks
        self.quietly = quietly
        self.opened: list[int] = []
        self.closed = 0

    def __call__(self, offset: int) -> Any:
        self.opened.append(offset)
        wire, left = self, [self.breaks]
        position = [offset]

        class Body:
            def read(self, size_bytes: int) -> bytes:
                if left[0] is not None:
                    if not left[0]:
                        if wire.quietly:
                            return b""
                        raise ConnectionResetError("broken")
                    size_bytes = min(size_bytes, left[0])
                    left[0] -= size_bytes
                taken = wire.body[position[0] : position[0] + size_bytes]
                position[0] += len(taken)
                return taken

            def close(self) -> None:
                wire.closed += 1

        return Body()


def stream_of(wire: Wire, told: list[int] | None = None) -> ObjectStream:
    return ObjectStream(wire, len(wire.body), (told if told is not None else []).append)


@pytest.mark.parametrize("size_bytes", [0, 1, BLOCK_SIZE_BYTES, 3 * BLOCK_SIZE_BYTES + 17])
def test_what_passed_has_its_checksum(size_bytes: int) -> None:
    """In any cut, and each byte is told once."""
    body, told = os.urandom(size_bytes), list[int]()
    stream = stream_of(Wire(body), told)
    read = b""
    while block := stream.read(700_001):
        read += block
    assert read == body
    assert stream.checksum == checksum_of(body)
    assert sum(told) == size_bytes
    assert stream_of(Wire(b"")).checksum == EMPTY


@pytest.mark.parametrize("quietly", [False, True])
def test_a_broken_line_is_taken_up_where_it_broke(quietly: bool) -> None:
    """With an error, or with an answer that just ends; every connection is given back."""
    wire = Wire(os.urandom(2_500_000), 999_983, quietly=quietly)
    stream = stream_of(wire)
    stream.drain()
    stream.close()
    assert stream.checksum == checksum_of(wire.body)
    assert wire.opened == [0, 999_983, 1_999_966]
    assert wire.closed == 3


def test_a_line_that_is_dead_is_given_up() -> None:
    """After a bounded number of attempts without a byte."""
    wire = Wire(b"abc", 0)
    with pytest.raises(OutcomeUnknownError, match="broke 5 times"):
        stream_of(wire).drain()
    assert len(wire.opened) == 5


def test_memory_is_flat() -> None:
    """One block and its copy, whatever the size."""
    wire = Wire(bytes(64 * 1024**2))
    stream = stream_of(wire)
    tracemalloc.start()
    try:
        stream.drain()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * BLOCK_SIZE_BYTES


def refused(code: str, message: str = "", status: int = 403) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetObject")


@pytest.mark.parametrize(
    ("error", "expected", "texts"),
    [
        (refused("AccessDenied"), AccessDeniedError, ["s3:GetObject was denied to " + ME, "--expected-owner"]),
        (
            refused(
                "AccessDenied",
                f"User: {ME} is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-central-1:1:key/x "
                "because no resource-based policy allows the kms:Decrypt action",
            ),
            AccessDeniedError,
            ["kms:Decrypt was denied", "by a resource-based policy", "key policy"],
        ),
        (
            refused(
                "AccessDenied",
                f'User: {ME} is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::acme-landing" '
                "because no identity-based policy allows the s3:ListBucket action",
            ),
            AccessDeniedError,
            ["s3:ListBucket was denied", "tells an object that is missing"],
        ),
        (refused("InvalidObjectState"), RefusedError, ["archived", "Restore it"]),
        (refused("ExpiredToken"), ExpiredCredentialsError, ["Sign in again"]),
        (refused("SlowDown", status=503), ThrottledError, ["--jobs"]),
        (EndpointConnectionError(endpoint_url="https://x"), EndpointUnreachableError, ["--endpoint-url"]),
        (refused("Strange", "words", 400), RefusedError, ["Strange: words"]),
    ],
)
def test_refusals_speak_to_the_receiver(error: Exception, expected: type[XacctError], texts: list[str]) -> None:
    """There is no connection and no role to look at."""
    found = explain(error, action="s3:GetObject", resource=URI, who=ME, owner="222222222222")
    assert type(found) is expected
    assert all(text in str(found) for text in [*texts, URI])
    assert "connection '" not in str(found)
    assert "extra" not in str(found)
    assert "role" not in str(found).replace("policy", "")
