"""Settings of the bucket that its owner made, or forgot; a dump role must not see them, its owner may."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding, Group

__all__ = ["Setting"]


class Setting(Check):
    """One setting, read with the role's right or with the owner's eyes; unseen with neither.

    ``action`` is the right it needs, ``method`` the call of boto3, ``absent`` the code S3 gives when nothing is set.
    """

    group: ClassVar[Group] = "safe"
    needs = ("bucket",)
    action: ClassVar[str]
    method: ClassVar[str]
    absent: ClassVar[str] = ""

    def examine(self, facts: Facts) -> Finding:
        """Read it, and judge."""
        account = facts.destination.bucket_owner
        has_eyes = facts.owner is not None and facts.owner.account == account
        if not has_eyes and not facts.trial.answer.ok:
            return self.depends("role")
        answer, by = facts.look(self.action, self.method, account, **self.request(facts))
        if answer.ok:
            return self.judge(facts, answer.data)
        if self.absent and answer.code == self.absent:
            return self.judge(facts, {})
        if answer.denied:
            return self.unseen(f"{by} may not {self.action}.", owner_sees=not has_eyes)
        return self.unseen(f"S3 gave no clear answer ({answer.said}).")

    def request(self, facts: Facts) -> dict[str, Any]:  # noqa: ARG002 - most need none
        """Further parameters of the call."""
        return {}

    @abstractmethod
    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """Conclude from what S3 told; empty when nothing is set."""
