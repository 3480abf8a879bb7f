"""Commands whose standard output is their result."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep log messages out of the output: Airflow's logging may write to standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # Airflow 3's own logger goes past the level, to what is standard output when it is first imported
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
