"""Options from what a DAG gives: a class, a dictionary, nothing."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.dump.formats import (
    FORMATS,
    CsvOptions,
    FormatOptions,
    JsonLinesOptions,
    ParquetOptions,
    format_spec,
)
from airflow_xacct.exceptions import InvalidArgumentError

PAGE = (Path(__file__).parents[4] / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_every_option_is_on_the_page_of_its_format(name: str) -> None:
    """In the table below the heading that names its class."""
    kind = format_spec(name).options_type
    _, _, section = PAGE.partition(f"`{kind.__name__}`\n")
    section = section.partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    missing = [field.name for field in fields(kind) if not any(f"`{field.name}`" in row for row in rows)]
    assert not missing


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_the_defaults(name: str) -> None:
    spec = format_spec(name)
    assert spec.options(None) == spec.options({}) == spec.options_type()


def test_a_dictionary_is_the_class() -> None:
    """Lists become tuples, so that what was declared cannot change any more."""
    assert format_spec("csv").options({"delimiter": ";", "boolean_texts": ["1", "0"]}) == CsvOptions(
        delimiter=";", boolean_texts=("1", "0")
    )
    given = ["a"]
    made = ParquetOptions(statistics=given, dictionaries=given, bloom_filters=given, sorted_by=given)
    given.append("b")
    assert made.statistics == made.dictionaries == made.bloom_filters == made.sorted_by == ("a",)


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("csv", {"delimeter": ";"}, "'csv' has no option 'delimeter'; did you mean 'delimiter'?"),
        ("csv", {"row_group_rows": 5}, "'csv' has no option 'row_group_rows', which is one of 'parquet'"),
        ("csv", {"nulls": "omit"}, "'csv' has no option 'nulls', which is one of 'jsonl'"),
        ("parquet", {"binary": "hex"}, "'parquet' has no option 'binary', which is one of 'csv' and 'jsonl'"),
        ("jsonl", {"a": 1, "b": 2}, "'jsonl' has no option 'a'; 'jsonl' has no option 'b'"),
        ("jsonl", {1: 2}, "'jsonl' has no option 1"),
        ("csv", ParquetOptions(), "ParquetOptions are no options of 'csv'"),
        ("parquet", CsvOptions(), "CsvOptions are no options of 'parquet'"),
        ("csv", "delimiter=;", "str are no options of 'csv'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_option(name: str, given: Any, text: str) -> None:
    """Every unknown name at once, the nearest known one, or the format that has it."""
    with pytest.raises(InvalidArgumentError) as caught:
        format_spec(name).options(given)
    assert text in str(caught.value)
    assert caught.value.where == "format_options"


def test_a_wrong_value_in_a_dictionary() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        format_spec("csv").options({"delimiter": "ab"})
    assert caught.value.where == "delimiter"


@pytest.mark.parametrize(
    "options",
    [
        CsvOptions(encoding="utf-16"),
        JsonLinesOptions(),
        ParquetOptions(metadata={"b": "1", "a": "2"}, statistics=["x"]),
    ],
    ids=lambda options: type(options).__name__,
)
def test_options_pickle_and_say_what_they_are(options: FormatOptions) -> None:
    """Airflow moves them between processes; a digest of their text tells whether a dump was declared anew."""
    copy = pickle.loads(pickle.dumps(options))  # noqa: S301 - our own
    assert copy == options
    assert repr(copy) == repr(options)


PARQUET: list[tuple[dict[str, Any], str]] = [
    ({"row_group_rows": 0}, "row_group_rows"),
    ({"row_group_rows": True}, "row_group_rows"),
    ({"row_group_bytes": 1.5}, "row_group_bytes"),
    ({"data_page_bytes": 0}, "data_page_bytes"),
    ({"dictionaries": "all"}, "dictionaries"),
    ({"dictionaries": None}, "dictionaries"),
    ({"dictionaries": ["a", "a"]}, "dictionaries"),
    ({"statistics": "a"}, "statistics"),
    ({"statistics": [1]}, "statistics"),
    ({"statistics": [""]}, "statistics"),
    ({"statistics": 1}, "statistics"),
    ({"bloom_filters": "a"}, "bloom_filters"),
    ({"bloom_filters": {"a": 1}}, "bloom_filters"),
    ({"bloom_filters": ["a"], "bloom_filter_values": 0}, "bloom_filter_values"),
    ({"bloom_filter_values": 10}, "bloom_filter_values"),
    ({"bloom_filter_false_positives": 1.0}, "bloom_filter_false_positives"),
    ({"bloom_filter_false_positives": 0}, "bloom_filter_false_positives"),
    ({"page_index": "yes"}, "page_index"),
    ({"page_index": True, "statistics": False}, "page_index"),
    ({"page_index": True, "statistics": []}, "page_index"),
    ({"page_checksums": 1}, "page_checksums"),
    ({"data_page_version": 2}, "data_page_version"),
    ({"timestamp_unit": "ns"}, "timestamp_unit"),
    ({"truncate_timestamps": True}, "truncate_timestamps"),
    ({"sorted_by": "a"}, "sorted_by"),
    ({"metadata": ["a"]}, "metadata"),
    ({"metadata": {"a": 1}}, "metadata"),
    ({"metadata": {"xacct.run_id": "x"}}, "metadata"),
    ({"metadata": {"ARROW:schema": "x"}}, "metadata"),
]


@pytest.mark.parametrize(("wrong", "where"), PARQUET, ids=[repr(wrong) for wrong, _ in PARQUET])
def test_what_parquet_refuses(wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        ParquetOptions(**wrong)
    assert caught.value.where == where
    assert caught.value.remedy
