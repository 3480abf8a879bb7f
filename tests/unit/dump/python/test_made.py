"""Calling a function, and the digest of what it is."""

from __future__ import annotations

import functools
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from airflow_xacct.dump.sources.python.digest import declaration_digest
from airflow_xacct.dump.sources.python.made import call, check_data, check_function
from airflow_xacct.exceptions import InvalidArgumentError


async def coroutine() -> list[Any]:
    return []


async def stream() -> AsyncIterator[int]:
    yield 1


class Callee:
    """Called like a function."""

    async def __call__(self) -> list[Any]:
        return []


@pytest.mark.parametrize("function", [coroutine, stream, functools.partial(coroutine), Callee()], ids=type)
def test_asynchronous_functions_are_refused_before_they_run(function: Any) -> None:
    """A task has no event loop of its own."""
    with pytest.raises(InvalidArgumentError, match=r"asynchronous.*asyncio\.run"):
        check_function(function)


@pytest.mark.parametrize("function", [lambda: coroutine(), lambda: stream()], ids=["coroutine", "stream"])
def test_what_turns_out_asynchronous_is_refused(function: Any) -> None:
    """And closed: a coroutine that is never awaited warns."""
    with pytest.raises(InvalidArgumentError, match="asynchronous"):
        call("f", function)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="a int cannot be called"):
        check_function(5)


@pytest.mark.parametrize(
    ("data", "has_function", "what"),
    [
        (None, False, "no function and no data"),
        ([], True, "both a function and data"),
        (iter([]), False, "only once"),
        (io.BytesIO(), False, "only once"),
    ],
    ids=["none", "both", "iterator", "file"],
)
def test_there_is_one_thing_to_deliver(data: Any, has_function: bool, what: str) -> None:
    with pytest.raises(InvalidArgumentError, match=what):
        check_data(data, has_function=has_function)
    check_data([], has_function=False)
    check_data(None, has_function=True)


def maker(step: int) -> Callable[[], int]:
    def made(start: int = 0) -> int:
        return start + step

    return made


def first() -> int:
    return 1


def second() -> int:
    return 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (first, second),
        (maker(1), maker(2)),
        (functools.partial(first, 1), functools.partial(first, 2)),
        ([1], ["1"]),
        ({"a": 1}, {"a": 2}),
        ((Decimal("1.0"),), (Decimal("1.00"),)),
        (b"a", b"b"),
        (pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [1, 2]})),
    ],
    ids=["source", "closure", "partial", "types", "values", "decimals", "bytes", "shapes"],
)
def test_a_change_changes_the_digest(one: Any, other: Any) -> None:
    """As far as it can be seen."""
    assert declaration_digest(one) != declaration_digest(other)
    assert declaration_digest(one) == declaration_digest(one)


def test_an_object_counts_by_its_type() -> None:
    """Its address would be another one at each try."""
    assert declaration_digest(Callee()) == declaration_digest(Callee())


def test_a_structure_that_holds_itself_ends() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert declaration_digest(endless)


def test_another_process_finds_the_same_digest() -> None:
    """Nothing of it depends on addresses or on the seed of hashes."""
    code = (
        "from airflow_xacct.dump.sources.python.digest import declaration_digest as d\n"
        "import json\n"
        "print(d(json.dumps, {'a': {1, 2, 3}, 'b': object(), 'c': [1.5, None]}))"
    )
    digests = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(digests) == 1
