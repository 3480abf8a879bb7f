"""The report for a person: one line for each check, the remedies below what failed, and a summary."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from airflow_xacct.doctor.finding import Finding, Group, Report, Status

__all__ = ["Screen"]

#: A file or a pipe has no width of its own; this one fits a terminal and a mail.
PLAIN_WIDTH_CHARS = 80
_GROUPS: tuple[tuple[Group, str], ...] = (("works", "Does it work?"), ("safe", "Is it safe?"))
_STYLES: dict[Status, str] = {"pass": "green", "fail": "bold red", "cannot_see": "yellow"}
_SIGNS: dict[Status, str] = {"pass": "✔", "fail": "✘", "cannot_see": "?"}
_PLAIN_SIGNS: dict[Status, str] = {"pass": "ok", "fail": "NO", "cannot_see": " ?"}


class Screen:
    """Prints a report to one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        unicode = not console.options.ascii_only
        self._signs = _SIGNS if unicode else _PLAIN_SIGNS
        self._arrow = "→" if unicode else "->"
        if not console.is_terminal:
            console.width = PLAIN_WIDTH_CHARS

    def report(self, report: Report) -> None:
        """All findings, group by group."""
        accounts = [
            f"Account {name} {account}"
            for name, account in (("A", report.account_a), ("B", report.account_b))
            if account
        ]
        self._say(Text(f"Connection {report.conn_id}", style="bold").append(_listed(accounts), style="not bold"))
        for group, heading in _GROUPS:
            self._say(Text(""))
            self._say(Text(heading, style="bold"))
            for finding in report.findings:
                if finding.group == group:
                    self._finding(finding)
        self._say(Text(""))
        self._say(self._summary(report))
        hidden = sum(finding.owner_sees for finding in report.findings)
        if hidden:
            self._say(Text(f"B's owner can see {hidden} of them: --owner-profile PROFILE.", style="dim"))

    def _finding(self, finding: Finding) -> None:
        sign = Text("  ").append(self._signs[finding.status], style=_STYLES[finding.status]).append(" ")
        line = Text(finding.title, style="bold" if finding.status == "fail" else "")
        if finding.status == "fail":
            line.append(f" ({finding.id})", style="not bold")
        verb = "cannot see, " if finding.status == "cannot_see" else ""
        line.append(f": {verb}{finding.evidence}", style="dim" if finding.status == "cannot_see" else "not bold")
        self._say(line, first=sign)
        for remedy in finding.remedies:
            arrow = Text(f"{' ' * len(sign)}{self._arrow} ")
            self._say(Text(f"{remedy.addressee}: ", style="bold").append(remedy.text, style="not bold"), first=arrow)

    def _summary(self, report: Report) -> Text:
        passed, failed, unseen = (len(report.of_status(status)) for status in ("pass", "fail", "cannot_see"))
        counts = f"{passed} passed, {failed} failed, {unseen} cannot be seen from here."
        if failed:
            names = ", ".join(finding.id for finding in report.of_status("fail"))
            return Text(f"{counts} Failed: {names}.", style="bold red")
        return Text(f"{counts} Nothing that could be seen is wrong.", style="bold green")

    def _say(self, text: Text, *, first: Text | None = None) -> None:
        """Wrap with a hanging indent."""
        indent = first if first is not None else Text("")
        lines = text.wrap(self._console, max(20, self._console.width - len(indent)), overflow="fold")
        for line in lines:
            line.rstrip()
            self._console.print(indent + line, highlight=False)
            indent = Text(" " * len(indent))


def _listed(accounts: list[str]) -> str:
    return f" ({', '.join(accounts)})" if accounts else ""
