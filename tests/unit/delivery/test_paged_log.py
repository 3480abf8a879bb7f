"""A log in a store of texts: what is kept where, what a later try reads, and what is refused."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_xacct.delivery.log import MAX_VALUE_BYTES, MemoryLog
from airflow_xacct.delivery.paged_log import PAGE_BYTES, PREFIX, PagedLog, facts_of
from airflow_xacct.exceptions import CommitLogError

SCOPE: dict[str, str | int] = {
    "dag": "nyc",
    "task": "upload",
    "run": "scheduled__2013-01-01T00:00:00+00:00",
    "map_index": -1,
}
NAME = "xacct/delivery"
NOW = 1_760_000_000.0


class Texts:
    """A store of texts, of which each process has its own view and all see the same."""

    kind = "Variable"

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.hidden: dict[str, str] = {}
        self.threads: set[str] = set()
        self.sizes: list[int] = []
        self.before_write: Callable[[], None] = lambda: None
        self.after_write: Callable[[], None] = lambda: None
        self.unreadable = False

    def read(self, key: str) -> str | None:
        if self.unreadable:
            raise RuntimeError("API_SERVER_ERROR")
        return self.hidden.get(key, self.texts.get(key))

    def write(self, key: str, text: str, note: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.before_write()
        self.texts[key], self.notes[key] = text, note
        self.sizes.append(len(text))
        self.after_write()


def log_of(texts: Texts, **scope: str | int) -> PagedLog:
    """The log as a new try opens it."""
    return PagedLog(texts, {**SCOPE, **scope}, clock=lambda: NOW)


def test_a_later_try_reads_what_an_earlier_one_wrote() -> None:
    """Any JSON, by key, the last one written."""
    texts = Texts()
    first = log_of(texts)
    assert first.get(NAME) is None
    first.set(NAME, {"phase": "staging"})
    first.set(f"{NAME}/a/0", {"t": "token", "i": [["k", "ключ"]]})
    first.set(NAME, {"phase": "committed"})
    later = log_of(texts)
    for log in (first, later):
        assert log.get(NAME) == {"phase": "committed"}
        assert log.get(f"{NAME}/a/0") == {"t": "token", "i": [["k", "ключ"]]}
        assert log.get(f"{NAME}/a/1") is None


def test_it_keeps_what_a_log_in_memory_keeps() -> None:
    """A thousand writes of all sizes under few keys, with a new try now and then."""
    dice = random.Random(4)
    texts, model = Texts(), MemoryLog()
    log = log_of(texts)
    keys = [NAME, *(f"{NAME}/{slot}/{n}" for slot in "ab" for n in range(12))]
    for _ in range(1000):
        key, value = dice.choice(keys), "x" * dice.choice([1, 10, 300, 5_000, 20_000, MAX_VALUE_BYTES - 2])
        log.set(key, value)
        model.set(key, value)
        if dice.random() < 0.1:
            log = log_of(texts)
        assert log.get(key) == value
    assert {key: log_of(texts).get(key) for key in keys} == {key: model.get(key) for key in keys}
    # every page but one is so full that the largest value found no room
    assert len(texts.texts) <= 2 + 2 * sum(map(len, model.values.values())) // PAGE_BYTES + len(keys)
    assert max(texts.sizes) <= PAGE_BYTES


def test_a_small_delivery_has_one_text() -> None:
    """Head and entries share a page until it is full."""
    texts = Texts()
    log = log_of(texts)
    for number in range(40):
        log.set(f"{NAME}/a/{number}", "x" * 1000)
        log.set(NAME, {"entries": number})
    assert len(texts.texts) == 1
    log.set(f"{NAME}/a/40", "x" * 20_000)
    assert len(texts.texts) == 2


def test_many_small_values_share_pages() -> None:
    """A dump that flushes each half minute for an hour."""
    texts = Texts()
    log = log_of(texts)
    for number in range(120):
        log.set(f"{NAME}/a/{number}", "x" * 1000)
    assert len(texts.texts) == 3
    assert [log_of(texts).get(f"{NAME}/a/{number}") for number in (0, 119)] == ["x" * 1000] * 2


def test_a_value_that_outgrows_its_page_moves_and_its_old_copy_counts_no_more() -> None:
    """Before the old copy is dropped, and after."""
    texts = Texts()
    log = log_of(texts)
    log.set(NAME, "old")
    log.set(f"{NAME}/a/0", "x" * 40_000)
    log.set(NAME, "new" * 5_000)
    assert len(texts.texts) == 2
    assert sum('"old"' in text for text in texts.texts.values()) == 1
    assert log_of(texts).get(NAME) == "new" * 5_000
    log.set(f"{NAME}/a/0", "y")
    assert not any('"old"' in text for text in texts.texts.values())
    assert log_of(texts).get(NAME) == "new" * 5_000


@pytest.mark.parametrize("other", [{"run": "another"}, {"map_index": 0}, {"task": "b"}, {"dag": "b"}])
def test_each_task_instance_has_a_log_of_its_own(other: dict[str, str | int]) -> None:
    """DAG, task, run and map index."""
    texts = Texts()
    log_of(texts).set(NAME, "mine")
    assert log_of(texts, **other).get(NAME) is None
    log_of(texts, **other).set(NAME, "theirs")
    assert log_of(texts).get(NAME) == "mine"


def test_two_deliveries_of_one_task_may_write_at_once() -> None:
    """Each has its own pages, so that neither writes an old view of the other's."""
    texts = Texts()
    one, other = log_of(texts), log_of(texts)
    assert (one.get("xacct/one"), other.get("xacct/other")) == (None, None)
    one.set("xacct/one", 1)
    other.set("xacct/other", 2)
    one.set("xacct/one/a/0", 3)
    assert [log_of(texts).get(key) for key in ("xacct/one", "xacct/other", "xacct/one/a/0")] == [1, 2, 3]


def test_a_key_is_one_that_every_airflow_takes() -> None:
    """Airflow 3.0 has no slash in a Variable's path, a column has 250 characters, and a name must mask nothing."""
    long: dict[str, str | int] = {"dag": "refresh_token/" + "d" * 236, "task": "password" * 30, "run": "é" * 250}
    log = PagedLog(Texts(), long)
    assert re.fullmatch(rf"{re.escape(PREFIX)}[0-9a-f]{{32}}\.0", log.page_key(NAME, 0))
    assert not re.search("token|password|secret|proxy|api|key|dsn|bearer", PREFIX)


def test_a_person_sees_whose_it_is_and_when_it_was_written() -> None:
    """In the description, in ASCII, and in the text."""
    texts = Texts()
    log_of(texts, dag="straße").set(NAME, 1)
    (note,), (text,) = texts.notes.values(), texts.texts.values()
    assert note == (
        "2025-10-09, commit log of airflow-provider-xacct: dag stra\\xdfe, task upload, "
        "run scheduled__2013-01-01T00:00:00+00:00, map_index -1"
    )
    facts = facts_of(text)
    assert facts is not None
    assert facts.written_at.timestamp() == NOW
    assert facts.scope == {**SCOPE, "dag": "straße", "delivery": NAME}


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", '{"of": 1, "written_at": "2025-10-09"}', '{"of": {}, "written_at": 1}']
)
def test_what_is_no_page_says_nothing(text: str) -> None:
    """Whoever lists logs passes it by."""
    assert facts_of(text) is None


def test_a_secrets_backend_that_hides_what_was_written_is_found() -> None:
    """With the first write, before anything depends on it."""
    texts = Texts()
    log = log_of(texts)
    texts.hidden[log.page_key(NAME, 0)] = "something"
    with pytest.raises(CommitLogError, match=r"something else than the commit log.*secrets backend"):
        log.get(NAME)
    texts.hidden.clear()
    log.set(NAME, 1)
    texts.hidden.update(texts.texts)
    with pytest.raises(CommitLogError, match=rf"something else is read back \(Variable {PREFIX}.*remove it there"):
        log.set(NAME, 2)


@pytest.mark.parametrize("change", [{"of": {}}, {"page": 1}, {"v": 2}], ids=["another-task", "another-page", "version"])
def test_a_page_of_something_else_is_refused(change: dict[str, Any]) -> None:
    """Never taken for "no log"."""
    texts = Texts()
    log_of(texts).set(NAME, 1)
    key, text = next(iter(texts.texts.items()))
    texts.texts[key] = json.dumps({**json.loads(text), **change})
    with pytest.raises(CommitLogError, match=re.escape(key)):
        log_of(texts).get(NAME)


def test_a_log_that_lost_a_page_is_refused() -> None:
    """Its head may be older than what was lost."""
    texts = Texts()
    log = log_of(texts)
    for key in (NAME, f"{NAME}/a/0", f"{NAME}/a/1"):
        log.set(key, "x" * 40_000)
    assert len(texts.texts) == 3
    log.set(NAME, "new")  # from here on, the first page knows how many there are
    del texts.texts[log.page_key(NAME, 2)]
    with pytest.raises(CommitLogError, match="lost a page: 2 of 3 are left"):
        log_of(texts).get(NAME)


def test_what_is_left_of_an_earlier_log_is_passed_by() -> None:
    """When only the first page of an old log was deleted, a new one begins without the rest."""
    texts = Texts()
    log = log_of(texts)
    log.set(f"{NAME}/a/0", "x" * 40_000)
    log.set(NAME, "old" * 5_000)
    del texts.texts[log.page_key(NAME, 0)]
    assert log_of(texts).get(NAME) is None
    log_of(texts).set(NAME, "new")
    assert len(texts.texts) == 2
    assert log_of(texts).get(NAME) == "new"
    log_of(texts).set(f"{NAME}/a/0", "y" * 49_000)
    assert log_of(texts).get(f"{NAME}/a/0") == "y" * 49_000


def test_no_answer_is_not_no_log() -> None:
    """What could not be read is an error that names the Variable and what to look at."""
    texts = Texts()
    texts.unreadable = True
    with pytest.raises(CommitLogError, match=r"could not be read: RuntimeError: API_SERVER_ERROR.*Airflow API server"):
        log_of(texts).get(NAME)


@pytest.mark.parametrize("kept", [True, False])
def test_after_a_write_that_failed_what_counts_is_what_is_there(kept: bool) -> None:
    """Whether it was kept is not guessed."""
    texts = Texts()
    log = log_of(texts)
    log.set(NAME, "old")

    def fail() -> None:
        raise RuntimeError("gone")

    if kept:
        texts.after_write = fail
    else:
        texts.before_write = fail
    with pytest.raises(CommitLogError, match="could not be written: RuntimeError: gone"):
        log.set(NAME, "new")
    texts.before_write = texts.after_write = lambda: None
    assert log.get(NAME) == ("new" if kept else "old")
    log.set(f"{NAME}/a/0", 1)
    assert log_of(texts).get(NAME) == ("new" if kept else "old")


def test_a_value_is_a_copy() -> None:
    """What a caller does to it later changes nothing."""
    texts = Texts()
    log = log_of(texts)
    value = {"i": [1]}
    log.set(NAME, value)
    value["i"].append(2)
    log.get(NAME)["i"].append(3)
    assert log.get(NAME) == {"i": [1]}


def test_a_signal_does_not_cut_a_write_in_half() -> None:
    """It ends, and is read back, before the exception of the signal's handler goes on its way."""

    class Terminated(BaseException):
        pass

    def terminate(number: int, frame: object) -> None:
        raise Terminated

    texts = Texts()

    def slowly() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.05)  # the handler runs in the main thread meanwhile

    before = signal.signal(signal.SIGUSR1, terminate)
    try:
        log = log_of(texts)
        texts.before_write = slowly
        with pytest.raises(Terminated):
            log.set(NAME, 1)
        assert texts.threads == {"xacct-log_0"}
        assert log.get(NAME) == log_of(texts).get(NAME) == 1
    finally:
        signal.signal(signal.SIGUSR1, before)
