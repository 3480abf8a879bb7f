"""Objects of somebody else: never overwritten, always reported, whenever they appear."""

from __future__ import annotations

import json

import pytest

from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.exceptions import ObjectExistsError, OutcomeUnknownError
from tests.faults.fault_harness import (
    FOREIGN,
    MANIFEST,
    SCENARIOS,
    SEVERAL,
    SMALL,
    World,
    assert_delivered,
    settings,
    until_it_no_longer_fires,
)

STORES = {
    "strict": {},
    "aws-like": {"completes_again": True, "aborts_again": True},
    "condition-first": {"condition_first": True, "aborts_again": True},
}


def place_at_call(world: World, key: str, number: int, moment: str) -> None:
    """Let somebody else write a key around the n-th call, unless something stands there."""
    count = 0

    def on_call(call, when) -> None:
        nonlocal count
        count += when == moment
        if when == moment and count == number and not world.fired:
            world.fired = True
            if key not in world.store.objects:
                world.store.place(key, FOREIGN)

    world.on_call = on_call


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("logged", [True, False])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("if_exists", ["error", "skip"])
def test_a_foreign_object_is_never_overwritten(if_exists, scenario, logged, can_head, moment) -> None:
    """Placed at any moment, it either comes too late to matter, or stays and is reported."""
    objects = SCENARIOS[scenario]
    taken = sorted(objects)[len(objects) // 2]

    def run(number: int) -> bool:
        world = World(FakeStore(smallest_part_bytes=1), log=MemoryLog() if logged else None)
        world.store.can_head = can_head
        place_at_call(world, taken, number, moment)
        result = said = None
        try:
            result = world.deliver(objects, if_exists=if_exists)
        except ObjectExistsError as error:
            said = str(error)
        foreign = world.store.objects[taken].body == FOREIGN
        if result is None:
            assert if_exists == "error"
            assert foreign
            assert taken in said
            assert MANIFEST not in world.store.objects
        else:
            assert result.skipped == int(foreign)
            assert not (foreign and if_exists == "error")
            assert result.objects == len(objects) - int(foreign)
            assert (MANIFEST in world.store.objects) == (len(objects) > 1)
        assert not world.store.open_uploads
        return world.fired

    assert until_it_no_longer_fires(run) >= 1


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("can_delete", [False, True])
def test_a_conflict_in_the_middle_names_what_is_visible(can_delete, can_head, store) -> None:
    """Half of a delivery may be visible when a conflict shows: it is named, or taken back where that is allowed."""
    world = World(FakeStore(smallest_part_bytes=1, **STORES[store]))
    world.store.can_head, world.store.can_delete = can_head, can_delete
    world.store.place("data/b.csv", FOREIGN)
    with pytest.raises(ObjectExistsError) as caught:
        world.deliver(SEVERAL, allow_delete=can_delete)
    assert "s3://bucket/data/b.csv" in str(caught.value)
    assert "data/a.csv" in str(caught.value)
    assert world.bodies() == ({} if can_delete else {"data/a.csv": b"aaa"}) | {"data/b.csv": FOREIGN}
    assert not world.store.open_uploads
    # once the foreign object is gone, the next try delivers all of it
    del world.store.objects["data/b.csv"]
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL, allow_delete=can_delete))


def test_without_the_right_to_look_the_error_says_how_to_find_out() -> None:
    """Without HEAD, a conflict may be with an object of an earlier try: the message says so."""
    world = World()
    world.store.can_head = False
    world.store.place("data/one.csv", FOREIGN)
    with pytest.raises(ObjectExistsError, match="x-amz-meta-xacct-token then begins with"):
        world.deliver(SMALL)
    world.store.can_head = True
    with pytest.raises(ObjectExistsError) as caught:
        world.deliver(SMALL)
    assert "xacct-token" not in str(caught.value)


@pytest.mark.parametrize("if_exists", ["error", "skip"])
def test_a_foreign_manifest_is_not_replaced(if_exists) -> None:
    """The manifest is an object like any other: what holds its key stays."""
    world = World()
    world.store.place(MANIFEST, FOREIGN)
    if if_exists == "error":
        with pytest.raises(ObjectExistsError, match=r"manifest\.json"):
            world.deliver(SEVERAL, if_exists=if_exists)
    else:
        result = world.deliver(SEVERAL, if_exists=if_exists)
        assert (result.objects, result.manifest_uri, result.uri) == (3, "", "s3://bucket/data/")
    assert world.store.objects[MANIFEST].body == FOREIGN
    assert not world.store.open_uploads


def test_everything_skipped_writes_no_manifest() -> None:
    """Nothing was delivered, so there is nothing to name."""
    world = World()
    for key in SEVERAL:
        world.store.place(key, FOREIGN)
    result = world.deliver(SEVERAL, if_exists="skip")
    assert (result.objects, result.skipped, result.manifest_uri, result.checksum) == (0, 3, "", "")
    assert MANIFEST not in world.store.objects
    assert not world.store.open_uploads


def test_replace_overwrites_what_is_foreign() -> None:
    """The word says it."""
    world = World()
    for key in SEVERAL:
        world.store.place(key, FOREIGN)
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL, if_exists="replace"))


@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("times", [1, 2, 3, 4])
@pytest.mark.parametrize("if_exists", ["error", "replace", "skip"])
def test_a_409_makes_the_upload_again(if_exists, times, can_head) -> None:
    """ConditionalRequestConflict: create, upload and complete once more; give up when it does not end."""
    world = World()
    world.store.can_head = can_head
    left = times

    def on_call(call, when) -> None:
        nonlocal left
        if (call.operation, call.key, when) == ("complete", "data/b.csv", "before") and left:
            left -= 1
            world.store.conflict_once(call.key)

    world.on_call = on_call
    if times > 3:
        with pytest.raises(Exception, match="ended the upload 4 times"):
            world.deliver(SEVERAL, if_exists=if_exists)
        result = world.deliver(SEVERAL, if_exists=if_exists)
    else:
        result = world.deliver(SEVERAL, if_exists=if_exists)
    assert_delivered(world, SEVERAL, result)


@pytest.mark.parametrize("can_head", [False, True])
def test_a_409_after_a_lost_answer_is_no_proof_either_way(can_head) -> None:
    """If what it collided with was our own request, the next conflict must not be called foreign."""
    world = World(FakeStore(smallest_part_bytes=1))
    world.store.can_head = can_head

    def on_call(call, when) -> None:
        if (call.operation, call.nth, when) == ("complete", 1, "before"):
            world.lose()
        if (call.operation, call.nth, when) == ("complete", 2, "before"):
            world.store.conflict_once(call.key)
        if (call.operation, call.nth, when) == ("complete", 3, "before"):
            # our first request comes through at last, or somebody else's: without HEAD these look the same
            world.store.place(call.key, FOREIGN)

    world.on_call = on_call
    with pytest.raises(ObjectExistsError if can_head else OutcomeUnknownError):
        world.deliver(SMALL)
    assert world.bodies() == {"data/one.csv": FOREIGN}
    assert not world.store.open_uploads


def test_an_upload_that_somebody_else_ended_is_made_again() -> None:
    """NoSuchUpload in answer to the first Complete there ever was: it cannot have been ours."""
    world = World()
    world.store.can_head = False

    def on_call(call, when) -> None:
        if (call.operation, call.nth, when) == ("complete", 1, "before"):
            world.store.expire_uploads()

    world.on_call = on_call
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL))


@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("if_exists", ["error", "replace"])
def test_an_old_upload_that_is_gone_is_no_proof(if_exists, can_head) -> None:
    """After a day a lifecycle rule may have ended it: without HEAD only a new write can tell, and never a guess."""
    world = World()
    world.store.can_head = can_head

    def on_call(call, when) -> None:
        if (call.operation, call.nth, when) == ("complete", 1, "after"):
            world.now += 25 * 3600
            world.lose()

    world.on_call = on_call
    if if_exists == "error" and not can_head:
        with pytest.raises(OutcomeUnknownError, match="cannot be known"):
            world.deliver(SMALL | {"data/two.csv": b"2"}, if_exists=if_exists)
        assert MANIFEST not in world.store.objects
        assert not world.store.open_uploads
        with pytest.raises(OutcomeUnknownError, match="cannot be known"):
            world.deliver(SMALL | {"data/two.csv": b"2"}, if_exists=if_exists)
        # the owner looked, and removed it
        del world.store.objects["data/one.csv"]
    result = world.deliver(SMALL | {"data/two.csv": b"2"}, if_exists=if_exists)
    assert_delivered(world, SMALL | {"data/two.csv": b"2"}, result)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_without_a_log_an_earlier_try_is_recognised_by_its_token(scenario) -> None:
    """Where HEAD is allowed, the digest in the token tells that an object comes from a try of this task and run."""
    world = World(log=None)
    world.deliver(SCENARIOS[scenario])
    again = {key: body + b"!" for key, body in SCENARIOS[scenario].items()}
    assert_delivered(world, again, world.deliver(again))
    with pytest.raises(ObjectExistsError):
        world.deliver(again, run_id="another run")


def test_without_a_log_and_without_head_an_earlier_try_is_a_conflict() -> None:
    """Nothing tells it from a foreign object, so it is not touched."""
    world = World(log=None)
    world.store.can_head = False
    world.deliver(SMALL)
    with pytest.raises(ObjectExistsError, match="earlier try"):
        world.deliver(SMALL)


def test_no_key_and_no_secret_in_the_manifest() -> None:
    """The manifest says who delivered, and nothing a stranger could use."""
    world = World()
    world.deliver(SEVERAL, if_exists="replace")
    text = json.dumps(world.manifest())
    assert "assumed-role/DataDumpRole" in text
    assert "upload-" not in text


def test_foreign_objects_side_by_side() -> None:
    """With several threads, too, everything ends decided and nothing stays open."""
    world = World(settings=settings(8))
    objects = {f"data/{n:03}.csv": b"x" * n for n in range(40)}
    world.store.place("data/017.csv", FOREIGN)
    with pytest.raises(ObjectExistsError, match=r"017\.csv"):
        world.deliver(objects)
    assert not world.store.open_uploads
    assert world.store.objects["data/017.csv"].body == FOREIGN
    del world.store.objects["data/017.csv"]
    assert_delivered(world, objects, world.deliver(objects))
