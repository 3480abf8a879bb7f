"""One attempt at a delivery, as its log tells it: what is staged, what is visible, what is ours.

An attempt is the sum of the items of its log. The running engine keeps its own state by applying the very items it
writes, so that what a later try reads is what this one knew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from airflow_xacct.delivery.attempt_head import AttemptHead, Phase
from airflow_xacct.delivery.payload import Role
from airflow_xacct.delivery.store import PartReceipt
from airflow_xacct.exceptions import CommitLogError

__all__ = ["MANIFEST_INDEX", "Attempt", "AttemptHead", "Item", "LoggedObject", "Outcome", "Phase"]

Outcome = Literal["", "done", "foreign", "dropped", "removed"]
Item = list[Any]

MANIFEST_INDEX = 0
"""The number of the manifest among the objects of an attempt; the others follow."""


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
    role: Role = "data"

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
    ``r``, number, role                                   what the object is, where it is no data
    ``p``, number, part number, etag, checksum, size      a part of it is stored
    ``s``, number, size, checksum, rows                   all of it is stored
    ``c``, number                                         the upload is given up: that it is gone will prove nothing
    ``d``, number, etag, version                          the object is visible
    ``o``, number, outcome                                foreign, dropped or removed
    ``z``, key, upload id                                 an upload of an earlier attempt that is still to be aborted
    ``a``, upload id                                      one that was given up is aborted
    ``x``, number, text                                   a piece of the description; number 0 begins it anew
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
        self._description: list[str] = []
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

    @property
    def claim(self) -> LoggedObject | None:
        """What is put first at the manifest's key, where that key decides about the whole delivery."""
        return next((o for o in self.objects.values() if o.role == "claim" and o.outcome != "dropped"), None)

    @property
    def left_out(self) -> bool:
        """Whether the whole delivery was left out, since the manifest's key is taken."""
        return self.claim is not None and self.claim.outcome == "foreign"

    @property
    def description(self) -> Mapping[str, Any] | None:
        """What the manifest says of the data as a whole."""
        described: Mapping[str, Any] | None = json.loads("".join(self._description) or "null")
        return described

    def of(self, *roles: Role) -> list[LoggedObject]:
        """The objects of some roles that are part of the delivery, in the order of their keys."""
        chosen = [o for o in self.objects.values() if o.role in roles and o.outcome != "dropped"]
        return sorted(chosen, key=lambda o: o.key)

    def delivered(self) -> list[LoggedObject]:
        """The data, in the order of their keys."""
        return self.of("data")

    def undecided(self) -> list[LoggedObject]:
        """Everything whose outcome is not known yet, the manifest included."""
        return [o for o in self.objects.values() if not o.outcome]

    def may_leave_out(self, upload: LoggedObject) -> bool:
        """Whether an object is left out, rather than an error, when another one that is not ours holds its key."""
        if upload.role == "success":  # what stands there says the same
            return True
        return self.head.if_exists == "skip" and (upload.role == "claim" or not self.head.whole)

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

    def written(self) -> set[str]:
        """The keys that this attempt has an object for; stand-ins do not count."""
        keys = {o.key for o in self.of("data", "auxiliary", "success")}
        return keys | {self.manifest_key} if self.head.manifest else keys

    def surplus(self, written: set[str]) -> set[str]:
        """Keys of earlier attempts that this one has no object for, and that would be read beside its own."""
        return {key for key in self.own_keys - written if not self._is_version(key)}

    def unsure(self, written: set[str]) -> set[str]:
        """Likewise, keys of which nobody could tell whether they hold an object of ours."""
        return {key for key in self.doubted - self.own_keys - written if not self._is_version(key)}

    def older_versions(self) -> set[str]:
        """Keys of earlier attempts that had a folder of their own, where nobody reads them beside the new ones."""
        return {key for key in self.own_keys - self.written() if self._is_version(key)}

    def _is_version(self, key: str) -> bool:
        return bool(self.head.versions) and key.startswith(self.head.versions)

    def keys_of_ours(self) -> set[str]:
        """Keys that hold an object of ours when this attempt is over."""
        done = {o.key for o in self.objects.values() if o.outcome == "done"}
        return done if self.phase == "committed" and not self.left_out else done | self.own_keys

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
            case ["x", int(number), str(text)]:
                self._description[number:] = [text]
            case ["u", int(index), str(key), str(upload_id), created_at, str(attributes)]:
                self._discard(self.objects.get(index))
                self.objects[index] = LoggedObject(index, key, upload_id, float(created_at), attributes)
                self.objects[index].role = "manifest" if index == MANIFEST_INDEX else "data"
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
            case "r", [role] if role in get_args(Role):
                logged.role = role
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
