"""Condition blocks of policy statements (AWS: *IAM JSON policy elements: Condition operators*)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_xacct.sandbox.strict.patterns import matches, substitute

__all__ = ["conditions_hold"]

Compare = Callable[[str, str], bool]


def _number(compare: Callable[[float, float], bool]) -> Compare:
    def check(actual: str, expected: str) -> bool:
        try:
            return compare(float(actual), float(expected))
        except ValueError:
            return False

    return check


def _moment(text: str) -> datetime | None:
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _date(compare: Callable[[datetime, datetime], bool]) -> Compare:
    def check(actual: str, expected: str) -> bool:
        left, right = _moment(actual), _moment(expected)
        return left is not None and right is not None and compare(left, right)

    return check


def _address(actual: str, expected: str) -> bool:
    try:
        return ipaddress.ip_address(actual) in ipaddress.ip_network(expected, strict=False)
    except ValueError:
        return False


# each operator with the comparison of one value to one value; the "Not" forms and the patterns follow
_POSITIVE: dict[str, Compare] = {
    "stringequals": lambda a, e: a == e,
    "stringequalsignorecase": lambda a, e: a.lower() == e.lower(),
    "numericequals": _number(lambda a, e: a == e),
    "numericlessthan": _number(lambda a, e: a < e),
    "numericlessthanequals": _number(lambda a, e: a <= e),
    "numericgreaterthan": _number(lambda a, e: a > e),
    "numericgreaterthanequals": _number(lambda a, e: a >= e),
    "dateequals": _date(lambda a, e: a == e),
    "datelessthan": _date(lambda a, e: a < e),
    "datelessthanequals": _date(lambda a, e: a <= e),
    "dategreaterthan": _date(lambda a, e: a > e),
    "dategreaterthanequals": _date(lambda a, e: a >= e),
    "bool": lambda a, e: a.lower() == e.lower(),
    "binaryequals": lambda a, e: a == e,
    "ipaddress": _address,
}
_PATTERNS = frozenset({"stringlike", "arnequals", "arnlike"})
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}


def conditions_hold(conditions: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    """Whether every operator of a block holds for every one of its keys."""
    return all(
        _holds(operator.lower(), context.get(key.lower()), _values(expected), context)
        for operator, keys in conditions.items()
        for key, expected in keys.items()
    )


def _values(expected: Any) -> list[str]:
    listed = expected if isinstance(expected, list) else [expected]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in listed]


def _holds(operator: str, actual: Any, expected: list[str], context: Mapping[str, Any]) -> bool:
    if operator == "null":
        return (actual is None) == (expected[0].lower() == "true")
    quantifier, _, rest = operator.rpartition(":")
    if_exists = rest.endswith("ifexists")
    rest = rest.removesuffix("ifexists")
    negated = rest in _NEGATED
    plain = _NEGATED.get(rest, rest)
    if plain not in _POSITIVE and plain not in _PATTERNS:
        # AWS refuses to store an operator it does not know; one stored here must not grant anything
        return False
    if actual is None:
        return if_exists or quantifier == "forallvalues" or (negated and quantifier != "foranyvalue")

    def fits(value: str) -> bool:
        return any(_compare(plain, value, item, context) for item in expected) != negated

    listed = [str(item) for item in actual] if isinstance(actual, list) else [str(actual)]
    return any(map(fits, listed)) if quantifier == "foranyvalue" else all(map(fits, listed))


def _compare(operator: str, actual: str, expected: str, context: Mapping[str, Any]) -> bool:
    if operator == "stringlike":
        return matches(expected, actual, context)
    if operator in _PATTERNS:
        # each of the six colon-separated parts of an ARN is matched for itself
        left, right = actual.split(":", 5), expected.split(":", 5)
        return len(left) == len(right) and all(matches(e, a, context) for a, e in zip(left, right, strict=True))
    replaced = substitute(expected, context)
    return replaced is not None and _POSITIVE[operator](actual, replaced)
