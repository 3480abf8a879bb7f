"""The error tree: drawn as it is, picklable, and each message with its place and remedy."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from airflow_xacct import exceptions

CLASSES = [
    value for _, value in inspect.getmembers(exceptions, inspect.isclass) if value.__module__ == exceptions.__name__
]


def _make(kind: type[exceptions.XacctError]) -> exceptions.XacctError:
    if kind is exceptions.InvalidConnectionError:
        return exceptions.InvalidConnectionError("acme", ["role_arn is missing.", "no bucket."])
    return kind("it failed", where="s3://b/k", remedy="Do this.")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_survive_pickling(kind: type[exceptions.XacctError]) -> None:
    """Airflow moves errors between processes."""
    error = _make(kind)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is kind
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_the_tree_is_drawn_as_it_is() -> None:
    """The module's drawing names every class, and none that is gone."""
    drawn = set(re.findall(r"\b\w+Error\b", exceptions.__doc__ or "")) - {"ValueError"}
    assert drawn == {kind.__name__ for kind in CLASSES} == set(exceptions.__all__)


def test_a_message_says_what_where_and_the_remedy() -> None:
    """One line, in that order."""
    error = exceptions.ObjectExistsError("an object is there.", where="s3://b/k", remedy="Choose another key.")
    assert str(error) == "an object is there (s3://b/k). Choose another key."
    assert str(exceptions.XacctError("it failed")) == "it failed."


def test_a_connection_lists_all_its_problems() -> None:
    """Each on a line of its own."""
    text = str(exceptions.InvalidConnectionError("acme", ["one.", "two."]))
    assert text == "connection 'acme' has 2 problems:\n  - one.\n  - two."
    assert "has 1 problem:" in str(exceptions.InvalidConnectionError("acme", ["one."]))


def test_misuse_is_also_a_value_error() -> None:
    """Code that catches ValueError for bad arguments goes on working."""
    assert issubclass(exceptions.ConfigurationError, ValueError)
    assert not issubclass(exceptions.AccessError, ValueError)
