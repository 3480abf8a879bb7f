"""What one attempt at a delivery is, apart from its objects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

__all__ = ["AttemptHead", "Phase"]

Phase = Literal["new", "staging", "committing", "committed", "aborted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptHead:
    """What is fixed, or changes with the phase, of one attempt.

    :param token: what its objects carry in their metadata.
    :param generation: how often the run had been cleared.
    :param run_mark: changes when the run was cleared or made anew, as far as ``generation`` does not say it.
    :param destination: bucket, owner, dataset and manifest key; an attempt to another one is not continued.
    :param signature: a digest of what is to be delivered, as far as it is known beforehand.
    :param created_at: seconds since the epoch.
    :param tombstone: the manifest is emptied before objects that it may name are replaced.
    :param manifest: whether one ends the delivery; known when committing begins.
    :param whole: no object may be left out: where one is taken, the delivery fails, or is skipped as a whole.
    :param versions: the prefix below which deliveries with keys of their own lie; empty where there are none.
    :param clean: of an attempt that was given up: nothing of it is left to be removed.
    :param slot: which of two sets of keys holds its entries.
    """

    token: str
    generation: int
    if_exists: str
    destination: tuple[str, ...]
    signature: str
    created_at: float
    session_arn: str
    allow_delete: bool
    tombstone: bool
    manifest: bool = False
    clean: bool = False
    slot: str = "a"
    run_mark: str = ""
    whole: bool = False
    versions: str = ""

    @property
    def version(self) -> str:
        """A name that no other attempt has: when it began, and the nonce of its token."""
        began = datetime.fromtimestamp(self.created_at, UTC)
        return f"{began:%Y%m%dT%H%M%SZ}-{self.token.partition('.')[2]}"

    @property
    def occasion(self) -> tuple[int, str]:
        """What all tries have in common, and a cleared task and a run that was made anew have not."""
        return self.generation, self.run_mark
