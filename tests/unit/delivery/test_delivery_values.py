"""The small values: identity, result, manifest, payloads, progress, threads."""

from __future__ import annotations

import json
import logging
import pickle
import random
import threading
from dataclasses import replace

import pytest

from airflow_xacct.delivery.attempt import Attempt, AttemptHead
from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.manifest import Manifest, manifest_of, tombstone_of
from airflow_xacct.delivery.pace import Pace
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.plan import PlanSource
from airflow_xacct.delivery.progress import LogProgress, NoProgress
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.delivery.settings import MAX_OBJECT_BYTES, TransferSettings
from airflow_xacct.delivery.store import AnswerLost
from airflow_xacct.delivery.transfer import Cancelled, MemoryBudget, Transfer
from airflow_xacct.exceptions import DeliveryError, ObjectTooLargeError

IDENTITY = DeliveryIdentity(
    conn_id="xacct", bucket="acme", account="222222222222", dag_id="d", task_id="t", run_id="r", dataset="data/"
)
HEAD = AttemptHead(
    token=IDENTITY.token("nonce"),
    generation=2,
    if_exists="skip",
    destination=("acme", "222222222222", "data/", "data/manifest.json"),
    signature="",
    created_at=1_760_000_000.0,
    session_arn="arn:aws:sts::222222222222:assumed-role/DataDumpRole/d",
    allow_delete=False,
    tombstone=True,
)


def test_tries_of_one_task_instance_share_a_digest() -> None:
    """Whatever is only of this try is no part of it; whatever tells deliveries apart is."""
    assert replace(IDENTITY, generation=3, session_arn="other", conn_id="other").digest == IDENTITY.digest
    others = [{"run_id": "x"}, {"map_index": 0}, {"bucket": "x"}, {"dataset": "x/"}, {"name": "x"}, {"account": "3"}]
    digests = {replace(IDENTITY, **other).digest for other in others}
    assert len(digests | {IDENTITY.digest}) == len(others) + 1
    assert IDENTITY.owns(IDENTITY.token("a"))
    assert not IDENTITY.owns(replace(IDENTITY, run_id="x").token("a"))
    assert not IDENTITY.owns("")


def test_a_result_survives_xcom() -> None:
    """JSON and back; what a later version adds does no harm."""
    result = DeliveryResult(uri="s3://acme/a", objects=1, skipped_keys=("b",), rows=7, bytes=3, checksum="c")
    value = json.loads(json.dumps(result.to_json()))
    assert DeliveryResult.from_json(value) == result
    assert DeliveryResult.from_json({**value, "new": 1}) == result
    assert DeliveryResult.from_json({"uri": "s3://acme/a"}) == DeliveryResult(uri="s3://acme/a")


def attempt() -> Attempt:
    """One object delivered, one skipped."""
    made = Attempt(HEAD)
    for item in (
        ["u", 1, "data/b", "id", 0, ""],
        ["s", 1, 5, "AAAAAAAAAAA=", 2],
        ["d", 1, '"e"', "v1"],
        ["u", 2, "data/a", "id", 0, ""],
        ["s", 2, 1, "AAAAAAAAAAA=", 1],
        ["o", 2, "foreign"],
    ):
        made.apply(item)
    return made


def test_the_manifest_is_redshifts_with_ours_apart() -> None:
    """COPY reads "entries"; the rest is under one key."""
    body = manifest_of(attempt(), IDENTITY).render()
    document = json.loads(body)
    assert list(document) == ["entries", "xacct"]
    assert document["entries"] == [{"url": "s3://acme/data/b", "mandatory": True, "meta": {"content_length": 5}}]
    assert document["xacct"] == {
        "format_version": 1,
        "state": "complete",
        "token": HEAD.token,
        "dag_id": "d",
        "task_id": "t",
        "run_id": "r",
        "map_index": -1,
        "generation": 2,
        "session_arn": HEAD.session_arn,
        "created_at": "2025-10-09T08:53:20+00:00",
        "skipped": ["s3://acme/data/a"],
        "dump": None,
        "auxiliary": [],
        "emptied": [],
        "objects": [
            {
                "url": "s3://acme/data/b",
                "size_bytes": 5,
                "checksum_crc64nvme": "AAAAAAAAAAA=",
                "etag": '"e"',
                "version_id": "v1",
                "rows": 2,
            }
        ],
        "totals": {"objects": 1, "size_bytes": 5, "rows": 2},
    }
    assert manifest_of(attempt(), IDENTITY).render() == body, "it can be made again byte by byte"
    assert Manifest.parse(body) == manifest_of(attempt(), IDENTITY)


def test_a_tombstone_names_nothing() -> None:
    """For COPY it is a manifest of no files."""
    document = json.loads(tombstone_of(attempt(), IDENTITY).render())
    assert (document["entries"], document["xacct"]["state"], document["xacct"]["objects"]) == ([], "replacing", [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("xacct"),
        lambda d: d.pop("entries"),
        lambda d: d["xacct"].update(format_version=2),
        lambda d: d["entries"][0].update(url="s3://other/x"),
        lambda d: d["xacct"]["objects"][0].update(extra=1),
    ],
)
def test_what_is_no_manifest_of_ours_is_refused(damage) -> None:
    """Other forms, other versions, two lists that differ."""
    document = json.loads(manifest_of(attempt(), IDENTITY).render())
    damage(document)
    with pytest.raises(DeliveryError, match="no manifest"):
        Manifest.parse(json.dumps(document).encode())
    with pytest.raises(DeliveryError, match="no manifest"):
        Manifest.parse(b"\xff")


def test_bytes_may_be_read_again() -> None:
    """Each pass from the start."""
    payload = BytesPayload("text", b"abcdef", rows=1)
    for _ in range(2):
        reader = payload.open()
        assert (reader.read(4), reader.read(4), reader.read(4), reader.rows) == (b"abcd", b"ef", b"", 1)
        reader.finish()
        reader.close()
        reader.close()
    assert payload.max_size_bytes == 6


class Huge(BytesPayload):
    """More than S3 holds."""

    max_size_bytes = MAX_OBJECT_BYTES + 1  # type: ignore[assignment]


def test_a_plan_that_is_too_large_is_named() -> None:
    """Before anything is sent."""
    source = PlanSource([ObjectPlan("key", Huge("huge.csv", b""))], "")
    with pytest.raises(ObjectTooLargeError, match=r"huge\.csv"):
        source.check_sizes(TransferSettings())


def test_a_plan_knows_its_total_only_when_all_sizes_are_known() -> None:
    """And its signature from its keys."""
    plans = [ObjectPlan("a", BytesPayload("a", b"12")), ObjectPlan("b", BytesPayload("b", b"3"))]
    assert PlanSource(plans, "").total_bytes() == 3
    assert PlanSource(iter(plans), "").total_bytes() is None
    assert PlanSource(plans, "").signature("x") == PlanSource(plans[::-1], "").signature("x")
    assert PlanSource(plans, "").signature("x") != PlanSource(plans[:1], "").signature("x")
    assert PlanSource(iter(plans), "").signature("x") == PlanSource(iter([]), "").signature("x")


class Lines(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture
def lines() -> tuple[logging.Logger, list[str]]:
    """A logger, and its lines."""
    logger = logging.getLogger("progress-under-test")
    logger.setLevel(logging.INFO)
    handler = Lines()
    logger.handlers = [handler]
    return logger, handler.said


def test_progress_is_said_every_few_seconds(lines) -> None:
    """Never per object, and not at all for short work."""
    logger, said = lines
    now = 0.0
    progress = LogProgress(logger, lambda: now, 5.0)
    progress.expect(100, 100 * 1024**2)
    for _ in range(100):
        now += 0.25
        progress.sent(1024**2)
        progress.staged()
    assert said[0] == "Uploading: 19 of 100 objects, 20.0 MiB of 100.0 MiB, 4.0 MiB/s, 20 s left."
    assert len(said) == 5
    progress.committing()
    for _ in range(100):
        now += 0.1
        progress.completed()
    assert said[5:] == [
        "Committing: 50 of 100 objects are visible.",
        "Committing: 100 of 100 objects are visible.",
    ]


def test_progress_without_totals(lines) -> None:
    """A stream says what it has done, and nothing of what is left."""
    logger, said = lines
    now = 0.0
    progress = LogProgress(logger, lambda: now, 5.0)
    progress.expect(None, None)
    now = 10.0
    progress.sent(1024**2)
    assert said == ["Uploading: 0 objects, 1.0 MiB, 0.1 MiB/s."]
    progress.committing()
    now = 20.0
    progress.completed()
    assert said[1] == "Committing: 1 of 0 objects are visible."


@pytest.mark.parametrize(
    ("sent", "seconds", "left"),
    [(60, 60.0, "1 h 39 min left"), (1000, 20.0, "1 min 40 s left"), (5999, 60.0, "0 s left"), (7000, 6.0, "0 s left")],
)
def test_time_left_is_readable(lines, sent: int, seconds: float, left: str) -> None:
    """Hours and minutes, minutes and seconds; an upper bound that was none is not negative time."""
    logger, said = lines
    now = 0.0
    progress = LogProgress(logger, lambda: now, 5.0)
    progress.expect(1, 6000)
    now = seconds
    progress.sent(sent)
    assert said[0].endswith(f", {left}.")


def test_rows_are_counted_where_the_source_does(lines) -> None:
    """A dump does not know how much there will be, but how far it is."""
    logger, said = lines
    now = 0.0
    progress = LogProgress(logger, lambda: now, 5.0)
    progress.expect(None, None)
    progress.read(1_000_000)
    progress.read(500_000)
    now = 6.0
    progress.sent(1024**2 * 30)
    assert said == ["Uploading: 0 objects, 1,500,000 rows (250,000/s), 30.0 MiB, 5.0 MiB/s."]


def test_no_progress_says_nothing() -> None:
    """Each method is there."""
    progress = NoProgress()
    progress.expect(1, 1)
    progress.read(1)
    progress.sent(1)
    progress.staged()
    progress.committing()
    progress.completed()


def make_transfer(objects_in_flight: int = 4) -> Transfer:
    """Threads, and a store nobody asks."""
    return Transfer(FakeStore(), TransferSettings(objects_in_flight=objects_in_flight, attempts=3), NoProgress())


@pytest.mark.parametrize("objects_in_flight", [1, 4])
def test_each_raises_the_first_error_and_starts_no_more(objects_in_flight: int) -> None:
    """What had not begun is never begun."""
    done = []

    def work(number: int) -> None:
        done.append(number)
        if number == 3:
            raise ValueError("three")

    with make_transfer(objects_in_flight) as transfer:
        with pytest.raises(ValueError, match="three"):
            transfer.each(work, range(1000))
        assert len(done) < 1000
        transfer.each(done.append, [-1, -2])
        assert done[-2:] == [-1, -2] or done[-2:] == [-2, -1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("xacct-part", "xacct-object"))]


def test_every_item_is_taken_once_however_many_threads_come_and_go() -> None:
    """The pace is another one at every item."""
    widths = random.Random(7)

    class Restless(Pace):
        width = property(lambda self: widths.randint(1, 6), lambda self, width: None)  # type: ignore[assignment]

    with make_transfer(6) as transfer:
        transfer._pace = Restless(6)
        for _ in range(20):
            done: list[int] = []
            transfer.each(done.append, range(200))
            assert sorted(done) == list(range(200))


def test_the_real_error_is_raised_rather_than_its_echo() -> None:
    """Threads that were told to stop are not what went wrong."""
    barrier = threading.Barrier(2)

    with make_transfer(2) as transfer:

        def work(number: int) -> None:
            barrier.wait()
            if number:
                raise ValueError("one")
            raise Cancelled

        with pytest.raises(ValueError, match="one"):
            transfer.each(work, range(2))
        with pytest.raises(Cancelled):
            transfer.each(lambda number: (_ for _ in ()).throw(Cancelled), range(2))


def test_a_wait_ends_when_the_work_is_given_up() -> None:
    """A task that is told to end does not sit out its backoff."""
    transfer = Transfer(FakeStore(), TransferSettings(attempts=2, backoff_seconds=3600), NoProgress())
    with transfer:
        transfer.stop()
        with pytest.raises(Cancelled):
            transfer.patiently(lambda: (_ for _ in ()).throw(AnswerLost("lost")))
        with pytest.raises(Cancelled):
            transfer.budget.acquire(1)
        transfer.restart()
        transfer.check()
        assert not transfer.stopped


def test_a_budget_lets_in_what_fits() -> None:
    """Those who wait are woken by those who leave."""
    budget = MemoryBudget(10)
    budget.acquire(6)
    waiting = threading.Thread(target=budget.acquire, args=(6,))
    waiting.start()
    budget.acquire(4)
    assert waiting.is_alive()
    budget.release(6)
    waiting.join(10)
    assert budget.held_bytes == 10


def test_control_answers_survive_pickling() -> None:
    """Airflow moves errors between processes."""
    error = AnswerLost("lost", where="s3://acme/key", remedy="Again.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301
