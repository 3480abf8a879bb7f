"""The log of a delivery: what is written, how often, and what is read back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_xacct.delivery.attempt import Attempt, AttemptHead
from airflow_xacct.delivery.commit import DeliveryEngine
from airflow_xacct.delivery.fake_store import FakeStore, StoreCall
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.log import MAX_VALUE_BYTES, MemoryLog
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.settings import TransferSettings
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.exceptions import CommitLogError

HEAD = AttemptHead(
    token="digest.nonce",
    generation=0,
    if_exists="error",
    destination=("bucket", "222222222222", "data/", "data/manifest.json"),
    signature="signature",
    created_at=1_760_000_000.0,
    session_arn="arn",
    allow_delete=False,
    tombstone=True,
)
ITEMS = [
    ["k", "data/old"],
    ["q", "data/doubt"],
    ["m", "data/old"],
    ["u", 1, "data/a", "upload-1", 1.5, "digest"],
    ["p", 1, 1, '"e"', "AAAAAAAAAAA=", 3],
    ["s", 1, 3, "AAAAAAAAAAA=", None],
    ["u", 2, "data/b", "upload-2", 2.5, "digest"],
    ["r", 2, "auxiliary"],
    ["x", 0, '{"columns": ["a", '],
    ["x", 1, '"b"], "old": 1}'],
    ["x", 0, '{"columns": ["a", '],
    ["x", 1, '"b"]}'],
    ["c", 2],
    ["u", 2, "data/b", "upload-3", 3.5, "digest"],
    ["r", 2, "stand_in"],
    ["a", "upload-2"],
    ["z", "data/c", "upload-0"],
    ["d", 1, '"e"', "v1"],
    ["o", 2, "foreign"],
]


def log_of(store: MemoryLog | None) -> DeliveryLog:
    """A log that flushes when it must."""
    return DeliveryLog(store, "xacct/delivery", lambda: 0.0, 30.0)


def assert_same(one: Attempt, other: Attempt) -> None:
    """Two views of one attempt."""
    assert one.head == other.head
    assert one.objects == other.objects
    assert set(one.discarded) == set(other.discarded)
    assert (one.own_keys, one.doubted, one.old_manifests) == (other.own_keys, other.doubted, other.old_manifests)
    assert one.description == other.description


def test_what_is_read_is_what_was_known() -> None:
    """The state of the running engine and that of a later try come from the same items."""
    store = MemoryLog()
    log = log_of(store)
    log.begin(Attempt(HEAD), [])
    log.record(*ITEMS)
    log.advance("aborted", clean=True)
    read = log_of(store).load()
    assert read is not None
    assert_same(read, log.attempt)
    assert (read.phase, read.head.clean, read.torn) == ("aborted", True, False)
    assert read.objects[1].part_list[0].size_bytes == 3
    assert set(read.discarded) == {"upload-3", "upload-0"}
    assert read.keys_of_ours() == {"data/old", "data/a"}
    assert [o.index for o in read.of("stand_in")] == [2]
    assert read.description == {"columns": ["a", "b"]}


def test_entries_no_head_has_counted_yet_are_read_too() -> None:
    """A killed process wrote them; those of older attempts under the same keys are not taken for them."""
    store = MemoryLog()
    first = log_of(store)
    first.begin(Attempt(HEAD), [])
    for item in ITEMS:
        first.record(item)
        first.flush()
    first.advance("committed", summary={})
    second = log_of(store)
    second.load()
    second.begin(Attempt(replace(HEAD, token="digest.second")), [["k", "data/a"]])
    second.advance("staging")
    third = log_of(store)
    third.load()
    third.begin(Attempt(replace(HEAD, token="digest.third")), [])
    third.advance("staging")
    third.record(ITEMS[3])
    third.flush()
    read = log_of(store).load()
    assert read is not None
    assert read.head.token == "digest.third"
    assert list(read.objects) == [1]
    assert read.head.slot == "a"


@pytest.mark.parametrize("damage", ["missing", "changed", "gap"])
def test_a_torn_log_shows(damage: str) -> None:
    """The head counts the entries before it and carries their digest."""
    store = MemoryLog()
    log = log_of(store)
    log.begin(Attempt(HEAD), [])
    for item in ITEMS[:3]:
        log.record(item)
        log.flush()
    log.advance("committing")
    if damage == "changed":
        store.values["xacct/delivery/a/1"] = store.values["xacct/delivery/a/1"].replace("doubt", "DOUBT")
    else:
        del store.values[f"xacct/delivery/a/{2 if damage == 'missing' else 0}"]
    read = log_of(store).load()
    assert read is not None
    assert read.torn


@pytest.mark.parametrize(
    "item", [["?"], ["u", "one"], ["d", 7, "", ""], ["o", 1, "lost"], ["p", 1, "x"], ["r", 1, "x"], ["x", 0, 1], []]
)
def test_an_item_of_another_version_is_refused(item: list[object]) -> None:
    """Rather than passed over."""
    log = log_of(None)
    log.begin(Attempt(HEAD), [ITEMS[3]])
    with pytest.raises(CommitLogError, match="does not know"):
        log.record(item)


def test_without_an_attempt_there_is_nothing_to_write() -> None:
    """An error of ours, not an AttributeError."""
    with pytest.raises(CommitLogError):
        log_of(None).record(["k", "key"])


def test_receipts_wait_at_most_so_long() -> None:
    """On long work something is written every thirty seconds, and not more often."""
    now = 0.0
    store = MemoryLog()
    log = DeliveryLog(store, "log", lambda: now, 30.0)
    log.begin(Attempt(HEAD), [])
    log.record(["u", 1, "key", "id", 0, ""])
    for number in range(1, 601):
        now += 1.0
        log.record(["p", 1, number, '"etag"', "AAAAAAAAAAA=", 8])
    assert store.writes == 20


class LongIds(FakeStore):
    """Upload ids as long as S3's."""

    def create_multipart(self, key: str, attributes: ObjectAttributes) -> str:
        short = super().create_multipart(key, attributes)
        long = short.ljust(170, "x")
        self.uploads[long] = self.uploads.pop(short)
        return long


@pytest.mark.parametrize("key", ["data/{}.csv", "データ/{}/" + "é" * 300], ids=["ascii", "wide"])
@pytest.mark.parametrize("if_exists", ["error", "replace"])
@pytest.mark.parametrize("count", [1, 100, 1000])
def test_writes_are_bounded_and_values_small(count: int, if_exists: str, key: str) -> None:
    """The formula of the documentation holds, and no value is larger than Airflow likes (the fake refuses it)."""
    store = LongIds()
    log = MemoryLog()
    engine = DeliveryEngine(
        store,
        log,
        DeliveryIdentity(
            conn_id="c", bucket="b", account="2" * 12, dag_id="d", task_id="t", run_id="r", dataset="data/"
        ),
        TransferSettings(objects_in_flight=4),
        clock=lambda: 0.0,
    )
    plan = [ObjectPlan(key.format(number), BytesPayload("x", b"x")) for number in range(count)]
    described = {"columns": [{"name": f"column {n}", "type": "int64"} for n in range(count)]}
    engine.deliver(
        plan,
        if_exists=if_exists,
        manifest_key="data/manifest.json",
        manifest="always",
        whole=True,
        success_key="data/_SUCCESS",
        describe=lambda: described,
    )
    key_bytes = sum(len(json.dumps(planned.key)) for planned in plan)
    extra = 2 * len(json.dumps(described))
    bound = 12 + -(-count // 100) + (400 * count + 110 * count + key_bytes + extra) / (44 * 1024)
    print(f"{count} objects, {if_exists}: {log.writes} writes, at most {bound:.0f}")
    assert log.writes <= bound
    assert max(map(len, log.values.values())) <= MAX_VALUE_BYTES
    assert len(log_of_engine(log).delivered()) == count


def log_of_engine(log: MemoryLog) -> Attempt:
    """What is in it."""
    attempt = DeliveryLog(log, "xacct/delivery", lambda: 0.0).load()
    assert attempt is not None
    assert not attempt.torn
    return attempt


def test_upload_ids_are_durable_before_the_first_part() -> None:
    """Whenever a part arrives, its upload's id is in the log."""
    store, log = FakeStore(), MemoryLog()

    def hook(call: StoreCall, moment: str) -> None:
        if call.operation == "part" and moment == "before":
            upload_ids = {i for i, upload in store.open_uploads.items() if upload.key == call.key}
            assert all(f'"{i}"' in "".join(log.values.values()) for i in upload_ids)

    store.hook = hook
    identity = DeliveryIdentity(conn_id="c", bucket="b", account="2" * 12, dag_id="d", task_id="t", run_id="r")
    plan = [ObjectPlan(f"{number}", BytesPayload("x", b"x")) for number in range(250)]
    DeliveryEngine(store, log, identity).deliver(plan)
    assert len(store.objects) == 250
