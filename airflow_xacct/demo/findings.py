"""What the demo found out: one line of its table each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Finding", "Result", "counted"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement and whether it is true.

    :param name: what was looked at, in a few words.
    :param ok: whether it is as it must be.
    :param detail: what was found; for a refusal, the first sentence of its error.
    :param problems: what is wrong, when it is not as it must be.
    :param message: for a refusal, the whole error as the task's log shows it.
    """

    name: str
    ok: bool
    detail: str
    problems: tuple[str, ...] = ()
    message: str = ""

    @classmethod
    def of(cls, name: str, detail: str, problems: Sequence[str], *, message: str = "") -> Finding:
        """A finding that is true when there are no problems."""
        return cls(name, not problems, detail, tuple(problems), message)


@dataclass(slots=True)
class Result:
    """Everything one run of the demo found out."""

    checks: list[Finding] = field(default_factory=list)
    refusals: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all of it is as it must be; finding out nothing is not."""
        return bool(self.checks) and bool(self.refusals) and not self.failed

    @property
    def failed(self) -> list[Finding]:
        """What is not as it must be."""
        return [finding for finding in [*self.checks, *self.refusals] if not finding.ok]

    def to_json(self) -> dict[str, Any]:
        """As a value that JSON can hold."""
        return {"ok": self.ok, **asdict(self)}


def counted(number: int, what: str) -> str:
    """A number with its noun: ``1 row``, ``336,776 rows``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")
