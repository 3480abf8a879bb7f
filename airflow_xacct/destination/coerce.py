"""From whatever a connection stores to the type a field has.

A form stores JSON types, a URI stores text alone. These rules are the only place where the two meet: ``3600``
and ``"3600"``, ``true`` and ``"true"``, an object and its JSON text are the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow_xacct.destination.text import kind_of, show_name
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["is_absent", "load_json", "to_boolean", "to_integer", "to_mapping", "to_number", "to_text"]

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_LARGEST = 10**18


def is_absent(value: object) -> bool:
    """Whether a value means that the extra was not given: null or the empty text, as a form stores a blank."""
    return value is None or value == ""


def to_text(value: object) -> str:
    """Read text. An integer is taken too, since an account id in JSON easily loses its quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return str(value)
    return _refuse(value, "text")


def to_integer(value: object) -> int:
    """Read an integer, or text that is one."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return _refuse(value, "an integer")


def to_number(value: object) -> int | float:
    """Read a finite number, or text that is one."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    # NaN compares false with everything, so it is refused as well
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return value
    return _refuse(value, "a number")


def to_boolean(value: object) -> bool:
    """Read true or false, in any case when it is text."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    return _refuse(value, "true or false")


def to_mapping(value: object) -> dict[str, Any]:
    """Read an object, or text that is JSON and holds one."""
    if isinstance(value, str):
        value = load_json(value)
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return dict(value)
        raise InvalidArgumentError("it holds a key that is not text", remedy="Write every key in quotes.")
    return _refuse(value, "an object")


def load_json(text: str) -> object:
    """Read JSON, without what would be read differently by the next reader: twice the same key, NaN.

    :raises InvalidArgumentError: if it is not such JSON. The message does not repeat the text.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                raise InvalidArgumentError(f"it has the key {show_name(key)} twice", remedy="Keep one.")
            result[key] = value
        return result

    def no_constant(name: str) -> NoReturn:
        raise InvalidArgumentError(f"{name} is not JSON", remedy="Write a number.")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except InvalidArgumentError:
        raise
    except json.JSONDecodeError as error:
        raise InvalidArgumentError(
            f"it is not JSON ({error.msg} at line {error.lineno}, column {error.colno})",
            remedy='Write an object, such as {"key": "value"}.',
        ) from None
    except (ValueError, RecursionError):
        # an integer of thousands of digits, or thousands of nested brackets
        raise InvalidArgumentError("it is JSON that is too large to be meant") from None


def _refuse(value: object, expected: str) -> NoReturn:
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise InvalidArgumentError("it is an integer that is too large to be meant")
    # the value itself is not repeated: what has the wrong type is likely to be in the wrong place
    raise InvalidArgumentError(f"it is {kind_of(value)}, not {expected}")
