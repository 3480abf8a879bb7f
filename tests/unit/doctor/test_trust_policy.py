"""Reading a trust policy with the owner's eyes: who is let in, and under which External ID."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.trust import TrustView, judge_trust
from tests.unit.doctor.doctor_facts import make_facts

EXTERNAL_ID = {"StringEquals": {"sts:ExternalId": "the-external-id-of-b"}}


class Eyes:
    """An owner whose IAM knows one role."""

    profile = "owner"

    def __init__(self, answer: Answer, account: str = "222222222222") -> None:
        self.account = account
        self._answer = answer

    def ask(self, service: str, call: Any) -> Answer:
        assert service == "iam"
        return self._answer


def read(*statements: dict[str, Any], account: str = "222222222222") -> TrustView | None:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    answer = Answer(data={"Role": {"AssumeRolePolicyDocument": document}}, status=200)
    return judge_trust(make_facts({"owner": Eyes(answer, account)}))


def trusting(principal: Any, condition: dict[str, Any] | None = None, action: Any = "sts:AssumeRole") -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Condition": condition or {}}


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "arn:aws:iam::111111111111:role/AirflowWorker"},
        {"AWS": "arn:aws:iam::111111111111:role/with/a/path/AirflowWorker"},
        {"AWS": ["arn:aws:iam::333333333333:root", "arn:aws:iam::111111111111:root"]},
        {"AWS": "111111111111"},
        "*",
    ],
)
def test_principals_that_name_us(principal: Any) -> None:
    """A session is named by its role; an account names everybody in it."""
    view = read(trusting(principal, EXTERNAL_ID))
    assert view is not None
    assert view.requires_external_id
    assert {remedy.owner for remedy in view.remedies} == {"A"}


@pytest.mark.parametrize(
    "statement",
    [
        trusting({"AWS": "arn:aws:iam::111111111111:role/Other"}, EXTERNAL_ID),
        trusting({"AWS": "arn:aws:iam::333333333333:role/AirflowWorker"}, EXTERNAL_ID),
        trusting({"Service": "ec2.amazonaws.com"}),
        trusting({"AWS": "111111111111"}, EXTERNAL_ID, "sts:TagSession"),
        {**trusting({"AWS": "111111111111"}, EXTERNAL_ID), "Effect": "Deny"},
    ],
)
def test_statements_that_do_not(statement: dict[str, Any]) -> None:
    """B has to name us."""
    view = read(statement)
    assert view is not None
    assert "does not name arn:aws:iam::111111111111:role/AirflowWorker" in view.evidence
    assert [remedy.owner for remedy in view.remedies] == ["B"]


def test_one_statement_without_an_external_id_is_enough_to_be_open() -> None:
    """Statements are alternatives, so the weakest counts."""
    us = {"AWS": "111111111111"}
    view = read(trusting(us, EXTERNAL_ID), trusting(us))
    assert view is not None
    assert not view.requires_external_id
    assert "without an External ID" in view.evidence


def test_another_external_id() -> None:
    """Either side may be wrong, so both are told; the policy's own is not repeated."""
    condition = {"StringEquals": {"sts:ExternalId": ["somebody-elses"]}}
    view = read(trusting({"AWS": "111111111111"}, condition))
    assert view is not None
    assert {remedy.owner for remedy in view.remedies} == {"A", "B"}
    assert "somebody-elses" not in str(view)


def test_no_such_role() -> None:
    """IAM says so to its owner."""
    view = judge_trust(make_facts({"owner": Eyes(Answer(code="NoSuchEntity", status=404))}))
    assert view is not None
    assert [remedy.account for remedy in view.remedies] == ["222222222222"]


def test_nobody_may_look() -> None:
    """No profile, one of another account, or one without the right: nothing is concluded."""
    assert judge_trust(make_facts({"owner": None})) is None
    assert read(trusting("*"), account="111111111111") is None
    assert judge_trust(make_facts({"owner": Eyes(Answer(code="AccessDenied", status=403))})) is None
