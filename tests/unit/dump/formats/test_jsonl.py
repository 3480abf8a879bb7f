"""JSON Lines: every digit, every NULL, nested values as they are."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.json
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_xacct.dump.formats import JsonLinesOptions
from airflow_xacct.dump.rows import CHECKED_JSON
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

Encode = Callable[..., bytes]

WANTED = {
    "i8": ("1", "-128"),
    "i64": ("9223372036854775807", "-9223372036854775808"),
    "u64": ("18446744073709551615", "0"),
    "f64": ("0.1", "1e+20"),
    "f32": ("0.1", "16777216"),
    "money": ("1234567890.12", "-0.01"),
    "tiny": ("0.0000000001", "-12.5000000000"),
    "huge": ("9" + "0" * 37, "0"),
    "huger": ("0." + "0" * 29 + "1", "-7." + "0" * 30),
    "small": ("1.50", "-1.25"),
    "text": ('"a,b"', '"said \\"é😀\\"\\nand\\r\\\\"'),
    "large": ('""', '"\\\\."'),
    "blob": ('"/wA="', '""'),
    "fixed": ('"YWI="', '"Y2Q="'),
    "local": ('"2013-01-01T05:00:00"', '"0001-01-01T00:00:00"'),
    "instant": ('"2013-01-01T05:00:00.12+00:00"', '"2013-01-01T05:00:00.12+00:00"'),
    "nanos": ('"1970-01-01T00:00:00.000000001"', '"1969-12-31T23:59:59.999999999"'),
    "day": ('"2013-01-01"', '"9999-12-31"'),
    "time": ('"01:02:03.45"', '"00:00:00"'),
    "seconds": ('"01:02:03"', '"00:00:00"'),
    "span": ('"PT0S"', '"PT-5400.5S"'),
    "flag": ("true", "false"),
    "nothing": ("null", "null"),
    "id": ('"00000000-0000-0000-0000-000000000001"', '"00000000-0000-0000-0000-000000000002"'),
    "doc": ('{"a": 1}', "[1]"),
    "list": ("[1,null]", "[]"),
    "deep": ('[["a\\""]]', "[null]"),
    "pair": ("[1,2]", "[3,4]"),
    "struct": ('{"a":1.50,"b":"x"}', '{"a":null,"b":null}'),
    "empty": ("{}", "{}"),
    "map": ('{"k":1}', "{}"),
    "pairs": ('[{"key":1,"value":1.5}]', "[]"),
}


def _line(values: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in values) + "}\n"


def test_every_type(encode: Encode, every_type: pa.RecordBatch) -> None:
    """What each type looks like; NULL is ``null`` and never missing."""
    names = every_type.schema.names
    rows = [
        _line([(name, WANTED[name][0]) for name in names]),
        _line([(name, "null") for name in names]),
        _line([(name, WANTED[name][1]) for name in names]),
    ]
    assert encode("jsonl", every_type).decode() == "".join(rows)
    # without NULL, quotes are written another way
    assert encode("jsonl", every_type.slice(2)).decode() == rows[2]
    assert encode("jsonl", every_type.slice(1)).decode() == "".join(rows[1:])


def test_every_control_character(encode: Encode) -> None:
    """Nothing that a JSON parser would refuse, nothing escaped that need not be."""
    text = "".join(map(chr, range(32))) + '"\\/\x7f\u2028é😀'
    data = encode("jsonl", pa.record_batch({"a": [text, "plain"]})).decode()
    first, second, rest = data.split("\n")
    assert json.loads(first) == {"a": text}
    assert all(part in first for part in ("\\u0000", "\\t", "😀", "\u2028"))
    assert (second, rest) == ('{"a":"plain"}', "")


def test_names_are_json_too(encode: Encode) -> None:
    assert encode("jsonl", pa.record_batch({'a "b"\n': [1], "é": [None]})) == '{"a \\"b\\"\\n":1,"é":null}\n'.encode()


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [("null", ["null", "null", "null", "1.5"]), ("text", ['"NaN"', '"Infinity"', '"-Infinity"', "1.5"])],
)
def test_what_becomes_of_nan(encode: Encode, rule: Any, wanted: list[str]) -> None:
    """By the rule that was chosen, in lists too."""
    values = [float("nan"), float("inf"), float("-inf"), 1.5]
    batch = pa.record_batch({"a": values, "l": [[value] for value in values]})
    made = encode("jsonl", batch, options=JsonLinesOptions(non_finite=rule)).decode()
    assert made == "".join(f'{{"a":{text},"l":[{text}]}}\n' for text in wanted)


def test_nan_is_an_error_unless_somebody_chose(encode: Encode) -> None:
    with pytest.raises(SourceError, match="column 'f' holds NaN or infinity"):
        encode("jsonl", pa.record_batch({"f": [1.0, float("nan")]}))
    with pytest.raises(InvalidArgumentError, match="non_finite"):
        JsonLinesOptions(non_finite="zero")  # type: ignore[arg-type]


def test_json_that_the_server_checked_stays_json(encode: Encode) -> None:
    """On one line. Text that merely looks like it stays text."""
    schema = pa.schema([pa.field("doc", pa.string(), metadata=CHECKED_JSON), pa.field("text", pa.string())])
    batch = pa.RecordBatch.from_arrays([pa.array(['{"a":\r\n 1.10}', None]), pa.array(["{}", None])], schema=schema)
    assert encode("jsonl", batch) == b'{"doc":{"a":   1.10},"text":"{}"}\n{"doc":null,"text":null}\n'


def test_deep_slices(encode: Encode) -> None:
    """Lists of structs of maps of lists, sliced in the middle, NULL on every level."""
    kind = pa.list_(pa.struct({"m": pa.map_(pa.string(), pa.list_(pa.int8())), "x": pa.string()}))
    values = [
        [{"m": [("a", [1])], "x": "1"}],
        None,
        [{"m": [("b", [2, None]), ("c", None)], "x": None}, None],
        [],
        [{"m": None, "x": 'q"'}],
    ]
    batch = pa.record_batch({"v": pa.array(values, kind)}).slice(1, 4)
    assert [json.loads(line)["v"] for line in encode("jsonl", batch).splitlines()] == [
        None,
        [{"m": {"b": [2, None], "c": None}, "x": None}, None],
        [],
        [{"m": None, "x": 'q"'}],
    ]


def test_a_struct_that_is_null_hides_its_fields(encode: Encode) -> None:
    """Values below NULL that a writer left in the buffers do not show."""
    inner = pa.array([1, 2])
    struct = pa.StructArray.from_arrays([inner], ["a"], mask=pa.array([True, False]))
    lists = pa.ListArray.from_arrays([0, 1, 2], inner, mask=pa.array([True, False]))
    made = encode("jsonl", pa.record_batch({"s": struct, "l": lists}))
    assert made == b'{"s":null,"l":null}\n{"s":{"a":2},"l":[2]}\n'


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NESTED = st.none() | st.lists(
    st.none()
    | st.fixed_dictionaries({"a": st.none() | TEXT, "b": st.none() | st.lists(st.integers(0, 9), max_size=2)}),
    max_size=3,
)
ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | TEXT,
    st.none() | st.decimals(-(10**9), 10**9, places=9),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.datetimes(timezones=st.just(dt.UTC)),
    NESTED,
)
SCHEMA = pa.schema(
    {
        "i": pa.int64(),
        "t": pa.string(),
        "n": pa.decimal128(20, 9),
        "f": pa.float64(),
        "ts": pa.timestamp("us", "UTC"),
        "v": pa.list_(pa.struct({"a": pa.string(), "b": pa.list_(pa.int8())})),
    }
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=20))
def test_any_rows(encode: Encode, rows: list[tuple[Any, ...]]) -> None:
    """The json module reads back what went in, whatever it was."""
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), SCHEMA.types, strict=True)]
    data = encode("jsonl", pa.RecordBatch.from_arrays(columns, schema=SCHEMA)).decode()
    assert data.endswith("\n")
    lines = data[:-1].split("\n")
    for row, line in zip(rows, lines, strict=True):
        read = json.loads(line)
        assert list(read) == SCHEMA.names
        assert (read["i"], read["t"], read["v"]) == (row[0], row[1], row[5])
        exact = json.loads(line, parse_float=Decimal, parse_int=Decimal)
        assert exact["n"] == row[2]
        assert row[3] is None or float(read["f"]) == row[3]
        assert row[4] is None or dt.datetime.fromisoformat(read["ts"]) == row[4]


@pytest.mark.parametrize(("compression", "suffix"), [("none", ".jsonl"), ("gzip", ".jsonl.gz"), ("zstd", ".jsonl.zst")])
def test_duckdb_pandas_polars_and_pyarrow_read_it(encode: Encode, tmp_path: Any, compression: str, suffix: str) -> None:
    """With each compression, from a file, as a receiver would."""
    rows = [
        {"i": 2**53 + 1, "t": 'a "b"\nc\\', "f": 0.1, "l": [1, None], "s": {"a": "x"}},
        {"i": None, "t": "", "f": 1e300, "l": [], "s": {"a": None}},
        {"i": -3, "t": None, "f": None, "l": None, "s": None},
    ]
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(encode("jsonl", pa.RecordBatch.from_pylist(rows), compression=compression))
    with duckdb.connect() as connection:
        query = f"SELECT * FROM read_json('{path}', format='newline_delimited')"
        read = connection.execute(query).fetchall()
    assert read == [tuple(row.values()) for row in rows]
    frame = pd.read_json(path, lines=True, dtype_backend="pyarrow")
    assert frame["t"].iloc[0] == rows[0]["t"]
    assert frame["t"].iloc[1] == ""
    assert pl.read_ndjson(path).to_dicts() == rows
    if compression == "none":
        assert pyarrow.json.read_json(io.BytesIO(path.read_bytes())).to_pylist() == rows
