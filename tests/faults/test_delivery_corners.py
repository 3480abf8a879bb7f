"""What happens rarely: each of these was thought of, or found by the random schedules."""

from __future__ import annotations

from contextlib import suppress

import pytest

from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.exceptions import (
    AccessDeniedError,
    DeliveryError,
    InvalidArgumentError,
    ObjectExistsError,
    OutcomeUnknownError,
    SourceChangedError,
    SourceUnreadableError,
    TransportError,
)
from tests.faults.fault_harness import (
    FOREIGN,
    MANIFEST,
    SEVERAL,
    SMALL,
    Killed,
    World,
    assert_delivered,
    kill_at_event,
    manifest_never_names_a_mix,
    settings,
    until_it_no_longer_fires,
)

MODES = ["error", "replace", "skip"]
CORRECTED = {key: body + b" corrected" for key, body in SEVERAL.items()}


def fresh(**options) -> World:
    """A world without the right to look."""
    world = World(FakeStore(smallest_part_bytes=1), **options)
    world.store.can_head = False
    return world


def at(world: World, operation: str, nth: int, when: str, act) -> None:
    """Do something around one call."""

    def on_call(call, moment) -> None:
        if (call.operation, call.nth, moment) == (operation, nth, when):
            act()

    world.on_call = on_call


def test_a_manifest_needs_a_key() -> None:
    """Said at once."""
    with pytest.raises(InvalidArgumentError, match="manifest_key"):
        fresh().deliver(SMALL, manifest="always", manifest_key=None)


@pytest.mark.parametrize(("name", "given"), [("if_exists", "overwrite"), ("manifest", "maybe")])
def test_a_word_that_is_none_of_ours_is_refused(name, given) -> None:
    """A misspelt "error" must not be taken for something milder."""
    world = fresh()
    with pytest.raises(InvalidArgumentError, match=f"{name}.*Choose one of"):
        world.deliver(SMALL, **{name: given})
    assert not world.store.calls


@pytest.mark.parametrize("if_exists", MODES)
def test_a_manifest_on_request_and_never(if_exists) -> None:
    """One object with a manifest, several without."""
    world = fresh()
    result = world.deliver(SMALL, if_exists=if_exists, manifest="always")
    assert_delivered(world, SMALL, result, manifest=True)
    assert result.uri == "s3://bucket/data/one.csv"
    world = fresh()
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL, if_exists=if_exists, manifest="never"), manifest=False)


def test_an_abort_that_is_refused_is_named() -> None:
    """A role without s3:AbortMultipartUpload leaves something behind, and says what."""
    world = fresh()
    world.store.can_abort = False
    world.store.place("data/b.csv", FOREIGN)
    with pytest.raises(ObjectExistsError, match=r"could not be aborted: data/b\.csv"):
        world.deliver({**SEVERAL})
    assert world.store.open_uploads
    world.store.can_abort = True
    del world.store.objects["data/b.csv"]
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL))


def test_what_could_not_be_aborted_is_tried_again_by_the_next_attempt(caplog) -> None:
    """A skipped object whose upload stays open is a warning, not an error; a later delivery cleans up."""
    world = fresh()
    world.store.can_abort = False
    world.store.place("data/b.csv", FOREIGN)
    world.deliver(SEVERAL, if_exists="skip")
    assert "could not be aborted: data/b.csv" in caplog.text
    assert len(world.store.open_uploads) == 1
    world.store.can_abort = True
    world.deliver(SEVERAL, if_exists="skip", generation=1)
    assert not world.store.open_uploads


def test_a_staging_error_names_what_it_leaves() -> None:
    """The source failed, and the abort was refused too."""
    world = fresh()
    world.store.can_abort = False
    with pytest.raises(SourceUnreadableError, match=r"could not be aborted: data/a\.csv"):
        world.deliver(iter([*_plans({"data/a.csv": b"x" * 20}), ObjectPlan("data/z.csv", Unreadable())]))


class Unreadable:
    """Cannot be opened."""

    name = "unreadable"
    max_size_bytes = None

    def open(self):
        raise SourceUnreadableError("no permission")


class Changing(BytesPayload):
    """Another content at each pass."""

    passes: list[int] = []  # noqa: RUF012 - counts over all instances, on purpose

    def open(self):
        self.passes.append(1)
        return BytesPayload(self.name, b"pass %d" % len(self.passes), rows=1).open()


def _plans(objects: dict[str, bytes]) -> list[ObjectPlan]:
    return [ObjectPlan(key, BytesPayload(key, body, rows=1)) for key, body in objects.items()]


def test_a_source_that_changed_during_the_commit_ends_the_try() -> None:
    """A 409 asks for the bytes once more; other bytes than the ones announced are not delivered."""
    world = fresh()
    Changing.passes.clear()
    world.store.conflict_once("data/z.csv")
    with pytest.raises(SourceChangedError, match="changed while its delivery was being committed"):
        world.deliver([*_plans(SEVERAL), ObjectPlan("data/z.csv", Changing("moving", b"pass 1", rows=1))])
    assert "data/z.csv" not in world.store.objects
    assert not world.store.open_uploads
    again = {**SEVERAL, "data/z.csv": b"still"}
    assert_delivered(world, again, world.deliver(again))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_such_a_change_is_noticed(moment) -> None:
    """At no moment does the log say that the other bytes may be completed."""

    def run(number: int) -> bool:
        world = fresh()
        Changing.passes.clear()
        world.store.conflict_once("data/z.csv")
        kill_at_event(world, number, moment)
        with suppress(Killed, SourceChangedError):
            world.deliver([*_plans(SEVERAL), ObjectPlan("data/z.csv", Changing("moving", b"pass 1", rows=1))])
        world.heal()
        again = {**SEVERAL, "data/z.csv": b"pass 1"}
        assert_delivered(world, again, world.deliver(again))
        return world.fired

    assert until_it_no_longer_fires(run) > 20


@pytest.mark.parametrize("logged", [True, False])
def test_a_refusal_before_anything_is_visible_leaves_nothing(logged) -> None:
    """The first Complete is denied: all of it is taken back."""
    world = fresh(log=MemoryLog() if logged else None)

    def refuse() -> None:
        raise AccessDeniedError("denied")

    at(world, "complete", 1, "before", refuse)
    with pytest.raises(AccessDeniedError):
        world.deliver(SEVERAL)
    assert not world.store.objects
    assert not world.store.open_uploads


@pytest.mark.parametrize("logged", [True, False])
def test_a_refusal_in_the_middle(logged) -> None:
    """With a log the next try goes on; without one nothing stays open, and what is visible is named."""
    world = fresh(log=MemoryLog() if logged else None)

    def refuse() -> None:
        raise AccessDeniedError("denied")

    at(world, "complete", 2, "before", refuse)
    with pytest.raises(AccessDeniedError, match="goes on from there" if logged else r"visible already: data/a\.csv"):
        world.deliver(SEVERAL)
    if logged:
        world.heal()
        assert_delivered(world, SEVERAL, world.deliver(SEVERAL))
    else:
        assert not world.store.open_uploads


def test_silence_without_a_log_says_what_is_not_known() -> None:
    """Nobody will go on from there, so nothing stays open."""
    world = fresh(log=None)
    now = 0

    def on_call(call, moment) -> None:
        nonlocal now
        if call.operation == "complete" and moment == "after":
            world.now += 24 * 3600 * now
            now = 1
            world.lose()
        if call.operation == "complete" and moment == "before" and call.nth > 1:
            world.lose()

    world.on_call = on_call
    with pytest.raises(TransportError, match=r"which cannot be known: data/one\.csv|visible already: data/one\.csv"):
        world.deliver(SMALL)
    assert not world.store.open_uploads


@pytest.mark.parametrize("can_head", [False, True])
def test_a_manifest_that_may_be_ours_stops_what_it_may_name(can_head) -> None:
    """Its answer was lost and a day went by: replacing the objects it may name would make it name a mix."""
    world = World(FakeStore(smallest_part_bytes=1))
    world.store.can_head = can_head

    def days() -> None:
        world.now += 48 * 3600
        world.kill()

    at(world, "complete", 4, "after", days)
    with pytest.raises(Killed):
        world.deliver(SEVERAL)
    assert MANIFEST in world.store.objects
    world.heal()
    if can_head:
        assert_delivered(world, CORRECTED, world.deliver(CORRECTED, generation=1))
    else:
        with pytest.raises(OutcomeUnknownError, match=r"manifest\.json"):
            world.deliver(CORRECTED, generation=1)
        with pytest.raises(OutcomeUnknownError, match=r"manifest\.json"):
            world.deliver(CORRECTED, generation=2)
        assert world.bodies() == SEVERAL
    manifest_never_names_a_mix(world)


def test_a_manifest_that_may_be_ours_is_looked_at_where_that_is_allowed() -> None:
    """The right to look came later."""
    world = fresh()

    def days() -> None:
        world.now += 48 * 3600
        world.kill()

    at(world, "complete", 4, "after", days)
    with pytest.raises(Killed):
        world.deliver(SEVERAL)
    world.heal()
    with pytest.raises(OutcomeUnknownError):
        world.deliver(CORRECTED, generation=1)
    world.store.can_head = True
    assert_delivered(world, CORRECTED, world.deliver(CORRECTED, generation=1))
    manifest_never_names_a_mix(world)


@pytest.mark.parametrize("if_exists", MODES)
def test_a_manifest_under_another_key_does_not_go_on_naming_what_changed(if_exists) -> None:
    """The old one is emptied before and deleted after."""
    world = fresh()
    world.deliver(SEVERAL, if_exists=if_exists)
    result = world.deliver(
        CORRECTED, if_exists=if_exists, generation=1, manifest_key="data/other.json", allow_delete=True
    )
    assert result.manifest_uri == "s3://bucket/data/other.json"
    assert set(world.store.objects) == {*CORRECTED, "data/other.json"}
    manifest_never_names_a_mix(world)


def test_an_upload_that_keeps_vanishing_is_an_error() -> None:
    """Somebody aborts what we stage, again and again."""
    world = fresh()
    at_part = lambda call, moment: (  # noqa: E731
        world.store.expire_uploads() if (call.operation, moment) == ("part", "before") else None
    )
    world.on_call = at_part
    with pytest.raises(DeliveryError, match="ended the upload 3 times"):
        world.deliver(SMALL)


def test_an_upload_that_vanishes_once_is_made_again() -> None:
    """While its parts are being sent."""
    world = fresh()
    at(world, "part", 2, "before", world.store.expire_uploads)
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL))


def test_a_take_back_that_is_refused_is_said(caplog) -> None:
    """allow_delete, and a role that may not: the visible objects are named as such."""
    world = fresh()
    world.store.can_delete = False
    world.store.place("data/b.csv", FOREIGN)
    with pytest.raises(ObjectExistsError, match=r"1 objects were visible already: data/a\.csv"):
        world.deliver(SEVERAL, allow_delete=True)
    assert "could not be deleted" in caplog.text


def test_many_skipped_keys_do_not_make_the_result_large() -> None:
    """The manifest has them all; XCom gets the first."""
    world = fresh(settings=settings(4))
    objects = {f"data/{n:04}-{'x' * 200}.csv": b"x" for n in range(100)} | {"data/new.csv": b"new"}
    for key in objects:
        if key != "data/new.csv":
            world.store.place(key, FOREIGN)
    result = world.deliver(objects, if_exists="skip")
    assert (result.objects, result.skipped) == (1, 100)
    assert len(result.skipped_keys) < 25
    assert len(world.manifest()["xacct"]["skipped"]) == 100


def test_another_bucket_after_a_committed_delivery(caplog) -> None:
    """Nothing is open there, so there is nothing to say."""
    world = fresh()
    world.deliver(SEVERAL)
    text = world.log.values["xacct/delivery"]
    world.log.values["xacct/delivery"] = text.replace('"destination": ["bucket"', '"destination": ["elsewhere"')
    world.store.objects.clear()
    assert_delivered(world, SEVERAL, world.deliver(SEVERAL))
    assert "elsewhere" not in caplog.text


def test_an_empty_plan_after_a_delivery_needs_the_right_to_delete() -> None:
    """Nothing to deliver now: what was delivered before is stale, its manifest says so."""
    world = fresh()
    world.deliver(SEVERAL)
    result = world.deliver({}, generation=1, allow_delete=True)
    assert result.objects == 0
    assert world.bodies() == {}
    assert world.manifest()["entries"] == []
    manifest_never_names_a_mix(world)


def test_a_lazy_plan_that_fails_closes_what_it_had_opened() -> None:
    """The first object was opened to find out whether it is the only one."""
    closed = []

    class Watched(BytesPayload):
        def open(self):
            reader = super().open()
            close = reader.close
            reader.close = lambda: (closed.append(self.name), close())
            return reader

    def plans():
        yield ObjectPlan("data/a.csv", Watched("a", b"aaa"))
        raise SourceUnreadableError("the cursor broke")

    with pytest.raises(SourceUnreadableError):
        fresh().deliver(plans(), if_exists="replace")
    assert closed == ["a"]
