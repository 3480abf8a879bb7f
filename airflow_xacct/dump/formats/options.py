"""What can be chosen about each format. The defaults are what most readers take as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["CsvOptions", "FormatOptions", "JsonLinesOptions", "ParquetOptions"]

_DELIMITERS = (",", ";", "|", "\t")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """Options of CSV.

    :param header: whether each object begins with the names of the columns.
    :param delimiter: between two fields; a character that no number, date or time contains.
    :param null_text: what NULL looks like, never in quotes; a value that looks the same is quoted.
    :param boolean_texts: true and false.
    """

    header: bool = True
    delimiter: str = ","
    null_text: str = ""
    boolean_texts: tuple[str, str] = ("t", "f")

    def __post_init__(self) -> None:
        if self.delimiter not in _DELIMITERS:
            raise InvalidArgumentError(
                f"{self.delimiter!r} is no delimiter for CSV",
                where="delimiter",
                remedy=f"Use one of {', '.join(map(repr, _DELIMITERS))}.",
            )
        for where, texts in (("null_text", (self.null_text,)), ("boolean_texts", self.boolean_texts)):
            for text in texts:
                if set(text) & {self.delimiter, '"', "\r", "\n"}:
                    raise InvalidArgumentError(
                        f"{text!r} holds a delimiter, a quote or a line end",
                        where=where,
                        remedy="Use plain text.",
                    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesOptions:
    """Options of JSON Lines.

    :param non_finite: what becomes of NaN and infinity, which JSON has no number for: ``"error"``, ``"null"``, or
        ``"text"`` (``"NaN"``, ``"Infinity"``, ``"-Infinity"``, as PostgreSQL writes them).
    """

    non_finite: Literal["error", "null", "text"] = "error"

    def __post_init__(self) -> None:
        if self.non_finite not in ("error", "null", "text"):
            raise InvalidArgumentError(
                f"non_finite={self.non_finite!r} is not known",
                where="non_finite",
                remedy="It is 'error', 'null' or 'text'.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetOptions:
    """Options of Parquet. A row group ends at whichever limit comes first, and is held in memory as a whole.

    :param row_group_rows: the most rows of a row group.
    :param row_group_bytes: about how many bytes of Arrow data one holds.
    :param statistics: whether each column chunk says its least and greatest value.
    """

    row_group_rows: int = 131_072
    row_group_bytes: int = 64 * 1024 * 1024
    statistics: bool = True

    def __post_init__(self) -> None:
        for name in ("row_group_rows", "row_group_bytes"):
            if getattr(self, name) < 1:
                raise InvalidArgumentError("it must be at least 1", where=name, remedy="Leave it out for the default.")


FormatOptions = CsvOptions | JsonLinesOptions | ParquetOptions
