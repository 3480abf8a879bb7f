"""What can be chosen about CSV, and which choices no reader could undo."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from airflow_xacct.dump.formats.option_checks import Options, check_choice, check_flag, refused

__all__ = ["CsvOptions", "EncodingErrors", "Formulas", "Quoting"]

Quoting = Literal["minimal", "all", "nonnumeric", "none"]
Formulas = Literal["keep", "escape", "refuse"]
EncodingErrors = Literal["error", "replace"]

_DELIMITERS = (",", ";", "|", "\t", "^", "~", "\x01", "\x1f")
_QUOTES = ('"', "'")
_LINE_TERMINATORS = ("\n", "\r\n")
_MARKS = {
    "utf-8-sig": ("utf-8", codecs.BOM_UTF8),
    "utf-16": ("utf-16-le", codecs.BOM_UTF16_LE),
}
"""Encodings that begin a file with a byte order mark: what encodes the text behind it, and the mark."""

_ENCODINGS = (
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii", "iso8859-1", "iso8859-2", "iso8859-15",
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257", "cp437", "cp850", "koi8-r",
)  # fmt: skip
"""No encoding in which a byte of one character may look like a delimiter, as in Shift JIS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions(Options):
    r"""Options of CSV. The defaults write what PostgreSQL's COPY writes.

    :param header: whether each object begins with the names of the columns.
    :param delimiter: between two fields; a character that no number, date or time contains.
    :param quoting: ``"minimal"`` quotes the values that need it; ``"all"`` every value but NULL; ``"nonnumeric"``
        every value but NULL and those of numeric columns; ``"none"`` nothing: then ``null_text`` must not be empty, and
        without ``escape_char`` a value that holds a delimiter or a line end is an error that names the column.
    :param quote_char: around values.
    :param escape_char: ``None``: a quote within quotes is doubled. A backslash: it stands before quotes and backslashes
        within quotes; with ``quoting="none"`` before delimiters, line ends, quotes and backslashes.
    :param null_text: what NULL looks like, never in quotes; a value that looks the same is quoted, so that they differ.
        With ``quoting="none"`` such a value is an error, but for ``\N`` with an ``escape_char``, which no value can be.
    :param line_terminator: ``"\n"`` or ``"\r\n"``.
    :param encoding: Python's name of it, such as ``"utf-8-sig"`` (what Excel needs to see UTF-8), ``"utf-16"`` (little
        endian, with a mark), ``"latin-1"``, ``"cp1252"``.
    :param encoding_errors: a character that the encoding does not have is an ``"error"`` that names the column, or
        becomes ``?`` with ``"replace"``.
    :param formulas: a text that a spreadsheet would take for a formula (OWASP: *CSV Injection*): ``"keep"`` it as it
        is, ``"escape"`` it with a ``'`` before it, or ``"refuse"`` it with an error that names the column. Both of the
        latter put all text in quotes. Numeric columns, and a text that is nothing but a negative number, stay.
    :param boolean_texts: true and false.
    :param timestamps: ``"sql"`` (``2013-01-01 05:00:00+00``) or ``"iso"`` (``2013-01-01T05:00:00+00:00``).
    :param binary: ``"hex"`` (with ``\x`` before it, as PostgreSQL writes it) or ``"base64"``.
    :raises InvalidArgumentError: a value that is not known, or several that contradict each other.
    """

    header: bool = True
    delimiter: str = ","
    quoting: Quoting = "minimal"
    quote_char: str = '"'
    escape_char: str | None = None
    null_text: str = ""
    line_terminator: str = "\n"
    encoding: str = "utf-8"
    encoding_errors: EncodingErrors = "error"
    formulas: Formulas = "keep"
    boolean_texts: Sequence[str] = ("t", "f")
    timestamps: Literal["sql", "iso"] = "sql"
    binary: Literal["hex", "base64"] = "hex"

    def __post_init__(self) -> None:
        check_flag(self.header, "header")
        check_choice(self.delimiter, _DELIMITERS, "delimiter")
        check_choice(self.quoting, get_args(Quoting), "quoting")
        check_choice(self.quote_char, _QUOTES, "quote_char")
        if self.escape_char is not None:
            check_choice(self.escape_char, ("\\",), "escape_char")
        check_choice(self.line_terminator, _LINE_TERMINATORS, "line_terminator")
        check_choice(self.encoding_errors, get_args(EncodingErrors), "encoding_errors")
        check_choice(self.formulas, get_args(Formulas), "formulas")
        check_choice(self.timestamps, ("sql", "iso"), "timestamps")
        check_choice(self.binary, ("hex", "base64"), "binary")
        object.__setattr__(self, "encoding", _encoding(self.encoding))
        self._check_texts()
        self._check_null()
        self._check_formulas()

    @property
    def codec(self) -> str:
        """What encodes each row, without a mark."""
        return _MARKS.get(self.encoding, (self.encoding, b""))[0]

    @property
    def mark(self) -> bytes:
        """What each object begins with."""
        return _MARKS.get(self.encoding, ("", b""))[1]

    @property
    def special(self) -> str:
        """The characters that a field cannot hold as they are."""
        return self.delimiter + self.quote_char + "\r\n" + (self.escape_char or "")

    @property
    def null_is_safe(self) -> bool:
        """Whether no value can look like NULL even without quotes: an escape before a letter stands in none."""
        return bool(self.escape_char and re.fullmatch(r"\\[A-Za-z]", self.null_text))

    def _check_texts(self) -> None:
        given = self.boolean_texts
        is_pair = isinstance(given, (tuple, list)) and len(given) == 2
        if not is_pair or not all(isinstance(text, str) and text for text in given):
            raise refused(f"{given!r} are not two texts", "boolean_texts", "Give those for true and false.")
        object.__setattr__(self, "boolean_texts", tuple(given))
        if given[0] == given[1]:
            raise refused(f"true and false would both be {given[0]!r}", "boolean_texts", "Give two different texts.")
        if not isinstance(self.null_text, str):
            raise refused(f"{self.null_text!r} is no text", "null_text", "Give a text; the empty one is the default.")
        for where, texts in (("null_text", (self.null_text,)), ("boolean_texts", given)):
            for text in texts:
                special = set(self.special)
                if where == "null_text" and self.null_is_safe:
                    special.discard("\\")
                if set(text) & special:
                    raise refused(
                        f"{text!r} holds a delimiter, a quote, an escape or a line end", where, "Use plain text."
                    )
                self._check_encodable(text, where)

    def _check_encodable(self, text: str, where: str) -> None:
        try:
            text.encode(self.codec)
        except UnicodeEncodeError as error:
            raise refused(f"{text!r} has no form in {self.encoding}", where, "Use another text or encoding.") from error

    def _check_null(self) -> None:
        if self.quoting != "none":
            return
        if not self.null_text:
            raise refused(
                "without quotes, an empty null_text is the same as an empty text",
                "null_text",
                r"Give another, such as '\\N', which together with escape_char='\\' is the same as no value.",
            )
        if self.null_text in self.boolean_texts:
            raise refused(
                f"without quotes, NULL and a boolean would both be {self.null_text!r}",
                "null_text",
                "Give different texts.",
            )

    def _check_formulas(self) -> None:
        if self.formulas == "keep":
            return
        for where, value, only in (
            ("quoting", self.quoting == "none", "quotes"),
            ("escape_char", self.escape_char is not None, "doubled quotes"),
            ("quote_char", self.quote_char != '"', "the quote '\"'"),
        ):
            if value:
                raise refused(
                    f"formulas={self.formulas!r} protects nobody here: spreadsheets know {only} alone, and a cell "
                    "could begin in the middle of a value",
                    where,
                    f"Leave {where} out, or formulas.",
                )


def _encoding(name: object) -> str:
    try:
        known = codecs.lookup(name).name if isinstance(name, str) else ""
    except LookupError:
        known = ""
    if known not in _ENCODINGS:
        raise refused(
            f"{name!r} is no encoding that CSV can have here",
            "encoding",
            f"Use one of {', '.join(map(repr, _ENCODINGS))}, or another name of one of them.",
        )
    return known
