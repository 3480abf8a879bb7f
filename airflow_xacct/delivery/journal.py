"""What is written in the log of a delivery, and what a later try reads there.

One **head** record names the attempt, its phase, and how many **entries** belong to it. Entries are lists of small
items, appended one after another; an attempt (:class:`~airflow_xacct.delivery.attempt.Attempt`) is their sum.

Keys of the log, below the delivery's name: ``NAME`` is the head, ``NAME/a/0``, ``NAME/a/1`` ... the entries of one
attempt, ``NAME/b/...`` those of the next. Entries are written before the head that counts them and carries their
digest, so that a torn write shows.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from airflow_xacct.delivery.attempt import Attempt, AttemptHead, Item, Phase
from airflow_xacct.delivery.log import MAX_VALUE_BYTES, LogStore
from airflow_xacct.exceptions import CommitLogError

__all__ = ["DeliveryLog"]

_VERSION = 1
_ENTRY_BYTES = MAX_VALUE_BYTES - 4 * 1024
_PIECE_CHARS = 16 * 1024
"""Of ASCII JSON, which is at most twice as long once it is a text within JSON."""


class DeliveryLog:
    """Writes an attempt down as it happens, and finds the last one. Thread-safe.

    **Writes.** Items wait in memory until an entry is full (44 KiB), until something must be durable before the next
    step, or until they have waited ``flush_seconds``. A delivery of N objects in P parts that takes T seconds
    therefore writes at most::

        12 + N / 100 + (400 N + 110 P + bytes of the keys + 2 D) / 44 KiB + T / flush_seconds

    values, the keys being those of this delivery and of the earlier one that it replaces, and D the bytes of the
    description; N / 100 is for upload ids, and is N when objects are found while they stream. Each upload that must be
    made again costs three more.

    :param store: ``None`` for no log: nothing is kept, everything else works.
    :param name: the key of the head, and the prefix of the others.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self, store: LogStore | None, name: str, clock: Callable[[], float], flush_seconds: float = 30.0
    ) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        self._flush_seconds = flush_seconds
        self._lock = threading.RLock()
        self._attempt: Attempt | None = None
        self._pending: list[Item] = []
        self._pending_bytes = 0
        self._written = 0
        self._digest = ""
        self._flushed_at = clock()

    @property
    def durable(self) -> bool:
        """Whether a later try will be able to read what is written."""
        return self._store is not None

    @property
    def place(self) -> str:
        """Where it is kept, for messages."""
        return f"{self._store.place if self._store is not None else 'no log'}, key {self._name}"

    @property
    def attempt(self) -> Attempt:
        """The attempt that is being written.

        :raises CommitLogError: none was begun.
        """
        if self._attempt is None:
            raise CommitLogError("no attempt was begun")
        return self._attempt

    def load(self) -> Attempt | None:
        """The last attempt, or ``None``. Continue it with :meth:`resume` or replace it with :meth:`begin`.

        :raises CommitLogError: the log cannot be read, or another version wrote it.
        """
        head = self._store.get(self._name) if self._store is not None else None
        if head is None:
            return None
        if not isinstance(head, dict) or head.get("v") != _VERSION:
            raise CommitLogError(
                "the commit log was written by another version of airflow-provider-xacct",
                where=self.place,
                remedy="Run all tries of a task with one version, or delete it there after you have looked at what was "
                "delivered.",
            )
        fields = dict(head["head"])
        fields["destination"] = tuple(fields["destination"])
        attempt = Attempt(AttemptHead(**fields), head["phase"])
        attempt.summary = head.get("summary")
        with self._lock:
            self._reset()
            self._attempt = attempt
            for text in self._entries(attempt):
                self._count_entry(text)
                for item in json.loads(text)["i"]:
                    attempt.apply(item)
                if self._written == head["entries"] and self._digest != head["digest"]:
                    attempt.torn = True
            attempt.torn = attempt.torn or self._written < head["entries"]
        if attempt.phase == "committing":
            claim = attempt.claim
            for logged in attempt.undecided():
                # nothing is sent before a claim is decided, and its outcome is durable by then
                waits = claim is not None and not claim.outcome and logged is not claim
                logged.sent = logged.size_bytes is not None and not waits
        return attempt

    def begin(self, attempt: Attempt, inherited: Iterable[Item]) -> None:
        """Start another attempt. Nothing is written until :meth:`advance` or :meth:`record` has to.

        :param inherited: what it has to know of the attempts before it.
        """
        with self._lock:
            slot = "b" if self._attempt is not None and self._attempt.head.slot == "a" else "a"
            attempt.head = replace(attempt.head, slot=slot)
            self._reset()
            self._attempt = attempt
            self.record(*inherited)

    def adopt(self, head: AttemptHead) -> None:
        """Go on with the loaded attempt for what a new try asks for; written with the next phase."""
        with self._lock:
            mine = self.attempt.head
            self.attempt.head = replace(head, token=mine.token, created_at=mine.created_at, slot=mine.slot)

    def describe(self, description: Mapping[str, Any]) -> None:
        """Keep what the manifest will say of the data as a whole, in pieces that fit into an entry."""
        text = json.dumps(description)
        starts = range(0, len(text), _PIECE_CHARS)
        self.record(*(["x", number, text[at : at + _PIECE_CHARS]] for number, at in enumerate(starts)))

    def record(self, *items: Item) -> None:
        """Apply items to the attempt, and write them soon."""
        with self._lock:
            for item in items:
                self.attempt.apply(item)
                size_bytes = len(json.dumps(item)) + 2
                if self._pending_bytes + size_bytes > _ENTRY_BYTES:
                    self.flush()
                self._pending.append(item)
                self._pending_bytes += size_bytes
            if self._clock() - self._flushed_at >= self._flush_seconds:
                self.flush()

    def flush(self) -> None:
        """Make durable what was recorded."""
        with self._lock:
            if not self._pending:
                return
            entry = {"t": self.attempt.head.token, "i": self._pending}
            if self._store is not None:
                self._store.set(self._entry_key(self._written), entry)
            self._count_entry(_json(entry))
            self._pending, self._pending_bytes = [], 0
            self._flushed_at = self._clock()

    def advance(self, phase: Phase, *, summary: dict[str, Any] | None = None, **changes: Any) -> None:
        """Flush, and enter a phase.

        :param changes: fields of the head to replace.
        """
        with self._lock:
            self.flush()
            attempt = self.attempt
            attempt.head = replace(attempt.head, **changes)
            attempt.phase = phase
            attempt.summary = summary
            if self._store is None:
                return
            head = {name: getattr(attempt.head, name) for name in (f.name for f in fields(AttemptHead))}
            head["destination"] = list(attempt.head.destination)
            record = {"v": _VERSION, "phase": phase, "head": head, "entries": self._written, "digest": self._digest}
            if summary is not None:
                record["summary"] = summary
            self._store.set(self._name, record)

    def _reset(self) -> None:
        self._pending, self._pending_bytes = [], 0
        self._written, self._digest = 0, ""
        self._flushed_at = self._clock()

    def _entry_key(self, number: int) -> str:
        return f"{self._name}/{self.attempt.head.slot}/{number}"

    def _count_entry(self, text: str) -> None:
        self._digest = hashlib.sha256((self._digest + text).encode()).hexdigest()[:32]
        self._written += 1

    def _entries(self, attempt: Attempt) -> Iterator[str]:
        """The entries of an attempt as JSON, also those that no head has counted yet."""
        number = 0
        while self._store is not None:
            entry = self._store.get(self._entry_key(number))
            if not isinstance(entry, dict) or entry.get("t") != attempt.head.token:
                return
            yield _json(entry)
            number += 1


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
