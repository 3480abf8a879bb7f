"""The outline of a task for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["print_outline"]

_SHOWN_LINES = 20
_LABEL_CHARS = 9


def print_outline(outline: dict[str, Any]) -> None:
    """Print it, one heading for each question: what is read, assumed, written and needed."""
    task = outline["task"]
    print(f"{task['dag_id']}.{task['task_id']}")
    if "error" in outline:
        print(f"  {'error':{_LABEL_CHARS}}{outline['error']}")
        return
    for label, lines in (
        ("reads", list(_some(outline["reads"], "more"))),
        ("assumes", list(_assumed(outline["assumes"]))),
        ("writes", list(_written(outline["writes"]))),
        ("needs", [f"{', '.join(outline['role_needs'])}: what the role must allow"]),
        ("policy", _policy(outline["session_policy"])),
    ):
        for number, line in enumerate(lines):
            print(f"  {'' if number else label:{_LABEL_CHARS}}{line}")


def _assumed(assumes: dict[str, Any]) -> Iterator[str]:
    yield f"{assumes['role']}, by {assumes['by']}"
    external_id = assumes["external_id"]
    yield f"with External ID {external_id}" if external_id else "without an External ID"
    yield f"as session {assumes['session_name']}, for {assumes['duration_seconds']:,} s at a time"
    if assumes["source_identity"]:
        yield f"with source identity {assumes['source_identity']}"
    if assumes["session_tags"]:
        yield "with tags " + ", ".join(f"{name}={value}" for name, value in assumes["session_tags"].items())


def _written(writes: dict[str, Any]) -> Iterator[str]:
    yield from _some(writes["objects"], "more objects")
    if not writes["objects_known"]:
        yield "... as many as the data needs"
    for name, what in (("manifest", "the manifest, last"), ("success_file", "after the manifest")):
        if writes[name]:
            yield f"{writes[name]} ({what})"
    region = f", region {writes['region']}" if writes["region"] else ""
    yield f"in the bucket of account {writes['owner']}{region}"
    yield f"if an object is there already: {writes['if_exists']}" + (
        "; may delete what an earlier delivery of the task left" if writes["may_delete"] else ""
    )
    for name in ("storage_class", "kms_key_id", "metadata", "tags"):
        if writes[name]:
            value = writes[name]
            yield f"{name}: {json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value}"


def _policy(policy: Any) -> list[str]:
    if policy is None:
        return ["none: the connection says session_policy=off"]
    return [json.dumps(statement, ensure_ascii=False) for statement in policy["Statement"]]


def _some(lines: list[str], what: str) -> Iterator[str]:
    yield from lines[:_SHOWN_LINES]
    if len(lines) > _SHOWN_LINES:
        yield f"... and {len(lines) - _SHOWN_LINES:,} {what}"
