"""Which time an audit is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_xacct.audit.window import window
from airflow_xacct.exceptions import InvalidArgumentError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_the_last_day_when_nothing_is_said() -> None:
    """Up to now, of which the end may be incomplete."""
    since, until, notes = window(None, None, None, now=NOW)
    assert (since, until) == (NOW - timedelta(days=1), NOW)
    assert "15 minutes" in notes[0]


def test_a_day_is_all_of_it() -> None:
    """In UTC; today ends now."""
    since, until, notes = window("2026-11-20", None, None, now=NOW)
    assert (since, until) == (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC))
    assert notes == ()
    assert window("2026-11-24", None, None, now=NOW)[1] == NOW


def test_times_have_a_zone_or_are_utc() -> None:
    """As in Airflow's own output."""
    since, until, _ = window(None, "2026-11-20T01:00:00+01:00", "2026-11-21", now=NOW)
    assert (since, until) == (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))


def test_what_is_older_than_the_history_is_said() -> None:
    """Part of it is a note, all of it an error."""
    _, _, notes = window(None, "2026-01-01", "2026-11-01", now=NOW)
    assert "begins 2026-08-26" in notes[0]
    with pytest.raises(InvalidArgumentError, match="90 days"):
        window("2026-01-01", None, None, now=NOW)


@pytest.mark.parametrize(
    ("day", "since", "until"),
    [
        ("24.11.2026", None, None),
        (None, "yesterday", None),
        (None, None, "soon"),
        ("2026-11-20", "2026-11-20", None),
        (None, "2026-11-20", "2026-11-19"),
        ("2026-12-24", None, None),
    ],
)
def test_what_is_no_time_is_refused(day: str | None, since: str | None, until: str | None) -> None:
    """With the option in the message."""
    with pytest.raises(InvalidArgumentError):
        window(day, since, until, now=NOW)
