"""The content type of an object, by its name."""

from __future__ import annotations

import mimetypes

import pytest

from airflow_xacct.dump.compression import compression_content_type
from airflow_xacct.dump.content_type import DEFAULT_CONTENT_TYPE, guess_content_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flights.csv", "text/csv"),
        ("ds=2013-01-01/flights.parquet", "application/vnd.apache.parquet"),
        ("flights.jsonl", "application/x-ndjson"),
        ("flights.ndjson", "application/x-ndjson"),
        ("flights.json", "application/json"),
        ("flights.avro", "application/avro"),
        ("FLIGHTS.CSV", "text/csv"),
        ("page.html", "text/html"),
        ("flights.csv.gz", "application/gzip"),
        ("flights.tar.gz", "application/gzip"),
        ("flights.tgz", "application/gzip"),
        ("flights.csv.zst", "application/zstd"),
        ("data:text/html,x.csv", "text/csv"),
        ("v1.json/flights", DEFAULT_CONTENT_TYPE),
        ("flights", DEFAULT_CONTENT_TYPE),
        (".csv", DEFAULT_CONTENT_TYPE),
        ("", DEFAULT_CONTENT_TYPE),
        ("flights.unheard-of", DEFAULT_CONTENT_TYPE),
    ],
)
def test_the_last_suffix_decides(name: str, expected: str) -> None:
    """Case does not count, directories do not either, and a name is no URL."""
    assert guess_content_type(name) == expected


def test_the_hosts_own_table_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an image puts into the global table changes no object's metadata."""
    mimetypes.init()
    mimetypes.add_type("application/x-host", ".csv")
    try:
        assert guess_content_type("flights.csv") == "text/csv"
    finally:
        mimetypes.init()


def test_the_suffix_of_a_compression_gives_its_content_type() -> None:
    """One fact, stated in two modules."""
    assert guess_content_type("x.gz") == compression_content_type("gzip")
    assert guess_content_type("x.zst") == compression_content_type("zstd")
