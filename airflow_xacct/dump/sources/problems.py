"""What is wrong with a source, said all at once."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_xacct.exceptions import SourceNotFoundError, SourceUnreadableError

__all__ = ["Problem", "not_found", "on_this_host", "os_reason", "printable", "unreadable"]

_NAMED = 10
_ELSEWHERE = (
    "Workers need not share a disk: write the file in the same task, or on storage that every worker has (a "
    "mount, or an ObjectStoragePath)."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one entry cannot be delivered."""

    path: str
    reason: str


def printable(text: str) -> str:
    """The text with escapes for whatever a log line or a UTF-8 stream could not hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def on_this_host(path: str) -> str:
    """The path and the host it was looked for on, for the ``where`` of an error."""
    return f"{printable(path)} on host {socket.gethostname()}"


def os_reason(error: OSError) -> str:
    """The system's words for an error, without the path, which stands elsewhere in the message."""
    return (error.strerror or type(error).__name__).lower()


def not_found(what: str, path: str, *, may_be_empty: bool = False) -> SourceNotFoundError:
    """The error for a path that leads to nothing.

    :param may_be_empty: whether ``allow_empty`` would have made it none.
    """
    remedy = f"Say allow_empty=True if that is fine. {_ELSEWHERE}" if may_be_empty else _ELSEWHERE
    return SourceNotFoundError(what, where=on_this_host(path), remedy=remedy)


def unreadable(problems: Sequence[Problem], where: str, remedy: str) -> SourceUnreadableError:
    """One error for all problems, of which it names the first ten.

    :param problems: at least one.
    """
    shown = [f"{printable(problem.path)}: {problem.reason}" for problem in problems[:_NAMED]]
    if len(problems) > _NAMED:
        shown.append(f"and {len(problems) - _NAMED:,} more")
    count = "1 entry" if len(problems) == 1 else f"{len(problems):,} entries"
    return SourceUnreadableError(
        f"{count} cannot be delivered, so nothing was sent: {'; '.join(shown)}", where=where, remedy=remedy
    )
