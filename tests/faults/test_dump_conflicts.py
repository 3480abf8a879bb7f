"""Somebody else's objects and a dump: the manifest's key decides, and nothing foreign is overwritten."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_xacct.exceptions import ObjectExistsError, OutcomeUnknownError, SourceChangedError
from tests.faults.dump_harness import (
    FEWER,
    FIRST,
    SUCCESS,
    Mode,
    Source,
    assert_dumped,
    assert_readers_saw_no_mix,
    dump,
    new_world,
)
from tests.faults.fault_harness import FOREIGN, MANIFEST, Killed, kill_at_event, until_it_no_longer_fires
from tests.faults.test_delivery_conflicts import place_at_call

LAYOUTS = ["in_place", "versioned"]
PART = "data/month=1/part-00001.csv"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "t.db")


@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_error_refuses_before_anything_is_visible(source: Source, layout: str, can_head: bool) -> None:
    """An object at the manifest's key: nothing else is written, no upload stays, and it is left as it is."""
    world = new_world(Mode(layout, "error"))
    world.store.can_head = can_head
    world.store.place(MANIFEST, FOREIGN)
    with pytest.raises(ObjectExistsError, match=r"holds the key of its manifest.*data/manifest\.json") as caught:
        dump(world, source, Mode(layout, "error"))
    assert ("x-amz-meta-xacct-token" in str(caught.value)) == (not can_head)
    assert set(world.store.objects) == {MANIFEST}
    assert len(world.store.history) == 1
    assert not world.store.open_uploads


@pytest.mark.parametrize("layout", LAYOUTS)
def test_skip_delivers_nothing_and_says_so(source: Source, layout: str, caplog) -> None:
    """The result says how much was left out; the next try returns it without a request; a clear asks again."""
    mode = Mode(layout, "skip")
    world = new_world(mode)
    world.store.place(MANIFEST, FOREIGN)
    with caplog.at_level(logging.INFO):
        result = dump(world, source, mode)
    assert "Nothing was delivered" in caplog.text
    assert (result.objects, result.skipped, result.rows, result.bytes) == (0, 4, None, 0)
    assert (result.manifest_uri, result.checksum) == ("", "")
    assert set(world.store.objects) == {MANIFEST}
    assert not world.store.open_uploads
    calls = len(world.store.calls)
    assert dump(world, source, mode) == result
    assert len(world.store.calls) == calls
    del world.store.objects[MANIFEST]
    assert_dumped(world, FIRST, dump(world, source, mode, generation=1), mode)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_skip_of_another_run_keeps_the_first(source: Source, layout: str) -> None:
    """Two runs of one key: whoever is first delivers, and the other leaves it alone."""
    mode = Mode(layout, "skip")
    world = new_world(mode)
    first = dump(world, source, mode, run_id="first")
    log, world.log.values = world.log.values, {}
    source.hold(FEWER)
    assert dump(world, source, mode, run_id="second").skipped == 2
    world.log.values = log
    assert dump(world, source, mode, run_id="first") == first
    assert_dumped(world, FIRST, first, mode)


def test_a_skipped_dump_forgets_nothing_that_is_ours(source: Source) -> None:
    """The task moved its manifest to a taken key: what it delivered before stays as it is, and is known as ours."""
    mode = Mode(if_exists="skip", asks=True, may=True, extras=False)
    world = new_world(mode)
    dump(world, source, mode)
    before = dict(world.store.objects)
    world.store.place("data/other.json", FOREIGN)
    source.hold(FEWER)
    assert dump(world, source, mode, generation=1, manifest_name="other.json").skipped == 2
    del world.store.objects["data/other.json"]
    assert world.store.objects == before
    assert_dumped(world, FEWER, dump(world, source, mode, generation=2), mode)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("if_exists", ["error", "skip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_manifest_that_appears_at_any_moment(
    source: Source, layout: str, if_exists: str, can_head: bool, moment: str
) -> None:
    """Before the claim it decides; after it, the key is ours. Never is there a part of a dump."""
    mode = Mode(layout, if_exists)

    def run(number: int) -> bool:
        world = new_world(mode)
        world.store.can_head = can_head
        place_at_call(world, MANIFEST, number, moment)
        try:
            result = dump(world, source, mode)
        except ObjectExistsError:
            assert if_exists == "error"
            result = None
        if result is not None and not result.skipped:
            assert_dumped(world, FIRST, result, mode)
        else:
            assert set(world.store.objects) == {MANIFEST}
            assert world.store.objects[MANIFEST].body == FOREIGN
            assert not world.store.open_uploads
        return world.fired

    assert until_it_no_longer_fires(run) > 12


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("if_exists", ["error", "skip"])
def test_a_foreign_object_in_the_middle(source: Source, if_exists: str, asks: bool, moment: str) -> None:
    """A dump with a part left out is not whole: an error in both modes, named; once it is gone, the dump lands."""
    mode = Mode("in_place", if_exists, asks=asks, may=asks)

    def run(number: int) -> bool:
        world = new_world(mode)
        place_at_call(world, PART, number, moment)
        result, said = None, ""
        try:
            result = dump(world, source, mode)
        except ObjectExistsError as error:
            said = str(error)
        if result is None:
            assert PART in said
            assert "'skip'" not in said or if_exists == "error"
            assert world.store.objects[PART].body == FOREIGN
            entries = world.manifest()["entries"] if MANIFEST in world.store.objects else []
            assert entries == []
            visible = set(world.store.objects) - {PART}
            assert all(key in said for key in visible)
            assert not (asks and visible), "what had become visible was taken back"
            assert not world.store.open_uploads
            del world.store.objects[PART]
            world.on_call = None
            result = dump(world, source, mode)
        assert_dumped(world, FIRST, result, mode)
        return world.fired

    assert until_it_no_longer_fires(run) > 12


def test_replace_overwrites_what_is_foreign(source: Source) -> None:
    """The word says it, of the manifest, a part, the schema and the marker."""
    world = new_world(Mode())
    for key in (MANIFEST, PART, "data/_schema.json", SUCCESS):
        world.store.place(key, FOREIGN)
    assert_dumped(world, FIRST, dump(world, source, Mode()), Mode())


@pytest.mark.parametrize("if_exists", ["error", "skip"])
def test_a_foreign_marker_is_left_as_it_is(source: Source, if_exists: str, caplog) -> None:
    """It says the same as ours would, and comes last: no reason to fail a dump that is there already."""
    world = new_world(Mode(if_exists=if_exists))
    world.store.place(SUCCESS, b"")
    result = dump(world, source, Mode(if_exists=if_exists))
    assert world.manifest()["xacct"]["state"] == "complete"
    assert (result.objects, result.skipped) == (4, 0)
    assert world.store.objects[SUCCESS].token == ""
    assert "holds the key of the success marker" in caplog.text
    assert not world.store.open_uploads


@pytest.mark.parametrize("if_exists", ["error", "skip"])
def test_a_foreign_schema_is_an_error(source: Source, if_exists: str) -> None:
    """It belongs to the dump as a part does."""
    world = new_world(Mode(if_exists=if_exists))
    world.store.place("data/_schema.json", FOREIGN)
    with pytest.raises(ObjectExistsError, match=r"_schema\.json"):
        dump(world, source, Mode(if_exists=if_exists))
    assert world.store.objects["data/_schema.json"].body == FOREIGN


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_kill_while_a_dump_is_skipped(source: Source, layout: str, can_head: bool, moment: str) -> None:
    """Its uploads are aborted by us, and later that must not look like a success."""
    mode = Mode(layout, "skip")

    def run(number: int) -> bool:
        world = new_world(mode)
        world.store.can_head = can_head
        world.store.place(MANIFEST, FOREIGN)
        kill_at_event(world, number, moment)
        with suppress(Killed):
            dump(world, source, mode)
        world.heal()
        result = dump(world, source, mode)
        assert (result.objects, result.skipped) == (0, 4)
        assert set(world.store.objects) == {MANIFEST}
        assert set(world.store.open_uploads) == world.leaks
        return world.fired

    assert until_it_no_longer_fires(run) > 20


@pytest.mark.parametrize("can_head", [False, True])
@pytest.mark.parametrize("if_exists", ["error", "skip"])
def test_a_claim_whose_answer_was_lost_a_day_ago(source: Source, if_exists: str, can_head: bool) -> None:
    """A lifecycle rule may have ended it: without the right to look nobody can tell, and nothing is guessed."""
    mode = Mode(if_exists=if_exists)
    world = new_world(mode)
    world.store.can_head = can_head

    def on_call(call, when) -> None:
        if (call.operation, when) == ("complete", "after"):
            world.kill()

    world.on_call = on_call
    with pytest.raises(Killed):
        dump(world, source, mode)
    assert set(world.store.objects) == {MANIFEST}
    assert world.manifest()["xacct"]["state"] == "delivering"
    world.heal()
    world.now += 25 * 3600
    world.store.expire_uploads()
    if can_head:
        assert_dumped(world, FIRST, dump(world, source, mode), mode)
    else:
        for _ in range(2):
            with pytest.raises(OutcomeUnknownError, match="cannot be known"):
                dump(world, source, mode)
        assert not world.store.open_uploads
        del world.store.objects[MANIFEST]
        assert_dumped(world, FIRST, dump(world, source, mode), mode)


@pytest.mark.parametrize("conflicting", [MANIFEST, PART, SUCCESS])
def test_a_409_in_the_try_that_has_the_rows(source: Source, conflicting: str) -> None:
    """What the engine made it can make again; rows that passed by once it cannot, and says so."""
    mode = Mode(if_exists="error")
    world = new_world(mode)
    world.store.conflict_once(conflicting)
    if conflicting == PART:
        with pytest.raises(SourceChangedError, match="were read once and are gone"):
            dump(world, source, mode)
        assert not world.store.open_uploads
    result = dump(world, source, mode)
    assert_dumped(world, FIRST, result, mode)
    assert_readers_saw_no_mix(world, mode)


@pytest.mark.parametrize("conflicting", [MANIFEST, PART, SUCCESS])
def test_a_409_in_a_try_without_the_rows(source: Source, conflicting: str) -> None:
    """The claim and the marker are made again from the log alone; a part sends the try back to the database."""
    mode = Mode(if_exists="error")
    world = new_world(mode)
    kill_at = {"advance": False}

    def on_write(verb, key, when) -> None:
        if verb == "set" and when == "after" and '"committing"' in world.log.values.get("xacct/delivery", ""):
            kill_at["advance"] = True
            world.kill()

    world.on_write = on_write
    with pytest.raises(Killed):
        dump(world, source, mode)
    assert kill_at["advance"]
    world.heal()
    world.store.conflict_once(conflicting)
    assert_dumped(world, FIRST, dump(world, source, mode), mode)
    assert_readers_saw_no_mix(world, mode)


def test_without_a_log_an_earlier_try_is_recognised_by_its_token(source: Source) -> None:
    """Where HEAD is allowed: the claim of a try that died is ours, and so are its objects."""
    mode = Mode(if_exists="error", extras=False)
    for number in range(1, 40):
        world = new_world(mode, log=False)
        world.store.can_head = True
        kill_at_event(world, number, "after")
        with suppress(Killed):
            dump(world, source, mode)
        if not world.fired:
            break
        world.heal()
        result = dump(world, source, mode)
        world.leaks &= set(world.store.open_uploads)
        assert_dumped(world, FIRST, result, mode)
    assert number > 15
