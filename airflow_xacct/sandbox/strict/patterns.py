"""Wildcards and policy variables (AWS: *IAM policy elements: Variables and tags*)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["action_matches", "matches", "substitute"]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@lru_cache(maxsize=4096)
def _translate(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_translate(pattern), re.DOTALL)


def action_matches(pattern: str, action: str) -> bool:
    """Whether an action fits a pattern, in any case: ``*`` any characters, ``?`` exactly one."""
    return _compiled(pattern.lower()).fullmatch(action.lower()) is not None


def matches(pattern: str, value: str, context: Mapping[str, Any]) -> bool:
    """Whether a value fits a case-sensitive pattern with wildcards and policy variables.

    ``${*}``, ``${?}`` and ``${$}`` are the three characters themselves; ``${key}`` is the key's value, and a key that
    is absent and has no default makes the pattern fit nothing.
    """
    if "${" not in pattern:
        return _compiled(pattern).fullmatch(value) is not None
    translated, position = "", 0
    for variable in _VARIABLE.finditer(pattern):
        text = _value(variable.group(1), context)
        if text is None:
            return False
        translated += _translate(pattern[position : variable.start()]) + re.escape(text)
        position = variable.end()
    translated += _translate(pattern[position:])
    return re.fullmatch(translated, value, re.DOTALL) is not None


def substitute(text: str, context: Mapping[str, Any]) -> str | None:
    """A text with its policy variables replaced; ``None`` when a key is absent and has no default."""
    found = {match.group(0): _value(match.group(1), context) for match in _VARIABLE.finditer(text)}
    if None in found.values():
        return None
    return _VARIABLE.sub(lambda match: found[match.group(0)] or "", text)


def _value(expression: str, context: Mapping[str, Any]) -> str | None:
    if expression in ("*", "?", "$"):
        return expression
    name, _, default = expression.partition(",")
    found = context.get(name.strip().lower())
    if isinstance(found, str):
        return found
    default = default.strip()
    return default[1:-1] if len(default) > 1 and default[0] == default[-1] == "'" else None
