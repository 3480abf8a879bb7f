"""Counting rows: values with line ends, whatever the block borders, and bombs that stay flat."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_xacct.verify.described import CsvForm, csv_form
from airflow_xacct.verify.reading import ObjectStream
from airflow_xacct.verify.rows import (
    Counted,
    NotCountedError,
    RowCounter,
    parquet_footer_bytes,
    parquet_rows,
    row_format,
)


def dribble(body: bytes, size_bytes: int) -> ObjectStream:
    """The stream of an object whose connection hands out a few bytes at a time, so that blocks end anywhere."""

    class Body(io.BytesIO):
        def read(self, wanted: int | None = -1, /) -> bytes:
            return super().read(size_bytes)

    return ObjectStream(lambda offset: Body(body[offset:]), len(body), lambda told: None)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a/b.csv", ("csv", "")),
        ("b.CSV.GZ", ("csv", "gzip")),
        ("b.jsonl.zst", ("jsonl", "zstd")),
        ("b.ndjson", ("jsonl", "")),
        ("b.parquet", ("parquet", "")),
        ("b.parquet.gz", None),
        ("b.json", None),
        ("csv", None),
        ("b.csv/part", None),
        ("b.gz", None),
    ],
)
def test_the_name_says_the_format(key: str, expected: tuple[str, str] | None) -> None:
    """By its suffixes, as readers go by them."""
    assert row_format(key) == expected


rows = st.lists(st.lists(st.text(alphabet='a",\n\r ', max_size=4), min_size=2, max_size=3), max_size=6)


@settings(max_examples=150, deadline=None)
@given(rows=rows, size_bytes=st.integers(1, 7), packed=st.sampled_from(["", "gzip", "zstd"]))
def test_csv_is_counted_as_a_parser_counts_it(rows: list[list[str]], size_bytes: int, packed: str) -> None:
    """Quotes, doubled quotes and line ends within values, cut anywhere."""
    sink = io.StringIO(newline="")
    csv.writer(sink, quoting=csv.QUOTE_ALL).writerows(rows)
    body = sink.getvalue().encode()
    packers = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}
    counted = RowCounter("csv", packed).count(dribble(packers[packed](body), size_bytes))
    assert counted == Counted(len(rows), may_have_header=True)


def test_a_last_line_without_an_end_is_a_row() -> None:
    """And an empty object has none."""
    for form in ("csv", "jsonl"):
        counts = [RowCounter(form, "").count(io.BytesIO(body)).records for body in (b"", b"a", b"a\n", b"a\nb")]
        assert counts == [0, 1, 1, 2]


def test_a_header_may_or_may_not_be_there() -> None:
    """A CSV file does not say it; JSON Lines have none."""
    csv_rows, lines = (
        RowCounter("csv", "").count(io.BytesIO(b"a\n1\n")),
        RowCounter("jsonl", "").count(io.BytesIO(b"1\n2\n")),
    )
    assert [csv_rows.is_for(number) for number in range(4)] == [False, True, True, False]
    assert [lines.is_for(number) for number in range(4)] == [False, False, True, False]


@settings(max_examples=150, deadline=None)
@given(
    rows=rows,
    size_bytes=st.integers(1, 7),
    header=st.booleans(),
    quoting=st.sampled_from(["minimal", "all", "none"]),
    escapes=st.booleans(),
    quote=st.sampled_from(['"', "'"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-be"]),
)
def test_csv_of_a_dump_is_counted_exactly(rows, size_bytes, header, quoting, escapes, quote, encoding) -> None:
    """With the options that the manifest names, whatever they are, there is one right number and no other."""
    escapes = escapes or quoting == "none"
    sink = io.StringIO(newline="")
    csv.writer(
        sink,
        quoting={"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "none": csv.QUOTE_NONE}[quoting],
        quotechar=quote,
        doublequote=not escapes,
        escapechar="\\" if escapes else None,
        lineterminator="\n",
    ).writerows([["a", "b"]] * header + [[*row, "x"] for row in rows])
    options = {"header": header, "quoting": quoting, "quote_char": quote, "encoding": encoding}
    options |= {"escape_char": "\\"} if escapes else {}
    problems: list[str] = []
    form = csv_form({"format": "csv", "options": options}, problems)
    counted = RowCounter("csv", "", form).count(dribble(sink.getvalue().encode(encoding), size_bytes))
    assert problems == []
    assert [number for number in range(len(rows) + 2) if counted.is_for(number)] == [len(rows)]


def test_a_dump_without_the_header_it_promises() -> None:
    """No number of rows fits to it."""
    counted = RowCounter("csv", "", CsvForm(header=True)).count(io.BytesIO(b""))
    assert not counted.is_for(0)
    assert RowCounter("csv", "", CsvForm(header=False)).count(io.BytesIO(b"")).is_for(0)
    with pytest.raises(NotCountedError, match="its manifest says"):
        RowCounter("csv", "", CsvForm(encoding="utf-16-le")).count(io.BytesIO(b"\x00\xd8a\x00"))


@pytest.mark.parametrize(
    ("dump", "problem"),
    [
        ([], "the dump is a list"),
        ({"format": "csv", "options": 1}, "without options"),
        ({"format": "csv", "options": {}}, "its header is null"),
        ({"format": "csv", "options": {"header": 1}}, "its header is an integer"),
        ({"format": "csv", "options": {"header": True, "quote_char": "ab"}}, "its quote_char is 'ab'"),
        ({"format": "csv", "options": {"header": True, "escape_char": ["x"]}}, "its escape_char is a list"),
        ({"format": "csv", "options": {"header": True, "quoting": "some"}}, "its quoting is 'some'"),
    ],
)
def test_options_that_no_dump_has(dump, problem: str) -> None:
    """A manifest is somebody else's text."""
    problems: list[str] = []
    assert csv_form(dump, problems) == CsvForm()
    assert problem in problems[0]


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_a_bomb_stays_flat(packed: str) -> None:
    """200 MB in some kilobytes: unpacked a block at a time."""
    source = b"\n" * (200 * 1024**2)
    body = gzip.compress(source, 1) if packed == "gzip" else zstandard.ZstdCompressor().compress(source)
    expected = len(source)
    del source
    tracemalloc.start()
    try:
        assert RowCounter("jsonl", packed).count(io.BytesIO(body)).records == expected
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024**2


@pytest.mark.parametrize(
    ("packed", "body"),
    [("gzip", b"plain"), ("gzip", gzip.compress(b"a\n" * 9, mtime=0)[:-5]), ("zstd", b"plain text"), ("", b'a,"b\n')],
)
def test_what_is_not_what_its_name_says(packed: str, body: bytes) -> None:
    """A reason, no traceback."""
    with pytest.raises(NotCountedError, match="its name says"):
        RowCounter("csv", packed).count(io.BytesIO(body))


def _parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": list(range(5000))}), sink, row_group_size=100)
    return sink.getvalue().to_pybytes()


def test_parquet_rows_are_in_the_footer() -> None:
    """The end of the file is enough."""
    body = _parquet()
    length = parquet_footer_bytes(body[-8:], len(body))
    assert length < len(body) / 2
    assert parquet_rows(body[-length:]) == Counted(5000)


@pytest.mark.parametrize(
    ("end", "size_bytes"),
    [(b"", 0), (b"PAR1", 4), (b"\xff\xff\xff\xffPAR1", 2**40), (b"\x64\0\0\0PAR1", 50), (b"\x01\0\0\0PARE", 50)],
)
def test_an_absurd_footer_is_not_fetched(end: bytes, size_bytes: int) -> None:
    """Four gigabytes, larger than the file, none at all."""
    with pytest.raises(NotCountedError):
        parquet_footer_bytes(end, size_bytes)


def test_without_pyarrow_parquet_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency of the receiver."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert parquet_rows(_parquet()) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_footer_parses_or_is_refused(noise: bytes) -> None:
    """Whatever thrift makes of it."""
    body = noise + len(noise).to_bytes(4, "little") + b"PAR1"
    try:
        counted = parquet_rows(body)
    except NotCountedError:
        return
    assert counted is not None
