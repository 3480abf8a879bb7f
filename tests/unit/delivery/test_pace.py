"""How many threads work at once, from what the process computes; with clocks that are set."""

from __future__ import annotations

import pytest

from airflow_xacct.delivery.pace import LOOK_SECONDS, Pace


class Clocks:
    """The time, and what was computed in it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cpu = 7.0

    def pass_by(self, seconds: float, busy: float) -> None:
        self.now += seconds
        self.cpu += seconds * busy


def pace(most: int = 16, cores: int = 8) -> tuple[Pace, Clocks]:
    clocks = Clocks()
    made = Pace(most, clock=lambda: clocks.now, cpu_clock=lambda: clocks.cpu, cores=cores)
    return made, clocks


def widths(most: int, cores: int, *busy: float) -> list[int]:
    """The width at first, and after each look."""
    found, clocks = pace(most, cores)
    seen = [found.width]
    for share in busy:
        clocks.pass_by(LOOK_SECONDS, share)
        found.look()
        seen.append(found.width)
    return seen


@pytest.mark.parametrize(
    ("most", "cores", "busy", "expected"),
    [
        (16, 8, [0.01, 0.02, 0.05, 0.1], [2, 4, 8, 16, 16]),
        (12, 8, [0.0, 0.0, 0.0, 0.0], [2, 4, 8, 12, 12]),
        (16, 8, [1.05, 0.95, 0.95], [2, 1, 1, 1]),
        (16, 8, [0.3, 0.5, 0.7, 0.7], [2, 4, 8, 8, 8]),
        (16, 8, [0.3, 0.5, 0.9, 0.7], [2, 4, 8, 4, 4]),
        (16, 8, [1.9, 3.5, 7.0], [2, 4, 8, 8]),
        (16, 4, [0.1, 0.1, 3.0], [2, 4, 8, 8]),
        (3, 8, [1.9, 2.9], [2, 3, 3]),
        (1, 8, [0.0, 1.0, 1.9], [1, 1, 1, 1]),
        (16, 1, [1.0, 0.4], [2, 1, 2]),
    ],
    ids=[
        "waiting for the network",
        "no more than are allowed",
        "the network is as quick as the interpreter",
        "both alike",
        "taking turns",
        "compressing on every core",
        "no fewer for what needs no turns",
        "fewer than cores",
        "one",
        "one core",
    ],
)
def test_threads_are_added_while_they_wait(most: int, cores: int, busy: list[float], expected: list[int]) -> None:
    assert widths(most, cores, *busy) == expected


def test_too_little_time_says_nothing() -> None:
    """And is part of the next look."""
    found, clocks = pace()
    clocks.pass_by(LOOK_SECONDS / 4, 0.0)
    found.look()
    assert found.width == 2
    clocks.pass_by(LOOK_SECONDS / 2, 0.0)
    found.look()
    assert found.width == 4


def test_time_between_two_pieces_of_work_does_not_count() -> None:
    found, clocks = pace()
    clocks.pass_by(3600, 0.0)
    found.begin()
    clocks.pass_by(LOOK_SECONDS, 1.0)
    found.look()
    assert found.width == 1
