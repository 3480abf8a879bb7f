"""Assuming the role: what is asked, when it is asked again, and what is told to whom."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_xacct.access.assume import AssumedRole, AssumeRoleRequest, refresh_windows_seconds

ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
CHAINED = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
ABOVE_MAX = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FakeSts:
    """Grants sessions up to a limit, counts what it is asked, and fails when it is told to."""

    def __init__(self, clock: Clock, *, max_seconds: int = 43200, text: str = ABOVE_MAX) -> None:
        self.clock = clock
        self.max_seconds = max_seconds
        self.text = text
        self.asked: list[dict[str, Any]] = []
        self.failure: Exception | None = None

    def assume_role(self, **params: Any) -> dict[str, Any]:
        self.asked.append(params)
        if self.failure:
            raise self.failure
        if params["DurationSeconds"] > self.max_seconds:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": self.text}}, "AssumeRole")
        number = len(self.asked)
        return {
            "Credentials": {
                "AccessKeyId": f"ASIA{number}",
                "SecretAccessKey": f"secret-{number}",
                "SessionToken": f"token-{number}",
                "Expiration": self.clock() + timedelta(seconds=params["DurationSeconds"]),
            },
            "AssumedRoleUser": {
                "Arn": f"arn:aws:sts::222222222222:assumed-role/DataDumpRole/{params['RoleSessionName']}"
            },
            "PackedPolicySize": 6,
        }


@pytest.fixture
def clock() -> Clock:
    return Clock()


def assumed(sts: FakeSts, clock: Clock, **request: Any) -> AssumedRole:
    return AssumedRole(
        AssumeRoleRequest(ROLE, "nyc.flights.r1", external_id="ext-1234", **request), lambda: sts, clock=clock
    )


def test_the_request_carries_what_was_set_and_nothing_empty(clock: Clock) -> None:
    """STS refuses empty values, and an External ID must never be sent empty."""
    assert AssumeRoleRequest(ROLE, "s", external_id="").to_params(duration_seconds=900) == {
        "RoleArn": ROLE,
        "RoleSessionName": "s",
        "DurationSeconds": 900,
    }
    full = AssumeRoleRequest(
        ROLE, "s", "ext", 900, "alice", (("dag_id", "nyc"),), ("dag_id",), '{"Version": "2012-10-17"}'
    )
    assert full.to_params(duration_seconds=900) == {
        "RoleArn": ROLE,
        "RoleSessionName": "s",
        "DurationSeconds": 900,
        "ExternalId": "ext",
        "SourceIdentity": "alice",
        "Tags": [{"Key": "dag_id", "Value": "nyc"}],
        "TransitiveTagKeys": ["dag_id"],
        "Policy": '{"Version": "2012-10-17"}',
    }


@pytest.mark.parametrize(("lifetime", "windows"), [(900, (225, 150)), (3600, (900, 600)), (43200, (900, 600))])
def test_windows_fit_the_session(lifetime: int, windows: tuple[int, int]) -> None:
    """botocore's windows would make a session of 15 minutes ask STS on every request."""
    assert refresh_windows_seconds(lifetime) == windows


def test_a_short_session_asks_rarely(clock: Clock) -> None:
    """900 s, a request each second for an hour: STS is asked when a quarter of the time is left, not each time."""
    sts = FakeSts(clock)
    credentials = assumed(sts, clock, duration_seconds=900).credentials()
    for _ in range(3600):
        clock.forward(1)
        frozen = credentials.get_frozen_credentials()
        assert frozen.token == f"token-{len(sts.asked)}"
    assert len(sts.asked) == 1 + 3600 // (900 - 225)


def test_credentials_are_never_used_after_their_expiry(clock: Clock) -> None:
    """Also when nothing was asked for a long time."""
    sts = FakeSts(clock)
    credentials = assumed(sts, clock).credentials()
    clock.forward(10_000)
    assert credentials.get_frozen_credentials().secret_key == "secret-2"


@pytest.mark.parametrize("text", [CHAINED, ABOVE_MAX])
def test_a_refused_duration_is_asked_for_once(clock: Clock, text: str) -> None:
    """The wish, then an hour; and from then on only the hour."""
    sts = FakeSts(clock, max_seconds=3600, text=text)
    role = assumed(sts, clock, duration_seconds=43200)
    credentials = role.credentials()
    assert [call["DurationSeconds"] for call in sts.asked] == [43200, 3600]
    clock.forward(3000)
    credentials.get_frozen_credentials()
    assert [call["DurationSeconds"] for call in sts.asked] == [43200, 3600, 3600]


def test_another_validation_error_is_not_taken_for_a_duration(clock: Clock) -> None:
    """Only AWS's exact texts lead to a second question."""
    sts = FakeSts(clock, max_seconds=3600, text="1 validation error detected: Value at 'durationSeconds' failed")
    with pytest.raises(ClientError):
        assumed(sts, clock, duration_seconds=43200).credentials()
    assert len(sts.asked) == 1


def test_an_hour_that_is_refused_is_an_error(clock: Clock) -> None:
    """There is nothing less to ask for."""
    sts = FakeSts(clock, max_seconds=900)
    with pytest.raises(ClientError):
        assumed(sts, clock, duration_seconds=3600).credentials()
    assert len(sts.asked) == 1


def test_one_failed_refresh_in_the_advisory_window_is_survived(clock: Clock) -> None:
    """The credentials at hand are still valid; the next request asks again."""
    sts = FakeSts(clock)
    credentials = assumed(sts, clock).credentials()
    clock.forward(3600 - 800)
    sts.failure = ClientError({"Error": {"Code": "Throttling", "Message": "slow"}}, "AssumeRole")
    assert credentials.get_frozen_credentials().token == "token-1"
    sts.failure = None
    assert credentials.get_frozen_credentials().token == "token-3"


def test_threads_refresh_once(clock: Clock) -> None:
    """Twenty threads that find the credentials old make one call."""
    sts = FakeSts(clock)
    credentials = assumed(sts, clock).credentials()
    clock.forward(3599)
    start = threading.Barrier(20)
    tokens: list[str] = []

    def ask() -> None:
        start.wait()
        tokens.append(credentials.get_frozen_credentials().token)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tokens == ["token-2"] * 20
    assert len(sts.asked) == 2


def test_each_secret_is_told_before_it_is_used(clock: Clock) -> None:
    """Every generation of secrets can be masked; the access key id is no secret."""
    told: list[tuple[str, str]] = []
    sts = FakeSts(clock)
    role = AssumedRole(
        AssumeRoleRequest(ROLE, "s"),
        lambda: sts,
        clock=clock,
        on_credentials=lambda *secrets: told.append(secrets),
    )
    credentials = role.credentials()
    clock.forward(3000)
    credentials.get_frozen_credentials()
    assert told == [("secret-1", "token-1"), ("secret-2", "token-2")]


def test_no_secret_in_repr(clock: Clock) -> None:
    """A role in a debugger or a log line shows who, not with what."""
    role = assumed(FakeSts(clock), clock)
    role.credentials()
    assert repr(role) == f"AssumedRole(role_arn={ROLE!r}, session_name='nyc.flights.r1')"
    assert role.session_arn.endswith("assumed-role/DataDumpRole/nyc.flights.r1")
