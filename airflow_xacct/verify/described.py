"""What a manifest says of a dump as a whole, as far as it helps to count its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_xacct.destination.text import kind_of, show

__all__ = ["CsvForm", "csv_form", "version_of"]

_QUOTES = ('"', "'")
_QUOTINGS = ("all", "minimal", "none", "nonnumeric")
_TWO_BYTES = ("utf-16", "utf-16-le", "utf-16-be")
"""Encodings in which a line end is not one byte; in all others that a dump writes, it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvForm:
    """How CSV is written. The defaults are those of files that nobody has described.

    :param header: whether the first record names the columns; ``None`` where nobody knows.
    :param quote: what stands around a value that holds a line end; empty where nothing does.
    :param escapes: a backslash takes the meaning from the character behind it.
    :param encoding: Python's name of it where a line end is not one byte, else empty.
    """

    header: bool | None = None
    quote: bytes = b'"'
    escapes: bool = False
    encoding: str = ""


def csv_form(dump: Any, problems: list[str]) -> CsvForm:
    """How the CSV of a dump is written.

    :param dump: what stands under ``xacct.dump``; ``None`` where no dump made the delivery.
    :param problems: is added to, where it says what cannot be.
    """
    if dump is None:
        return CsvForm()
    options = dump.get("options", {}) if isinstance(dump, dict) else None
    if not isinstance(options, dict):
        problems.append(f"what it says of the dump is {kind_of(dump)} without options")
        return CsvForm()
    if dump.get("format") != "csv":
        return CsvForm()
    given = {"quoting": "minimal", "quote_char": '"', "escape_char": None, "encoding": "utf-8", **options}
    allowed: dict[str, tuple[object, ...]] = {
        "header": (True, False),
        "quoting": _QUOTINGS,
        "quote_char": _QUOTES,
        "escape_char": (None, "\\"),
    }
    for name, values in allowed.items():
        value = given.get(name)
        if not isinstance(value, (bool, str, type(None))) or value not in values:
            problems.append(
                f"it says of the dump that its {name} is {show(value) if isinstance(value, str) else kind_of(value)}"
            )
            return CsvForm()
    return CsvForm(
        header=given["header"],
        quote=b"" if given["quoting"] == "none" else given["quote_char"].encode(),
        escapes=given["escape_char"] is not None,
        encoding=given["encoding"] if given["encoding"] in _TWO_BYTES else "",
    )


def version_of(dump: Any) -> str:
    """The name of the folder that holds the objects; empty where there is none."""
    version = dump.get("version") if isinstance(dump, dict) else None
    return version if isinstance(version, str) else ""
