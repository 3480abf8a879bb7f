"""The time range of an audit, in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from airflow_xacct.audit.history import DAYS_KEPT
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["Window", "window"]

Window = tuple[datetime, datetime, tuple[str, ...]]

#: Until then an event may still be on its way (AWS: *Working with CloudTrail Event history*).
_LATE = timedelta(minutes=15)
_DEFAULT = timedelta(days=1)


def window(day: str | None, since: str | None, until: str | None, *, now: datetime) -> Window:
    """Begin, end, and notes for the reader; the last 24 hours when nothing is said.

    :param day: ``YYYY-MM-DD``.
    :param since: a date or a time in ISO 8601; without a zone it is UTC.
    :raises InvalidArgumentError: one of them is no date or time, or the range is empty or over.
    """
    if day is not None and (since is not None or until is not None):
        raise InvalidArgumentError("--day and --since or --until exclude each other", where="airflow-xacct audit")
    if day is not None:
        begin = datetime.combine(_day(day), time(), UTC)
        end = begin + timedelta(days=1, seconds=-1)
    else:
        end = _moment("--until", until) if until is not None else now
        begin = _moment("--since", since) if since is not None else end - _DEFAULT
    end = min(end, now)
    if begin >= end:
        raise InvalidArgumentError(
            f"there is no time between {begin.isoformat()} and {end.isoformat()}", remedy="All times are UTC."
        )
    notes = []
    oldest = now - timedelta(days=DAYS_KEPT)
    if end <= oldest:
        raise InvalidArgumentError(
            f"CloudTrail's event history goes back {DAYS_KEPT} days, to {oldest:%Y-%m-%d}",
            remedy="Older events are in the bucket of a trail, if the account has one.",
        )
    if begin < oldest:
        notes.append(f"CloudTrail's event history begins {oldest:%Y-%m-%d %H:%M} UTC: what was before is not seen.")
    if end > now - _LATE:
        notes.append("The last 15 minutes may be incomplete: ask again later.")
    return begin, end, tuple(notes)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidArgumentError(f"{text!r} is not a day", where="--day", remedy="Write YYYY-MM-DD.") from error


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{text!r} is not a time", where=option, remedy="Write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ."
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
