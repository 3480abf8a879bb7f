"""The garbage collector pauses while a task starts, and for no longer."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from airflow_xacct._startup import collections_put_off


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    yield
    gc.enable()


def test_it_runs_again_afterwards() -> None:
    """Whatever happened, and also where one pause lies in another."""
    with collections_put_off():
        assert not gc.isenabled()
        with collections_put_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="some"), collections_put_off():
        raise ValueError("some")
    assert gc.isenabled()


def test_pauses_that_overlap() -> None:
    """As two threads make them: it runs again when both have ended, in whichever order."""
    for order in ((0, 1), (1, 0)):
        pauses = [collections_put_off(), collections_put_off()]
        for pause in pauses:
            pause.__enter__()
        for number in order:
            pauses[number].__exit__(None, None, None)
        assert gc.isenabled()


def test_one_who_has_it_off_keeps_it_off() -> None:
    """A worker without a collector has decided that itself."""
    gc.disable()
    with collections_put_off():
        assert not gc.isenabled()
    assert not gc.isenabled()
