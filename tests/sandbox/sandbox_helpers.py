"""Short words for policies and refusals."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from awscrt import checksums
from botocore.exceptions import ClientError

from airflow_xacct.sandbox import Scenario

MIB = 1024 * 1024

ClientFor = Callable[..., Any]


@contextlib.contextmanager
def refused(code: str, text: str = "", *, status: int | None = None) -> Iterator[None]:
    """The block must be refused with AWS's code; ``text`` must stand in its message."""
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    assert text in error["Message"], error
    if status is not None:
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def allow(actions: str | list[str], resources: str | list[str] = "*", **rest: Any) -> dict[str, Any]:
    """A policy of one Allow."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resources, **rest}],
    }


def statement(effect: str, action: str | list[str], resource: str | list[str], **rest: Any) -> dict[str, Any]:
    """One statement."""
    return {"Effect": effect, "Action": action, "Resource": resource, **rest}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """A policy of some statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def put_bucket_policy(case: Scenario, *statements: dict[str, Any]) -> None:
    """Give B's bucket a policy."""
    case.account_b.client("s3").put_bucket_policy(Bucket=case.bucket, Policy=json.dumps(policy(*statements)))


def crc64(data: bytes) -> str:
    """The CRC64NVME of some bytes, as S3 writes it."""
    return base64.b64encode(checksums.crc64nvme(data).to_bytes(8, "big")).decode()


def keys(case: Scenario) -> set[str]:
    """What B sees in its bucket."""
    return set(case.account_b.objects(case.bucket))
