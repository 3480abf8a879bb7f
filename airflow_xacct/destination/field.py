"""What one extra is: its kind, its limits, its words for people, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_xacct.destination.coerce import to_boolean, to_integer, to_mapping, to_text
from airflow_xacct.destination.options import DeploymentOptions
from airflow_xacct.destination.problems import Problems
from airflow_xacct.destination.text import mask, show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["Field", "Kind"]

Kind = Literal["text", "integer", "boolean", "object", "boolean or object", "text or object", "boolean or text"]


@dataclass(frozen=True, slots=True)
class Field:
    """One extra.

    :param name: its key.
    :param kind: what a connection may store for it.
    :param label: for the form.
    :param help: one or two sentences for the form and the documentation.
    :param page: the page of AWS's documentation behind its rules; empty where the rule is ours.
    :param example: a value that is legal on its own, as JSON would hold it.
    :param required: whether the connection needs it.
    :param default: what its absence means, for people.
    :param minimum: of an integer, inclusive.
    :param maximum: of an integer, inclusive.
    :param min_length: of text, in characters.
    :param max_length: of text, in characters.
    :param pattern: of text, in full; ``pattern_help`` says it in words.
    :param amazon_names: what the Amazon provider's ``aws`` connection calls it, dotted where it nests it.
    :param in_form: whether the form shows it; the others are written as JSON.
    :param masked: whether messages show only the end of its value.
    :param keeps_space: whether white space at the ends is kept, for the check to see.
    :param check: for what the limits above cannot say: value to value, or an error.
    :param read: the same for values with several parts, each with problems of its own.
    """

    name: str
    kind: Kind
    label: str
    help: str
    example: Any
    page: str = ""
    required: bool = False
    default: str = ""
    minimum: int | None = None
    maximum: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str = ""
    pattern_help: str = ""
    amazon_names: tuple[str, ...] = ()
    in_form: bool = True
    masked: bool = False
    keeps_space: bool = False
    check: Callable[[str], Any] | None = None
    read: Callable[[Any, DeploymentOptions, Problems, str], Any] | None = None

    def parse(self, raw: object, options: DeploymentOptions, problems: Problems) -> Any:
        """Return the value in its final type, or None after reporting why there is none."""
        result: Any = None
        with problems.at(self.name):
            if isinstance(raw, str) and not raw.strip():
                # neither absent nor a value: whoever wrote it meant something else
                raise InvalidArgumentError("it holds white space only", remedy="Leave it out, or write a value.")
            value = self._coerced(raw.strip() if isinstance(raw, str) and not self.keeps_space else raw)
            self._check_limits(value)
            if self.read is not None:
                result = self.read(value, options, problems, self.name)
            else:
                result = self.check(value) if self.check is not None else value
        return result

    def _coerced(self, raw: object) -> Any:
        readers_by_kind: dict[Kind, Callable[[object], Any]] = {
            "text": to_text,
            "integer": to_integer,
            "boolean": to_boolean,
            "object": to_mapping,
            "boolean or object": to_mapping if _is_object(raw) else to_boolean,
            "text or object": to_mapping if _is_object(raw) else to_text,
            "boolean or text": to_boolean if _is_boolean(raw) else to_text,
        }
        return readers_by_kind[self.kind](raw)

    def _check_limits(self, value: Any) -> None:
        if isinstance(value, int) and not isinstance(value, bool):
            low, high = self.minimum, self.maximum
            if (low is not None and value < low) or (high is not None and value > high):
                raise InvalidArgumentError(f"{show(value)} is out of range", remedy=f"Write {self.limits}.")
        if isinstance(value, str):
            shown = mask(value) if self.masked else show(value)
            if not (self.min_length or 0) <= len(value) <= (self.max_length or len(value)):
                raise InvalidArgumentError(f"{shown} has {len(value)} characters", remedy=f"Write {self.limits}.")
            if self.pattern and not re.fullmatch(self.pattern, value):
                raise InvalidArgumentError(
                    f"{shown} holds a character that is not allowed", remedy=f"Write {self.limits}."
                )

    @property
    def limits(self) -> str:
        """The limits that the table knows, for people; empty where there are none."""
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum} to {self.maximum}"
        parts = []
        if self.min_length is not None and self.max_length is not None:
            parts.append(f"{self.min_length} to {self.max_length} characters")
        if self.pattern_help:
            parts.append(self.pattern_help)
        return " of ".join(parts)


def _is_object(raw: object) -> bool:
    return isinstance(raw, Mapping) or (isinstance(raw, str) and raw.startswith("{"))


def _is_boolean(raw: object) -> bool:
    return isinstance(raw, bool) or (isinstance(raw, str) and raw.lower() in {"true", "false"})
