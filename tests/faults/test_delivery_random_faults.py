"""Tries of one task under random faults, foreign objects and clears: the promises hold at the end, and all along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_xacct.delivery.fake_store import FakeObject, FakeStore
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.exceptions import (
    CommitLogError,
    DeliveryError,
    ObjectExistsError,
    OutcomeUnknownError,
    TransportError,
)
from tests.faults.fault_harness import (
    FOREIGN,
    MANIFEST,
    Killed,
    World,
    assert_delivered,
    manifest_never_names_a_mix,
    plan_of,
)
from tests.faults.fault_harness import settings as transfer

KEYS = ["data/a", "data/b", "data/c", "data/d"]


@dataclass(frozen=True)
class Fault:
    """Something that happens around the n-th event of a try."""

    at: int
    moment: Literal["before", "after"]
    kind: Literal["kill", "lose", "silence", "foreign", "conflict", "log", "days"]
    key: str


@dataclass(frozen=True)
class Try:
    """One try: what strikes it, whether the run was cleared before it, how its plan is drawn."""

    faults: tuple[Fault, ...]
    cleared: bool
    lazy: bool
    side_by_side: int


faults = st.builds(
    Fault,
    at=st.integers(1, 40),
    moment=st.sampled_from(["before", "after"]),
    kind=st.sampled_from(["kill", "kill", "lose", "lose", "silence", "foreign", "conflict", "log", "days"]),
    key=st.sampled_from(KEYS),
)
tries = st.builds(
    Try,
    faults=st.lists(faults, max_size=4).map(tuple),
    cleared=st.booleans(),
    lazy=st.booleans(),
    side_by_side=st.sampled_from([1, 1, 3]),
)


def arm(world: World, plan: Try) -> None:
    """Let the faults of a try strike."""
    count = {"before": 0, "after": 0}

    def strike(moment: str, *, of_log: bool) -> None:
        with world.lock:
            count[moment] += 1
            now = [f for f in plan.faults if f.moment == moment and f.at == count[moment]]
            silent = any(f.kind == "silence" and f.moment == moment and f.at <= count[moment] for f in plan.faults)
        for fault in now:
            if fault.kind == "kill":
                world.kill()
            elif fault.kind == "lose" and not of_log:
                world.lose()
            elif fault.kind == "days":
                # a lifecycle rule has run meanwhile
                world.now += 2 * 24 * 3600
                world.store.expire_uploads()
            elif fault.kind == "log" and of_log:
                raise CommitLogError("no answer")
            elif fault.kind == "foreign" and fault.key not in world.store.objects:
                world.store.place(fault.key, FOREIGN)
            elif fault.kind == "conflict":
                world.store.conflict_once(fault.key)
        if silent and not of_log:
            world.lose()

    world.on_call = lambda call, moment: strike(moment, of_log=False)
    world.on_write = lambda verb, key, moment: strike(moment, of_log=True) if verb != "get" else None


def never_overwritten(world: World) -> None:
    """No foreign object was ever followed by one of ours, unless the key had been ours before: that the log knows."""
    standing: dict[str, FakeObject] = {}
    were_ours = set()
    for key, found in world.store.history:
        if found is None:
            standing.pop(key, None)
            continue
        if found.token:
            before = standing.get(key)
            assert before is None or before.token or key in were_ours, f"{key} was overwritten"
            were_ours.add(key)
        standing[key] = found


def known_to_be_left(world: World) -> set[str]:
    """Uploads that S3 would not abort: the delivery ended with a warning, and its log still names them."""
    attempt = DeliveryLog(world.log, "xacct/delivery", lambda: world.now).load()
    return set(attempt.discarded) if attempt is not None else set()


@settings(max_examples=300, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    if_exists=st.sampled_from(["error", "replace", "skip"]),
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=len(KEYS)),
    schedule=st.lists(tries, min_size=1, max_size=4),
    can_head=st.booleans(),
    manners=st.sets(st.sampled_from(["completes_again", "aborts_again", "condition_first"])),
)
def test_random_faults(if_exists, sizes, schedule, can_head, manners) -> None:
    """Whatever struck the tries before it, the last one ends in a complete delivery or in the right error."""
    store = FakeStore(smallest_part_bytes=1, **dict.fromkeys(manners, True))
    world = World(store, log=MemoryLog())
    store.can_head, store.can_delete = can_head, False
    generation = 0

    def objects() -> dict[str, bytes]:
        return {key: bytes([65 + generation]) * size for key, size in zip(KEYS, sizes, strict=False)}

    for plan in schedule:
        generation += plan.cleared
        world.settings = transfer(plan.side_by_side)
        arm(world, plan)
        try:
            planned = plan_of(objects())
            world.deliver(iter(planned) if plan.lazy else planned, if_exists=if_exists, generation=generation)
        except (Killed, TransportError, DeliveryError) as ended:
            event(f"a try ended with {type(ended).__name__}")
        # whatever a lost answer to Create, or a kill after it, left is an orphan, and empty
        world.leaks |= world.unlogged_uploads()
    world.heal()
    world.settings = transfer(1)
    wanted = objects()
    foreign = {key for key in wanted if key in store.objects and not store.objects[key].token}
    try:
        result = world.deliver(wanted, if_exists=if_exists, generation=generation)
    except ObjectExistsError:
        event("the last try found a foreign object")
        assert if_exists == "error"
        assert foreign
    except OutcomeUnknownError:
        event("the last try could not know")
        assert not can_head
        assert if_exists != "replace"
    else:
        event("the last try delivered")
        if foreign and if_exists != "replace":
            assert if_exists == "skip"
            assert result.skipped == len(foreign)
        else:
            foreign_left = {key for key, found in store.objects.items() if not found.token}
            for key in foreign_left:
                assert key not in wanted
                del store.objects[key]
            world.leaks = (world.leaks | known_to_be_left(world)) & set(store.open_uploads)
            assert_delivered(world, wanted, result, manifest=MANIFEST in store.objects)
    if if_exists != "replace":
        never_overwritten(world)
    manifest_never_names_a_mix(world)
    leaks = world.leaks | world.unlogged_uploads()
    assert all(not store.uploads[leak].parts or leak not in store.open_uploads for leak in leaks)
    assert set(store.open_uploads) <= leaks | known_to_be_left(world)
