"""Every request and every response of a dump is dropped in turn; one try makes it good by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_xacct.delivery.store import AnswerLost
from tests.faults.dump_harness import (
    FEWER,
    FIRST,
    MODES,
    Mode,
    Source,
    assert_dumped,
    assert_readers_saw_no_mix,
    copy_of,
    dump,
    new_world,
)
from tests.faults.fault_harness import World, until_it_no_longer_fires

MANNERS = [{}, {"completes_again": True, "aborts_again": True}, {"condition_first": True}]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "t.db")


def lose_nth_call(world: World, number: int, moment: str, times: int = 1) -> None:
    """Lose the n-th call, whatever it is: its request (before) or its response (after)."""
    count = 0

    def on_call(call, when) -> None:
        nonlocal count
        count += when == moment
        if when == moment and number <= count < number + times:
            if call.operation == "create" and moment == "after":
                world.leaks.add(max(world.store.uploads, key=lambda i: int(i.removeprefix("upload-"))))
            world.lose()

    world.on_call = on_call


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("manners", MANNERS, ids=["strict", "aws-like", "condition-first"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_first_dump(source: Source, mode: Mode, manners: dict[str, bool], moment: str) -> None:
    """With a log and without one."""

    def run(number: int) -> bool:
        world = new_world(mode, log=bool(number % 2), **manners)
        lose_nth_call(world, number, moment)
        assert_dumped(world, FIRST, dump(world, source, mode), mode)
        assert_readers_saw_no_mix(world, mode)
        return world.fired

    assert until_it_no_longer_fires(run) > 12


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_cleared_dump_with_fewer_objects(source: Source, mode: Mode, moment: str) -> None:
    """What replaces and deletes is asked again as well."""
    delivered = new_world(mode)
    dump(delivered, source, mode)
    source.hold(FEWER)

    def run(number: int) -> bool:
        world = copy_of(delivered)
        lose_nth_call(world, number, moment)
        assert_dumped(world, FEWER, dump(world, source, mode, generation=1), mode)
        assert_readers_saw_no_mix(world, mode)
        return world.fired

    assert until_it_no_longer_fires(run) >= 7


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_silence_is_an_error_and_the_next_try_goes_on(source: Source, mode: Mode, moment: str) -> None:
    """S3 answers nothing any more, from any request on: the try fails, the next one delivers."""
    delivered = new_world(mode)
    dump(delivered, source, mode)
    source.hold(FEWER)

    def run(number: int) -> bool:
        world = copy_of(delivered)
        lose_nth_call(world, number, moment, times=1000)
        try:
            dump(world, source, mode, generation=1)
        except AnswerLost:
            assert world.fired
        fired = world.fired
        world.heal()
        world.leaks |= world.unlogged_uploads()
        result = dump(world, source, mode, generation=1)
        world.leaks &= set(world.store.open_uploads)
        assert_dumped(world, FEWER, result, mode)
        assert_readers_saw_no_mix(world, mode)
        return fired

    assert until_it_no_longer_fires(run) >= 7
