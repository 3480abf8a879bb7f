"""Tries of one dump under random faults, foreign objects and clears, in every mode: the promises hold at the end, and
all along."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.exceptions import (
    DeliveryError,
    ObjectExistsError,
    OutcomeUnknownError,
    SourceChangedError,
    TransportError,
)
from tests.faults.dump_harness import HEADER, SUCCESS, Mode, assert_readers_saw_no_mix
from tests.faults.fault_harness import MANIFEST, Killed, World
from tests.faults.fault_harness import settings as transfer
from tests.faults.test_delivery_random_faults import Fault, Try, arm, known_to_be_left, never_overwritten

PARTS = [f"part-{n}.csv" for n in range(4)]
KEYS = [*(f"data/{part}" for part in PARTS), "data/_schema.json", SUCCESS, MANIFEST]
SCHEDULES = int(os.environ.get("XACCT_FAULT_SCHEDULES", "250"))

faults = st.builds(
    Fault,
    at=st.integers(1, 60),
    moment=st.sampled_from(["before", "after"]),
    kind=st.sampled_from(["kill", "kill", "kill", "lose", "lose", "silence", "foreign", "conflict", "log", "days"]),
    key=st.sampled_from(KEYS),
)
tries = st.tuples(
    st.builds(
        Try,
        faults=st.lists(faults, max_size=4).map(tuple),
        cleared=st.booleans(),
        lazy=st.booleans(),
        side_by_side=st.sampled_from([1, 1, 3]),
    ),
    st.integers(1, 4),
)
modes = st.builds(
    Mode,
    layout=st.sampled_from(["in_place", "versioned"]),
    if_exists=st.sampled_from(["error", "replace", "skip"]),
    asks=st.booleans(),
    may=st.booleans(),
    extras=st.booleans(),
)


class Once(BytesPayload):
    """Rows that pass by once, as those of a query do."""

    opened: list[str]

    def open(self):
        if self.name in self.opened:
            raise SourceChangedError("the rows were read once and are gone")
        self.opened.append(self.name)
        return super().open()


def body_of(generation: int, number: int) -> bytes:
    return HEADER + f"{generation},{number},row\n".encode() * (1 + 3 * number)


def plans(mode: Mode, generation: int, count: int, version: str) -> Iterator[ObjectPlan]:
    """As a dump makes them: one after the other, then the schema."""
    folder = f"data/_versions/{version}/" if mode.layout == "versioned" else "data/"
    opened: list[str] = []
    for number in range(count):
        payload = Once(PARTS[number], body_of(generation, number), rows=1)
        object.__setattr__(payload, "opened", opened)
        yield ObjectPlan(folder + PARTS[number], payload)
    if mode.extras:
        yield ObjectPlan(folder + "_schema.json", BytesPayload("schema", b"{}"), role="auxiliary")


def stand_in(key: str) -> ObjectPlan | None:
    return ObjectPlan(key, BytesPayload(key, HEADER), role="stand_in") if key.endswith(".csv") else None


def deliver(world: World, mode: Mode, generation: int, count: int):
    return world.deliver(
        partial(plans, mode, generation, count),
        generation=generation,
        if_exists=mode.if_exists,
        manifest="always",
        allow_delete=mode.asks,
        tombstone=mode.layout == "in_place",
        whole=True,
        success_key=SUCCESS if mode.extras else "",
        stand_in=stand_in,
        describe=lambda: {"generation": generation},
        versions="data/_versions/",
    )


def assert_whole(world: World, mode: Mode, generation: int, count: int, result) -> None:
    """The newest data, once, and nothing of ours beside it that a reader would take for data."""
    objects = world.store.objects
    shown = json.loads(objects[MANIFEST].body)
    entries = [entry["url"].removeprefix("s3://bucket/") for entry in shown["entries"]]
    assert [objects[key].body for key in entries] == [body_of(generation, n) for n in range(count)]
    assert {objects[key].token for key in entries} == {result.token}
    assert (result.objects, result.skipped, result.rows) == (count, 0, count)
    assert shown["xacct"]["dump"] == {"generation": generation}
    for key, found in objects.items():
        if key.endswith(".csv") and found.token and "_versions" not in key:
            assert key in entries or found.body == HEADER
    if mode.extras:
        assert objects[SUCCESS].token in (result.token, "")
        assert len(shown["xacct"]["auxiliary"]) == 1


@settings(max_examples=SCHEDULES, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    mode=modes,
    schedule=st.lists(tries, min_size=1, max_size=4),
    last=st.integers(1, 4),
    can_head=st.booleans(),
    manners=st.sets(st.sampled_from(["completes_again", "aborts_again", "condition_first"])),
)
def test_random_faults(mode, schedule, last, can_head, manners) -> None:
    """Whatever struck the tries before it, the last one ends in a whole dump, none at all, or the right error."""
    store = FakeStore(smallest_part_bytes=1, **dict.fromkeys(manners, True))
    world = World(store, log=MemoryLog())
    store.can_head, store.can_delete = can_head, mode.may
    generation = 0
    for plan, count in schedule:
        generation += plan.cleared
        world.settings = transfer(plan.side_by_side, part_bytes=16)
        arm(world, plan)
        try:
            deliver(world, mode, generation, count)
        except (Killed, TransportError, DeliveryError, SourceChangedError) as ended:
            event(f"a try ended with {type(ended).__name__}")
        world.leaks |= world.unlogged_uploads()
    world.heal()
    store._conflicts.clear()  # a 409 asks for rows that passed by once
    world.settings = transfer(1, part_bytes=16)
    generation += 1
    foreign = {key for key, found in store.objects.items() if not found.token}
    try:
        result = deliver(world, mode, generation, last)
    except ObjectExistsError:
        event("the last try found a foreign object")
        assert mode.if_exists != "replace"
        assert foreign
    except OutcomeUnknownError:
        event("the last try could not know")
        assert not can_head
        assert mode.if_exists != "replace"
    else:
        if result.skipped:
            event("the last try skipped")
            assert mode.if_exists == "skip"
            assert MANIFEST in foreign
            assert (result.objects, result.skipped) == (0, last)
        else:
            event("the last try delivered")
            assert_whole(world, mode, generation, last, result)
            calls = len(store.calls)
            assert deliver(world, mode, generation, last) == result
            assert len(store.calls) == calls
    if mode.if_exists != "replace":
        never_overwritten(world)
    if not any(fault.kind in ("foreign", "days") for plan, _ in schedule for fault in plan.faults):
        assert_readers_saw_no_mix(world, mode)
    leaks = world.leaks | world.unlogged_uploads()
    assert all(not store.uploads[leak].parts or leak not in store.open_uploads for leak in leaks)
    assert set(store.open_uploads) <= leaks | known_to_be_left(world)
