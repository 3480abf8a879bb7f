"""One attempt at a delivery, as its log tells it: what is staged, what is visible, what is ours.

An attempt is the sum of the items of its log. The running engine keeps its own state by applying the very items it
writes, so that what a later try reads is what this one knew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_xacct.delivery.store import PartReceipt
from airflow_xacct.exceptions import CommitLogError

__all__ = ["MANIFEST_INDEX", "Attempt", "AttemptHead", "Item", "LoggedObject", "Outcome", "Phase"]

Phase = Literal["new", "staging", "committing", "committed", "aborted"]
Outcome = Literal["", "done", "foreign", "dropped", "removed"]
Item = list[Any]

MANIFEST_INDEX = 0
"""The number of the manifest among the objects of an attempt; the others follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptHead:
    """What is fixed, or changes with the phase, of one attempt.

    :param token: what its objects carry in their metadata.
    :param destination: bucket, owner, dataset and manifest key; an attempt to another one is not continued.
    :param signature: a digest of what is to be delivered, as far as it is known beforehand.
    :param created_at: seconds since the epoch.
    :param manifest: whether one ends the delivery; known when committing begins.
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


@dataclass(slots=True)
class LoggedObject:
    """One object of an attempt, as far as the log tells.

    :ivar upload_id: empty for an object that is put in one call.
    :ivar created_at: seconds since the epoch, taken before its upload was asked for.
    :ivar attributes: a digest of what S3 stores beside the bytes.
    :ivar size_bytes: ``None`` until all of it is staged.
    :ivar sent: a Complete of this upload may have been carried out; not logged, since the phase says it.
    :ivar conflicted: S3 answered 409, or we gave the upload up: that it is gone proves nothing any more.
    """

    index: int
    key: str
    upload_id: str = ""
    created_at: float = 0.0
    attributes: str = ""
    parts: dict[int, PartReceipt] = field(default_factory=dict)
    size_bytes: int | None = None
    checksum: str = ""
    rows: int | None = None
    outcome: Outcome = ""
    etag: str = ""
    version_id: str = ""
    sent: bool = False
    conflicted: bool = False

    @property
    def part_list(self) -> list[PartReceipt]:
        """The parts in order. Parts beyond the staged size are left-overs of a longer try and are left out."""
        ordered, size_bytes = [], 0
        for number in range(1, len(self.parts) + 1):
            if number > 1 and size_bytes == self.size_bytes:
                break
            ordered.append(self.parts[number])
            size_bytes += self.parts[number].size_bytes
        return ordered


class Attempt:
    """One attempt at a delivery: the sum of the items of its log.

    :ivar own_keys: keys that hold objects of ours, from earlier attempts.
    :ivar doubted: keys of which earlier attempts could not find out whether they hold an object of ours.
    :ivar summary: the result as JSON, once committed.
    :ivar torn: entries are missing or damaged.
    """

    def __init__(self, head: AttemptHead, phase: Phase = "new") -> None:
        self.head = head
        self.phase: Phase = phase
        self.objects: dict[int, LoggedObject] = {}
        self.own_keys: set[str] = set()
        self.doubted: set[str] = set()
        self.summary: dict[str, Any] | None = None
        self.torn = False
        self._by_key: dict[str, int] = {}

    @property
    def conditional(self) -> bool:
        """Whether writes must not replace an object that is not ours."""
        return self.head.if_exists != "replace"

    @property
    def next_index(self) -> int:
        """The number of the next object; that of the manifest is fixed."""
        return max(self.objects, default=MANIFEST_INDEX) + 1

    @property
    def manifest(self) -> LoggedObject | None:
        """The manifest, where it is an upload."""
        return self.objects.get(MANIFEST_INDEX)

    def delivered(self) -> list[LoggedObject]:
        """The objects of the delivery without its manifest, in the order of their keys."""
        chosen = [o for o in self.objects.values() if o.index != MANIFEST_INDEX and o.outcome != "dropped"]
        return sorted(chosen, key=lambda o: o.key)

    def undecided(self) -> list[LoggedObject]:
        """Everything whose outcome is not known yet, the manifest included."""
        return [o for o in self.objects.values() if not o.outcome]

    @property
    def manifest_key(self) -> str:
        """Where a manifest goes, if there is to be one; empty otherwise."""
        return self.head.destination[-1]

    @property
    def manifest_by_put(self) -> bool:
        """Whether the manifest replaces what stands there, and so needs no upload of its own."""
        return not self.conditional or self.manifest_key in self.own_keys

    def find(self, key: str) -> LoggedObject | None:
        """The object of a key that is still part of the delivery."""
        found = self.objects.get(self._by_key.get(key, -1))
        return None if found is None or found.outcome == "dropped" else found

    def stale_keys(self, *, manifest: bool) -> list[str]:
        """Keys of earlier attempts that this one does not write.

        :param manifest: whether this one writes a manifest.
        """
        written = {o.key for o in self.delivered()}
        return sorted(self.own_keys - written - ({self.manifest_key} if manifest else set()))

    def keys_of_ours(self) -> set[str]:
        """Keys that hold an object of ours when this attempt is over."""
        done = {o.key for o in self.objects.values() if o.outcome == "done"}
        return done if self.phase == "committed" else done | self.own_keys

    def to_abort(self) -> list[LoggedObject]:
        """Everything whose upload may still be open and is not wanted once the attempt is given up."""
        return [o for o in self.objects.values() if o.upload_id and o.outcome in ("", "foreign")]

    def apply(self, item: Item) -> None:
        """Take one item of the log into account."""
        match item:
            case ["k", str(key)]:
                self.own_keys.add(key)
            case ["q", str(key)]:
                self.doubted.add(key)
            case ["u", int(index), str(key), str(upload_id), created_at, str(attributes)]:
                self.objects[index] = LoggedObject(index, key, upload_id, float(created_at), attributes)
                self._by_key[key] = index
            case ["p", int(index), int(number), str(etag), str(checksum), int(size)]:
                self.objects[index].parts[number] = PartReceipt(etag, checksum, size)
            case ["s", int(index), int(size), str(checksum), rows]:
                self.objects[index].size_bytes = size
                self.objects[index].checksum = checksum
                self.objects[index].rows = rows
            case ["d", int(index), str(etag), str(version_id)]:
                self.objects[index].outcome = "done"
                self.objects[index].etag = etag
                self.objects[index].version_id = version_id
            case ["c", int(index)]:
                self.objects[index].conflicted = True
            case ["o", int(index), str(outcome)]:
                self.objects[index].outcome = outcome  # type: ignore[assignment]
            case _:
                raise CommitLogError(
                    f"the commit log holds an item this version does not know: {item!r}",
                    remedy="Run all tries of a task with one version of airflow-provider-xacct.",
                )
