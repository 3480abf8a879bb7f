"""What a task does before its work begins: it imports much, and makes much that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collections_put_off"]


@contextmanager
def collections_put_off() -> Iterator[None]:
    """Let nobody look for garbage meanwhile.

    A process that has Airflow loaded holds a million objects. A few ten thousand more, which is what a task imports and
    makes before its work begins, have Python look through all of them, two or three times, a tenth of a second each
    (Python: *gc*, Garbage Collector interface). They all stay, so that there is nothing to find.

    For moments only, and never around what others wrote: garbage would wait for as long. Other threads of the process
    are kept from it too; where several are here at once, it ends with the first that came.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
