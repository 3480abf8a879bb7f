"""One question, one answer: granted, refused in AWS's words, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_xacct.doctor.answer import ask
from airflow_xacct.exceptions import AccessDeniedError, EndpointUnreachableError, NoCredentialsError, XacctError

WITH_REASON = (
    "User: arn:aws:sts::222222222222:assumed-role/R/s is not authorized to perform: s3:PutObject on resource: "
    '"arn:aws:s3:::b/k" because no identity-based policy allows the s3:PutObject action'
)


def refusal(message: str, code: str = "AccessDenied", status: int = 403) -> ClientError:
    headers = {"Date": "Tue, 24 Nov 2026 08:00:00 GMT"}
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return ClientError(response, "PutObject")


def raising(error: Exception) -> Any:
    def call() -> NoReturn:
        raise error

    return call


def explain(error: Exception) -> XacctError:
    return EndpointUnreachableError(f"{error}") if not isinstance(error, ClientError) else AccessDeniedError("denied")


def test_a_granted_question_has_its_data() -> None:
    """And no error."""
    answer = ask(lambda: {"Arn": "x", "ResponseMetadata": {"HTTPStatusCode": 200}}, explain)
    assert answer.ok
    assert answer.answered
    assert answer.data["Arn"] == "x"


def test_a_denial_with_a_reason_is_not_bare() -> None:
    """AWS's sentence is taken apart, and the server's time is kept."""
    answer = ask(raising(refusal(WITH_REASON)), explain)
    assert (answer.denied, answer.bare) == (True, False)
    assert answer.denial.policy_kind == "identity-based policy"
    assert answer.date == datetime(2026, 11, 24, 8, tzinfo=UTC)


def test_a_denial_without_a_reason_is_bare() -> None:
    """As S3 answers strangers, and a wrong expected owner."""
    assert ask(raising(refusal("Access Denied")), explain).bare


def test_another_refusal_is_no_denial() -> None:
    """404 NoSuchUpload means that the right was there."""
    answer = ask(raising(refusal("gone", "NoSuchUpload", 404)), explain)
    assert (answer.ok, answer.answered, answer.denied) == (False, True, False)
    assert answer.allowed
    assert answer.said == "NoSuchUpload: gone"


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "RequestTimeTooSkewed", "InvalidAccessKeyId"])
def test_a_403_that_is_not_about_rights_is_no_denial(code: str) -> None:
    """Otherwise a wrong clock would prove that the role may do nothing."""
    answer = ask(raising(refusal("no", code)), explain)
    assert (answer.denied, answer.allowed) == (False, False)


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("NoSuchBucket", 404)])
def test_other_refusals_allow_nothing(code: str, status: int) -> None:
    """Otherwise a busy S3 would prove that the role may write anywhere."""
    assert not ask(raising(refusal("no", code, status)), explain).allowed


def test_no_answer_is_neither() -> None:
    """The route, not the rights."""
    answer = ask(raising(EndpointConnectionError(endpoint_url="http://127.0.0.1:1")), explain)
    assert (answer.ok, answer.answered, answer.denied) == (False, False, False)
    assert answer.unreachable
    assert answer.date is None


def test_an_error_of_ours_keeps_what_aws_said() -> None:
    """The access layer has translated it already; AWS's own words are its cause."""
    ours = AccessDeniedError("s3:PutObject was denied")
    ours.__cause__ = refusal(WITH_REASON)
    answer = ask(raising(ours), explain)
    assert answer.error is ours
    assert answer.denial.action == "s3:PutObject"


def test_an_error_of_ours_alone_was_no_answer() -> None:
    """Nobody was asked."""
    answer = ask(raising(NoCredentialsError("no identity")), explain)
    assert not answer.answered
    assert answer.said == "no identity"


def test_a_defect_is_no_answer() -> None:
    """What is not AWS's is not swallowed."""
    with pytest.raises(ZeroDivisionError):
        ask(lambda: 1 / 0, explain)
