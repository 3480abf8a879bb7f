"""One ``airflow dags test``, followed by what it prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

__all__ = ["DagRun", "OnEnd"]

_TASK = re.compile(r"\[DAG TEST\] (?P<moment>starting|end task) task_id=(?P<task_id>[\w.-]+)")
_RAISED = re.compile(r"Task failed with exception")
_LOG_LINE = re.compile(r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")


class OnEnd(Protocol):
    """Is told of a task that has ended."""

    def __call__(self, text: str, *, ok: bool) -> None:
        """Take notice."""
        ...


@dataclass
class DagRun:
    """Tells which task runs, how each has ended, and with which error.

    It is for the eye alone: whether the run did well says its exit status, and what landed is looked up in the bucket.

    :param log: the file with the whole output.
    :param on_start: told of each task that starts.
    :param on_end: told of each task that has ended, and whether it did well.
    """

    log: Path
    on_start: Callable[[str], None]
    on_end: OnEnd
    succeeded: bool = False
    errors: dict[str, str] = field(default_factory=dict)
    _begun: bool = False
    _task_id: str = ""
    _traceback: list[str] | None = None

    def read(self, line: str) -> None:
        """Take notice of one line of output."""
        if _LOG_LINE.match(line):
            self._end_traceback()
        if self._traceback is not None:
            self._traceback.append(line.rstrip())
        elif _RAISED.search(line):
            self._traceback = []
        elif found := _TASK.search(line):
            self._task_id = found["task_id"]
            if not self._begun:
                self._begun = True
                self.on_end("Airflow started", ok=True)
            if found["moment"] == "starting":
                self.on_start(self._task_id)
            else:
                self.on_end(self._task_id, ok=self._task_id not in self.errors)

    def _end_traceback(self) -> None:
        """Keep the error itself: what follows the last indented line, the frames being indented."""
        if self._traceback is None:
            return
        frames = [number for number, line in enumerate(self._traceback) if line.startswith("  File ")]
        # a frame has up to three lines: its place, its source, and a marker below
        after = self._traceback[frames[-1] + 1 :] if frames else self._traceback
        while after and after[0].startswith("    "):
            after.pop(0)
        self.errors[self._task_id] = "\n".join(after).strip() or "no message"
        self._traceback = None
