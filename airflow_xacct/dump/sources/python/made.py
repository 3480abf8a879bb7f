"""What a function made: called once, in the task's thread, and closed there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["Made", "call", "check_data", "check_function"]


class Made:
    """A value and the name of what made it.

    :param name: what a person would call it; used in messages.
    :param value: what was yielded (a generator) or returned.
    """

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value

    def close(self) -> None:
        """Close a generator, or another iterator that can be closed. May be called more than once."""
        close = getattr(self.value, "close", None)
        if isinstance(self.value, Iterator) and callable(close):
            close()


def call(name: str, function: Callable[[], Any]) -> Made:
    """Call a function.

    :raises InvalidArgumentError: what it returned is asynchronous.
    """
    value = function()
    if inspect.isawaitable(value) or hasattr(value, "__anext__"):
        if inspect.iscoroutine(value):
            value.close()
        raise _asynchronous(name)
    return Made(name, value)


def check_function(function: Any) -> None:
    """Refuse what cannot be called, or only in an event loop.

    :raises InvalidArgumentError: it is that.
    """
    if not callable(function):
        raise InvalidArgumentError(
            f"a {type(function).__name__} cannot be called", where="python_callable", remedy="Give a function."
        )
    plain = inspect.unwrap(function)
    while isinstance(plain, partial):
        plain = plain.func
    for each in (plain, getattr(plain, "__call__", None)):  # noqa: B004 - it is looked at
        if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            raise _asynchronous(f"function {getattr(plain, '__name__', type(plain).__name__)}")


def check_data(data: Any, *, has_function: bool) -> None:
    """There is one thing to deliver, and a retry finds it again.

    :raises InvalidArgumentError: there is none, two, or one that can be read once only.
    """
    if has_function is (data is not None):
        raise InvalidArgumentError(
            "there is " + ("both a function and data" if has_function else "no function and no data"),
            where="python_callable, data",
            remedy="Give python_callable, or data, and not both.",
        )
    if isinstance(data, Iterator) or callable(getattr(data, "read", None)):
        raise InvalidArgumentError(
            f"data is a {type(data).__name__}, which can be read only once",
            where="data",
            remedy="Give python_callable, which is called anew by each try.",
        )


def _asynchronous(name: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "the function is asynchronous",
        where=name,
        remedy="Give a plain function or generator; it may call asyncio.run() itself.",
    )
