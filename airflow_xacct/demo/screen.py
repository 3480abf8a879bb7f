"""What a person sees: what is done as it is done, errors as a user meets them, and one table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich import box
from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from airflow_xacct.demo.findings import Finding, Result, counted

__all__ = ["Activity", "Screen", "amount"]

_LONGEST_PLAIN_LINE_CHARS = 100
_LONGEST_NAME_CHARS = 22
_BYTES = "bytes"


class Screen:
    """Prints to one console; on a terminal a spinner shows what is under way, elsewhere there are plain lines only.

    :param console: where to print.
    :param verbose: show the output of Airflow as well.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.console = console
        self._verbose = verbose
        unicode = not console.options.ascii_only
        self._box = box.SIMPLE_HEAD if unicode else None
        self._yes, self._no = ("✔", "✘") if unicode else ("ok", "NO")
        self._spinner = "dots" if unicode else "line"
        if not console.is_terminal:
            # a file has no width of its own; this one fits a screen
            console.width = min(console.width, _LONGEST_PLAIN_LINE_CHARS)

    def say(self, text: str, *, style: str = "") -> None:
        """One paragraph."""
        self.console.print(Text(text, style=style))

    def heading(self, text: str) -> None:
        """What the following lines are about."""
        self.console.print()
        self.console.print(Text(text, style="bold"))

    def airflow_line(self, line: str) -> None:
        """One line of Airflow's own output, shown when asked for."""
        if self._verbose:
            self.console.print(Text(f"    {line.rstrip()}", style="dim"), soft_wrap=True)

    @contextmanager
    def activity(self, text: str) -> Iterator[Activity]:
        """Something that takes a while.

        :param text: shown beside the spinner until it is done or says something else.
        """
        columns = (
            TextColumn(" "),
            SpinnerColumn(self._spinner),
            TextColumn("{task.description}"),
            _AmountColumn(),
        )
        with _Watched(
            *columns, console=self.console, transient=True, disable=not self.console.is_interactive
        ) as progress:
            yield Activity(self, progress, text)

    def done(self, text: str, seconds: float | None = None, *, ok: bool = True) -> None:
        """One line for what has been done.

        :param seconds: how long it took.
        """
        line = Text(text)
        if seconds is not None:
            line.append(f"  {seconds:.1f} s", style="dim")
        self._print(line, first=Text("  ").append(self.mark(ok=ok)).append(" "))

    def note(self, text: str) -> None:
        """Words of somebody else, below what they belong to."""
        self._print(Text(text), first=Text("    "))

    def _print(self, text: Text, *, first: Text) -> None:
        """Wrap with a hanging indent, and without the blanks at the end that a table leaves in a log."""
        lines = text.wrap(self.console, self.console.width - len(first), overflow="fold")
        indent = first
        for line in lines:
            line.rstrip()
            self.console.print(indent + line)
            indent = Text(" " * len(first))

    def refusal(self, finding: Finding) -> None:
        """The whole error of one refusal, in the words of the task's log."""
        self.done(finding.name, ok=finding.ok)
        self.note(finding.message or "The task did not fail.")

    def result(self, result: Result) -> None:
        """The table of everything that was found out, and the verdict."""
        table = Table(box=self._box, padding=0 if self._box else (0, 1, 0, 0), header_style="bold")
        table.add_column(width=len(self._yes))
        table.add_column("Delivered", overflow="fold", min_width=_LONGEST_NAME_CHARS)
        table.add_column("Found by account B", overflow="fold")
        self._rows(table, result.checks)
        if result.refusals:
            table.add_section()
            table.add_row("", Text("Refused", style="bold"), Text("Error of the task", style="bold"), end_section=True)
            self._rows(table, result.refusals)
        self.console.print()
        self.console.print(table)
        self._verdict(result)

    def _rows(self, table: Table, findings: list[Finding]) -> None:
        for finding in findings:
            told = Text(finding.detail)
            for problem in finding.problems:
                told.append(f"\n{problem}", style="red")
            table.add_row(self.mark(ok=finding.ok), finding.name, told)

    def _verdict(self, result: Result) -> None:
        total = counted(len(result.checks) + len(result.refusals), "line")
        if result.ok:
            text = f"All of it is as it must be: {total} checked in {result.seconds:.0f} s."
            self.say(text, style="bold green")
        else:
            names = ", ".join(finding.name for finding in result.failed) or "everything"
            text = f"Not as it must be, of {total} checked in {result.seconds:.0f} s: {names}."
            self.say(text, style="bold red")

    def mark(self, *, ok: bool) -> Text:
        """The sign for true or false."""
        return Text(self._yes, style="green") if ok else Text(self._no, style="bold red")


class _Watched(Progress):
    """Looks how far things are before each time it is drawn; without a terminal, never."""

    look: Callable[[], None] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """See :class:`rich.progress.Progress`."""
        if self.look is not None:
            self.look()
        return super().get_renderables()


class _AmountColumn(ProgressColumn):
    """A bar with how much of what is done, how fast, and for how long yet; only the time while nothing is counted."""

    _bar = BarColumn(bar_width=16)
    _elapsed = TimeElapsedColumn()

    def render(self, task: Task) -> RenderableType:
        """See :class:`rich.progress.ProgressColumn`."""
        if task.total is None:
            return self._elapsed.render(task)
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self._bar.render(task), Text(amount(task), style="dim"))
        return grid


def amount(task: Task) -> str:
    """Such as ``120,000 of 336,776 rows, 4.2 MB, 90,120 rows/s, 0:00:02 left``; of bytes ``1.2 MB of 5.0 MB, ...``."""
    unit, size_bytes = task.fields["unit"], task.fields["size_bytes"]
    done, total, speed = int(task.completed), int(task.total or 0), int(task.speed or 0)
    if unit == _BYTES:
        words = [f"{decimal(done)} of {decimal(total)}", f"{decimal(speed)}/s" if speed else ""]
    else:
        words = [f"{done:,} of {total:,} {unit}", decimal(size_bytes) if size_bytes else ""]
        words.append(f"{speed:,} {unit}/s" if speed else "")
    if task.time_remaining and not task.finished:
        words.append(f"{timedelta(seconds=round(task.time_remaining))} left")
    return ", ".join(word for word in words if word)


class Activity:
    """Something under way; each thing it has done gets a line with the time since the one before."""

    def __init__(self, screen: Screen, progress: _Watched, text: str) -> None:
        self._screen = screen
        self._progress = progress
        self._task = progress.add_task(text, total=None)
        self._since = time.monotonic()

    def now(self, text: str) -> None:
        """Say what is being done at this moment."""
        self._begin(text, None)

    def count(self, text: str, total: int, unit: str = _BYTES) -> None:
        """Say what is being done, with a bar for how much of it, until the next :meth:`now`.

        :param total: how much there will be.
        :param unit: ``"rows"``, or bytes.
        """
        self._begin(text, total, unit)

    def more(self, count: int) -> None:
        """So much more of it is done. May be called from any thread."""
        self._progress.advance(self._task, count)

    def follow(self, look: Callable[[], tuple[int, int]]) -> None:
        """Ask how much of it is done, and how many bytes that was, whenever the bar is drawn."""

        def update() -> None:
            done, size_bytes = look()
            self._progress.update(self._task, completed=done, size_bytes=size_bytes)

        self._progress.look = update

    def _begin(self, text: str, total: int | None, unit: str = "") -> None:
        self._progress.look = None
        # a task of rich cannot lose its total
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(text, total=total, unit=unit, size_bytes=0)

    def done(self, text: str, *, ok: bool = True) -> None:
        """Say what has been done."""
        now = time.monotonic()
        self._screen.done(text, now - self._since, ok=ok)
        self._since = now
