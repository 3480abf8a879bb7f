"""One message to Airflow's supervisor at a time, and each of them whole."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["SUPERVISOR", "undisturbed"]

#: Held while Airflow's supervisor is asked. Before Airflow 3.2 its ``CommsDecoder.send`` has no lock of its own, so two
#: threads of a task would read each other's answers: that of the log, and that which renews credentials.
SUPERVISOR = threading.RLock()


def undisturbed(call: Callable[[], Any]) -> Any:
    """Make a call that a signal cannot cut in half.

    Airflow ends a task by an exception that a signal handler raises in the main thread. In the middle of a message to
    the supervisor it would leave half a frame in their socket, and no later message, the task's own end included,
    would get through; in the middle of a transaction it would leave open whether the value was kept. So the call is
    made in another thread, and is waited for even when the wait is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        return _alone(call)
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, "xacct-log") as pool:
        # the thread is up and known to the pool before it has anything to do that must be waited for
        pool.submit(int).result()
        return pool.submit(context.run, _alone, call).result()


def _alone(call: Callable[[], Any]) -> Any:
    with SUPERVISOR:
        return call()
