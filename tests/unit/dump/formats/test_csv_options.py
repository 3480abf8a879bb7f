"""Every option of CSV: what it writes, who reads it back, and what it refuses."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_xacct.dump.formats import CsvOptions, format_spec
from airflow_xacct.dump.formats.csv_fields import csv_field, csv_header
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

Encode = Callable[..., bytes]

TRAPS = [
    "plain",
    "a,b",
    'said "hi"',
    "line\nend",
    "cr\rx",
    "back\\slash",
    "tab\there",
    "",
    "é😀",
    "a;b|c",
    "'q'",
    "NULL",
]


def batch_of(texts: list[str | None]) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array([-5] * len(texts), pa.int64()), "t": pa.array(texts, pa.string())})


def read(data: bytes, **reader: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), **reader))


def test_the_defaults_are_those_of_copy() -> None:
    """A source that writes CSV itself is used untouched when options equal these."""
    options = CsvOptions()
    assert (options.header, options.delimiter, options.quoting, options.quote_char) == (True, ",", "minimal", '"')
    assert (options.escape_char, options.null_text, options.line_terminator) == (None, "", "\n")
    assert (options.encoding, options.encoding_errors, options.formulas) == ("utf-8", "error", "keep")
    assert (options.boolean_texts, options.timestamps, options.binary) == (("t", "f"), "sql", "hex")


@pytest.mark.parametrize(
    ("quoting", "wanted"),
    [
        ("minimal", b'i,f,t,d,b,x\n1,0.5,x,2013-01-01,t,\\x00\n,,"",,,\n'),
        (
            "all",
            b'"i","f","t","d","b","x"\n"1","0.5","x","2013-01-01","t","\\x00"\n,,"",,,\n',
        ),
        (
            "nonnumeric",
            b'"i","f","t","d","b","x"\n1,0.5,"x","2013-01-01","t","\\x00"\n,,"",,,\n',
        ),
    ],
)
def test_quoting(encode: Encode, quoting: str, wanted: bytes) -> None:
    """NULL never has quotes, so that it and the empty text differ everywhere."""
    batch = pa.record_batch(
        {
            "i": pa.array([1, None]),
            "f": pa.array([0.5, None]),
            "t": pa.array(["x", ""]),
            "d": pa.array([dt.date(2013, 1, 1), None]),
            "b": pa.array([True, None]),
            "x": pa.array([b"\0", None]),
        }
    )
    assert encode("csv", batch, options={"quoting": quoting}) == wanted


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t", "^", "~", "\x01", "\x1f"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_delimiters_and_quotes_come_back(encode: Encode, delimiter: str, quote: str) -> None:
    data = encode("csv", batch_of([*TRAPS, delimiter, quote]), options={"delimiter": delimiter, "quote_char": quote})
    rows = read(data, delimiter=delimiter, quotechar=quote)
    assert rows[0] == ["n", "t"]
    assert [row[1] for row in rows[1:]] == [*TRAPS, delimiter, quote]


def test_an_escape_before_quotes(encode: Encode) -> None:
    """Within quotes, before quotes and backslashes; a backslash alone puts a value, binary ones too, in quotes."""
    batch = pa.record_batch({"t": ['a "b"', "c\\d", "e", None], "x": pa.array([b"\xff", None, b"", b"a"], pa.binary())})
    data = encode("csv", batch, options={"escape_char": "\\"})
    assert data == b't,x\n"a \\"b\\"","\\\\xff"\n"c\\\\d",\ne,"\\\\x"\n,"\\\\x61"\n'
    rows = read(data, escapechar="\\", doublequote=False)
    assert rows[1:] == [['a "b"', "\\xff"], ["c\\d", ""], ["e", "\\x"], ["", "\\x61"]]


def test_no_quotes_with_an_escape(encode: Encode) -> None:
    r"""Everything comes back; NULL is \N, which no value can be."""
    options = {"quoting": "none", "escape_char": "\\", "null_text": "\\N", "delimiter": "|"}
    data = encode("csv", batch_of([*TRAPS, "\\N", "N", None]), options=options)
    assert data.endswith(b"-5|\\\\N\n-5|N\n-5|\\N\n")
    rows = read(data, delimiter="|", quoting=csv.QUOTE_NONE, escapechar="\\")
    assert [row[1] for row in rows[1:-1]] == [*TRAPS, "\\N", "N"]


@pytest.mark.parametrize("trap", ["a,b", "a\nb", "a\rb", "NULL"])
def test_no_quotes_and_no_escape(encode: Encode, trap: str) -> None:
    """What has no form is an error that names the column; the rest passes, quotes included."""
    options = {"quoting": "none", "null_text": "NULL"}
    assert encode("csv", batch_of(['a "b"', None, "", "\\."]), options=options) == (
        b'n,t\n-5,a "b"\n-5,NULL\n-5,\n-5,\\.\n'
    )
    with pytest.raises(SourceError, match=r"the column 't' holds .* and there are no quotes to tell it apart"):
        encode("csv", batch_of(["x", trap]), options=options)


def test_no_quotes_and_a_number_that_looks_like_null(encode: Encode) -> None:
    with pytest.raises(SourceError, match="the column 'n' holds '-5', which is what NULL looks like"):
        encode("csv", batch_of(["x"]), options={"quoting": "none", "null_text": "-5"})


@pytest.mark.parametrize("trap", ["", "\\."])
def test_no_quotes_in_a_single_column(encode: Encode, trap: str) -> None:
    """An empty line is no row for many readers, and a backslash with a point the end for PostgreSQL."""
    with pytest.raises(SourceError, match="an empty line or the end of the file"):
        encode("csv", pa.record_batch({"t": ["x", trap]}), options={"quoting": "none", "null_text": "NULL"})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a,b", {"quoting": "none", "null_text": "-"}),
        ("=1+1", {"formulas": "refuse"}),
        ("price €", {"encoding": "latin-1"}),
    ],
    ids=["bare", "formula", "encoding"],
)
def test_names_of_columns_that_cannot_be_written(name: str, options: dict[str, Any]) -> None:
    """Found before the first row."""
    with pytest.raises(InvalidArgumentError):
        format_spec("csv").encoder(pa.schema({name: pa.int64()}), options=options)
    format_spec("csv").encoder(pa.schema({name: pa.int64()}), options={**options, "header": False})


def test_line_ends_of_two_bytes(encode: Encode) -> None:
    data = encode("csv", batch_of(["a\nb", None]), options={"line_terminator": "\r\n"})
    assert data == b'n,t\r\n-5,"a\nb"\r\n-5,\r\n'


@pytest.mark.parametrize(
    ("encoding", "mark", "codec"),
    [
        ("utf-8-sig", codecs.BOM_UTF8, "utf-8"),
        ("UTF-16", codecs.BOM_UTF16_LE, "utf-16-le"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf_16_be", b"", "utf-16-be"),
    ],
)
@pytest.mark.parametrize("header", [True, False])
def test_encodings_of_everything(encode: Encode, encoding: str, mark: bytes, codec: str, header: bool) -> None:
    """One mark at the beginning, with or without a header, and none in between."""
    batch = batch_of([*TRAPS, None])
    plain = encode("csv", batch, options={"header": header})
    made = encode("csv", batch, options={"encoding": encoding, "header": header})
    assert made[: len(mark)] == mark
    assert made[len(mark) :] == plain.decode().encode(codec)
    assert codecs.BOM_UTF8 not in made[len(mark) :]


def test_encodings_of_some(encode: Encode) -> None:
    """Other names of an encoding are the same one; a character it lacks is an error that names column and character."""
    batch = pa.record_batch({"n": [1, 2], "grüße": ["é", "ß"], "note": ["fine", "5 €"]})
    with pytest.raises(SourceError, match=r"the column 'note' holds '€' \(U\+20AC\), which iso8859-1 does not have"):
        encode("csv", batch, options={"encoding": "latin-1"})
    assert CsvOptions(encoding="windows-1252") == CsvOptions(encoding="cp1252")
    wanted = "n,grüße,note\n1,é,fine\n2,ß,5 €\n"
    assert encode("csv", batch, options={"encoding": "windows-1252"}) == wanted.encode("cp1252")
    replaced = encode("csv", batch, options={"encoding": "latin-1", "encoding_errors": "replace"})
    assert replaced == wanted.replace("€", "?").encode("latin-1")
    names = encode("csv", pa.record_batch({"€": [1]}), options={"encoding": "ascii", "encoding_errors": "replace"})
    assert names == b"?\n1\n"


FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\tx", "\rx", "\nx", "=", "-", "--5", "-5.", "-5e3"]
HARMLESS = ["a=1", " =1", "-5", "-0.25", "5", "", "'=1", "1-1"]


def test_formulas_are_escaped(encode: Encode) -> None:
    """OWASP's three steps: a quote before the text, all text in quotes, quotes doubled; numbers stay numbers."""
    data = encode("csv", batch_of([*FORMULAS, *HARMLESS, None]), options={"formulas": "escape"})
    rows = read(data)
    assert rows[0] == ["n", "t"]
    assert {row[0] for row in rows[1:]} == {"-5"}
    assert [row[1] for row in rows[1:-1]] == [*("'" + text for text in FORMULAS), *HARMLESS]
    assert data.splitlines()[-1] == b"-5,"
    examples = encode("csv", pa.record_batch({"t": ['=1+2";=1+2', "=1+2'\" ;,=1+2"]}), options={"formulas": "escape"})
    assert examples == b'"t"\n"\'=1+2"";=1+2"\n"\'=1+2\'"" ;,=1+2"\n'


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_refused(encode: Encode, text: str) -> None:
    with pytest.raises(SourceError, match="column 't' holds a text that a spreadsheet would take for a formula"):
        encode("csv", batch_of(["x", text]), options={"formulas": "refuse"})


def test_what_is_no_formula_passes(encode: Encode) -> None:
    """Also where formulas are refused; and by default everything does."""
    rows = read(encode("csv", batch_of(HARMLESS), options={"formulas": "refuse"}))
    assert [row[1] for row in rows[1:]] == HARMLESS
    assert [row[1] for row in read(encode("csv", batch_of(FORMULAS)))[1:]] == FORMULAS


def test_formulas_in_other_columns(encode: Encode) -> None:
    """Numbers, dates and JSON are none; base64, which may begin with a plus, is treated as text; so is the header."""
    batch = pa.record_batch(
        {
            "=n": pa.array([-0.5, float("-inf")]),
            "x": pa.array([b"\xf8", None], pa.binary()),
            "j": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["-1", None])),
        }
    )
    made = encode("csv", batch, options={"formulas": "escape", "binary": "base64"})
    assert made == b'"\'=n","x","j"\n-0.5,"\'+A==","-1"\n-Infinity,,\n'


def test_timestamps_and_binary(encode: Encode) -> None:
    batch = pa.record_batch(
        {
            "l": pa.array([dt.datetime.fromisoformat("2013-01-01T05:00")], pa.timestamp("us")),
            "z": pa.array([0], pa.timestamp("us", "UTC")),
            "x": [b"\xff\0"],
        }
    )
    made = encode("csv", batch, options={"timestamps": "iso", "binary": "base64", "header": False})
    assert made == b"2013-01-01T05:00:00,1970-01-01T00:00:00+00:00,/wA=\n"


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"header": 1}, "header"),
    ({"delimiter": "a"}, "delimiter"),
    ({"delimiter": '"'}, "delimiter"),
    ({"delimiter": ",,"}, "delimiter"),
    ({"delimiter": None}, "delimiter"),
    ({"quoting": "always"}, "quoting"),
    ({"quote_char": ","}, "quote_char"),
    ({"quote_char": ""}, "quote_char"),
    ({"escape_char": '"'}, "escape_char"),
    ({"null_text": "a,b"}, "null_text"),
    ({"null_text": 'a"b'}, "null_text"),
    ({"null_text": "a\n"}, "null_text"),
    ({"null_text": None}, "null_text"),
    ({"null_text": "|", "delimiter": "|"}, "null_text"),
    ({"null_text": "a\\b", "escape_char": "\\"}, "null_text"),
    ({"null_text": "\\\\", "escape_char": "\\"}, "null_text"),
    ({"null_text": "€", "encoding": "latin-1"}, "null_text"),
    ({"quoting": "none"}, "null_text"),
    ({"quoting": "none", "escape_char": "\\"}, "null_text"),
    ({"quoting": "none", "null_text": "t"}, "null_text"),
    ({"line_terminator": "\r"}, "line_terminator"),
    ({"encoding": "utf-7"}, "encoding"),
    ({"encoding": "no such"}, "encoding"),
    ({"encoding": "rot13"}, "encoding"),
    ({"encoding": 8}, "encoding"),
    ({"encoding": "shift_jis"}, "encoding"),
    ({"encoding_errors": "ignore"}, "encoding_errors"),
    ({"formulas": True}, "formulas"),
    ({"formulas": "escape", "quoting": "none", "null_text": "-"}, "quoting"),
    ({"formulas": "refuse", "escape_char": "\\"}, "escape_char"),
    ({"formulas": "escape", "quote_char": "'"}, "quote_char"),
    ({"boolean_texts": ("t",)}, "boolean_texts"),
    ({"boolean_texts": "tf"}, "boolean_texts"),
    ({"boolean_texts": ("t", "t")}, "boolean_texts"),
    ({"boolean_texts": ("t", "")}, "boolean_texts"),
    ({"boolean_texts": (True, False)}, "boolean_texts"),
    ({"boolean_texts": ("a,", "b")}, "boolean_texts"),
    ({"boolean_texts": None}, "boolean_texts"),
    ({"timestamps": "epoch"}, "timestamps"),
    ({"binary": "octal"}, "binary"),
]


@pytest.mark.parametrize(("wrong", "where"), CONTRADICTIONS, ids=[repr(wrong) for wrong, _ in CONTRADICTIONS])
def test_what_no_reader_could_undo_is_refused(wrong: dict[str, Any], where: str) -> None:
    """By name, before a database is asked."""
    with pytest.raises(InvalidArgumentError) as caught:
        CsvOptions(**wrong)
    assert caught.value.where == where
    assert caught.value.remedy


ANY_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "delimiter": st.sampled_from([",", ";", "\t", "\x01"]),
        "quoting": st.sampled_from(["minimal", "all", "nonnumeric", "none"]),
        "quote_char": st.sampled_from(['"', "'"]),
        "escape_char": st.sampled_from([None, "\\"]),
        "null_text": st.sampled_from(["", "NULL", "\\N", "x"]),
        "formulas": st.sampled_from(["keep", "escape", "refuse"]),
        "line_terminator": st.sampled_from(["\n", "\r\n"]),
    },
)
ANY_TEXT = st.text(st.sampled_from("xNUL,;\t\x01\"'\\\n\r=-+.5é"), max_size=6) | st.sampled_from(["\\.", "NULL", "\\N"])


@settings(max_examples=300, deadline=None)
@given(chosen=ANY_OPTIONS, text=ANY_TEXT, alone=st.booleans())
def test_arrow_and_python_agree(encode: Encode, chosen: dict[str, Any], text: str, alone: bool) -> None:
    """A value is written as the same text in a header is, or both are refused."""
    try:
        options = CsvOptions(**chosen, header=False)
    except InvalidArgumentError:
        return
    columns = {"t": pa.array([text])} if alone else {"t": pa.array([text]), "i": pa.array([1])}
    tail = options.line_terminator if alone else options.delimiter + "1" + options.line_terminator
    try:
        wanted: str | None = csv_field(text, options, alone=alone) + tail
    except InvalidArgumentError:
        wanted = None
    try:
        made: str | None = encode("csv", pa.record_batch(columns), options=options).decode()
    except SourceError:
        made = None
    if options.quoting == "all" and wanted is not None and not alone:
        wanted = wanted.replace(tail, f"{options.delimiter}{options.quote_char}1{options.quote_char}{tail[2:]}")
    assert made == wanted


def test_a_header_of_its_own() -> None:
    """Names are quoted as values are, whatever has no quotes for numbers."""
    assert csv_header(["a", "b c", "d;e"], CsvOptions(delimiter=";")) == b'a;b c;"d;e"\n'
    assert csv_header(["a"], CsvOptions(quoting="nonnumeric", encoding="utf-16")) == '﻿"a"\n'.encode("utf-16-le")
    assert csv_header(["a"], CsvOptions(header=False)) == b""


ROWS: list[tuple[int | None, str | None]] = [(1, "a,b"), (2, 'x "y" z'), (None, "é\nß"), (4, ""), (5, None), (6, "\\")]


@pytest.mark.parametrize(
    ("options", "duck", "pandas"),
    [
        ({}, {}, {}),
        ({"quoting": "all", "delimiter": ";"}, {"delim": ";"}, {"sep": ";"}),
        ({"quoting": "nonnumeric", "null_text": "NULL"}, {"nullstr": "NULL"}, {"na_values": ["NULL"]}),
        ({"escape_char": "\\"}, {"escape": "\\"}, {"escapechar": "\\", "doublequote": False}),
        ({"line_terminator": "\r\n"}, {"new_line": "\\r\\n"}, {}),
        ({"quote_char": "'"}, {"quote": "''", "escape": "''"}, {"quotechar": "'"}),
        ({"encoding": "utf-16", "null_text": "-"}, {"encoding": "utf-16", "nullstr": "-"}, {"encoding": "utf-16"}),
        ({"encoding": "latin-1"}, {"encoding": "latin-1"}, {"encoding": "latin-1"}),
        ({"encoding": "utf-8-sig"}, {}, {}),
    ],
    ids=["default", "all", "nonnumeric", "escape", "crlf", "quote", "utf-16", "latin-1", "utf-8-sig"],
)
def test_duckdb_pandas_and_polars_read_it(
    encode: Encode, tmp_path: Path, options: dict[str, Any], duck: dict[str, str], pandas: dict[str, Any]
) -> None:
    """As docs/formats.md says it; DuckDB and polars tell NULL from the empty text, pandas where NULL has a text."""
    path = tmp_path / "rows.csv"
    numbers, texts = zip(*ROWS, strict=True)
    path.write_bytes(encode("csv", pa.record_batch({"n": numbers, "t": texts}), options=options))
    null, encoding = options.get("null_text", ""), options.get("encoding", "utf-8")

    settled = ", ".join(
        f"{name}='{text}'" for name, text in {"delim": ",", "quote": '"', "escape": '"', **duck}.items()
    )
    columns = "columns={'n': 'BIGINT', 't': 'VARCHAR'}, auto_detect=false, header=true, allow_quoted_nulls=false"
    with duckdb.connect() as connection:
        assert connection.execute(f"FROM read_csv('{path}', {columns}, {settled})").fetchall() == ROWS

    frame = pd.read_csv(path, dtype=str, keep_default_na=False, **{"na_values": [null] if null else [], **pandas})
    expected = [text if text is not None or null else "" for text in texts]
    assert [text if isinstance(text, str) else None for text in frame["t"]] == expected

    if encoding == "utf-16" or "escape_char" in options:
        return  # polars reads neither
    read = pl.read_csv(
        path,
        separator=options.get("delimiter", ","),
        quote_char=options.get("quote_char", '"'),
        null_values=null or None,
        encoding="latin-1" if encoding == "latin-1" else "utf8",
        schema={"n": pl.Int64, "t": pl.String},
    )
    assert read["n"].to_list() == list(numbers)
    assert read["t"].to_list() == list(texts)
