"""Faults act on the request they name, at the moment they name, and on no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from airflow_xacct.exceptions import InvalidArgumentError
from airflow_xacct.sandbox import (
    Sandbox,
    Scenario,
    call,
    deny,
    drop_request,
    drop_response,
    error_in_200,
    status,
)
from airflow_xacct.sandbox.wire import DropConnection
from tests.sandbox.sandbox_helpers import crc64, keys, refused


def put(s3: Any, case: Scenario, key: str = "airflow/a", **options: Any) -> Any:
    """Put one object."""
    return s3.put_object(Bucket=case.bucket, Key=key, Body=b"x", **options)


def test_a_dropped_response_was_carried_out(case: Scenario, role_s3: Any) -> None:
    """The client knows nothing, the server has it."""
    case.box.faults.add("PutObject", action=drop_response)
    with pytest.raises(ConnectionClosedError):
        put(role_s3, case)
    assert keys(case) == {"airflow/a"}
    record = case.box.requests[-1]
    assert (record.operation, record.status) == ("PutObject", 0)


def test_a_dropped_request_was_not(case: Scenario, role_s3: Any) -> None:
    """Nothing happened."""
    case.box.faults.add("PutObject", action=drop_request)
    with pytest.raises(ConnectionClosedError):
        put(role_s3, case)
    assert keys(case) == set()


def test_a_rule_acts_once_on_the_nth_that_fits(case: Scenario, role_s3: Any) -> None:
    """Counted over matching requests only."""
    rule = case.box.faults.add("PutObject", action=status(503, "SlowDown"), nth=2, key="flights")
    put(role_s3, case, "airflow/other")
    put(role_s3, case, "airflow/flights-1")
    with refused("SlowDown", "Please reduce your request rate.", status=503):
        put(role_s3, case, "airflow/flights-2")
    put(role_s3, case, "airflow/flights-3")
    assert (rule.seen, rule.fired) == (3, 1)
    assert "airflow/flights-2" not in keys(case)


def test_a_rule_may_act_for_ever(case: Scenario, role_s3: Any) -> None:
    """Until it is cleared."""
    case.box.faults.add("PutObject", action=status(500, "InternalError"), times=None)
    for _ in range(3):
        with refused("InternalError", status=500):
            put(role_s3, case)
    case.box.faults.clear()
    put(role_s3, case)


def test_complete_may_fail_inside_a_200(case: Scenario, role_s3: Any) -> None:
    """botocore makes an error of it, and the upload is still open."""
    where = {"Bucket": case.bucket, "Key": "airflow/a"}
    where["UploadId"] = role_s3.create_multipart_upload(**where)["UploadId"]
    part = {"PartNumber": 1, "ETag": role_s3.upload_part(**where, PartNumber=1, Body=b"x")["ETag"]}
    case.box.faults.add("CompleteMultipartUpload", action=error_in_200())
    with refused("InternalError"):
        role_s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [part]})
    assert case.box.requests[-1].error == "InternalError"
    assert keys(case) == set()
    assert len(case.box.open_multipart_uploads(case.bucket)) == 1
    case.box.faults.add("CompleteMultipartUpload", action=error_in_200(carried_out=True))
    with refused("InternalError"):
        role_s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [part]})
    assert keys(case) == {"airflow/a"}


def test_a_conflict_can_be_had(case: Scenario, role_s3: Any) -> None:
    """409, as two conditional writers at once give it."""
    case.box.faults.add("PutObject", action=status(409, "ConditionalRequestConflict"))
    with refused("ConditionalRequestConflict", status=409):
        put(role_s3, case, IfNoneMatch="*")


def test_a_denial_has_the_words_of_aws(case: Scenario, role_s3: Any) -> None:
    """With the caller's own ARN."""
    case.box.faults.add("PutObject", action=deny())
    text = (
        "User: arn:aws:sts::222222222222:assumed-role/DataDumpRole/sandbox is not authorized to perform: s3:PutObject "
        'on resource: "arn:aws:s3:::acme-landing/airflow/a" because no identity-based policy allows the s3:PutObject'
    )
    with refused("AccessDenied", text, status=403):
        put(role_s3, case)


def test_a_function_can_step_in_before(case: Scenario, role_s3: Any) -> None:
    """A foreign object at the worst moment."""

    def intrude(request: Any) -> None:
        case.account_b.client("s3").put_object(Bucket=request.bucket, Key=request.key, Body=b"foreign")

    case.box.faults.add("PutObject", action=call(intrude))
    with refused("PreconditionFailed"):
        put(role_s3, case, IfNoneMatch="*")
    assert case.account_b.read(case.bucket, "airflow/a") == b"foreign"


def test_a_function_can_step_in_after(case: Scenario, role_s3: Any) -> None:
    """When it is done and not yet answered."""
    seen: list[set[str]] = []
    case.box.faults.add("PutObject", action=call(lambda request: seen.append(keys(case)), when="after"))
    put(role_s3, case)
    assert seen == [{"airflow/a"}]


def test_sts_can_be_disturbed_too(box: Sandbox, assume: Callable[..., Any]) -> None:
    """In its own form of errors."""
    box.faults.add("AssumeRole", action=status(400, "Throttling"))
    with refused("Throttling", "Rate exceeded"):
        assume()
    assert assume()


def test_an_unknown_operation_is_an_error(box: Sandbox) -> None:
    """Such a rule would never act, and the test that needs it would pass."""
    with pytest.raises(InvalidArgumentError, match="UploadParts"):
        box.faults.add("UploadParts", action=drop_response)


def test_the_sandboxs_own_hands_are_not_disturbed(case: Scenario, role_s3: Any) -> None:
    """Nor counted."""
    case.box.faults.add("PutObject", action=drop_request, times=None)
    before = len(case.box.requests)
    case.account_b.client("s3").put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x")
    assert len(case.box.requests) == before


def test_requests_at_the_same_time_are_served(case: Scenario, role_s3: Any) -> None:
    """One that waits holds up no other."""
    release = threading.Event()
    case.box.faults.add("PutObject", action=call(lambda request: release.wait(10)), key="slow")
    slow = threading.Thread(target=put, args=(role_s3, case, "airflow/slow"))
    slow.start()
    put(role_s3, case, "airflow/fast")
    assert keys(case) == {"airflow/fast"}
    release.set()
    slow.join()
    assert keys(case) == {"airflow/fast", "airflow/slow"}


def test_requests_are_recorded_with_what_reached_the_server(case: Scenario, role_s3: Any) -> None:
    """Without signature and token."""
    put(role_s3, case, ChecksumCRC64NVME=crc64(b"x"), IfNoneMatch="*", ExpectedBucketOwner=case.account_b.id)
    record = case.box.requests[-1]
    assert (record.method, record.service, record.operation) == ("PUT", "s3", "PutObject")
    assert (record.bucket, record.key, record.status, record.error) == (case.bucket, "airflow/a", 200, "")
    assert record.caller_arn == "arn:aws:sts::222222222222:assumed-role/DataDumpRole/sandbox"
    assert (record.account, record.expected_owner) == (case.account_b.id, case.account_b.id)
    assert record.headers["if-none-match"] == "*"
    assert record.headers["x-amz-checksum-crc64nvme"] == crc64(b"x")
    assert record.body_size_bytes == 1
    assert not {"authorization", "x-amz-security-token"} & set(record.headers)


def test_a_function_that_fails_is_told_to_the_client_and_the_log(
    case: Scenario, role_s3: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug of the test must not look like a fault of the network."""
    case.box.faults.add("PutObject", action=call(lambda request: 1 / 0))
    with refused("InternalError", "A fault's function failed", status=500):
        put(role_s3, case)
    assert "ZeroDivisionError" in caplog.text


def test_a_function_may_drop_the_connection(case: Scenario, role_s3: Any) -> None:
    """By raising what the server understands."""

    def kill(request: Any) -> None:
        raise DropConnection

    case.box.faults.add("PutObject", action=call(kill, when="after"))
    with pytest.raises(ConnectionClosedError):
        put(role_s3, case)
    assert keys(case) == {"airflow/a"}
