"""The tables of ``docs/connection.md``, made from the table of extras.

``python -m airflow_xacct.destination.docs_table docs/connection.md`` writes them between their markers.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from airflow_xacct.destination.client_config import SETTINGS
from airflow_xacct.destination.field import Field
from airflow_xacct.destination.fields import FIELDS

__all__ = ["extras_table", "main", "regenerated", "settings_table"]


def extras_table() -> str:
    """Return a Markdown table of all extras."""
    rows = ["| extra | what it says | legal values | when absent |", "|---|---|---|---|"]
    for field in FIELDS:
        absent = "**required**" if field.required else field.default or "none"
        page = f" AWS: *{field.page}*." if field.page else ""
        rows.append(f"| `{field.name}` | {field.help}{page} | {_legal(field)} | {absent} |")
    return "\n".join(rows)


def settings_table() -> str:
    """Return a Markdown table of the settings that ``config_kwargs`` may hold."""
    rows = ["| setting | legal values |", "|---|---|"]
    for setting in SETTINGS:
        needs = ", needs `[xacct] allow_proxies`" if setting.needs_proxies else ""
        rows.append(f"| `{setting.name}` | {setting.limits}{needs} |")
    return "\n".join(rows)


def regenerated(text: str) -> str:
    """Return a page with its tables made anew.

    :raises ValueError: if a marker is missing.
    """
    tables: dict[str, Callable[[], str]] = {"extras": extras_table, "settings": settings_table}
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name}: generated -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
        match = pattern.search(text)
        if match is None:
            raise ValueError(f"the page has no place for the table of {name}")
        text = f"{text[: match.end(1)]}{table()}\n{text[match.start(2) :]}"
    return text


def main(arguments: Sequence[str]) -> int:
    """Write the tables of the pages that the arguments name.

    :returns: the exit status.
    """
    for name in arguments:
        page = Path(name)
        page.write_text(regenerated(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def _legal(field: Field) -> str:
    limits = f", {field.limits}" if field.limits else ""
    # An example of an External ID would be copied, and then be anything but one per partner.
    if field.masked:
        return f"{field.kind}{limits}"
    example = field.example if isinstance(field.example, str) else json.dumps(field.example)
    return f"{field.kind}{limits}, such as `{example}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
