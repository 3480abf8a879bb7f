"""The audit as a person reads it: one table of sessions, then what stands out, with the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_xacct.audit.deliveries import Delivery
from airflow_xacct.audit.names import NamedTask
from airflow_xacct.audit.report import LIMITS, Report, Session

__all__ = ["show"]

_B_SEES = (
    "As Account B: callers of another account appear by account and unique id, and calls that STS denied are in the "
    "caller's account only. Both are seen as Account A."
)
_WIDEST_PLAIN_CHARS = 100
_STYLES = {"known": "green", "unknown": "bold red", "denied": "bold yellow", "failed": "dim"}


def show(report: Report, console: Console) -> None:
    """Print a report; fits 80 columns."""
    _Screen(report, console).show()


class _Screen:
    def __init__(self, report: Report, console: Console) -> None:
        self._report = report
        self._console = console
        unicode = not console.options.ascii_only
        self._box = box.SIMPLE_HEAD if unicode else box.ASCII2
        self._marks = (
            {"known": "✔", "unknown": "✘", "denied": "⊘", "failed": "·"}
            if unicode
            else {"known": "ok", "unknown": "??", "denied": "NO", "failed": "--"}
        )
        if not console.is_terminal:
            # a file has no width of its own; this one fits a screen
            console.width = min(console.width, _WIDEST_PLAIN_CHARS)

    def show(self) -> None:
        self._head()
        known = self._report.having("known")
        if known:
            self._console.print(self._table(known))
        if any(session.first.task and session.first.task.known_by == "name" for session in known):
            self._print("? read off the session's name: no manifest, tag or option proves it", style="dim")
        for verdict, title in (("unknown", "Unknown sessions"), ("denied", "Denied"), ("failed", "Failed calls")):
            sessions = self._report.having(verdict)  # type: ignore[arg-type]
            if sessions:
                self._heading(f"{title} ({sum(len(session.all) for session in sessions)})", _STYLES[verdict])
                for session in sessions:
                    self._detail(session)
        self._manifests("Manifests that are not to be believed", self._report.misfits, "bold red")
        self._manifests("Deliveries whose session was never assumed", self._report.missing, "bold red")
        self._manifests("Deliveries of sessions assumed before this time range", self._report.unmatched, "dim")
        self._foot()

    def _print(self, text: str | Text, *, indent: int = 0, style: str = "") -> None:
        line = Text(text, style=style) if isinstance(text, str) else text
        for part in line.wrap(self._console, self._console.width - indent, overflow="fold"):
            part.rstrip()
            self._console.print(Text(" " * indent) + part)

    def _heading(self, text: str, style: str = "bold") -> None:
        self._console.print()
        self._print(text, style=style)

    def _head(self) -> None:
        scope = self._report.scope
        self._print(f"Who assumed {scope.role_arn}", style="bold")
        self._print(f"{scope.since:%Y-%m-%d %H:%M:%S} to {scope.until:%Y-%m-%d %H:%M:%S} UTC{self._asked()}", indent=2)
        where = ", ".join(self._report.reading.regions) or "no region"
        self._print(f"event history of account {scope.account} ({scope.side.upper()}) in {where}", indent=2)
        self._print(f"read by {_clean(scope.auditor_arn)}", indent=2, style="dim")

    def _asked(self) -> str:
        asked = self._report.scope.asked
        words = (("DAG", asked.dag_id), ("task", asked.task_id), ("run", asked.run_id))
        return "".join(f", {word} {_clean(value)}" for word, value in words if value)

    def _table(self, sessions: Iterable[Session]) -> Table:
        table = Table(box=self._box, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("", width=max(len(mark) for mark in self._marks.values()))
        table.add_column("Assumed (UTC)", width=19)
        table.add_column("Task, run and caller", overflow="fold", ratio=1)
        table.add_column("Landed", overflow="fold", min_width=14)
        for session in sessions:
            judged = session.first
            mark = Text(self._marks[judged.verdict], style=_STYLES[judged.verdict])
            landed = Text("\n").join([_landed(one, apart="\n") for one in session.deliveries]) or Text("-", style="dim")
            task = _task(judged.task) if judged.task else Text(_clean(judged.call.session_name))
            task.append(f"\nby {_caller(session)}", style="dim")
            table.add_row(mark, _when(session), task, landed)
        return table

    def _detail(self, session: Session) -> None:
        judged, call = session.first, session.first.call
        mark = Text(f"{self._marks[judged.verdict]} ", style=_STYLES[judged.verdict])
        name = _clean(call.session_name) or "session name not recorded"
        times = f", {len(session.all)} times until {session.last.call.time:%H:%M:%S}" if len(session.all) > 1 else ""
        self._print(mark + Text(f"{call.time:%Y-%m-%d %H:%M:%S}  {name}{times}"), indent=1)
        for reason in judged.reasons:
            self._print(_clean(reason), indent=4, style="red")
        if call.error_code:
            self._print(f"{_clean(call.error_code)}: {_clean(call.error_message)}", indent=4)
        origin = ", ".join(_clean(value) for value in session.distinct("source_ip"))
        self._print(
            f"by {_caller(session, full=True)} from {origin or 'an unknown address'} in {call.region}", indent=4
        )
        keys = ", ".join(session.distinct("access_key_id"))
        if keys and judged.verdict == "unknown":
            self._print(f"its access key in later events: {_clean(keys)}", indent=4)
        for one in session.deliveries:
            self._print(Text("delivered ") + _landed(one) + Text(f" {_clean(one.uri)}"), indent=4)

    def _manifests(self, title: str, found: Iterable[Delivery], style: str) -> None:
        found = list(found)
        if not found:
            return
        self._heading(f"{title} ({len(found)})", style)
        for one in found:
            self._print(_clean(one.uri), indent=1)
            for problem in one.problems:
                self._print(_clean(problem), indent=4)
            if not one.problems:
                self._print(f"session {_clean(one.session_arn)}", indent=4)

    def _foot(self) -> None:
        report, reading = self._report, self._report.reading
        self._console.print()
        for region, why in reading.unsearched.items():
            self._print(f"{region} was not searched: {why}.", style="dim")
        if reading.unreadable:
            self._print(f"{reading.unreadable} events could not be read and are not judged.", style="bold red")
        for note in (*report.scope.notes, *([_B_SEES] if report.scope.side == "b" else []), LIMITS):
            self._print(note, style="dim")
        counts = [
            (sum(len(s.all) for s in report.having(kind)), kind) for kind in ("known", "unknown", "denied", "failed")
        ]
        told = ", ".join(f"{count} {kind}" for count, kind in counts if count or kind in ("known", "unknown"))
        requests = "1 request" if reading.lookups == 1 else f"{reading.lookups} requests"
        self._console.print()
        self._print(f"Calls: {told} ({requests} to CloudTrail).", style="bold green" if report.clean else "bold red")


def _clean(text: str) -> str:
    """Without the characters that move a cursor or hide text: names and messages are other people's."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _when(session: Session) -> str:
    first, last = session.first.call.time, session.last.call.time
    text = f"{first:%Y-%m-%d %H:%M:%S}"
    return text if len(session.all) == 1 else f"{text}\nx{len(session.all)}, last {_short(last, first)}"


def _short(moment: datetime, beside: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.date() == beside.date() else f"{moment:%m-%d %H:%M}"


def _task(task: NamedTask) -> Text:
    text = Text(_clean(f"{task.dag_id} / {task.task_id}"))
    if task.map_index >= 0:
        text.append(f" [{task.map_index}]")
    if task.known_by == "name":
        text.append(" ?", style="yellow")
    text.append(f"\n{_clean(task.run_id)}", style="dim")
    return text


def _caller(session: Session, *, full: bool = False) -> str:
    call = session.first.call
    if call.caller_arn:
        return _clean(call.caller_arn if full else call.caller_arn.split(":", 5)[-1])
    if not call.caller_account:
        return _clean(call.caller_id or "somebody who was not recorded")
    return _clean(f"{'account ' if full else ''}{call.caller_account} {call.caller_id}")


def _landed(one: Delivery, *, apart: str = ", ") -> Text:
    if one.state in ("delivering", "replacing"):
        return Text("under way" if one.state == "delivering" else "being replaced", style="yellow")
    objects = "1 object" if one.objects == 1 else f"{one.objects:,} objects"
    rows = [] if one.rows is None else [f"{one.rows:,} rows"]
    return Text(apart.join([objects, _size(one.size_bytes), *rows]))


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
