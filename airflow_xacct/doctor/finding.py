"""What the doctor found out: one finding for each check, and the report of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["SCHEMA_VERSION", "Finding", "Group", "Owner", "Remedy", "Report", "Status"]

#: Of the JSON form; it grows when a field changes its meaning or goes, not when one is added.
SCHEMA_VERSION = 1

Status = Literal["pass", "fail", "cannot_see"]
Group = Literal["works", "safe"]
#: A: whoever assumes the role, where Airflow runs. B: whoever owns the role, the bucket or its key.
Owner = Literal["A", "B"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What one owner has to do.

    :param account: 12 digits; empty where it is not known.
    :param text: one or more sentences.
    """

    owner: Owner
    account: str
    text: str

    @property
    def addressee(self) -> str:
        """Such as ``Account B (222222222222)``."""
        return f"Account {self.owner}" + (f" ({self.account})" if self.account else "")

    def to_dict(self) -> dict[str, str]:
        """The JSON form."""
        return {"owner": self.owner, "account": self.account, "text": self.text}


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check.

    :param evidence: what it was concluded from, as sentences; never a secret.
    :param remedies: of a failed check: at least one.
    :param depends_on: of a check that was not made: the checks that had to pass first.
    :param owner_sees: of a check that was not made: B's owner could make it.
    """

    id: str
    title: str
    proves: str
    group: Group
    status: Status
    evidence: str
    remedies: tuple[Remedy, ...] = ()
    depends_on: tuple[str, ...] = ()
    owner_sees: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "id": self.id,
            "title": self.title,
            "proves": self.proves,
            "group": self.group,
            "status": self.status,
            "evidence": self.evidence,
            "remedies": [remedy.to_dict() for remedy in self.remedies],
            "depends_on": list(self.depends_on),
            "owner_sees": self.owner_sees,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about one connection, in the order of the checks.

    :param account_a: of whoever assumes the role; empty where it could not be learned.
    :param account_b: of the role; empty where the connection does not say.
    :param examined_at: the time, ISO 8601.
    """

    conn_id: str
    account_a: str
    account_b: str
    examined_at: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed; what could not be seen is no failure."""
        return not self.of_status("fail")

    def of_status(self, status: Status) -> list[Finding]:
        """The findings of one status."""
        return [finding for finding in self.findings if finding.status == status]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        statuses: tuple[Status, ...] = ("pass", "fail", "cannot_see")
        return {
            "schema_version": SCHEMA_VERSION,
            "connection": self.conn_id,
            "account_a": self.account_a,
            "account_b": self.account_b,
            "examined_at": self.examined_at,
            "ok": self.ok,
            "summary": {status: len(self.of_status(status)) for status in statuses},
            "findings": [finding.to_dict() for finding in self.findings],
        }
