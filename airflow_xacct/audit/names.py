"""From a RoleSessionName back to its task: the inverse of :func:`access.task_identity.role_session_name`.

A name alone is no proof: whoever may assume the role chooses it. And it is ambiguous, since ids may hold dots and long
ones are cut. So a name is *recomputed* wherever dag, task and run are known from elsewhere, and only *read* where not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from airflow_xacct.access.task_identity import TaskIdentity, role_session_name

__all__ = ["KnownBy", "NamedTask", "SessionNames"]

#: ``delivery``, ``tags`` and ``arguments`` were recomputed and are exact; ``name`` was read off the name.
KnownBy = Literal["delivery", "tags", "arguments", "name"]

# the same characters as in access.task_identity, which a test holds together with this
_ILLEGAL = re.compile(r"[^A-Za-z0-9_+=,.@-]+")
_CUT = re.compile(r"(.+)\.[0-9a-f]{8}")
_RUN_TYPES = ("scheduled", "manual", "backfill", "asset_triggered", "asset_materialization", "dataset_triggered")
_SHORTEST_RUN_TYPE_CHARS = 5
_LONGEST_NAME_CHARS = 64
#: Airflow's default for ``max_map_length``.
_MAP_INDEXES = range(-1, 1024)


@dataclass(frozen=True, slots=True)
class NamedTask:
    """The task instance behind a session; its ids are cut where the name was.

    :param known_by: see :data:`KnownBy`.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    known_by: KnownBy = "name"

    @classmethod
    def of(cls, identity: TaskIdentity, known_by: KnownBy) -> NamedTask:
        """A task that is known from elsewhere than the name."""
        return cls(identity.dag_id, identity.task_id, identity.run_id, identity.map_index, known_by)


@dataclass(frozen=True)
class SessionNames:
    """The names that one connection gives to sessions.

    :param conn_id: empty when it is not known.
    :param prefix: the connection's ``session_name_prefix``.
    """

    conn_id: str = ""
    prefix: str = ""

    def of(self, identity: TaskIdentity) -> str:
        """The name of the session of a task."""
        return role_session_name(identity, conn_id=self.conn_id, prefix=self.prefix)

    def is_outside_task(self, name: str) -> bool:
        """Whether it is what a session outside any task is called, such as that of the connection test."""
        if self.conn_id:
            return name == self.of(TaskIdentity())
        return name.startswith(f"{self.prefix}airflow.") and len(name) > len(f"{self.prefix}airflow.")

    def read(self, name: str) -> NamedTask | None:
        """The task that a name seems to speak of; ``None`` when it has not the form of ours."""
        if not name.startswith(self.prefix):
            return None
        rest = name[len(self.prefix) :]
        cut = _CUT.fullmatch(rest)
        if cut is not None and self._may_be_cut(name):
            rest = cut[1]
        parts = rest.split(".")
        if len(parts) < 3 or not all(parts):
            return None
        map_index = -1
        if len(parts) > 3 and parts[-1].isdecimal():
            map_index = int(parts.pop())
        run = next((number for number, part in enumerate(parts) if number > 1 and _begins_run(part)), len(parts) - 1)
        return NamedTask(parts[0], ".".join(parts[1:run]), ".".join(parts[run:]), map_index)

    def _may_be_cut(self, name: str) -> bool:
        """A name that was cut lost no more than the rounding of three or four parts."""
        return len(name) >= _LONGEST_NAME_CHARS - 4

    def agrees(self, name: str, identity: TaskIdentity) -> bool:
        """Whether a task known from session tags has this name.

        What STS does not take in a tag was replaced there, so a digest, or a run of dashes, may differ.
        """
        made = self.of(identity)
        if made == name:
            return True
        values = (identity.dag_id, identity.task_id, identity.run_id)
        if not any("-" in value or len(value) == 256 for value in values):
            return False
        return _loosely(made) == _loosely(name)

    def could_be(self, name: str, *, dag_id: str = "", task_id: str = "", run_id: str = "") -> bool:
        """Whether a name can be that of a task with these ids; an empty one may be anything."""
        if dag_id and task_id and run_id:
            return name in _names_of(self, TaskIdentity(dag_id, task_id, run_id))
        if not name.startswith(self.prefix):
            return False
        rest = name[len(self.prefix) :]
        if any(pattern.fullmatch(rest) for pattern in _patterns(dag_id, task_id, run_id, limits=(None,))):
            return True
        cut = _CUT.fullmatch(rest)
        if cut is None:
            return False
        return any(pattern.fullmatch(cut[1]) for pattern in _patterns(dag_id, task_id, run_id, limits=_LIMITS))


_LIMITS = tuple(range(1, _LONGEST_NAME_CHARS))


def _begins_run(part: str) -> bool:
    kind = part.split("__", 1)[0]
    if "__" in part:
        return kind in _RUN_TYPES
    return len(part) >= _SHORTEST_RUN_TYPE_CHARS and any(known.startswith(part) for known in _RUN_TYPES)


def _legal(part: str) -> str:
    return _ILLEGAL.sub("-", part.replace(":", "")) or "-"


def _loosely(name: str) -> str:
    cut = _CUT.fullmatch(name)
    return re.sub("-+", "-", cut[1] if cut else name)


@lru_cache(maxsize=16)
def _names_of(names: SessionNames, identity: TaskIdentity) -> frozenset[str]:
    return frozenset(names.of(replace(identity, map_index=index)) for index in _MAP_INDEXES)


@lru_cache(maxsize=64)
def _patterns(dag_id: str, task_id: str, run_id: str, *, limits: tuple[int | None, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(_each_pattern((dag_id, task_id, run_id), limits))


def _each_pattern(ids: tuple[str, str, str], limits: tuple[int | None, ...]) -> Iterator[re.Pattern[str]]:
    for limit in limits:
        anything = ".+" if limit is None else f".{{1,{limit}}}"
        parts = [re.escape(_legal(part)[:limit]) if part else anything for part in ids]
        yield re.compile(r"\.".join(parts) + r"(?:\.\d+)?")
