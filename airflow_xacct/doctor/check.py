"""One check: what it is called, what it proves, what must be true before it can be made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding, Group, Remedy, Status

__all__ = ["Check"]


class Check(ABC):
    """A question with a verdict.

    ``id`` is stable and stands in the JSON form; ``title`` is a sentence that is true when the check passes; ``proves``
    says what that is worth; ``needs`` are the checks that must have passed, since nothing could be concluded otherwise.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    proves: ClassVar[str]
    group: ClassVar[Group] = "works"
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def examine(self, facts: Facts) -> Finding:
        """Conclude.

        :raises XacctError: nothing can be concluded, for this reason.
        """

    def passed(self, evidence: str) -> Finding:
        """It is as it must be."""
        return self._finding("pass", evidence)

    def failed(self, evidence: str, *remedies: Remedy) -> Finding:
        """It is not, and this is who must do what."""
        return self._finding("fail", evidence, remedies)

    def unseen(self, evidence: str, *, owner_sees: bool = False) -> Finding:
        """It was not looked at, or could not be seen: never green.

        :param owner_sees: B's owner could look.
        """
        return replace(self._finding("cannot_see", evidence), owner_sees=owner_sees)

    def depends(self, *on: str, because: str = "") -> Finding:
        """It says nothing until other checks pass.

        :param on: their ids.
        """
        evidence = f"{because}; depends on {', '.join(on)}." if because else f"depends on {', '.join(on)}."
        return self._finding("cannot_see", evidence, depends_on=on)

    def _finding(
        self, status: Status, evidence: str, remedies: Sequence[Remedy] = (), depends_on: tuple[str, ...] = ()
    ) -> Finding:
        return Finding(
            self.id, self.title, self.proves, self.group, status, evidence.strip(), tuple(remedies), depends_on
        )
