"""One session for each caller and destination: made once, shared by threads, never by two tasks or two processes."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Protocol, TypeVar

__all__ = ["SessionCache"]


class _Keyed(Protocol):
    @property
    def cache_key(self) -> Hashable: ...


_T = TypeVar("_T", bound=_Keyed)

DEFAULT_MAX_SESSIONS = 64


class SessionCache:
    """A bounded map of accesses by everything that shapes them; the least recently used one goes first.

    A forked child starts empty: sockets and locks do not survive a fork.

    :param max_sessions: how many are kept.
    """

    def __init__(self, max_sessions: int = DEFAULT_MAX_SESSIONS) -> None:
        self._max_sessions = max_sessions
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Keyed] = OrderedDict()

    def share(self, access: _T) -> _T:
        """Return the access kept under the same key, or keep this one. Makes no call, so the lock is held shortly."""
        key = (type(access), access.cache_key)
        with self._lock:
            kept = self._entries.setdefault(key, access)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_sessions:
                self._entries.popitem(last=False)
        assert isinstance(kept, type(access))  # noqa: S101 - the type is part of the key
        return kept

    def clear(self) -> None:
        """Forget all: the next access assumes its role anew."""
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
