"""Every request and every answer is lost in turn; one try makes it good by itself."""

from __future__ import annotations

import pytest

from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.delivery.store import AnswerLost
from tests.faults.fault_harness import (
    FOREIGN,
    MANIFEST,
    SCENARIOS,
    SEVERAL,
    World,
    assert_delivered,
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


def lose_nth(world: World, operation: str, nth: int, moment: str, times: int = 1) -> None:
    """Lose the n-th call of an operation: its request (before) or its answer (after)."""

    def on_call(call, when) -> None:
        if call.operation == operation and when == moment and nth <= call.nth < nth + times:
            if operation == "create" and moment == "after":
                world.leaks.add(max(world.store.uploads, key=lambda i: int(i.removeprefix("upload-"))))
            world.lose()

    world.on_call = on_call


@pytest.mark.parametrize("operation", ["put", "create", "part", "complete"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(("can_head", "logged", "side_by_side"), [(False, True, 1), (True, True, 3), (False, False, 3)])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("if_exists", MODES)
def test_one_lost_call_is_made_good(
    if_exists, scenario, can_head, logged, side_by_side, store, moment, operation
) -> None:
    """A lost request, a lost answer or a 5xx ends in one complete delivery within the same try."""
    objects = SCENARIOS[scenario]

    def run(nth: int) -> bool:
        world = World(
            FakeStore(smallest_part_bytes=1, **STORES[store]),
            log=MemoryLog() if logged else None,
            settings=settings(side_by_side),
        )
        world.store.can_head = can_head
        if side_by_side > 1 and operation == "create" and moment == "after":
            # which upload is the orphan is known only where calls come one after the other
            return False
        lose_nth(world, operation, nth, moment)
        result = world.deliver(objects, if_exists=if_exists)
        assert_delivered(world, objects, result)
        manifest_never_names_a_mix(world)
        return world.fired

    until_it_no_longer_fires(run)


@pytest.mark.parametrize("if_exists", MODES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_lost_answer_to_complete_is_proven_without_reading(scenario, if_exists) -> None:
    """The upload id is the witness: with s3:PutObject and s3:AbortMultipartUpload alone nothing is guessed."""
    world = World(FakeStore(smallest_part_bytes=1))
    world.store.can_head = world.store.can_delete = False
    lose_nth(world, "complete", 1, "after")
    result = world.deliver(SCENARIOS[scenario], if_exists=if_exists)
    assert_delivered(world, SCENARIOS[scenario], result)
    assert world.fired or if_exists == "replace"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("store", STORES)
def test_lost_aborts_are_repeated(store, moment) -> None:
    """An Abort that is not answered is sent again: nothing stays open."""

    def run(nth: int) -> bool:
        world = World(FakeStore(smallest_part_bytes=1, **STORES[store]))
        world.store.can_head = False
        world.store.place("data/b.csv", FOREIGN)
        lose_nth(world, "abort", nth, moment)
        result = world.deliver(SEVERAL, if_exists="skip")
        assert (result.objects, result.skipped, result.skipped_keys) == (2, 1, ("data/b.csv",))
        assert world.bodies() == {**SEVERAL, "data/b.csv": FOREIGN}
        assert [entry["url"] for entry in world.manifest()["entries"]] == [
            "s3://bucket/data/a.csv",
            "s3://bucket/data/c.csv",
        ]
        assert world.manifest()["xacct"]["skipped"] == ["s3://bucket/data/b.csv"]
        assert not world.store.open_uploads
        return world.fired

    assert until_it_no_longer_fires(run) == 1


@pytest.mark.parametrize("operation", ["put", "create", "part", "complete"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("if_exists", MODES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_silence_is_an_error_and_the_next_try_goes_on(scenario, if_exists, moment, operation) -> None:
    """When S3 never answers, the try fails; the next one leaves exactly one delivery."""
    objects = SCENARIOS[scenario]

    def run(nth: int) -> bool:
        world = World(FakeStore(smallest_part_bytes=1))
        world.store.can_head = False
        lose_nth(world, operation, nth, moment, times=1000)
        try:
            result = world.deliver(objects, if_exists=if_exists)
        except AnswerLost:
            assert world.fired
        else:
            # an answer that says no is none that is lost: the second one to Complete told what the first had done
            assert not world.fired or (operation, moment) == ("complete", "after")
            assert_delivered(world, objects, result)
            return world.fired
        world.heal()
        result = world.deliver(objects, if_exists=if_exists)
        if operation == "create" and moment == "after":
            world.leaks = set(world.store.open_uploads)
            assert all(not upload.parts for upload in world.store.open_uploads.values())
        assert_delivered(world, objects, result)
        manifest_never_names_a_mix(world)
        return True

    until_it_no_longer_fires(run)


def test_the_manifest_is_the_last_thing_to_appear() -> None:
    """Who waits for the manifest finds everything it names."""
    world = World()
    world.deliver(SEVERAL)
    assert world.store.history[-1][0] == MANIFEST
    assert [key for key, _ in world.store.history].count(MANIFEST) == 1
