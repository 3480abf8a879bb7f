"""What is to be delivered, drawn from the caller's plans: each key once, none too large, the first one looked at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from airflow_xacct.delivery.payload import ObjectPlan, PayloadReader
from airflow_xacct.delivery.settings import TransferSettings
from airflow_xacct.delivery.writer import Buffered, read_part
from airflow_xacct.exceptions import InvalidArgumentError, ObjectTooLargeError

__all__ = ["Objects", "Opened", "PlanSource", "SmallObject", "first_of"]

Objects = Iterable[ObjectPlan] | Callable[[str], Iterable[ObjectPlan]]
"""The objects of a delivery; or what makes them, once the name of their version is known."""

Opened = tuple[ObjectPlan, PayloadReader]
"""An object, and its payload, of which a part was read already."""


@dataclass(frozen=True, slots=True)
class SmallObject:
    """An object that is known to be the only one, in memory as a whole."""

    plan: ObjectPlan
    body: bytes
    rows: int | None


class PlanSource:
    """The objects of a delivery, each key once.

    A sequence is known beforehand and its objects are read side by side, each from open to close in one thread. Any
    other iterable is drawn from the calling thread: one plan, read to its end there, then the next.

    :param reserved: keys that no object may have: those of the manifest and the success marker.
    """

    def __init__(self, objects: Objects, *reserved: str) -> None:
        self.known = objects if isinstance(objects, Sequence) else None
        self._objects = objects
        self._seen = set(reserved) - {""}
        self._reserved = frozenset(self._seen)
        if self.known is not None:
            for plan in self.known:
                self._check(plan.key)

    def check_sizes(self, settings: TransferSettings) -> None:
        """Refuse what is known to be too large, before anything is sent.

        :raises ObjectTooLargeError: S3 has no object that large.
        """
        for plan in self.known or ():
            try:
                settings.part_sizes(plan.payload.max_size_bytes)
            except ObjectTooLargeError as error:
                error.where = plan.payload.name
                raise

    def signature(self, given: str) -> str:
        """A digest of what is known beforehand: the keys of a sequence, and what the caller says."""
        keys = sorted(plan.key for plan in self.known) if self.known is not None else None
        return hashlib.sha256(json.dumps([given, keys]).encode()).hexdigest()[:32]

    def total_bytes(self) -> int | None:
        """An upper bound of the size of all objects, where each has one."""
        if self.known is None:
            return None
        sizes = [plan.payload.max_size_bytes for plan in self.known]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def of_version(self, name: str) -> Iterator[ObjectPlan]:
        """The objects.

        :param name: of their version; asked for once.
        """
        for plan in self._objects(name) if callable(self._objects) else self._objects:
            if self.known is None:
                self._check(plan.key)
            yield plan

    def _check(self, key: str) -> None:
        if key in self._seen:
            use = "the manifest or the success marker" if key in self._reserved else "another object"
            raise InvalidArgumentError(
                f"two things would be written to the key {key!r}: an object and {use}",
                where=key,
                remedy="Give every object a key of its own.",
            )
        self._seen.add(key)


def first_of(
    plans: Iterator[ObjectPlan], settings: TransferSettings
) -> tuple[SmallObject | None, Opened | None, Iterator[ObjectPlan]]:
    """Read the first part of the first object, and find out whether it is all there is.

    :returns: the one object there is; or the first object, opened, and the plans after it.
    :raises SourceError: its payload cannot be read.
    """
    plan = next(plans, None)
    if plan is None:
        return None, None, plans
    reader = plan.payload.open()
    try:
        size_bytes = settings.part_sizes(plan.payload.max_size_bytes).of(1)
        body = read_part(reader, size_bytes)
        opened = Buffered(reader, body)
        if len(body) == size_bytes:
            return None, (plan, opened), plans
        opened.finish()
        following = next(plans, None)
    except BaseException:
        reader.close()
        raise
    if following is not None:
        return None, (plan, opened), chain([following], plans)
    rows = reader.rows
    reader.close()
    return SmallObject(plan, body, rows), None, plans
