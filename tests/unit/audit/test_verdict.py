"""Who is an expected caller, and which External ID is ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_xacct.audit.events import AssumeRoleCall
from airflow_xacct.audit.names import SessionNames
from airflow_xacct.audit.verdict import Expected, external_id_of, judge
from airflow_xacct.destination import Destination, parse

ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
SESSION = "arn:aws:sts::111111111111:assumed-role/AirflowWorker/i-0123"
CALL = AssumeRoleCall(
    time=datetime(2026, 11, 24, tzinfo=UTC),
    region="us-east-1",
    role_arn=ROLE,
    session_name="nyc.upload.manual__1",
    caller_arn=SESSION,
    caller_account="111111111111",
    caller_id="AROAWORKER:i-0123",
    external_id="the-one-of-a",
)


def destination(**extras: Any) -> Destination:
    return parse("acme", {"role_arn": ROLE, "external_id": "the-one-of-a", "bucket": "acme-landing", **extras})


def expected(*callers: str, **extras: Any) -> Expected:
    return Expected(destination(**extras), SessionNames("acme"), callers)


@pytest.mark.parametrize(
    "caller",
    [
        "arn:aws:iam::111111111111:role/AirflowWorker",
        "arn:aws:iam::111111111111:role/team/AirflowWorker",
        SESSION,
        "arn:aws:sts::111111111111:assumed-role/AirflowWorker/another-instance",
        "AROAWORKER",
        "AROAWORKER:i-0123",
        "111111111111",
    ],
)
def test_a_role_is_known_by_any_of_its_names(caller: str) -> None:
    """Its sessions have other names each time, and their ARNs have no path."""
    assert judge(CALL, expected(caller), {}).verdict == "known"


@pytest.mark.parametrize(
    "caller",
    [
        "arn:aws:iam::111111111111:role/Airflow",
        "arn:aws:iam::333333333333:role/AirflowWorker",
        "arn:aws:iam::111111111111:user/AirflowWorker",
        "AROAWORK",
        "333333333333",
    ],
)
def test_another_caller_is_not(caller: str) -> None:
    """Neither a part of the name nor the same name elsewhere."""
    assert judge(CALL, expected(caller), {}).reasons == ("another caller than expected",)


def test_from_account_b_an_expected_arn_is_compared_by_its_account() -> None:
    """There the caller has no ARN."""
    seen = replace(CALL, caller_arn="")
    assert judge(seen, expected("arn:aws:iam::111111111111:role/AirflowWorker"), {}).verdict == "known"
    assert judge(seen, expected("arn:aws:iam::333333333333:role/AirflowWorker"), {}).verdict == "unknown"
    assert judge(seen, expected("AROAOTHER"), {}).verdict == "unknown"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "ours"),
        ({"external_id": "the-one-of-A"}, "other"),
        ({"external_id": None}, "none"),
        ({"external_id": None, "parameters_recorded": False}, "not recorded"),
        ({"external_id": "HIDDEN_DUE_TO_SECURITY_REASONS"}, "not recorded"),
    ],
)
def test_external_ids_are_compared_letter_by_letter(changes: dict[str, Any], found: str) -> None:
    """What CloudTrail does not show is not guessed."""
    assert external_id_of(replace(CALL, **changes), destination()) == found


def test_a_connection_without_an_external_id_has_nothing_to_compare() -> None:
    """It says so itself."""
    without = parse("acme", {"role_arn": ROLE, "allow_missing_external_id": True, "bucket": "acme-landing"})
    assert external_id_of(CALL, without) == "not checked"
    assert judge(replace(CALL, external_id=None), Expected(without, SessionNames("acme")), {}).verdict == "known"


def test_several_reasons_are_all_told() -> None:
    """At once."""
    rogue = replace(
        CALL, session_name="rogue", external_id="another", caller_arn="arn:aws:iam::9:user/x", caller_id="X"
    )
    assert len(judge(rogue, expected(SESSION), {}).reasons) == 3


@pytest.mark.parametrize(
    "tags",
    [
        (("dag_id", "nyc"), ("map_index", "²"), ("run_id", "manual__1"), ("task_id", "upload")),
        (("dag_id", "nyc"), ("map_index", "9" * 5000), ("run_id", "manual__1"), ("task_id", "upload")),
        (("dag_id", "nyc"), ("run_id", "manual__1"), ("task_id", "upload"), ("try_number", "-1")),
    ],
)
def test_odd_tags_do_not_break_the_audit(tags: tuple[tuple[str, str], ...]) -> None:
    """Whoever assumes the role chooses them."""
    assert judge(replace(CALL, tags=tags), expected(), {}).verdict == "known"
