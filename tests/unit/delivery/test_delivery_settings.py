"""Part sizes and limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_xacct.delivery.settings import (
    MAX_OBJECT_BYTES,
    MAX_PART_BYTES,
    MAX_PARTS,
    MIN_PART_BYTES,
    TransferSettings,
)
from airflow_xacct.exceptions import InvalidArgumentError, ObjectTooLargeError

MiB = 1024**2


@given(st.integers(0, MAX_OBJECT_BYTES))
def test_every_size_fits_into_ten_thousand_parts(size: int) -> None:
    """No object that S3 can hold is refused, and no part is outside its limits."""
    part = TransferSettings().part_sizes(size).of(1)
    assert MIN_PART_BYTES <= part <= MAX_PART_BYTES
    assert -(-size // part) <= MAX_PARTS
    assert part == 8 * MiB or part - MiB < -(-size // MAX_PARTS)


def test_the_limit_is_48_8_tebibytes() -> None:
    """One byte more is refused; the number is S3's."""
    assert round(MAX_OBJECT_BYTES / 1024**4, 1) == 48.8
    with pytest.raises(ObjectTooLargeError, match=r"48\.8 TiB"):
        TransferSettings().part_sizes(MAX_OBJECT_BYTES + 1)


def test_an_object_of_unknown_size_grows_its_parts() -> None:
    """The part size doubles after each thousand parts, so that it stays below a five hundredth of what was sent."""
    sizes = TransferSettings().part_sizes(None)
    sent = 0
    for number in range(1, MAX_PARTS + 1):
        assert number <= 1000 or sizes.of(number) * 500 <= sent
        sent += sizes.of(number)
    assert round(sent / 1024**4, 1) == 7.8
    assert sizes.of(1000) == 8 * MiB
    assert sizes.of(1001) == 16 * MiB
    with pytest.raises(ObjectTooLargeError, match="10000 parts"):
        sizes.of(MAX_PARTS + 1)
    assert TransferSettings(part_size_bytes=4096 * MiB).part_sizes(None).of(1001) == MAX_PART_BYTES


@pytest.mark.parametrize(
    "wrong",
    [
        {"part_size_bytes": MIN_PART_BYTES - 1},
        {"part_size_bytes": MAX_PART_BYTES + 1},
        {"parts_in_flight": 0},
        {"objects_in_flight": 0},
        {"attempts": 0},
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    """At once, and by name."""
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        TransferSettings(**wrong)


def test_the_memory_budget_is_the_formula_unless_given() -> None:
    """(parts in flight + 1) * part size."""
    assert TransferSettings().budget_bytes == 40 * MiB
    assert TransferSettings(parts_in_flight=1, part_size_bytes=5 * MiB).budget_bytes == 10 * MiB
    assert TransferSettings(memory_budget_bytes=7).budget_bytes == 7


def test_waits_double_up_to_a_limit() -> None:
    """One fewer than attempts."""
    assert list(TransferSettings(attempts=5, backoff_seconds=1, backoff_max_seconds=5).delays()) == [1, 2, 4, 5]
    assert list(TransferSettings(attempts=1).delays()) == []
