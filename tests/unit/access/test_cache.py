"""Sessions are shared where everything that shapes them is equal, and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass

from airflow_xacct.access.cache import SessionCache


@dataclass(eq=False)
class Access:
    """Something with a key."""

    cache_key: str


def test_equal_keys_share_the_first() -> None:
    """The second caller gets the session of the first."""
    cache = SessionCache()
    first = Access("a")
    assert cache.share(first) is first
    assert cache.share(Access("a")) is first
    assert cache.share(Access("b")) is not first


def test_the_least_recently_used_goes_first() -> None:
    """The cache is bounded."""
    cache = SessionCache(max_sessions=2)
    first, second = cache.share(Access("a")), cache.share(Access("b"))
    cache.share(Access("a"))
    cache.share(Access("c"))
    assert len(cache) == 2
    assert cache.share(Access("a")) is first
    assert cache.share(Access("b")) is not second


def test_clear_forgets_all() -> None:
    """The next access is made anew."""
    cache = SessionCache()
    first = cache.share(Access("a"))
    cache.clear()
    assert cache.share(Access("a")) is not first


def test_a_forked_child_starts_empty() -> None:
    """Sockets and locks do not survive a fork, so no session does."""
    cache = SessionCache()
    cache.share(Access("a"))
    with cache._lock:  # a thread of the parent may hold it just then
        child = os.fork()
        if child == 0:
            shared = Access("a")
            os._exit(0 if len(cache) == 0 and cache.share(shared) is shared else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(cache) == 1
