"""The pace of LookupEvents, its pages, and regions that do not answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_xacct.audit.history import History, Reading
from airflow_xacct.exceptions import RefusedError, XacctError

ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
SINCE, UNTIL = datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)


class Clock:
    """Time passes while one sleeps, and while a request takes its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Trail:
    """A client with some pages."""

    def __init__(self, clock: Clock, pages: Sequence[Any], *, takes_seconds: float = 0.1) -> None:
        self.clock, self.pages, self.takes_seconds = clock, pages, takes_seconds
        self.asked: list[dict[str, Any]] = []
        self.started: list[float] = []
        self.closed = False

    def lookup_events(self, **asked: Any) -> dict[str, Any]:
        self.started.append(self.clock.now)
        self.asked.append(asked)
        self.clock.now += self.takes_seconds
        number = int(asked.get("NextToken", "0"))
        page = self.pages[number]
        if isinstance(page, Exception):
            raise page
        more = {"NextToken": str(number + 1)} if number + 1 < len(self.pages) else {}
        return {"Events": page, **more}

    def close(self) -> None:
        self.closed = True


def made(time: str, role: str = ROLE) -> dict[str, Any]:
    asked = {"roleArn": role, "roleSessionName": f"s{time}"}
    document = {"eventName": "AssumeRole", "eventTime": f"2026-11-24T{time}Z", "requestParameters": asked}
    return {"CloudTrailEvent": json.dumps(document)}


def read(clock: Clock, trails: dict[str, Trail], **options: Any) -> Reading:
    given = {"granted_only": options.pop("granted_only", False)}
    history = History(
        {region: lambda trail=trail: trail for region, trail in trails.items()},  # type: ignore[misc]
        explain=lambda error, region: RefusedError(f"{region}: {error}"),
        sleep=clock.sleep,
        clock=lambda: clock.now,
        **options,
    )
    return history.read(ROLE, SINCE, UNTIL, **given)


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "LookupEvents")


def test_two_requests_begin_at_least_half_a_second_apart() -> None:
    """However long each takes; one that takes longer is not waited for."""
    clock = Clock()
    trail = Trail(clock, [[made("08:00:03")], [made("08:00:02")], [made("08:00:01")]])
    reading = read(clock, {"eu-west-1": trail})
    assert [b - a for a, b in zip(trail.started, trail.started[1:], strict=False)] == pytest.approx([0.5, 0.5])
    assert reading.lookups == 3
    slow = Trail(clock, [[], [], []], takes_seconds=0.7)
    clock.slept.clear()
    read(clock, {"eu-west-1": slow})
    assert clock.slept == []


def test_the_limit_is_one_region_s_and_the_others_do_not_wait_for_it() -> None:
    """The first request to each region goes at once."""
    clock = Clock()
    read(clock, {region: Trail(clock, [[]]) for region in ("eu-west-1", "eu-west-2", "eu-west-3")})
    assert clock.slept == []


def test_all_pages_of_all_regions_in_the_order_of_time() -> None:
    """With the same question on each page, and without the calls for other roles."""
    clock = Clock()
    one = Trail(clock, [[made("08:00:05"), made("08:00:04", ROLE + "2")], [made("08:00:01")]])
    two = Trail(clock, [[made("08:00:03")]])
    reading = read(clock, {"eu-west-1": one, "eu-west-2": two})
    assert [call.session_name for call in reading.calls] == ["s08:00:01", "s08:00:03", "s08:00:05"]
    assert one.asked[0].items() <= one.asked[1].items()
    assert one.asked[0]["LookupAttributes"] == [{"AttributeKey": "EventName", "AttributeValue": "AssumeRole"}]
    assert one.closed
    assert two.closed


def test_in_a_busy_account_the_role_can_be_asked_for() -> None:
    """Then there are far fewer pages."""
    clock = Clock()
    trail = Trail(clock, [[]])
    read(clock, {"eu-west-1": trail}, granted_only=True)
    assert trail.asked[0]["LookupAttributes"] == [{"AttributeKey": "ResourceName", "AttributeValue": ROLE}]


def test_events_in_another_form_are_counted() -> None:
    """They are neither judged nor a reason to stop."""
    clock = Clock()
    reading = read(clock, {"eu-west-1": Trail(clock, [[{"CloudTrailEvent": "?"}, made("08:00:00")]])})
    assert (reading.unreadable, len(reading.calls)) == (1, 1)


def test_a_region_that_is_not_enabled_is_passed_over_when_all_are_searched() -> None:
    """And named; a region that was asked for by name must answer."""
    clock = Clock()
    trails = {"me-south-1": Trail(clock, [refusal("UnrecognizedClientException")]), "eu-west-1": Trail(clock, [[]])}
    reading = read(clock, trails, skip_disabled=True)
    assert reading.regions == ["eu-west-1"]
    assert "not enabled" in reading.unsearched["me-south-1"]
    assert trails["me-south-1"].closed
    with pytest.raises(XacctError, match="me-south-1"):
        read(clock, trails)


def test_half_of_a_history_is_not_taken_for_all_of_it() -> None:
    """A refusal on a later page ends the audit, also when regions may be passed over."""
    clock = Clock()
    with pytest.raises(XacctError, match="ThrottlingException"):
        read(clock, {"eu-west-1": Trail(clock, [[], refusal("ThrottlingException")])}, skip_disabled=True)
