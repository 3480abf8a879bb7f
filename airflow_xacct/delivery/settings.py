"""How much is in flight at once, and the part sizes that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_xacct.exceptions import InvalidArgumentError, ObjectTooLargeError

__all__ = ["MAX_OBJECT_BYTES", "MAX_PARTS", "MAX_PART_BYTES", "MIN_PART_BYTES", "PartSizes", "TransferSettings"]

MiB = 1024 * 1024

# S3's limits (AWS: *Amazon S3 multipart upload limits*)
MIN_PART_BYTES = 5 * MiB
MAX_PART_BYTES = 5 * 1024 * MiB
MAX_PARTS = 10_000
MAX_OBJECT_BYTES = MAX_PARTS * MAX_PART_BYTES
"""48.8 TiB."""

GROWTH_PARTS = 1_000
"""An object of unknown size doubles its part size after each this many parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """Sizes and numbers of a transfer.

    **Memory.** Every byte that was read and not yet acknowledged by S3 is counted against ``memory_budget_bytes``,
    over all objects of a delivery together::

        peak = max(memory_budget_bytes, largest part) + what the payload's own reader holds
        memory_budget_bytes = (parts_in_flight + 1) * part_size_bytes      unless given

    so 40 MiB by default, whatever the number and the size of the objects. Where an object needs larger parts (see
    :class:`PartSizes`) fewer of them are in flight, and only a part that is larger than the whole budget exceeds it:
    one at a time.

    :param part_size_bytes: 5 MiB to 5 GiB; the least size of a part.
    :param parts_in_flight: how many parts are sent at once, over all objects.
    :param objects_in_flight: how many objects are staged, and completed, at once, as long as that is faster
        (:mod:`airflow_xacct.delivery.pace`). The S3 client should keep ``parts_in_flight + objects_in_flight``
        connections.
    :param memory_budget_bytes: see above; 0 means the formula.
    :param attempts: how often one call is asked before a lack of answers is an error.
    :param backoff_seconds: the wait after the first attempt; it doubles with each further one.
    :param backoff_max_seconds: the longest wait between two attempts.
    :param log_flush_seconds: how long receipts of parts may wait before they are written to the commit log.
    """

    part_size_bytes: int = 8 * MiB
    parts_in_flight: int = 4
    objects_in_flight: int = 16
    memory_budget_bytes: int = 0
    attempts: int = 8
    backoff_seconds: float = 0.2
    backoff_max_seconds: float = 10.0
    log_flush_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not MIN_PART_BYTES <= self.part_size_bytes <= MAX_PART_BYTES:
            raise InvalidArgumentError(
                f"a part of {self.part_size_bytes} bytes is outside S3's limits",
                where="part_size_bytes",
                remedy=f"Give {MIN_PART_BYTES} (5 MiB) to {MAX_PART_BYTES} (5 GiB).",
            )
        for name in ("parts_in_flight", "objects_in_flight", "attempts"):
            if getattr(self, name) < 1:
                raise InvalidArgumentError("it must be at least 1", where=name, remedy="Leave it out for the default.")

    @property
    def budget_bytes(self) -> int:
        """The memory budget in force, in bytes."""
        return self.memory_budget_bytes or (self.parts_in_flight + 1) * self.part_size_bytes

    def delays(self) -> Iterator[float]:
        """The waits between attempts, in seconds: one fewer than there are attempts."""
        for attempt in range(self.attempts - 1):
            yield min(self.backoff_seconds * 2**attempt, self.backoff_max_seconds)

    def part_sizes(self, max_size_bytes: int | None) -> PartSizes:
        """The part sizes of an object of at most that many bytes; ``None`` when its size is not known.

        :raises ObjectTooLargeError: S3 has no object that large.
        """
        if max_size_bytes is None:
            return PartSizes(self.part_size_bytes, grows=True)
        if max_size_bytes > MAX_OBJECT_BYTES:
            raise ObjectTooLargeError(
                f"{max_size_bytes} bytes are more than one S3 object holds ({MAX_OBJECT_BYTES}, 48.8 TiB)",
                remedy="Deliver it as several objects.",
            )
        needed = -(-max_size_bytes // MAX_PARTS)
        enough = needed <= self.part_size_bytes
        return PartSizes(self.part_size_bytes if enough else -(-needed // MiB) * MiB, grows=False)


@dataclass(frozen=True, slots=True)
class PartSizes:
    """The size of each part of one object, in bytes; the last one may be smaller.

    An object of known size has equal parts, large enough that 10,000 suffice. One of unknown size starts with the
    least size and doubles it after each 1,000 parts, so that a part is never larger than a five hundredth of what was
    sent before: with 8 MiB, parts of 8 MiB up to 8 GB, 64 MiB at 100 GB, and 7.8 TiB in all.
    """

    first_bytes: int
    grows: bool

    def of(self, part_number: int) -> int:
        """The size of a part, numbered from 1.

        :raises ObjectTooLargeError: there is no such part.
        """
        if part_number > MAX_PARTS:
            raise ObjectTooLargeError(
                f"it did not end within {MAX_PARTS} parts",
                remedy="Deliver it as several objects, or say its size beforehand, or raise the part size.",
            )
        if not self.grows:
            return self.first_bytes
        return min(self.first_bytes << ((part_number - 1) // GROWTH_PARTS), MAX_PART_BYTES)
