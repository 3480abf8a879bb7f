"""Writing Terraform's language as ``terraform fmt`` leaves it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Block", "Raw", "comment", "render"]

_STEP = "  "
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Raw:
    """An expression that is written as it is, such as ``var.external_id``."""

    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A block, with its arguments in order; a list of blocks in ``blocks`` follows them, each after an empty line."""

    kind: str
    labels: Sequence[str] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    blocks: Sequence[Block] = ()
    json_arguments: Mapping[str, Any] = field(default_factory=dict)


def comment(text: str) -> str:
    """Lines of a comment."""
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def render(blocks: Sequence[Block]) -> str:
    """The blocks as text, with one empty line between them."""
    return "\n".join("\n".join(_block(block, 0)) + "\n" for block in blocks)


def _block(block: Block, depth: int) -> list[str]:
    head = " ".join([block.kind, *(_quoted(label) for label in block.labels)])
    entries = [(name, _value(value, depth + 1)) for name, value in block.arguments.items()]
    entries += [
        (name, _wrapped("jsonencode(", _value(value, depth + 1), ")")) for name, value in block.json_arguments.items()
    ]
    lines = _entries(entries, depth + 1)
    for inner in block.blocks:
        lines += [*([""] if lines else []), *_block(inner, depth + 1)]
    if not lines:
        return [f"{_STEP * depth}{head} {{}}"]
    return [f"{_STEP * depth}{head} {{", *lines, f"{_STEP * depth}}}"]


def _wrapped(before: str, lines: list[str], after: str) -> list[str]:
    first, *rest = lines
    if not rest:
        return [before + first + after]
    return [before + first, *rest[:-1], rest[-1] + after]


def _entries(entries: Sequence[tuple[str, list[str]]], depth: int) -> list[str]:
    """``name = value`` lines; the ``=`` of neighbours that take one line each stand below one another."""
    lines: list[str] = []
    group: list[tuple[str, str]] = []

    def flush() -> None:
        width = max((len(name) for name, _ in group), default=0)
        lines.extend(f"{_STEP * depth}{name:<{width}} = {value}" for name, value in group)
        group.clear()

    for name, value in entries:
        if len(value) == 1:
            group.append((name, value[0]))
        else:
            flush()
            lines += [f"{_STEP * depth}{name} = {value[0]}", *value[1:]]
    flush()
    return lines


def _value(value: Any, depth: int) -> list[str]:
    """A value: its first line without indentation, the others with all of theirs."""
    if isinstance(value, Raw):
        return [value.text]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, str):
        return [_quoted(value)]
    if isinstance(value, int):
        return [str(value)]
    if isinstance(value, Mapping):
        entries = [(_key(name), _value(item, depth + 1)) for name, item in value.items()]
        return ["{", *_entries(entries, depth + 1), f"{_STEP * depth}}}"]
    items = [_value(item, depth + 1) for item in value]
    if all(len(item) == 1 for item in items) and not any(isinstance(item, Mapping) for item in value):
        return ["[" + ", ".join(item[0] for item in items) + "]"]
    lines = ["["]
    for first, *rest in items:
        lines += [_STEP * (depth + 1) + first, *rest]
        lines[-1] += ","
    return [*lines, f"{_STEP * depth}]"]


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    """A string literal, in which ``${`` and ``%{`` would begin a template (Terraform: *Strings and Templates*)."""
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in text)
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'
