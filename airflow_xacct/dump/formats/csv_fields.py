"""One field of CSV, and the header that is made of them. No pyarrow here; values go by column in ``csv_quoting``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_xacct.dump.formats.csv_options import CsvOptions
from airflow_xacct.dump.formats.option_checks import refused

__all__ = ["END_OF_DATA", "FORMULA", "HARMLESS", "csv_field", "csv_header"]

END_OF_DATA = "\\."
"""On a line of its own, it ends the file for PostgreSQL."""

FORMULA = r"\A[=+\-@\t\r\n]"
"""How a text begins that a spreadsheet takes for a formula (OWASP: *CSV Injection*)."""

HARMLESS = r"\A-[0-9]+(\.[0-9]+)?\z"
"""A negative number: as text it comes from a database where it has more digits than Arrow, and it computes nothing."""

_FORMULA, _HARMLESS = re.compile(FORMULA), re.compile(HARMLESS.replace(r"\z", r"\Z"))


def csv_field(text: str, options: CsvOptions, *, alone: bool = False) -> str:
    """One text, in quotes where a reader would otherwise take it for something else, as PostgreSQL does.

    :param alone: it is the only field of its row.
    :raises InvalidArgumentError: it cannot be written, or would be a formula.
    """
    if options.formulas != "keep" and _FORMULA.match(text) and not _HARMLESS.match(text):
        if options.formulas == "refuse":
            raise refused(f"{text!r} begins as a formula does", "formulas", "Give the column another name.")
        text = "'" + text
    if options.quoting == "none":
        return _bare(text, options, alone=alone)
    alike = text == options.null_text or (alone and text == END_OF_DATA)
    forced = options.quoting != "minimal" or options.formulas != "keep"
    if not (forced or alike or set(options.special) & set(text)):
        return text
    quote, escape = options.quote_char, options.escape_char
    inner = text.replace(quote, quote * 2) if escape is None else _escaped(text, escape + quote, escape)
    return quote + inner + quote


def _bare(text: str, options: CsvOptions, *, alone: bool) -> str:
    escape = options.escape_char
    made = text if escape is None else _escaped(text, options.special, escape)
    lost = escape is None and bool(set(text) & (set(options.special) - {options.quote_char}))
    if lost or made == options.null_text or (alone and made in ("", END_OF_DATA)):
        raise refused(f"{text!r} has no form without quotes", "quoting", "Choose another quoting, or an escape_char.")
    return made


def _escaped(text: str, special: str, escape: str) -> str:
    return "".join(escape + char if char in special else char for char in text)


def csv_header(names: Iterable[str], options: CsvOptions) -> bytes:
    """What a CSV file begins with: the mark of its encoding, and the first row where the options want one.

    :raises InvalidArgumentError: a name that these options cannot write.
    """
    if not options.header:
        return options.mark
    listed = list(names)
    fields = (csv_field(name, options, alone=len(listed) == 1) for name in listed)
    row = options.delimiter.join(fields) + options.line_terminator
    try:
        return options.mark + row.encode(options.codec, "replace" if options.encoding_errors == "replace" else "strict")
    except UnicodeEncodeError as error:
        raise refused(
            f"the header holds {row[error.start]!r}, which {options.encoding} does not have",
            "encoding",
            "Give the column another name, or choose another encoding, or encoding_errors='replace'.",
        ) from error
