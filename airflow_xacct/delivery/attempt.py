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

    An item is a short list, its kind first:

    ====================================================  ==========================================================
    ``k``, key                                            the key holds an object of ours
    ``q``, key                                            it may hold one
    ``m``, key                                            it held the manifest of an earlier attempt
    ``u``, number, key, upload id, time, attributes       an upload was created; an empty id stands for one Put
    ``p``, number, part number, etag, checksum, size      a part of it is stored
    ``s``, number, size, checksum, rows                   all of it is stored
    ``c``, number                                         the upload is given up: that it is gone will prove nothing
    ``d``, number, etag, version                          the object is visible
    ``o``, number, outcome                                foreign, dropped or removed
    ``z``, key, upload id                                 an upload of an earlier attempt that is still to be aborted
    ``a``, upload id                                      one that was given up is aborted
    ====================================================  ==========================================================

    :ivar discarded: uploads, by id, that are not part of the delivery any more and are not known to be aborted.
    :ivar own_keys: keys that hold objects of ours, from earlier attempts.
    :ivar doubted: keys of which earlier attempts could not find out whether they hold an object of ours.
    :ivar old_manifests: which of these held the manifest of an earlier attempt, where this one's has another key.
    :ivar summary: the result as JSON, once committed.
    :ivar torn: entries are missing or damaged.
    """

    def __init__(self, head: AttemptHead, phase: Phase = "new") -> None:
        self.head = head
        self.phase: Phase = phase
        self.objects: dict[int, LoggedObject] = {}
        self.discarded: dict[str, LoggedObject] = {}
        self.own_keys: set[str] = set()
        self.doubted: set[str] = set()
        self.old_manifests: set[str] = set()
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

    def unsure_manifests(self, keys: set[str]) -> set[str]:
        """Manifests that may be ours and may name objects that are about to be replaced.

        :param keys: what is to be written.
        """
        if not self.conditional or not keys & self.own_keys:
            return set()
        return (self.old_manifests | {self.manifest_key}) & (self.doubted - self.own_keys)

    def at(self, key: str) -> LoggedObject:
        """The object of a key.

        :raises KeyError: there never was one.
        """
        return self.objects[self._by_key[key]]

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
        """Every upload that may still be open, once the attempt is given up."""
        return [o for o in self.undecided() if o.upload_id] + list(self.discarded.values())

    def apply(self, item: Item) -> None:
        """Take one item of the log into account.

        :raises CommitLogError: another version wrote it.
        """
        match item:
            case [str(kind), str(text), *rest] if kind in "kqmza":
                self._apply_to_keys(kind, text, rest)
            case ["u", int(index), str(key), str(upload_id), created_at, str(attributes)]:
                self._discard(self.objects.get(index))
                self.objects[index] = LoggedObject(index, key, upload_id, float(created_at), attributes)
                self._by_key[key] = index
            case [str(kind), int(index), *facts] if index in self.objects:
                self._apply_to_object(self.objects[index], kind, facts)
            case _:
                raise _unknown_item(item)

    def _apply_to_keys(self, kind: str, text: str, rest: list[Any]) -> None:
        if kind == "k":
            self.own_keys.add(text)
        elif kind == "q":
            self.doubted.add(text)
        elif kind == "m":
            self.old_manifests.add(text)
        elif kind == "z":
            self.discarded[rest[0]] = LoggedObject(-1, text, rest[0])
        else:
            self.discarded.pop(text, None)

    def _apply_to_object(self, logged: LoggedObject, kind: str, facts: list[Any]) -> None:
        match kind, facts:
            case "p", [int(number), str(etag), str(checksum), int(size)]:
                logged.parts[number] = PartReceipt(etag, checksum, size)
            case "s", [int(size), str(checksum), rows]:
                logged.size_bytes, logged.checksum, logged.rows = size, checksum, rows
            case "d", [str(etag), str(version_id)]:
                logged.outcome, logged.etag, logged.version_id = "done", etag, version_id
            case "c", []:
                logged.conflicted = True
            case "o", ["foreign" | "dropped" as outcome]:
                self._discard(logged)
                logged.outcome = outcome
            case "o", ["removed"]:
                logged.outcome = "removed"
            case _:
                raise _unknown_item([kind, logged.index, *facts])

    def _discard(self, upload: LoggedObject | None) -> None:
        if upload is not None and upload.upload_id and not upload.outcome:
            self.discarded[upload.upload_id] = upload


def _unknown_item(item: Item) -> CommitLogError:
    return CommitLogError(
        f"the commit log holds an item this version does not know: {item!r}",
        remedy="Run all tries of a task with one version of airflow-provider-xacct.",
    )
