"""A log in a store of texts: the values of a delivery, packed into few pages.

A text is written whole or not at all, and there is no list of them, no lock and no expiry: Airflow's Variables, before
there was a task state store.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from airflow_xacct.access.undisturbed import undisturbed
from airflow_xacct.delivery.log import MAX_VALUE_BYTES, Json
from airflow_xacct.exceptions import CommitLogError

__all__ = ["PAGE_BYTES", "PREFIX", "PageFacts", "PagedLog", "TextStore", "facts_of"]

PREFIX = "xacct_commit_log."
"""How the keys of all pages begin. With no word in it that Airflow's secrets masker takes for a secret's name."""

PAGE_BYTES = MAX_VALUE_BYTES + 4 * 1024
"""The most bytes of a page: one value of the largest size always fits, with what a page says of itself."""

_VERSION = 1
_HIDDEN = (
    "A secrets backend or an environment variable of the Airflow API server may hold the same key, and hides the "
    "Variable: remove it there, or let the backend skip keys that begin with xacct_commit_log. Then let the task run "
    "again."
)


class TextStore(Protocol):
    """Texts by key.

    :ivar kind: what one text is called, for messages.
    """

    kind: str

    def read(self, key: str) -> str | None:
        """The text as it is now, from no cache; ``None`` only if there certainly is none.

        :raises Exception: it could not be found out.
        """
        ...

    def write(self, key: str, text: str, note: str) -> None:
        """Write or replace a text.

        :param note: for people, beside the text.
        :raises Exception: it may or may not have been written.
        """
        ...


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a page says of itself.

    :param scope: whose log it is a page of.
    """

    scope: dict[str, str | int]
    written_at: datetime


def facts_of(text: str) -> PageFacts | None:
    """What a page says of itself; ``None`` if it is none."""
    try:
        said = json.loads(text)
        return PageFacts(dict(said["of"]), datetime.fromisoformat(said["written_at"]))
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(slots=True)
class _Page:
    """The values of one text, each with the number of its write."""

    values: dict[str, tuple[int, Json]] = field(default_factory=dict)


@dataclass(slots=True)
class _Book:
    """All pages of one delivery.

    :ivar name: tells these pages from those of an earlier log under the same keys, of which some are left.
    :ivar last: the number of the last write.
    """

    name: str
    pages: list[_Page] = field(default_factory=list)
    last: int = 0

    def newest(self, key: str) -> tuple[int, int] | None:
        """The number and the page of the newest copy of a value."""
        copies = [(page.values[key][0], n) for n, page in enumerate(self.pages) if key in page.values]
        return max(copies, default=None)


class PagedLog:
    """A :class:`~airflow_xacct.delivery.log.LogStore` for one task instance.

    **Pages.** One text for each value would be one Variable for each half minute of a long dump; one for all of them
    would be written in full, and grow, with every write. So values share pages of at most 52 KiB, and a write sends one
    page: a delivery has one Variable as long as its log fits, which is up to some 100 objects, and one more for each
    100. A cleared task needs as many again, and no more after that, since the log of an attempt is kept until the next
    but one. In bytes the bound is that of :class:`~airflow_xacct.delivery.journal.DeliveryLog`.

    **Order.** Each value is numbered. One that has outgrown its page goes to another, and its old copy counts no more,
    before and after that copy is dropped.

    **What is checked.** Every write is read back, as a later try would read it. A page says which log of which task it
    is of, and how many there are: another one's, or a log that lost a page, is refused.

    :param scope: whose log it is, such as DAG, task, run and map index; part of the key of every page.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self, store: TextStore, scope: Mapping[str, str | int], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._scope = dict(scope)
        self._clock = clock
        self._books: dict[str, _Book] = {}
        self._lock = threading.RLock()

    @property
    def place(self) -> str:
        """Where the values are, for messages."""
        return f"{self._store.kind}s {PREFIX}*"

    def page_key(self, key: str, number: int) -> str:
        """The key of a page: letters, digits, dots and underscores, whatever the names are.

        :param key: of a value.
        """
        facts = json.dumps([self._scope, _delivery_of(key)], sort_keys=True)
        return f"{PREFIX}{hashlib.sha256(facts.encode()).hexdigest()[:32]}.{number}"

    def get(self, key: str) -> Json | None:
        """See :class:`~airflow_xacct.delivery.log.LogStore`."""
        with self._lock:
            book = self._book(key)
            found = book.newest(key)
            return None if found is None else json.loads(json.dumps(book.pages[found[1]].values[key][1]))

    def set(self, key: str, value: Json) -> None:
        """See :class:`~airflow_xacct.delivery.log.LogStore`."""
        with self._lock:
            book = self._book(key)
            number, page = self._placed(book, key, value)
            pages = max(len(book.pages), number + 1)
            text = self._render(book.name, key, page, number, pages)
            try:
                self._write(key, number, text)
            except BaseException:
                # whether it was kept is unknown: what counts is what is there
                del self._books[_delivery_of(key)]
                raise
            book.last += 1
            book.pages[number : number + 1] = [page]

    def _placed(self, book: _Book, key: str, value: Json) -> tuple[int, _Page]:
        """The page that a value goes to, as it will be, without the copies that count no more."""
        home = book.newest(key)
        order = [*([home[1]] if home else []), *range(len(book.pages)), len(book.pages)]
        for number in order:
            old = book.pages[number] if number < len(book.pages) else _Page()
            kept = {k: v for k, v in old.values.items() if k != key and book.newest(k) == (v[0], number)}
            page = _Page({**kept, key: (book.last + 1, json.loads(json.dumps(value)))})
            if len(self._render(book.name, key, page, number, number + 1)) <= PAGE_BYTES or not kept:
                return number, page
        raise AssertionError("a new page takes any value")

    def _book(self, key: str) -> _Book:
        delivery = _delivery_of(key)
        if delivery not in self._books:
            self._books[delivery] = self._load(key)
        return self._books[delivery]

    def _load(self, key: str) -> _Book:
        book: _Book | None = None
        expected = 0
        while (found := self._read(key, len(book.pages) if book else 0)) is not None:
            if book is None:
                book = _Book(found["log"])
            elif found["log"] != book.name:
                break  # what is left of an earlier log
            page = _Page({name: (number, value) for name, (number, value) in found["values"].items()})
            book.pages.append(page)
            book.last = max([book.last, *(number for number, _ in page.values.values())])
            expected = max(expected, found["pages"])
        if book is None:
            return _Book(secrets.token_hex(8))
        if len(book.pages) < expected:
            raise CommitLogError(
                f"the commit log has lost a page: {len(book.pages)} of {expected} are left",
                where=f"{self._store.kind} {self.page_key(key, len(book.pages))}",
                remedy="Some of its objects may be visible. Look at them, delete what is left of the log, and clear "
                "the task: it will deliver as without a log.",
            )
        return book

    def _read(self, key: str, number: int) -> dict[str, Any] | None:
        name = self.page_key(key, number)
        try:
            text = undisturbed(lambda: self._store.read(name))
        except Exception as exc:
            raise self._failed("read", name, exc) from exc
        if text is None:
            return None
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("of") != self._of(key) or found.get("page") != number:
            raise CommitLogError(
                "something else than the commit log of this task is kept under its key",
                where=f"{self._store.kind} {name}",
                remedy=_HIDDEN,
            )
        if found.get("v") != _VERSION:
            raise CommitLogError(
                "the commit log was written by another version of airflow-provider-xacct",
                where=f"{self._store.kind} {name}",
                remedy="Run all tries of a task with one version, or delete it after you have looked at what was "
                "delivered.",
            )
        return found

    def _write(self, key: str, number: int, text: str) -> None:
        name = self.page_key(key, number)
        now = datetime.fromtimestamp(self._clock(), UTC)
        told = ", ".join(f"{fact} {value}" for fact, value in self._scope.items())
        note = f"{now:%Y-%m-%d}, commit log of airflow-provider-xacct: {told}"

        def write_and_read() -> str | None:
            self._store.write(name, text, note.encode("ascii", "backslashreplace").decode())
            return self._store.read(name)

        try:
            seen = undisturbed(write_and_read)
        except Exception as exc:
            raise self._failed("written", name, exc) from exc
        if seen != text:
            raise CommitLogError(
                "the commit log was written, and something else is read back",
                where=f"{self._store.kind} {name}",
                remedy=_HIDDEN,
            )

    def _render(self, name: str, key: str, page: _Page, number: int, pages: int) -> str:
        now = datetime.fromtimestamp(self._clock(), UTC)
        said = {
            "v": _VERSION,
            "of": self._of(key),
            "log": name,
            "page": number,
            "pages": pages,
            "written_at": now.isoformat(timespec="seconds"),
            "values": page.values,
        }
        return json.dumps(said)

    def _of(self, key: str) -> dict[str, Any]:
        return {**self._scope, "delivery": _delivery_of(key)}

    def _failed(self, verb: str, name: str, error: Exception) -> CommitLogError:
        return CommitLogError(
            f"the commit log could not be {verb}: {type(error).__name__}: {error}",
            where=f"{self._store.kind} {name}",
            remedy="The delivery stops rather than go on without its log. Look at the Airflow API server, or the "
            "metadata database before Airflow 3, then let the task run again.",
        )


def _delivery_of(key: str) -> str:
    """The delivery a key belongs to: what is below one name has one writer."""
    return "/".join(key.split("/")[:2])
