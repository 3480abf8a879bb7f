"""The process is killed before and after every call and every write of the log; the next try makes it good."""

from __future__ import annotations

from contextlib import suppress

import pytest

from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.exceptions import CommitLogError, ObjectExistsError, OutcomeUnknownError
from tests.faults.fault_harness import (
    FOREIGN,
    SCENARIOS,
    SEVERAL,
    Killed,
    World,
    assert_delivered,
    kill_at_event,
    manifest_never_names_a_mix,
    settings,
    until_it_no_longer_fires,
)

MODES = ["error", "replace", "skip"]
STORES = {
    "strict": {},
    "aws-like": {"completes_again": True, "aborts_again": True},
    "condition-first": {"condition_first": True, "aborts_again": True},
}


def kill_at_call(world: World, number: int, moment: str) -> None:
    """Kill around the n-th call of the store."""
    count = 0

    def on_call(call, when) -> None:
        nonlocal count
        if when != moment:
            return
        count += 1
        if count == number:
            world.kill()

    world.on_call = on_call


def kill_at_write(world: World, number: int, moment: str) -> None:
    """Kill around the n-th write of the log."""
    count = 0

    def on_write(verb, key, when) -> None:
        nonlocal count
        if verb == "get" or when != moment:
            return
        count += 1
        if count == number:
            world.kill()

    world.on_write = on_write


@pytest.mark.parametrize("arm", [kill_at_call, kill_at_write])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("store", "can_head", "side_by_side"),
    [("strict", False, 1), ("aws-like", False, 3), ("strict", True, 3), ("condition-first", False, 1)],
)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("if_exists", MODES)
def test_a_retry_after_a_kill_leaves_exactly_one_delivery(
    if_exists, scenario, store, can_head, side_by_side, moment, arm
) -> None:
    """Whenever the process dies, the next try leaves one complete delivery, and only the documented leak."""
    objects = SCENARIOS[scenario]

    def run(number: int) -> bool:
        world = World(FakeStore(smallest_part_bytes=1, **STORES[store]), settings=settings(side_by_side))
        world.store.can_head = can_head
        world.store.can_delete = False
        arm(world, number, moment)
        with suppress(Killed):
            world.deliver(objects, if_exists=if_exists)
        if not world.fired:
            return False
        world.heal()
        result = world.deliver(objects, if_exists=if_exists)
        assert_delivered(world, objects, result)
        manifest_never_names_a_mix(world)
        calls = len(world.store.calls)
        assert world.deliver(objects, if_exists=if_exists) == result
        assert len(world.store.calls) == calls, "a third try does not touch the bucket"
        return True

    assert until_it_no_longer_fires(run) >= 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("side_by_side", [1, 3])
@pytest.mark.parametrize("if_exists", MODES)
def test_a_kill_around_a_409(if_exists, side_by_side, can_head, store, moment) -> None:
    """An upload that was given up after a conflict is gone, and yet was never completed: nobody may be fooled."""

    def run(number: int) -> bool:
        world = World(FakeStore(smallest_part_bytes=1, **STORES[store]), settings=settings(side_by_side))
        world.store.can_head = can_head
        world.store.conflict_once("data/b.csv")
        kill_at_event(world, number, moment)
        with suppress(Killed):
            world.deliver(SEVERAL, if_exists=if_exists)
        world.heal()
        assert_delivered(world, SEVERAL, world.deliver(SEVERAL, if_exists=if_exists))
        manifest_never_names_a_mix(world)
        return world.fired

    assert until_it_no_longer_fires(run) > 15


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("side_by_side", [1, 3])
@pytest.mark.parametrize("manifest", ["auto", "never"])
def test_a_kill_while_something_is_skipped(manifest, side_by_side, can_head, store, moment) -> None:
    """The upload of what was skipped is aborted by us: later that must not look like a success."""

    def run(number: int) -> bool:
        world = World(FakeStore(smallest_part_bytes=1, **STORES[store]), settings=settings(side_by_side))
        world.store.can_head = can_head
        world.store.place("data/b.csv", FOREIGN)
        kill_at_event(world, number, moment)
        with suppress(Killed):
            world.deliver(SEVERAL, if_exists="skip", manifest=manifest)
        world.heal()
        result = world.deliver(SEVERAL, if_exists="skip", manifest=manifest)
        assert (result.objects, result.skipped_keys) == (2, ("data/b.csv",))
        assert world.bodies() == {**SEVERAL, "data/b.csv": FOREIGN}
        if manifest == "auto":
            assert world.manifest()["xacct"]["skipped"] == ["s3://bucket/data/b.csv"]
        assert set(world.store.open_uploads) == world.leaks
        return world.fired

    assert until_it_no_longer_fires(run) > 10


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("allow_delete", [False, True])
def test_a_kill_while_a_conflict_is_handled(allow_delete, can_head, moment) -> None:
    """Under "error" the conflict is found again by the next try, and nothing foreign is lost."""

    def run(number: int) -> bool:
        world = World(FakeStore(smallest_part_bytes=1))
        world.store.can_head = can_head
        world.store.place("data/b.csv", FOREIGN)
        kill_at_event(world, number, moment)
        with suppress(Killed, ObjectExistsError):
            world.deliver(SEVERAL, allow_delete=allow_delete)
        world.heal()
        try:
            with pytest.raises(ObjectExistsError, match=r"data/b\.csv"):
                world.deliver(SEVERAL, allow_delete=allow_delete)
        except OutcomeUnknownError as error:
            # killed between the record of a delete and the delete itself: said, and for the owner to remove
            assert allow_delete
            assert not can_head
            ours = [key for key in world.bodies() if key in str(error)]
            assert ours
            for key in [*SEVERAL]:
                if world.store.objects.get(key) and world.store.objects[key].token:
                    del world.store.objects[key]
        assert world.store.objects["data/b.csv"].body == FOREIGN
        assert set(world.store.open_uploads) == world.leaks
        del world.store.objects["data/b.csv"]
        assert_delivered(world, SEVERAL, world.deliver(SEVERAL, allow_delete=allow_delete))
        return world.fired

    assert until_it_no_longer_fires(run) > 15


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("side_by_side", [1, 3])
@pytest.mark.parametrize("logged", [True, False])
@pytest.mark.parametrize("if_exists", MODES)
def test_an_interrupt_cleans_up_and_is_passed_on(if_exists, logged, side_by_side, moment) -> None:
    """SIGTERM arrives as an exception that is no Exception: staged uploads are aborted, a begun commit is left for
    the next try; without a log nothing is left open that is not in doubt."""

    def run(number: int) -> bool:
        world = World(
            FakeStore(smallest_part_bytes=1), log=MemoryLog() if logged else None, settings=settings(side_by_side)
        )
        count = 0

        def on_call(call, when) -> None:
            nonlocal count
            with world.lock:
                count += when == moment
                now = count == number and not world.fired
                world.fired = world.fired or now
            if now:
                raise KeyboardInterrupt

        world.on_call = on_call
        interrupted = False
        try:
            world.deliver(SEVERAL, if_exists=if_exists)
        except KeyboardInterrupt:
            interrupted = True
        assert interrupted == world.fired
        committing = logged and '"committing"' in world.log.values.get("xacct/delivery", "")
        if interrupted and not committing:
            orphans = [upload for upload in world.store.open_uploads.values() if upload.parts]
            assert len(orphans) <= int(not logged), "one Complete may be in doubt"
        world.heal()
        if logged:
            world.leaks = world.unlogged_uploads()
            assert len(world.leaks) <= 1, "the upload whose Create was interrupted"
            assert_delivered(world, SEVERAL, world.deliver(SEVERAL, if_exists=if_exists))
        return world.fired

    assert until_it_no_longer_fires(run) > 8


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("times", [1, 2, 100])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("if_exists", MODES)
def test_a_log_that_fails_is_an_error_and_never_a_lie(if_exists, scenario, times, moment) -> None:
    """The API server does not answer: whether the write was kept is open, and no later try draws a wrong conclusion."""
    objects = SCENARIOS[scenario]

    def run(number: int) -> bool:
        world = World(FakeStore(smallest_part_bytes=1))
        world.store.can_head = False
        count = 0

        def on_write(verb, key, when) -> None:
            nonlocal count
            if verb != "get" and when == moment:
                count += 1
                if number <= count < number + times:
                    world.fired = True
                    raise CommitLogError("no answer")

        world.on_write = on_write
        if not _fails(world, objects, if_exists):
            assert not world.fired
            return False
        world.heal()
        assert_delivered(world, objects, world.deliver(objects, if_exists=if_exists))
        manifest_never_names_a_mix(world)
        return True

    assert until_it_no_longer_fires(run) >= 2


def _fails(world: World, objects, if_exists) -> bool:
    try:
        world.deliver(objects, if_exists=if_exists)
    except CommitLogError:
        return True
    return False
