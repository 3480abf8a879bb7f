"""The parts of the sandbox by themselves: conditions, patterns, principals, and the naming of operations."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_xacct.sandbox.operations import classify, s3_operations
from airflow_xacct.sandbox.strict.conditions import conditions_hold
from airflow_xacct.sandbox.strict.decisions import decide
from airflow_xacct.sandbox.strict.patterns import matches, substitute
from airflow_xacct.sandbox.strict.policies import statements
from airflow_xacct.sandbox.strict.principals import Caller
from airflow_xacct.sandbox.wire import Request
from tests.sandbox.test_sandbox_owner import minimal

MODEL = botocore.session.get_session().get_service_model("s3")


@pytest.mark.parametrize(
    ("conditions", "context", "holds"),
    [
        ({}, {}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "a"}, True),
        ({"StringEquals": {"K": ["b", "a"]}}, {"k": "a"}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "A"}, False),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringEqualsIfExists": {"k": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"k": "a"}}, {"k": "b"}, False),
        ({"StringEqualsIgnoreCase": {"k": "a"}}, {"k": "A"}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "c"}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, False),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"StringLike": {"k": "a*c"}}, {"k": "abc"}, True),
        ({"StringLike": {"k": "${j}*"}}, {"k": "abc", "j": "ab"}, True),
        ({"StringLike": {"k": "${*}"}}, {"k": "abc"}, False),
        ({"StringNotLike": {"k": "a*"}}, {"k": "abc"}, False),
        ({"StringEquals": {"k": "${j}"}}, {"k": "x", "j": "x"}, True),
        ({"StringEquals": {"k": "${j}"}}, {"k": "x"}, False),
        ({"StringEquals": {"k": "a", "j": "b"}}, {"k": "a"}, False),
        ({"StringEquals": {"k": "a"}, "Bool": {"b": "true"}}, {"k": "a", "b": "true"}, True),
        ({"Bool": {"b": True}}, {"b": "true"}, True),
        ({"Bool": {"b": "false"}}, {}, False),
        ({"BoolIfExists": {"b": "false"}}, {}, True),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "true"}}, {"k": "x"}, False),
        ({"Null": {"k": "false"}}, {"k": "x"}, True),
        ({"NumericLessThan": {"n": "10"}}, {"n": "9"}, True),
        ({"NumericLessThanEquals": {"n": 10}}, {"n": "10"}, True),
        ({"NumericGreaterThan": {"n": "10"}}, {"n": "many"}, False),
        ({"NumericNotEquals": {"n": "1"}}, {"n": "2"}, True),
        ({"DateGreaterThan": {"t": "2024-01-01T00:00:00Z"}}, {"t": "2026-01-01T00:00:00+00:00"}, True),
        ({"DateLessThan": {"t": "1700000000"}}, {"t": "2026-01-01"}, False),
        ({"DateLessThan": {"t": "never"}}, {"t": "2026-01-01"}, False),
        ({"IpAddress": {"ip": "10.0.0.0/8"}}, {"ip": "10.1.2.3"}, True),
        ({"NotIpAddress": {"ip": "10.0.0.0/8"}}, {"ip": "10.1.2.3"}, False),
        ({"IpAddress": {"ip": "nonsense"}}, {"ip": "10.1.2.3"}, False),
        ({"ArnLike": {"a": "arn:aws:iam::*:role/*"}}, {"a": "arn:aws:iam::1:role/x"}, True),
        ({"ArnLike": {"a": "arn:aws:*role/x"}}, {"a": "arn:aws:iam::1:role/x"}, False),
        ({"ArnNotEquals": {"a": "arn:aws:iam::1:role/y"}}, {"a": "arn:aws:iam::1:role/x"}, True),
        ({"ForAnyValue:StringEquals": {"l": ["a"]}}, {"l": ["a", "b"]}, True),
        ({"ForAnyValue:StringEquals": {"l": ["a"]}}, {}, False),
        ({"ForAllValues:StringEquals": {"l": ["a", "b"]}}, {"l": ["a", "b"]}, True),
        ({"ForAllValues:StringEquals": {"l": ["a"]}}, {"l": ["a", "b"]}, False),
        ({"ForAllValues:StringEquals": {"l": ["a"]}}, {}, True),
        ({"ForAnyValue:StringNotEquals": {"l": ["a"]}}, {}, False),
        ({"StringSimilar": {"k": "a"}}, {"k": "a"}, False),
    ],
)
def test_conditions(conditions: dict[str, Any], context: dict[str, Any], holds: bool) -> None:
    """Each operator, with keys present and absent."""
    assert conditions_hold(conditions, context) is holds


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=20))
def test_an_escaped_key_matches_itself_alone(key: str) -> None:
    """``${*}``, ``${?}`` and ``${$}`` make any key a literal."""
    escaped = "".join(f"${{{char}}}" if char in "*?$" else char for char in key)
    assert matches(escaped, key, {})
    assert not matches(escaped, key + "x", {})


@given(st.text(max_size=20))
def test_text_without_variables_is_left_alone(text: str) -> None:
    """And no text makes the substitution fail."""
    if "${" not in text:
        assert substitute(text, {}) == text


def test_an_absent_variable_fits_nothing() -> None:
    """Unless it has a default."""
    assert substitute("${a}", {}) is None
    assert substitute("${a, 'b'}", {}) == "b"
    assert not matches("${a}*", "anything", {})


@pytest.mark.parametrize("document", [None, "", "no json", "[]", "3", {"Statement": []}])
def test_what_is_no_policy_grants_nothing(document: Any) -> None:
    """And does not fail either."""
    assert statements(document) == ()


@pytest.mark.parametrize(
    ("principal", "named"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": "222222222222"}, True),
        ({"AWS": "arn:aws:iam::222222222222:root"}, True),
        ({"AWS": ["arn:aws:iam::1:root", "arn:aws:iam::222222222222:role/DataDumpRole"]}, True),
        ({"AWS": "arn:aws:iam::222222222222:role/team/x/DataDumpRole"}, True),
        ({"AWS": "arn:aws:sts::222222222222:assumed-role/DataDumpRole/me"}, True),
        ({"AWS": "arn:aws:sts::222222222222:assumed-role/DataDumpRole/other"}, False),
        ({"AWS": "arn:aws:iam::222222222222:role/DataDumpRole2"}, False),
        ({"AWS": "arn:aws:iam::222222222222:role/*"}, False),
        ({"AWS": "arn:aws:iam::333333333333:role/DataDumpRole"}, False),
        ({"AWS": "333333333333"}, False),
        ({"Service": "lambda.amazonaws.com"}, False),
        (None, False),
    ],
)
def test_who_a_principal_names(principal: Any, named: bool) -> None:
    """A wildcard inside an ARN names nobody (AWS: *AWS JSON policy elements: Principal*)."""
    caller = Caller("arn:aws:sts::222222222222:assumed-role/DataDumpRole/me", "222222222222", "AssumedRole")
    denying = {"Statement": {"Effect": "Deny", "Principal": principal, "Action": "*", "Resource": "*"}}
    allowing = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    document = {"Statement": [denying["Statement"], allowing]}
    verdict = decide(caller, "s3:PutObject", "arn:aws:s3:::b/k", {}, owner="222222222222", policy=document)
    assert verdict.allowed is not named


def test_not_principal_denies_everybody_else() -> None:
    """The exception must name the caller."""
    caller = Caller("arn:aws:iam::222222222222:user/me", "222222222222", "User")
    for name, allowed in (("arn:aws:iam::222222222222:user/me", True), ("arn:aws:iam::1:user/x", False)):
        document = {
            "Statement": [
                {"Effect": "Deny", "NotPrincipal": {"AWS": name}, "Action": "*", "Resource": "*"},
                {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
            ]
        }
        verdict = decide(caller, "s3:GetObject", "arn:aws:s3:::b/k", {}, owner="222222222222", policy=document)
        assert verdict.allowed is allowed


@pytest.fixture(scope="module")
def offline_s3() -> Any:
    """A client whose requests go nowhere."""
    session = botocore.session.get_session()
    session.set_credentials("AKIAIOSFODNN7EXAMPLE", "secret")
    client = session.create_client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:1")
    yield client
    client.close()


class _Sent(Exception):  # noqa: N818
    """Carries the request that would have been sent."""


@pytest.mark.parametrize("operation", [op.name for op in s3_operations()])
def test_every_operation_is_known_by_its_form(offline_s3: Any, operation: str) -> None:
    """As botocore itself would send it."""

    def stop(request: Any, **_: Any) -> None:
        raise _Sent(request)

    parameters = minimal(MODEL.operation_model(operation).input_shape)
    if "Bucket" in parameters:
        parameters["Bucket"] = "acme-landing"
    offline_s3.meta.events.register_last("before-send.s3", stop)
    try:
        with pytest.raises(_Sent) as caught:
            getattr(offline_s3, botocore.xform_name(operation))(**parameters)
    finally:
        offline_s3.meta.events.unregister("before-send.s3", stop)
    sent = caught.value.args[0]
    url = urlsplit(sent.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in sent.headers.items()
    }
    request = classify(Request(sent.method, url.path, url.query, headers))
    if operation == "CreateSession":
        assert request.service in ("s3", "s3express")
        return
    assert (request.service, request.operation) == ("s3", operation)
    assert request.signed_region == "us-east-1"
