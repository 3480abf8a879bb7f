"""A bucket, a log and a task that may be killed at any call, for the tests of the commit protocol.

A kill here is a SIGKILL: from that moment on nothing that the process still does reaches the bucket or the log.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.commit import DeliveryEngine
from airflow_xacct.delivery.fake_store import FakeStore, StoreCall
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.delivery.settings import PartSizes, TransferSettings
from airflow_xacct.delivery.store import AnswerLost

PART_BYTES = 8
MANIFEST = "data/manifest.json"
FOREIGN = b"somebody else's"


class Killed(BaseException):
    """The process is gone."""


class TinySettings(TransferSettings):
    """Parts of a few bytes."""

    def __post_init__(self) -> None:
        """S3's limits are not checked."""

    def part_sizes(self, max_size_bytes: int | None) -> PartSizes:
        """A manifest goes as one part, as it does in life."""
        if max_size_bytes is not None and max_size_bytes > 500:
            return PartSizes(5 * 1024 * 1024, grows=False)
        return super().part_sizes(max_size_bytes)


def settings(side_by_side: int = 1, part_bytes: int = PART_BYTES, attempts: int = 4) -> TinySettings:
    """Tiny parts; with ``side_by_side=1`` every call is made in the calling thread or waited for by it."""
    return TinySettings(
        part_size_bytes=part_bytes,
        parts_in_flight=side_by_side,
        objects_in_flight=side_by_side,
        attempts=attempts,
    )


def plan_of(objects: dict[str, bytes]) -> list[ObjectPlan]:
    """A plan of bytes in memory, one row each."""
    return [ObjectPlan(key, BytesPayload(key, body, rows=1)) for key, body in objects.items()]


SMALL = {"data/one.csv": b"small"}
LARGE = {"data/big.csv": b"0123456789abcdefghijklmnopqrstuvwxyz"}
SEVERAL = {"data/a.csv": b"aaa", "data/b.csv": b"0123456789abcdefghij", "data/c.csv": b""}
SCENARIOS = {"small": SMALL, "large": LARGE, "several": SEVERAL}


@dataclass
class World:
    """Everything outside the process: what stands in the bucket and in the log survives a kill."""

    store: FakeStore = field(default_factory=lambda: FakeStore(smallest_part_bytes=1))
    log: MemoryLog | None = field(default_factory=MemoryLog)
    settings: TransferSettings = field(default_factory=settings)
    now: float = 1_760_000_000.0
    seconds_per_try: float = 60.0
    dead: bool = False
    fired: bool = False
    leaks: set[str] = field(default_factory=set)
    on_call: Callable[[StoreCall, str], None] | None = None
    on_write: Callable[[str, str, str], None] | None = None
    nonces: Any = field(default_factory=lambda: itertools.count(1))
    lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.store.hook = self._store_hook
        if self.log is not None:
            self.log.hook = self._log_hook

    def deliver(
        self,
        objects: dict[str, bytes] | Iterable[ObjectPlan],
        *,
        generation: int = 0,
        run_mark: str = "",
        run_id: str = "run",
        dataset: str = "data/",
        manifest_key: str | None = MANIFEST,
        **options: Any,
    ) -> DeliveryResult:
        """One try of the task, in a process of its own."""
        self.dead = False
        self.now += self.seconds_per_try
        identity = DeliveryIdentity(
            conn_id="xacct",
            bucket="bucket",
            account="222222222222",
            dag_id="dag",
            task_id="task",
            run_id=run_id,
            generation=generation,
            run_mark=run_mark,
            dataset=dataset,
            session_arn="arn:aws:sts::222222222222:assumed-role/DataDumpRole/dag",
        )
        engine = DeliveryEngine(
            self.store,
            self.log,
            identity,
            self.settings,
            clock=lambda: self.now,
            sleep=self._sleep,
            new_nonce=lambda: f"n{next(self.nonces)}",
        )
        plan = plan_of(objects) if isinstance(objects, dict) else objects
        return engine.deliver(plan, manifest_key=manifest_key, **options)

    def kill(self) -> None:
        """End the process now. What it created and had not logged yet is the one leak that is allowed."""
        if not self.dead:
            self.dead = True
            self.fired = True
            self.leaks |= self.unlogged_uploads()
        raise Killed

    def lose(self) -> None:
        """No answer comes back."""
        self.fired = True
        raise AnswerLost("the answer was lost")

    def unlogged_uploads(self) -> set[str]:
        """Open uploads whose ids are not in the log."""
        logged = "".join(self.log.values.values()) if self.log is not None else ""
        return {upload_id for upload_id in self.store.open_uploads if f'"{upload_id}"' not in logged}

    def heal(self) -> None:
        """No more faults."""
        self.on_call = self.on_write = None

    def bodies(self) -> dict[str, bytes]:
        """What the bucket shows, without a manifest."""
        return {key: found.body for key, found in self.store.objects.items() if key != MANIFEST}

    def manifest(self) -> dict[str, Any]:
        """The manifest as its readers see it."""
        return json.loads(self.store.objects[MANIFEST].body)

    def _sleep(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds

    def _store_hook(self, call: StoreCall, moment: str) -> None:
        if self.dead:
            raise Killed
        if self.on_call is not None:
            self.on_call(call, moment)

    def _log_hook(self, verb: str, key: str, moment: str) -> None:
        if self.dead:
            raise Killed
        if self.on_write is not None:
            self.on_write(verb, key, moment)


def assert_delivered(
    world: World, objects: dict[str, bytes], result: DeliveryResult, *, manifest: bool | None = None
) -> None:
    """Exactly one complete delivery stands in the bucket, and nothing is left but the leaks that are documented."""
    assert world.bodies() == objects
    assert result.objects == len(objects)
    assert result.bytes == sum(map(len, objects.values()))
    assert result.rows == len(objects)
    tokens = {found.token for found in world.store.objects.values()}
    assert tokens == {result.token}
    if manifest if manifest is not None else len(objects) > 1:
        shown = world.manifest()
        assert [entry["url"] for entry in shown["entries"]] == [f"s3://bucket/{key}" for key in sorted(objects)]
        assert [entry["meta"]["content_length"] for entry in shown["entries"]] == [
            len(objects[key]) for key in sorted(objects)
        ]
        assert shown["xacct"]["state"] == "complete"
        assert result.manifest_uri == f"s3://bucket/{MANIFEST}"
        assert result.checksum == checksum_of(world.store.objects[MANIFEST].body)
        for entry in shown["xacct"]["objects"]:
            found = world.store.objects[entry["url"].removeprefix("s3://bucket/")]
            assert entry["checksum_crc64nvme"] == checksum_of(found.body)
            # after a lost answer they are not known, and not made up
            assert entry["etag"] in (found.etag, "")
            assert entry["version_id"] in (found.version_id, "")
    else:
        assert MANIFEST not in world.store.objects
    assert set(world.store.open_uploads) == world.leaks


def manifest_never_names_a_mix(world: World) -> None:
    """Replay what readers saw: whenever a manifest had entries, all its objects stood there with its token."""
    visible: dict[str, Any] = {}
    for key, found in world.store.history:
        if found is None:
            visible.pop(key, None)
        else:
            visible[key] = found
        if MANIFEST in visible and visible[MANIFEST].token:
            shown = json.loads(visible[MANIFEST].body)
            for entry in shown["entries"]:
                named = visible[entry["url"].removeprefix("s3://bucket/")]
                assert named.token == shown["xacct"]["token"]
                assert len(named.body) == entry["meta"]["content_length"]


def kill_at_event(world: World, number: int, moment: str) -> None:
    """Kill around the n-th event, be it a call of the store or a write of the log."""
    count = 0

    def event(when: str) -> None:
        nonlocal count
        count += when == moment
        if when == moment and count == number:
            world.kill()

    world.on_call = lambda call, when: event(when)
    world.on_write = lambda verb, key, when: event(when) if verb != "get" else None


def until_it_no_longer_fires(run: Callable[[int], bool], at_most: int = 200) -> int:
    """Run with n = 1, 2, ... until the n-th call does not happen any more; returns how often it did."""
    for n in range(1, at_most + 1):
        if not run(n):
            return n - 1
    raise AssertionError(f"still firing after {at_most}")
