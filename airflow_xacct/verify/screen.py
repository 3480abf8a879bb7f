"""The report as a person reads it: what was delivered, one table of objects, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_xacct.verify.report import ObjectReport, Report, Verdict

__all__ = ["Screen"]

_PLAIN_WIDTH_CHARS = 80
_MOST_ROWS: dict[Verdict, int] = {"false": 50, "unseen": 20, "true": 20}
_MOST_EXTRA = 10
_STYLES: dict[Verdict, str] = {"true": "green", "false": "bold red", "unseen": "yellow"}
_SIGNS: dict[Verdict, str] = {"true": "✔", "false": "✘", "unseen": "?"}
_PLAIN_SIGNS: dict[Verdict, str] = {"true": "ok", "false": "NO", "unseen": "?"}
_HEADINGS: dict[Verdict, str] = {
    "true": "The delivery is what its manifest says: ",
    "false": "The delivery is not what its manifest says: ",
    "unseen": "Not everything could be looked at: ",
}


class Screen:
    """Prints reports to one console; 80 columns are enough, and without a terminal it takes no more."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plain = console.options.ascii_only
        self._signs = _PLAIN_SIGNS if self._plain else _SIGNS
        if not console.is_terminal:
            # a file has no width of its own; this one fits a screen
            console.width = _PLAIN_WIDTH_CHARS

    def show(self, report: Report) -> None:
        """Print one report."""
        self._head(report)
        if report.objects:
            self._console.print()
            self._print(self._table(report))
            self._left_out(report)
        for title, lines, style in (
            ("Wrong with the delivery as a whole", report.problems, "red"),
            ("Not looked at", report.unseen, "yellow"),
        ):
            if lines:
                self._console.print()
                self._say(title, style=f"bold {style}")
                for line in lines:
                    self._say(line, indent=2, style=style)
        self._extra(report)
        self._console.print()
        self._say(_HEADINGS[report.verdict] + _summary(report), style=_STYLES[report.verdict])

    def _head(self, report: Report) -> None:
        about = report.claims.about
        self._say(f"Delivery {report.uri}", style="bold")
        if about.get("dag_id"):
            run = f"{about['dag_id']} / {about.get('task_id', '')}, {about.get('run_id', '')}"
            self._say(f"of {run}, begun {about.get('created_at', '')}", indent=2)
            self._say(f"by {about.get('session_arn', '').split(':', 5)[-1]}", indent=2)
        self._say(f"looked at by {report.looked_as}", indent=2, style="dim")
        self._say(f"in a bucket of account {report.expected_owner}", indent=2, style="dim")
        if report.claims.skipped:
            self._say(f"{_counted(len(report.claims.skipped))} left out: somebody else's object was there", indent=2)

    def _table(self, report: Report) -> Table:
        table = Table(
            box=box.ASCII2 if self._plain else box.SIMPLE_HEAD,
            header_style="bold",
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        table.add_column("", width=2 if self._plain else 1)
        table.add_column(f"Object below {self._clean(report.place)}", overflow="fold", ratio=1)
        table.add_column("Size", justify="right", no_wrap=True)
        table.add_column("Rows", justify="right", no_wrap=True)
        table.add_column("Checksum", no_wrap=True)
        for verdict in ("false", "unseen", "true"):
            for one in report.having(verdict)[: _MOST_ROWS[verdict]]:
                sign = Text(self._signs[one.verdict], style=_STYLES[one.verdict])
                table.add_row(sign, self._object(one, report), _size(one), _rows(one), _checksum(one))
        return table

    def _print(self, table: Table) -> None:
        """Without the blanks and empty lines around a table, which only fill a log."""
        for line in self._console.render_lines(table, pad=False):
            text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
            text.rstrip()
            if text.plain:
                self._console.print(text, no_wrap=True)

    def _object(self, one: ObjectReport, report: Report) -> Text:
        text = Text(self._clean(one.url.removeprefix(report.place)) or "(no URL)")
        for lines, style in ((one.problems, "red"), (one.unseen, "yellow"), (one.notes, "dim")):
            for line in lines:
                text.append(f"\n{self._clean(line)}", style=style)
        return text

    def _left_out(self, report: Report) -> None:
        words: dict[Verdict, str] = {
            "false": "that are not as the manifest says",
            "unseen": "that could not be looked at",
            "true": "that are as the manifest says",
        }
        for verdict, text in words.items():
            more = len(report.having(verdict)) - _MOST_ROWS[verdict]
            if more > 0:
                self._say(f"and {_counted(more)} more {text}", indent=2, style="dim")

    def _extra(self, report: Report) -> None:
        extra = report.extra
        if extra.why_not and not report.strict:
            self._console.print()
            self._say(f"What else lies below the prefix was not looked at: {extra.why_not}", style="dim")
        if not extra.count:
            return
        self._console.print()
        more = "" if extra.complete else "at least "
        self._say(f"Not named by the manifest: {more}{_counted(extra.count)}", style="bold")
        self._lines(extra.keys[:_MOST_EXTRA])
        if extra.count > _MOST_EXTRA:
            self._say(f"and {extra.count - _MOST_EXTRA:,} more", indent=2, style="dim")

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line, indent=2)

    def _say(self, text: str, *, indent: int = 0, style: str = "") -> None:
        wrapped = Text(self._clean(text), style=style).wrap(
            self._console, self._console.width - indent, overflow="fold"
        )
        for part in wrapped:
            part.rstrip()
            self._console.print(Text(" " * indent) + part)

    def _clean(self, text: str) -> str:
        """Without characters that move a cursor, hide text, or that this output cannot write: names are others'."""
        text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
        return text.encode("ascii", "replace").decode() if self._plain else text


def _summary(report: Report) -> str:
    if not report.objects:
        return {
            "absent": "there is none.",
            "delivering": "it is under way.",
            "replacing": "it is being replaced.",
            "unreadable": "it cannot be read.",
        }.get(report.state, "it names no object.")
    parts = [(len(report.having("false")), "wrong"), (len(report.having("unseen")), "not looked at")]
    told = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    counted = all(one.counted_rows is not None for one in report.objects if one.role == "data")
    rows = "" if report.claims.rows is None else f", {_plural(report.claims.rows, 'row')}"
    rows += " (not counted)" if rows and not counted else ""
    how = ", every byte read" if report.recompute and report.verdict == "true" else ""
    total = f"{_counted(len(report.claims.entries))}, {_readable(report.claims.size_bytes)}{rows}{how}"
    return f"{told} of {total}." if told else f"{total}."


def _size(one: ObjectReport) -> str:
    return "" if one.size_bytes is None else _readable(one.size_bytes)


def _rows(one: ObjectReport) -> str:
    return "-" if one.rows is None else f"{one.rows:,}"


def _checksum(one: ObjectReport) -> str:
    if one.recomputed_checksum is not None:
        return "recomputed" if one.recomputed_checksum == one.checksum_crc64nvme else "differs"
    if one.stored_checksum is not None:
        return "as stored" if one.stored_checksum == one.checksum_crc64nvme else "differs"
    return "-"


def _counted(number: int) -> str:
    return _plural(number, "object")


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _readable(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
