"""What can be chosen about each format. The defaults are what most readers take as it is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from airflow_xacct.dump.formats.csv_options import CsvOptions
from airflow_xacct.dump.formats.option_checks import (
    Options,
    check_choice,
    check_flag,
    check_names,
    check_whole_number,
    refused,
)

__all__ = ["CsvOptions", "FormatOptions", "JsonLinesOptions", "ParquetOptions", "options_from"]

OUR_METADATA = "xacct."
"""What the keys of our own metadata in a Parquet file begin with."""

_BLOOM_FILTERS_SINCE = 24  # the release of pyarrow in which ParquetWriter takes bloom_filter_options

_ARROWS_METADATA = ("ARROW:schema", "pandas")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesOptions(Options):
    """Options of JSON Lines.

    :param non_finite: what becomes of NaN and infinity, which JSON has no number for: ``"error"``, ``"null"``, or
        ``"text"`` (``"NaN"``, ``"Infinity"``, ``"-Infinity"``, as PostgreSQL writes them).
    :param exact_numbers: decimals and integers of 64 bits, which a reader that takes every number for a double (such as
        JavaScript) would round: a ``"number"`` with all its digits, or a ``"text"``. It depends on the type of the
        column, not on the value, so that a column looks the same in every row.
    :param nulls: ``"keep"`` (``null``), or ``"omit"`` columns that are NULL; within nested values it stays.
    :param binary: ``"base64"`` or ``"hex"``.
    :raises InvalidArgumentError: a value that is not known.
    """

    non_finite: Literal["error", "null", "text"] = "error"
    exact_numbers: Literal["number", "text"] = "number"
    nulls: Literal["keep", "omit"] = "keep"
    binary: Literal["base64", "hex"] = "base64"

    def __post_init__(self) -> None:
        check_choice(self.non_finite, ("error", "null", "text"), "non_finite")
        check_choice(self.exact_numbers, ("number", "text"), "exact_numbers")
        check_choice(self.nulls, ("keep", "omit"), "nulls")
        check_choice(self.binary, ("base64", "hex"), "binary")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetOptions(Options):
    """Options of Parquet. A row group ends at whichever limit comes first, and is held in memory as a whole.

    Columns are named as in the rows; a nested one stands for all that is in it.

    :param row_group_rows: the most rows of a row group.
    :param row_group_bytes: about how many bytes of Arrow data one holds.
    :param dictionaries: ``"auto"`` (the columns whose first rows show that it pays), or the columns that get one.
    :param statistics: whether each column chunk says its least and greatest value; or the columns that do.
    :param bloom_filters: columns that get a Bloom filter in each row group; needs pyarrow 24 or later.
    :param bloom_filter_values: how many different values a filter is made for; ``None`` for ``row_group_rows``.
    :param bloom_filter_false_positives: how often a filter may say yes where no is right, between 0 and 1.
    :param page_index: the least and greatest value of each page, together at the end of the file.
    :param page_checksums: a CRC-32 of each page.
    :param data_page_version: ``"1.0"``, which every reader knows, or ``"2.0"``.
    :param data_page_bytes: about how large a page is before it is compressed.
    :param timestamp_unit: ``"ms"`` or ``"us"`` for all timestamps; ``None`` leaves them as they are. A value that does
        not fit is an error that names the column.
    :param truncate_timestamps: cut what does not fit into ``timestamp_unit`` instead.
    :param sorted_by: the columns by which the rows come sorted, ascending, without NULL, text by its bytes; said in
        each row group, and checked: rows in another order are an error.
    :param metadata: further key-value metadata of each file.
    :raises InvalidArgumentError: a value that cannot be used, or several that contradict each other.
    """

    row_group_rows: int = 131_072
    row_group_bytes: int = 64 * 1024 * 1024
    dictionaries: Literal["auto"] | Sequence[str] = "auto"
    statistics: bool | Sequence[str] = True
    bloom_filters: Sequence[str] = ()
    bloom_filter_values: int | None = None
    bloom_filter_false_positives: float = 0.01
    page_index: bool = False
    page_checksums: bool = False
    data_page_version: Literal["1.0", "2.0"] = "1.0"
    data_page_bytes: int = 1024 * 1024
    timestamp_unit: Literal["ms", "us"] | None = None
    truncate_timestamps: bool = False
    sorted_by: Sequence[str] = ()
    metadata: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for name in ("row_group_rows", "row_group_bytes", "data_page_bytes"):
            check_whole_number(getattr(self, name), 1, name)
        for name in ("page_index", "page_checksums", "truncate_timestamps"):
            check_flag(getattr(self, name), name)
        check_choice(self.data_page_version, ("1.0", "2.0"), "data_page_version")
        if self.timestamp_unit is not None:
            check_choice(self.timestamp_unit, ("ms", "us"), "timestamp_unit")
        elif self.truncate_timestamps:
            raise refused(
                "nothing is truncated as long as timestamps keep their unit",
                "truncate_timestamps",
                "Give timestamp_unit too.",
            )
        if self.dictionaries != "auto":
            object.__setattr__(self, "dictionaries", check_names(self.dictionaries, "dictionaries"))
        if not isinstance(self.statistics, bool):
            object.__setattr__(self, "statistics", check_names(self.statistics, "statistics"))
        if self.page_index and not self.statistics:
            raise refused("a page index is made of statistics", "page_index", "Leave statistics=False out.")
        object.__setattr__(self, "sorted_by", check_names(self.sorted_by, "sorted_by"))
        self._check_bloom_filters()
        self._check_metadata()

    @property
    def newest_need(self) -> tuple[str, int] | None:
        """See :class:`~airflow_xacct.dump.formats.option_checks.Options`."""
        return ("Bloom filters", _BLOOM_FILTERS_SINCE) if self.bloom_filters else None

    def _check_bloom_filters(self) -> None:
        object.__setattr__(self, "bloom_filters", check_names(self.bloom_filters, "bloom_filters"))
        if self.bloom_filter_values is not None:
            check_whole_number(self.bloom_filter_values, 1, "bloom_filter_values")
            if not self.bloom_filters:
                raise refused("there is no Bloom filter to size", "bloom_filter_values", "Name its columns too.")
        share = self.bloom_filter_false_positives
        if isinstance(share, bool) or not isinstance(share, float) or not 0 < share < 1:
            raise refused(
                f"{share!r} is no share between 0 and 1", "bloom_filter_false_positives", "Use 0.01, or leave it out."
            )

    def _check_metadata(self) -> None:
        given = {} if self.metadata is None else self.metadata
        if not isinstance(given, Mapping) or not all(
            isinstance(text, str) and text for item in given.items() for text in item
        ):
            raise refused(f"{given!r} are not all texts", "metadata", "Give texts by their keys.")
        ours = [key for key in given if key.startswith(OUR_METADATA) or key in _ARROWS_METADATA]
        if ours:
            raise refused(
                f"the key {ours[0]!r} is not yours to give",
                "metadata",
                f"Begin it with something else than {OUR_METADATA!r}, and leave those of Arrow and pandas alone.",
            )
        object.__setattr__(self, "metadata", dict(sorted(given.items())))


FormatOptions = CsvOptions | JsonLinesOptions | ParquetOptions

_TYPES: dict[type[FormatOptions], str] = {CsvOptions: "csv", JsonLinesOptions: "jsonl", ParquetOptions: "parquet"}


def options_from(given: FormatOptions | Mapping[str, Any] | None, wanted: type[FormatOptions]) -> FormatOptions:
    """The options of a format, from what a DAG gave: its class, its names and values, or nothing.

    :raises InvalidArgumentError: those of another format, a name that is not known, or a value that cannot be used.
    """
    if given is None:
        return wanted()
    if isinstance(given, wanted):
        return given
    name = _TYPES[wanted]
    if not isinstance(given, Mapping):
        raise refused(
            f"{type(given).__name__} are no options of {name!r}",
            "format_options",
            f"Give {wanted.__name__}, or a dictionary.",
        )
    known = [field.name for field in fields(wanted)]
    problems = [_unknown(option, name, known) for option in given if option not in known]
    if problems:
        raise refused("; ".join(problems), "format_options", f"Options of {name!r}: {', '.join(known)}.")
    return wanted(**given)


def _unknown(option: object, name: str, known: Sequence[str]) -> str:
    text = f"{name!r} has no option {option!r}"
    others = [other for kind, other in _TYPES.items() if option in {field.name for field in fields(kind)}]
    if others:
        return f"{text}, which is one of {' and '.join(map(repr, others))}"
    near = difflib.get_close_matches(str(option), known, 1)
    return f"{text}; did you mean {near[0]!r}?" if near else text
