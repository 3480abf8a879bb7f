"""What was found: for a person, a program and an exit status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from airflow_xacct.verify.claims import ClaimRole, Claims

__all__ = ["SCHEMA_VERSION", "Extra", "ObjectReport", "Report", "Verdict"]

SCHEMA_VERSION = 1

Verdict = Literal["true", "false", "unseen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReport:
    """One object against what the manifest says of it.

    :param role: ``"data"``, ``"auxiliary"`` or ``"emptied"``.
    :param problems: what is not as the manifest says.
    :param unseen: what could not be looked at, and why.
    :param notes: what a reader should know and is no failure.
    :param stored_checksum: what S3 keeps.
    :param recomputed_checksum: of the bytes, where they were read.
    :param counted_rows: rows found in the bytes.
    """

    url: str
    role: ClaimRole = "data"
    problems: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    size_bytes: int | None = None
    stored_size_bytes: int | None = None
    checksum_crc64nvme: str | None = None
    stored_checksum: str | None = None
    recomputed_checksum: str | None = None
    rows: int | None = None
    counted_rows: int | None = None

    @property
    def verdict(self) -> Verdict:
        """False beats unseen, and only what was looked at is true."""
        return "false" if self.problems else "unseen" if self.unseen else "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Objects below the prefix that the manifest does not name.

    :param count: how many; ``None`` when they could not be listed.
    :param keys: the first of them.
    :param complete: whether the listing was read to its end.
    :param why_not: why they could not be listed.
    :param older_versions: how many objects of older versions there are beside these, which no manifest names any more.
    """

    count: int | None = None
    keys: tuple[str, ...] = ()
    complete: bool = False
    why_not: str = ""
    older_versions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found.

    :param uri: of the manifest, or the path of a local copy.
    :param place: ``s3://bucket/prefix`` below which its objects may lie.
    :param looked_as: whose credentials were used, in words.
    :param absent: whether there is no manifest, and so no delivery.
    :param problems: of the delivery as a whole.
    :param unseen: what could not be looked at, of the delivery as a whole.
    """

    uri: str
    place: str
    expected_owner: str
    looked_as: str
    recompute: bool
    strict: bool
    claims: Claims
    absent: bool = False
    problems: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    objects: tuple[ObjectReport, ...] = ()
    extra: Extra = field(default_factory=Extra)

    @property
    def verdict(self) -> Verdict:
        """Whether the delivery is what its manifest says."""
        parts = {part.verdict for part in self.objects}
        if self.problems or "false" in parts:
            return "false"
        return "unseen" if self.unseen or "unseen" in parts else "true"

    @property
    def state(self) -> str:
        """``complete``, ``delivering``, ``replacing``, ``absent`` or ``unreadable``."""
        return "absent" if self.absent else self.claims.state or "unreadable"

    def having(self, verdict: Verdict) -> list[ObjectReport]:
        """The objects of one verdict, in the manifest's order."""
        return [one for one in self.objects if one.verdict == verdict]

    def to_json(self) -> dict[str, Any]:
        """The documented form (docs/verify.md)."""
        about: Mapping[str, str] = self.claims.about
        return {
            "schema_version": SCHEMA_VERSION,
            "manifest": self.uri,
            "place": self.place,
            "expected_owner": self.expected_owner,
            "looked_as": self.looked_as,
            "recompute": self.recompute,
            "strict": self.strict,
            "verdict": self.verdict,
            "state": self.state,
            "delivery": {
                name: about.get(name) for name in ("token", "dag_id", "task_id", "run_id", "session_arn", "created_at")
            },
            "problems": list(self.problems),
            "unseen": list(self.unseen),
            "summary": {
                **{verdict: len(self.having(verdict)) for verdict in ("true", "false", "unseen")},
                "objects": len(self.claims.entries),
                "size_bytes": self.claims.size_bytes,
                "rows": self.claims.rows,
            },
            "objects": [{**asdict(one), "verdict": one.verdict} for one in self.objects],
            "skipped": list(self.claims.skipped),
            "extra": asdict(self.extra),
        }
