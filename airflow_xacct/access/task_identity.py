"""Who asks: the DAG, task and run behind a session, and the RoleSessionName that says so in CloudTrail."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["SESSION_NAME_MAX_CHARS", "TaskIdentity", "role_session_name", "session_tags"]

#: AWS: *AssumeRole*, parameter RoleSessionName: 2 to 64 of ``[\w+=,.@-]``.
SESSION_NAME_MAX_CHARS = 64
_ILLEGAL = re.compile(r"[^A-Za-z0-9_+=,.@-]+")
# AWS: *Tag* (AWS STS API Reference) takes letters of all scripts; ASCII is what every reader of CloudTrail can type
_ILLEGAL_IN_TAGS = re.compile(r"[^A-Za-z0-9 _.:/=+@-]+")
_TAG_VALUE_MAX_CHARS = 256
_SEPARATOR = "."
_DIGEST_CHARS = 8


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """The task instance that asks for a session; all fields empty outside a task.

    :param map_index: -1 for a task that is not mapped.
    :param try_number: from 1; 0 outside a task.
    """

    dag_id: str = ""
    task_id: str = ""
    run_id: str = ""
    map_index: int = -1
    try_number: int = 0
    logical_date: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> TaskIdentity:
        """Read what Airflow exports to a running task (``AIRFLOW_CTX_*``); the map index is not among it."""
        tries = environ.get("AIRFLOW_CTX_TRY_NUMBER", "")
        return cls(
            dag_id=environ.get("AIRFLOW_CTX_DAG_ID", ""),
            task_id=environ.get("AIRFLOW_CTX_TASK_ID", ""),
            run_id=environ.get("AIRFLOW_CTX_DAG_RUN_ID", ""),
            try_number=int(tries) if tries.isdecimal() else 0,
            logical_date=environ.get("AIRFLOW_CTX_LOGICAL_DATE", ""),
        )

    def __bool__(self) -> bool:
        return bool(self.dag_id or self.task_id or self.run_id)


def role_session_name(identity: TaskIdentity, *, conn_id: str, prefix: str = "") -> str:
    """Name a session so that a reader of CloudTrail finds the task: ``prefix`` + ``dag.task.run[.map_index]``.

    Characters that STS refuses become ``-`` (the colons of a run id are dropped). What does not fit is cut from the
    longest part first, and a digest of the uncut identity is added, so that the same task and run always get the same
    name and two that were cut alike do not.

    :param identity: the task instance; outside one, the connection names the session.
    :param conn_id: the Airflow connection.
    :param prefix: put before the name as it is; legal already, since the connection was validated.
    :return: 2 to 64 characters of ``[A-Za-z0-9_+=,.@-]`` (AWS: *AssumeRole*, RoleSessionName).
    """
    if identity:
        parts = [identity.dag_id, identity.task_id, identity.run_id]
        if identity.map_index >= 0:
            parts.append(str(identity.map_index))
    else:
        parts = ["airflow", conn_id]
    legal = [_ILLEGAL.sub("-", part.replace(":", "")) or "-" for part in parts]
    name = prefix + _SEPARATOR.join(legal)
    if len(name) <= SESSION_NAME_MAX_CHARS:
        return name
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_DIGEST_CHARS]
    room = SESSION_NAME_MAX_CHARS - len(prefix) - _DIGEST_CHARS - len(legal) * len(_SEPARATOR)
    return prefix + _SEPARATOR.join([*_shorten(legal, room), digest])


def _shorten(parts: Sequence[str], room: int) -> list[str]:
    """Cut the longest parts so that all together take ``room`` characters."""
    limit = max(len(part) for part in parts)
    while limit > 1 and sum(min(len(part), limit) for part in parts) > room:
        limit -= 1
    return [part[:limit] for part in parts]


def session_tags(identity: TaskIdentity, further: Iterable[tuple[str, str]] = ()) -> tuple[tuple[str, str], ...]:
    """The session tags that say which task instance it is, and the connection's own.

    A tag of the connection wins over one of ours with the same name. What STS does not take becomes ``-``.

    :param further: (key, value) pairs, legal already.
    :return: sorted pairs (AWS: *Pass session tags in AWS STS*: values of at most 256 letters, digits, spaces and
        ``_.:/=+-@``).
    """
    ours: dict[str, str] = {}
    if identity:
        ours = {
            "dag_id": identity.dag_id,
            "task_id": identity.task_id,
            "run_id": identity.run_id,
            "map_index": str(identity.map_index),
            "try_number": str(identity.try_number),
            "logical_date": identity.logical_date,
        }
    legal = {key: _ILLEGAL_IN_TAGS.sub("-", value)[:_TAG_VALUE_MAX_CHARS] for key, value in ours.items() if value}
    theirs = dict(further)
    taken = {key.lower() for key in theirs}
    return tuple(sorted({**{key: value for key, value in legal.items() if key not in taken}, **theirs}.items()))
