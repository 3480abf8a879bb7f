"""The fields of a column of CSV: quotes, escapes, formulas. What ``csv_fields`` does for one text, by Arrow."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.arrow_constants import constant
from airflow_xacct.dump.formats import text_functions as texts
from airflow_xacct.dump.formats.csv_fields import END_OF_DATA, FORMULA, HARMLESS
from airflow_xacct.dump.formats.csv_options import CsvOptions
from airflow_xacct.dump.formats.text_rows import special_bytes
from airflow_xacct.exceptions import SourceError

__all__ = ["Fields", "fields_of"]


class Fields(ABC):
    """How values become fields.

    :param alone: each row has one field.
    """

    def __init__(self, options: CsvOptions, *, alone: bool) -> None:
        self._options = options
        self._alone = alone
        self._special = options.special.encode()

    @abstractmethod
    def text(self, text: pa.Array, column: str) -> pa.Array:
        """Values that may hold anything, NULL as NULL.

        :param column: for messages.
        :raises SourceError: a value that these options cannot write.
        """

    @abstractmethod
    def plain(self, text: pa.Array, column: str, *, numeric: bool) -> pa.Array:
        """Values that hold no special character: numbers, dates and the like. Likewise."""

    def safe(self, text: pa.Array, column: str) -> pa.Array:
        """Text that no spreadsheet takes for a formula, if that was asked for.

        :raises SourceError: there is one, and it was to be refused.
        """
        if self._options.formulas == "keep":
            return text
        formula = pc.match_substring_regex(text, FORMULA)
        if not pc.any(formula, min_count=0).as_py():
            return text
        formula = pc.and_not(formula, pc.match_substring_regex(text, HARMLESS))
        if self._options.formulas == "escape":
            return texts.if_else(formula, texts.join("'", text), text)
        if pc.any(formula, min_count=0).as_py():
            raise SourceError(
                f"the column {column!r} holds a text that a spreadsheet would take for a formula",
                where="formulas='refuse'",
                remedy="Correct the data, or write a ' before it (formulas='escape').",
            )
        return text


class QuotedFields(Fields):
    """Values in quotes, where they need them or always."""

    def __init__(self, options: CsvOptions, *, alone: bool) -> None:
        super().__init__(options, alone=alone)
        self._all_text = options.quoting != "minimal" or options.formulas != "keep"
        self._special_class = f"[{re.escape(options.special)}]"

    def text(self, text: pa.Array, column: str) -> pa.Array:  # noqa: ARG002 - every value can be written
        """See :class:`Fields`."""
        if self._all_text:
            return self._in_quotes(text, special_bytes(text, self._special))
        alike = pc.equal(text, constant(self._options.null_text))
        if self._alone:
            alike = pc.or_(alike, pc.equal(text, constant(END_OF_DATA)))
        found = special_bytes(text, self._special)
        if found:
            alike = pc.or_(alike, pc.match_substring_regex(text, self._special_class))
        if not pc.any(alike, min_count=0).as_py():
            return text
        return texts.if_else(alike, self._in_quotes(text, found), text)

    def plain(self, text: pa.Array, column: str, *, numeric: bool) -> pa.Array:  # noqa: ARG002 - likewise
        """See :class:`Fields`."""
        options = self._options
        if options.quoting == "all" or (options.quoting == "nonnumeric" and not numeric):
            return texts.join(options.quote_char, text, options.quote_char)
        if not options.null_text:
            return text  # a number or date is never empty
        alike = pc.equal(text, constant(options.null_text))
        if not pc.any(alike, min_count=0).as_py():
            return text
        return texts.if_else(alike, texts.join(options.quote_char, text, options.quote_char), text)

    def _in_quotes(self, text: pa.Array, found: set[int]) -> pa.Array:
        quote, escape = self._options.quote_char, self._options.escape_char
        if escape is None:
            inner = texts.replace_substring(text, quote, quote * 2) if ord(quote) in found else text
        else:
            inner = _escaped(text, escape, found & {ord(quote), ord(escape)})
        return texts.join(quote, inner, quote)


class BareFields(Fields):
    """No quotes at all: a value is escaped, or fits as it is, or is an error."""

    def text(self, text: pa.Array, column: str) -> pa.Array:
        """See :class:`Fields`."""
        escape, found = self._options.escape_char, special_bytes(text, self._special)
        if escape is not None:
            made = _escaped(text, escape, found)
        elif found - {ord(self._options.quote_char)}:
            raise self._lost(column, "a delimiter or a line end")
        else:
            made = text
        if self._alone and (_holds(made, "") or _holds(made, END_OF_DATA)):
            raise self._lost(column, "a text that makes an empty line or the end of the file")
        return self._unlike_null(made, column)

    def plain(self, text: pa.Array, column: str, *, numeric: bool) -> pa.Array:  # noqa: ARG002 - no quotes anyway
        """See :class:`Fields`."""
        return self._unlike_null(text, column)

    def _unlike_null(self, text: pa.Array, column: str) -> pa.Array:
        options = self._options
        if not options.null_is_safe and _holds(text, options.null_text):
            raise self._lost(column, f"{options.null_text!r}, which is what NULL looks like")
        return text

    @staticmethod
    def _lost(column: str, what: str) -> SourceError:
        return SourceError(
            f"the column {column!r} holds {what}, and there are no quotes to tell it apart",
            where="quoting='none'",
            remedy="Choose another quoting, or an escape_char, delimiter or null_text that does.",
        )


def _holds(array: pa.Array, value: str) -> bool:
    return bool(pc.any(pc.equal(array, constant(value)), min_count=0).as_py())


def _escaped(text: pa.Array, escape: str, found: set[int]) -> pa.Array:
    # the escape itself first: the others bring new ones
    for code in sorted(found, key=lambda code: code != ord(escape)):
        text = texts.replace_substring(text, chr(code), escape + chr(code))
    return text


def fields_of(options: CsvOptions, *, alone: bool) -> Fields:
    """The fields that the options ask for."""
    return (BareFields if options.quoting == "none" else QuotedFields)(options, alone=alone)
