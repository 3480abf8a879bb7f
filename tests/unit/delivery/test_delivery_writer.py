"""One object in parts: order, memory, errors, and nothing left running."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.fake_store import FakeStore, StoreCall
from airflow_xacct.delivery.progress import NoProgress
from airflow_xacct.delivery.settings import MAX_PARTS, PartSizes, TransferSettings
from airflow_xacct.delivery.store import AnswerLost, NoSuchUpload, ObjectAttributes, PartReceipt
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.delivery.writer import Buffered, ObjectWriter, read_part
from airflow_xacct.exceptions import ObjectTooLargeError, SourceUnreadableError, TransportError


def noise(size: int) -> bytes:
    """Bytes that repeat nowhere, the same in every run."""
    return hashlib.shake_128(b"seed").digest(size)


class Settings(TransferSettings):
    """Tiny parts."""

    def __post_init__(self) -> None:
        """No limits."""


class Reader:
    """Bytes in pieces of any size, counted."""

    rows: int | None = None

    def __init__(self, body: bytes, piece: int | None = None, fail_at: int | None = None) -> None:
        self.body, self.piece, self.fail_at = body, piece, fail_at
        self.position = 0
        self.finished = self.closed = 0

    def read(self, size_bytes: int, /) -> bytes:
        if self.fail_at is not None and self.position >= self.fail_at:
            raise SourceUnreadableError("broken")
        got = self.body[self.position : self.position + min(size_bytes, self.piece or size_bytes)]
        self.position += len(got)
        return got

    def finish(self) -> None:
        self.finished += 1

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A writer on an empty upload."""

    def __init__(self, parts_in_flight: int = 3, part_bytes: int = 10, attempts: int = 2) -> None:
        self.store = FakeStore(smallest_part_bytes=1)
        self.settings = Settings(part_size_bytes=part_bytes, parts_in_flight=parts_in_flight, attempts=attempts)
        self.transfer = Transfer(self.store, self.settings, NoProgress(), lambda seconds: None)
        self.upload_id = self.store.create_multipart("key", ObjectAttributes())
        self.parts: dict[int, PartReceipt] = {}

    def write(self, reader: Any, *, known: dict[int, PartReceipt] | None = None, limit: int | None = None) -> Any:
        sizes = PartSizes(self.settings.part_size_bytes, grows=False)
        writer = ObjectWriter(self.transfer, "key", self.upload_id, sizes, known or {}, limit, self.parts.__setitem__)
        return writer.write(reader)

    def stored(self) -> bytes:
        parts = self.store.uploads[self.upload_id].parts
        return b"".join(parts[number][0] for number in sorted(parts))


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    """Make a bench; afterwards no thread of it runs, and no memory is held."""
    made: list[Bench] = []

    def make(**options: int) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for each in made:
        with each.transfer:
            assert each.transfer.budget.held_bytes == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("xacct-part", "xacct-object"))]


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 95, 1000])
@pytest.mark.parametrize("piece", [None, 1, 7, 10])
@pytest.mark.parametrize("known_size", [True, False])
def test_every_byte_arrives_in_order(bench, size: int, piece: int | None, known_size: bool) -> None:
    """Also when a reader gives less than it was asked for: a short read is not the end."""
    on = bench()
    body = noise(size)
    reader = Reader(body, piece)
    staged = on.write(reader, limit=size if known_size else None)
    assert on.stored() == body
    assert (staged.size_bytes, staged.checksum) == (size, checksum_of(body))
    assert sorted(on.parts) == list(range(1, max(1, -(-size // 10)) + 1))
    assert (reader.finished, reader.closed) == (1, 0)


def test_memory_never_exceeds_the_budget(bench) -> None:
    """(parts in flight + 1) parts, however large the object and however slow the bucket."""
    on = bench(parts_in_flight=3)
    gate = threading.Semaphore(0)
    alive: list[int] = []

    def slow(call: StoreCall, moment: str) -> None:
        if call.operation == "part" and moment == "before":
            alive.append(on.transfer.budget.held_bytes)
            gate.acquire(timeout=10)

    on.store.hook = slow
    opener = threading.Thread(target=lambda: [gate.release() for _ in range(100)])

    class Watched(Reader):
        def read(self, size_bytes: int, /) -> bytes:
            if self.position == 30:
                opener.start()
            return super().read(size_bytes)

    on.write(Watched(bytes(500)))
    opener.join()
    assert on.transfer.budget.peak_bytes <= 40
    assert max(alive) > 10, "several were in flight"


def test_a_part_larger_than_the_budget_goes_alone(bench) -> None:
    """It does not wait for ever."""
    on = bench(part_bytes=100)
    on.transfer.budget._limit_bytes = 50
    on.write(Reader(bytes(1000)))
    assert on.transfer.budget.peak_bytes == 100


def test_what_is_stored_is_not_sent_again(bench) -> None:
    """A part of the same size and checksum is passed over; any other is sent."""
    on = bench()
    body = noise(35)
    on.write(Reader(body))
    known = dict(on.parts)
    on.parts.clear()
    changed = body[:12] + b"!" + body[13:]
    staged = on.write(Reader(changed), known=known)
    assert list(on.parts) == [2]
    assert staged.checksum == checksum_of(changed)
    assert on.stored() == changed


@pytest.mark.parametrize("parts_in_flight", [1, 4])
@pytest.mark.parametrize("size", [5, 200])
def test_the_first_error_stops_the_rest(bench, size: int, parts_in_flight: int) -> None:
    """No more is read or sent than was under way."""
    on = bench(parts_in_flight=parts_in_flight)

    def hook(call: StoreCall, moment: str) -> None:
        if call.operation == "part" and call.nth >= min(3, -(-size // 10)):
            raise NoSuchUpload("gone")

    on.store.hook = hook
    reader = Reader(bytes(size))
    with pytest.raises(NoSuchUpload):
        on.write(reader)
    assert reader.position <= 10 * (3 + 2 * parts_in_flight + 1)
    assert reader.finished <= 1


def test_a_reader_that_fails_leaves_nothing_in_flight(bench) -> None:
    """What was submitted ends before the error is passed on."""
    on = bench(parts_in_flight=2)
    with pytest.raises(SourceUnreadableError):
        on.write(Reader(bytes(500), fail_at=200))
    sent = len(on.parts)
    assert sent <= 20
    assert len(on.store.uploads[on.upload_id].parts) == sent


def test_a_part_is_repeated_when_its_answer_is_lost(bench) -> None:
    """A bounded number of times."""
    on = bench(attempts=3)
    lost = []

    def hook(call: StoreCall, moment: str) -> None:
        if call.operation == "part" and moment == "after" and len(lost) < 2:
            lost.append(call)
            raise AnswerLost("lost")

    on.store.hook = hook
    on.write(Reader(bytes(5)))
    assert on.stored() == bytes(5)
    on.store.hook = lambda call, moment: _always(call)
    with pytest.raises(TransportError):
        on.write(Reader(bytes(5)))


def _always(call: StoreCall) -> None:
    if call.operation == "part":
        raise AnswerLost("lost")


def test_an_object_of_exactly_ten_thousand_parts_fits(bench) -> None:
    """And one byte more does not."""
    on = bench(part_bytes=1)
    on.write(Reader(bytes(MAX_PARTS)))
    assert len(on.parts) == MAX_PARTS
    with pytest.raises(ObjectTooLargeError, match="key"):
        on.write(Reader(bytes(MAX_PARTS + 1)), known=on.parts)


def test_buffered_gives_its_head_first_and_finishes_once() -> None:
    """Whoever looked ahead puts back what was read."""
    reader = Reader(b"cdef")
    reader.rows = 3
    buffered = Buffered(reader, b"ab")
    assert read_part(buffered, 1) == b"a"
    assert read_part(buffered, 3) == b"bcd"
    assert read_part(buffered, 10) == b"ef"
    buffered.finish()
    buffered.finish()
    buffered.close()
    assert (reader.finished, reader.closed, buffered.rows) == (1, 1, 3)
