"""Later tries: cleared tasks with other data, other keys, other places, and parts that need not be sent twice."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest

from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.exceptions import (
    CommitLogError,
    InvalidArgumentError,
    ObjectExistsError,
    SourceUnreadableError,
    StaleObjectsError,
)
from tests.faults.fault_harness import (
    FOREIGN,
    LARGE,
    MANIFEST,
    SEVERAL,
    SMALL,
    Killed,
    World,
    assert_delivered,
    kill_at_event,
    manifest_never_names_a_mix,
    plan_of,
    settings,
    until_it_no_longer_fires,
)

MODES = ["error", "replace", "skip"]
CORRECTED = {key: body + b" corrected" for key, body in SEVERAL.items()}
FEWER = {"data/a.csv": b"only this", "data/b.csv": b"and this"}


def fresh(**options) -> World:
    """A world without the right to look."""
    world = World(FakeStore(smallest_part_bytes=1), **options)
    world.store.can_head = False
    return world


@pytest.mark.parametrize("if_exists", MODES)
def test_a_cleared_task_delivers_the_new_data_once(if_exists) -> None:
    """A later generation replaces what the earlier one delivered, also under "error": the log knows it is ours."""
    world = fresh()
    world.deliver(SEVERAL, if_exists=if_exists)
    result = world.deliver(CORRECTED, if_exists=if_exists, generation=1)
    assert_delivered(world, CORRECTED, result)
    manifest_never_names_a_mix(world)
    assert world.deliver(CORRECTED, if_exists=if_exists, generation=1) == result


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("side_by_side", [1, 3])
@pytest.mark.parametrize("if_exists", MODES)
def test_a_cleared_task_may_be_killed_too(if_exists, side_by_side, moment) -> None:
    """The second generation is as safe as the first, whether the first one had ended or not."""

    def second_killed(number: int) -> bool:
        world = fresh(settings=settings(side_by_side))
        world.deliver(SEVERAL, if_exists=if_exists)
        kill_at_event(world, number, moment)
        with suppress(Killed):
            world.deliver(CORRECTED, if_exists=if_exists, generation=1)
        world.heal()
        fired = world.fired
        assert_delivered(world, CORRECTED, world.deliver(CORRECTED, if_exists=if_exists, generation=1))
        manifest_never_names_a_mix(world)
        return fired

    def first_killed(number: int) -> bool:
        world = fresh(settings=settings(side_by_side))
        kill_at_event(world, number, moment)
        with suppress(Killed):
            world.deliver(SEVERAL, if_exists=if_exists)
        world.heal()
        assert_delivered(world, CORRECTED, world.deliver(CORRECTED, if_exists=if_exists, generation=1))
        manifest_never_names_a_mix(world)
        return world.fired

    assert until_it_no_longer_fires(second_killed) > 10
    assert until_it_no_longer_fires(first_killed) > 10


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("if_exists", MODES)
def test_every_try_but_the_last_is_killed(if_exists, moment) -> None:
    """Kills that come one after the other, each a little later than the one before."""
    for step in (1, 2, 3, 5):
        world = fresh()
        number = 1
        while True:
            world.fired = False
            kill_at_event(world, number, moment)
            with suppress(Killed):
                world.deliver(SEVERAL, if_exists=if_exists)
            if not world.fired:
                break
            number += step
        world.heal()
        assert_delivered(world, SEVERAL, world.deliver(SEVERAL, if_exists=if_exists))


@pytest.mark.parametrize("if_exists", MODES)
def test_fewer_objects_than_before_need_the_right_to_delete(if_exists) -> None:
    """Objects of the earlier delivery never stay beside the new ones unnoticed."""
    world = fresh()
    world.store.can_delete = False
    result = world.deliver(SEVERAL, if_exists=if_exists)
    calls = len(world.store.calls)
    with pytest.raises(StaleObjectsError, match=r"data/c\.csv"):
        world.deliver(FEWER, if_exists=if_exists, generation=1)
    assert len(world.store.calls) == calls, "refused before a byte is sent"
    assert_delivered(world, SEVERAL, result)
    assert world.deliver(SEVERAL, if_exists=if_exists) == result, "and the log was not touched either"
    world.store.can_delete = True
    assert_delivered(world, FEWER, world.deliver(FEWER, if_exists=if_exists, generation=1, allow_delete=True))
    manifest_never_names_a_mix(world)


def test_fewer_objects_found_while_streaming_are_refused_before_they_are_visible() -> None:
    """A plan that is not known beforehand is refused at its end, and leaves nothing."""
    world = fresh()
    result = world.deliver(SEVERAL)
    with pytest.raises(StaleObjectsError):
        world.deliver(iter(plan_of(FEWER)), generation=1)
    assert_delivered(world, SEVERAL, result)
    assert_delivered(world, CORRECTED, world.deliver(CORRECTED, generation=1))


def test_a_delete_that_is_refused_is_said_and_made_up_for() -> None:
    """The delivery is complete, the manifest right; the error names what could not be deleted."""
    world = fresh()
    world.deliver(SEVERAL)
    world.store.can_delete = False
    with pytest.raises(StaleObjectsError, match="the delivery is complete, but"):
        world.deliver(FEWER, generation=1, allow_delete=True)
    assert len(world.manifest()["entries"]) == 2
    world.store.can_delete = True
    assert_delivered(world, FEWER, world.deliver(FEWER, generation=1, allow_delete=True))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_deleting_is_made_up_for(moment) -> None:
    """Deletes come after the manifest; a later try finishes them."""

    def run(number: int) -> bool:
        world = fresh()
        world.deliver(SEVERAL)
        kill_at_event(world, number, moment)
        with suppress(Killed):
            world.deliver(FEWER, generation=1, allow_delete=True)
        world.heal()
        assert_delivered(world, FEWER, world.deliver(FEWER, generation=1, allow_delete=True))
        manifest_never_names_a_mix(world)
        return world.fired

    assert until_it_no_longer_fires(run) > 10


@pytest.mark.parametrize("if_exists", MODES)
def test_a_single_object_after_several_still_has_a_manifest(if_exists) -> None:
    """A manifest that is there already must name what is there now."""
    world = fresh()
    world.deliver(SEVERAL, if_exists=if_exists)
    one = {"data/a.csv": b"alone"}
    result = world.deliver(one, if_exists=if_exists, generation=1, allow_delete=True)
    assert_delivered(world, one, result, manifest=True)


@pytest.mark.parametrize("if_exists", MODES)
def test_other_keys_in_the_same_run_replace_the_delivery(if_exists) -> None:
    """A file that appeared between two tries is not left out."""
    world = fresh()
    world.deliver(SEVERAL, if_exists=if_exists)
    more = {**SEVERAL, "data/d.csv": b"late"}
    assert_delivered(world, more, world.deliver(more, if_exists=if_exists))


def test_parts_that_are_stored_are_not_sent_again() -> None:
    """After a kill in the middle of a long object, only what is missing is sent."""
    body = bytes(range(200))
    world = fresh(settings=settings(1, part_bytes=10))
    kill_at_part = 15

    def on_call(call, when) -> None:
        if (call.operation, call.nth, when) == ("part", kill_at_part, "before"):
            world.kill()
        if call.operation == "part":
            world.now += 10

    world.on_call = on_call
    with pytest.raises(Killed):
        world.deliver({"data/long.bin": body})
    world.heal()
    before = len(world.store.calls)
    assert_delivered(world, {"data/long.bin": body}, world.deliver({"data/long.bin": body}))
    sent = [call for call in world.store.calls[before:] if call.operation == "part"]
    assert len(sent) < 10
    assert len(world.store.uploads) == 1


def test_parts_of_other_bytes_are_sent_again() -> None:
    """A source that changed between two tries is delivered as it is now."""
    world = fresh()

    def on_call(call, when) -> None:
        if (call.operation, when) == ("complete", "before") or call.nth == 4:
            world.kill()

    world.on_call = on_call
    with pytest.raises(Killed):
        world.deliver(LARGE)
    world.heal()
    changed = {"data/big.csv": LARGE["data/big.csv"].replace(b"efgh", b"EFGH")[:-9]}
    assert_delivered(world, changed, world.deliver(changed))


def test_an_upload_with_other_attributes_is_made_again() -> None:
    """Content type, metadata and key are fixed when an upload is created."""
    world = fresh()
    world.on_call = lambda call, when: world.kill() if (call.operation, call.nth) == ("part", 3) else None
    with pytest.raises(Killed):
        world.deliver(LARGE)
    world.heal()
    attributes = ObjectAttributes(content_type="text/csv", metadata={"team": "data"}, tags={"a": "b c"})
    world.deliver([ObjectPlan("data/big.csv", BytesPayload("big", LARGE["data/big.csv"]), attributes)])
    found = world.store.objects["data/big.csv"]
    assert found.attributes.content_type == "text/csv"
    assert set(found.attributes.metadata) == {"team", "xacct-token"}
    assert not world.store.open_uploads


def test_uploads_that_are_not_wanted_any_more_are_aborted() -> None:
    """What an earlier try staged and this one does not ask for leaves no trace."""
    world = fresh()
    world.on_call = lambda call, when: world.kill() if call.operation == "complete" else None
    world.on_write = lambda verb, key, when: (
        world.kill() if (verb, key) == ("set", "xacct/delivery") and len(world.store.calls) > 6 else None
    )
    with pytest.raises(Killed):
        world.deliver(SEVERAL)
    world.heal()
    assert_delivered(world, FEWER, world.deliver(FEWER))


@pytest.mark.parametrize("phase", ["part", "complete", "none"])
def test_another_place_in_the_same_bucket(phase, caplog) -> None:
    """What was staged for the old place is aborted; what is visible there stays, and is named."""
    world = fresh()
    world.on_call = lambda call, when: world.kill() if (call.operation, call.nth) == (phase, 2) else None
    with suppress(Killed):
        world.deliver(SEVERAL)
    world.heal()
    moved = {key.replace("data/", "other/"): body for key, body in SEVERAL.items()}
    with caplog.at_level(logging.WARNING):
        result = world.deliver(moved, dataset="other/", manifest_key="other/manifest.json")
    assert set(world.store.objects) >= {*moved, "other/manifest.json"}
    assert result.objects == 3
    assert set(world.store.open_uploads) == world.leaks
    assert ("stay there: data/a.csv" in caplog.text) == (phase != "part")


def test_another_bucket_leaves_what_cannot_be_reached(caplog) -> None:
    """The store speaks to one bucket: uploads in the other are named, for its lifecycle rule to end."""
    world = fresh()
    world.on_call = lambda call, when: world.kill() if (call.operation, call.nth) == ("part", 2) else None
    with pytest.raises(Killed):
        world.deliver(SEVERAL)
    world.heal()
    text = world.log.values["xacct/delivery"]
    world.log.values["xacct/delivery"] = text.replace('"destination": ["bucket"', '"destination": ["elsewhere"')
    with caplog.at_level(logging.WARNING):
        world.deliver(SEVERAL)
    assert "elsewhere" in caplog.text


def test_a_lost_log_is_no_log() -> None:
    """When the state store was emptied, an earlier try's objects are a conflict, unless HEAD is allowed."""
    world = World()
    world.deliver(SMALL)
    world.log.values.clear()
    world.store.can_head = False
    with pytest.raises(ObjectExistsError):
        world.deliver(SMALL)
    world.store.can_head = True
    assert_delivered(world, SMALL, world.deliver(SMALL))


@pytest.mark.parametrize("generation", [0, 1])
def test_a_torn_log_of_a_commit_is_not_guessed_at(generation, caplog) -> None:
    """Entries that are gone make the roll forward impossible: said, until the task is cleared."""
    world = fresh()
    world.on_call = lambda call, when: (
        world.kill() if (call.operation, call.nth, when) == ("complete", 2, "before") else None
    )
    with pytest.raises(Killed):
        world.deliver(SEVERAL, if_exists="replace")
    world.heal()
    del world.log.values["xacct/delivery/a/0"]
    if generation == 0:
        with pytest.raises(CommitLogError, match="lost entries"):
            world.deliver(SEVERAL, if_exists="replace")
    else:
        world.deliver(SEVERAL, if_exists="replace", generation=1)
        assert world.bodies() == SEVERAL
        assert "lost entries" in caplog.text


def test_the_log_of_another_version_is_refused() -> None:
    """A downgrade in the middle of a delivery is no reason to guess."""
    world = World()
    world.log.values["xacct/delivery"] = '{"v": 99}'
    with pytest.raises(CommitLogError, match="another version"):
        world.deliver(SMALL)


@pytest.mark.parametrize("lazy", [False, True])
def test_two_objects_of_one_key_write_nothing(lazy) -> None:
    """Which one would win is nobody's guess."""
    world = World()
    plans = plan_of(SEVERAL)
    plans.append(plans[0])
    with pytest.raises(InvalidArgumentError, match=r"data/a\.csv"):
        world.deliver(iter(plans) if lazy else plans)
    assert not world.store.objects
    assert not world.store.open_uploads


def test_no_object_may_have_the_key_of_the_manifest() -> None:
    """It would be overwritten by it."""
    world = World()
    with pytest.raises(InvalidArgumentError, match="the manifest"):
        world.deliver({MANIFEST: b"{}", **SMALL})
    assert not world.store.calls


class Broken:
    """A payload that cannot be read to its end."""

    name = "broken"
    max_size_bytes = None

    def __init__(self, where: str) -> None:
        self.where = where
        self.closed = 0

    def open(self):
        if self.where == "open":
            raise SourceUnreadableError("no permission", where="broken")
        return self

    rows = None

    def read(self, size_bytes: int, /) -> bytes:
        if self.where == "read":
            raise SourceUnreadableError("the connection broke", where="broken")
        return b""

    def finish(self) -> None:
        raise SourceUnreadableError("it changed", where="broken")

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("where", ["open", "read", "finish"])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("side_by_side", [1, 3])
@pytest.mark.parametrize("if_exists", MODES)
def test_a_source_that_fails_leaves_nothing(if_exists, side_by_side, lazy, where) -> None:
    """Nothing becomes visible, nothing stays open, the reader is closed; the next try starts from there."""
    world = fresh(settings=settings(side_by_side))
    broken = Broken(where)
    plans = [*plan_of(SEVERAL), ObjectPlan("data/z.csv", broken)]
    with pytest.raises(SourceUnreadableError):
        world.deliver(iter(plans) if lazy else plans, if_exists=if_exists)
    assert not world.store.objects
    assert not world.store.open_uploads
    assert broken.closed == (where != "open")
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL, if_exists=if_exists))


@pytest.mark.parametrize("if_exists", MODES)
@pytest.mark.parametrize("objects", [SMALL, LARGE, SEVERAL, {}])
def test_a_lazy_plan_delivers_the_same(objects, if_exists) -> None:
    """An iterator is drawn as it comes, and ends in the same delivery."""
    world = fresh()
    result = world.deliver(iter(plan_of(objects)), if_exists=if_exists)
    if objects:
        assert_delivered(world, objects, result)
    else:
        assert (result.objects, result.rows, result.uri) == (0, None, "s3://bucket/data/")
    assert world.deliver(iter(plan_of(objects)), if_exists=if_exists) == result


def test_one_put_for_a_small_object_that_may_replace() -> None:
    """No upload to create, complete or leak."""
    world = fresh()
    world.store.place("data/one.csv", FOREIGN)
    assert_delivered(world, SMALL, world.deliver(SMALL, if_exists="replace"))
    assert [call.operation for call in world.store.calls] == ["put"]
    assert world.log.writes <= 4


@pytest.mark.parametrize("allow_delete", [False, True])
@pytest.mark.parametrize("if_exists", MODES)
def test_without_tombstone_the_old_manifest_stays_until_the_new_one(if_exists, allow_delete, caplog) -> None:
    """Where every delivery has keys of its own, the manifest is the one atomic switch."""
    world = fresh()
    versioned = {"if_exists": if_exists, "tombstone": False, "versions": "data/_versions/"}
    objects, later = (
        {key.replace("data/", f"data/_versions/{name}/"): body for key, body in SEVERAL.items()} for name in "ab"
    )
    world.deliver(objects, **versioned)
    world.store.history.clear()
    with caplog.at_level(logging.INFO):
        result = world.deliver(later, generation=1, allow_delete=allow_delete, **versioned)
    manifests = [found for key, found in world.store.history if key == MANIFEST]
    assert len(manifests) == 1
    if not allow_delete:
        assert "Older versions of this delivery stay below s3://bucket/data/_versions/: a." in caplog.text
        for key in objects:
            del world.store.objects[key]
    assert_delivered(world, later, result)
    assert world.deliver(later, generation=1, **versioned) == result


def test_a_tombstone_does_not_stay() -> None:
    """A manifest that was emptied for a delivery that died is written again by the next one, whatever its size."""
    world = fresh()
    world.on_call = lambda call, when: world.kill() if (call.operation, when) == ("put", "after") else None
    with pytest.raises(Killed):
        world.deliver(SEVERAL, if_exists="replace")
    assert world.manifest()["entries"] == []
    assert world.manifest()["xacct"]["state"] == "replacing"
    world.heal()
    result = world.deliver(SMALL, if_exists="replace", generation=1)
    assert_delivered(world, SMALL, result, manifest=True)


def test_parts_that_vanished_between_tries_are_noticed() -> None:
    """An upload that was ended while nobody ran is not taken for one that was completed."""
    world = fresh()
    kill_at_event(world, 11, "before")
    with pytest.raises(Killed):
        world.deliver(SEVERAL)
    assert '"staging"' in world.log.values["xacct/delivery"]
    assert '["s", 3' not in "".join(world.log.values.values())
    world.heal()
    world.on_call = lambda call, when: world.kill() if call.operation == "complete" else None
    with pytest.raises(Killed):
        world.deliver(SEVERAL)
    assert '"committing"' in world.log.values["xacct/delivery"]
    world.heal()
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL))


def test_a_resumed_upload_is_known_to_be_alive() -> None:
    """All parts were logged, then somebody aborted the upload: the next try sends at least the last part again."""
    world = fresh()
    heads = 0

    def on_write(verb, key, when) -> None:
        nonlocal heads
        if (verb, key, when) == ("set", "xacct/delivery", "before"):
            heads += 1
            if heads == 2:
                world.kill()

    world.on_write = on_write
    with pytest.raises(Killed):
        world.deliver(LARGE)
    world.heal()
    world.store.expire_uploads()
    world.on_call = lambda call, when: world.kill() if (call.operation, when) == ("complete", "before") else None
    with pytest.raises(Killed):
        world.deliver(LARGE)
    world.heal()
    assert_delivered(world, LARGE, world.deliver(LARGE))
