"""A dump of several objects is killed at every request boundary and every write of the log; the retry makes it good."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.dump_harness import (
    FEWER,
    FIRST,
    MODES,
    MORE,
    Mode,
    Source,
    World,
    assert_dumped,
    assert_readers_saw_no_mix,
    copy_of,
    dump,
    new_world,
)
from tests.faults.fault_harness import Killed, kill_at_event, until_it_no_longer_fires

MANNERS = {"completes_again": True, "aborts_again": True}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "t.db")


def killed_and_tried_again(world: World, source: Source, mode: Mode, rows, number: int, moment: str, **call) -> bool:
    """Kill the task around one event, let Airflow retry it, and look at Account B."""
    kill_at_event(world, number, moment)
    with suppress(Killed):
        dump(world, source, mode, **call)
    if not world.fired:
        return False
    world.heal()
    result = dump(world, source, mode, **call)
    assert_dumped(world, rows, result, mode)
    assert_readers_saw_no_mix(world, mode)
    calls = len(world.store.calls)
    assert dump(world, source, mode, **call) == result
    assert len(world.store.calls) == calls, "a third try does not touch the bucket"
    return True


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_first_dump(source: Source, mode: Mode, moment: str) -> None:
    """Whenever it dies, the next try leaves one whole dump, and what is not visible yet is nothing at all."""
    manners = MANNERS if mode.asks else {}

    def run(number: int) -> bool:
        world = new_world(mode, side_by_side=1 + 2 * mode.extras * mode.asks, **manners)
        return killed_and_tried_again(world, source, mode, FIRST, number, moment)

    assert until_it_no_longer_fires(run) > 20


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_cleared_dump_with_fewer_objects(source: Source, mode: Mode, moment: str) -> None:
    """The source changed, and the task was cleared: the new rows are there once, and none of the old ones."""
    delivered = new_world(mode)
    dump(delivered, source, mode)
    source.hold(FEWER)

    def run(number: int) -> bool:
        return killed_and_tried_again(copy_of(delivered), source, mode, FEWER, number, moment, generation=1)

    assert until_it_no_longer_fires(run) > 15


@pytest.mark.parametrize("mode", [MODES[0], MODES[2], MODES[4], MODES[6]], ids=str)
def test_cleared_while_it_was_dead(source: Source, mode: Mode) -> None:
    """Killed at any moment, then cleared after the source had changed: only the new rows are there."""

    def run(number: int) -> bool:
        source.hold(MORE)
        world = new_world(mode)
        kill_at_event(world, number, "after")
        with suppress(Killed):
            dump(world, source, mode)
        world.heal()
        source.hold(FEWER)
        assert_dumped(world, FEWER, dump(world, source, mode, generation=1), mode)
        assert_readers_saw_no_mix(world, mode)
        return world.fired

    assert until_it_no_longer_fires(run) > 20


@pytest.mark.parametrize("mode", [MODES[0], MODES[3], MODES[5]], ids=str)
def test_every_try_but_the_last_is_killed(source: Source, mode: Mode) -> None:
    """Kills one after the other, each a little later than the one before; a dump with surplus objects in between."""
    for step in (1, 3):
        world = new_world(mode)
        dump(world, source, mode)
        source.hold(FEWER)
        number = 1
        while True:
            world.fired = False
            kill_at_event(world, number, "after")
            with suppress(Killed):
                dump(world, source, mode, generation=1)
            if not world.fired:
                break
            number += step
        world.heal()
        assert_dumped(world, FEWER, dump(world, source, mode, generation=1), mode)
        assert_readers_saw_no_mix(world, mode)
        source.hold(FIRST)
