"""Work that a signal can end, whatever the driver does.

Python runs the handler of a signal in the main thread, between two of its own instructions. A driver that waits for a
server in C comes to none, so that a task which waits for its query there would not hear that it is killed, and the
server would go on working for nobody. Therefore the driver waits in another thread, and this one only waits for that.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TypeVar

__all__ = ["heeding_signals"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_CANCELS, _CANCEL_SECONDS = 10, 1.0


def heeding_signals(work: Callable[[], _T], *, cancel: Callable[[], None], discard: Callable[[_T], None]) -> _T:
    """What the work returns or raises; done in another thread.

    :param cancel: lets it end early; called when the one who waits must go.
    :param discard: takes what it returns all the same.
    """
    found: Future[_T] = Future()
    run = contextvars.copy_context().run
    # a daemon: what cannot be cancelled must not keep the process
    thread = threading.Thread(target=lambda: run(_fulfil, found, work), name="xacct-open", daemon=True)
    try:
        thread.start()
        return found.result()
    except BaseException as exc:
        failed = found.done() and found.exception() is exc
        if not failed and thread.ident is not None:  # it was begun, and it is not the work that ended it
            _end(found, cancel, discard)
        raise


def _fulfil(found: Future[_T], work: Callable[[], _T]) -> None:
    try:
        found.set_result(work())
    except BaseException as exc:  # noqa: BLE001 - raised to the one who waits
        found.set_exception(exc)


def _end(found: Future[_T], cancel: Callable[[], None], discard: Callable[[_T], None]) -> None:
    for _ in range(_CANCELS):
        with contextlib.suppress(Exception):
            cancel()  # the one before may have come too early for the step that it should end
        try:
            result = found.result(_CANCEL_SECONDS)
        except (TimeoutError, CancelledError):
            continue
        except BaseException:  # noqa: BLE001 - it ended, and nobody wants to know how
            return
        discard(result)
        return
    log.warning("What was begun did not end after %d cancels", _CANCELS)
