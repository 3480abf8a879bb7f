"""CSV: written as PostgreSQL's COPY writes it, read by everybody."""

from __future__ import annotations

import csv
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
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_xacct.dump.formats import CsvOptions, format_spec
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
    "text": ('"a,b"', '"said ""é😀""\nand\r\\"'),
    "large": ('""', "\\."),
    "blob": ("\\xff00", "\\x"),
    "fixed": ("\\x6162", "\\x6364"),
    "local": ("2013-01-01 05:00:00", "0001-01-01 00:00:00"),
    "instant": ("2013-01-01 05:00:00.12+00", "2013-01-01 05:00:00.12+00"),
    "nanos": ("1970-01-01 00:00:00.000000001", "1969-12-31 23:59:59.999999999"),
    "day": ("2013-01-01", "9999-12-31"),
    "time": ("01:02:03.45", "00:00:00"),
    "seconds": ("01:02:03", "00:00:00"),
    "span": ("PT0S", "PT-5400.5S"),
    "flag": ("t", "f"),
    "nothing": ("", ""),
    "id": ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"),
    "doc": ('"{""a"":\n1}"', "[1]"),
    "list": ('"[1,null]"', "[]"),
    "deep": ('"[[""a\\""""]]"', "[null]"),
    "pair": ('"[1,2]"', '"[3,4]"'),
    "struct": ('"{""a"":1.50,""b"":""x""}"', '"{""a"":null,""b"":null}"'),
    "empty": ("{}", "{}"),
    "map": ('"{""k"":1}"', "{}"),
    "pairs": ('"[{""key"":1,""value"":1.5}]"', "[]"),
}


def test_every_type(encode: Encode, every_type: pa.RecordBatch) -> None:
    """What each type looks like; NULL is nothing at all."""
    assert set(WANTED) == set(every_type.schema.names)
    first, last = (",".join(WANTED[name][row] for name in every_type.schema.names) for row in (0, 1))
    nothing = "," * (every_type.num_columns - 1)
    header = ",".join(every_type.schema.names)
    assert encode("csv", every_type).decode() == f"{header}\n{first}\n{nothing}\n{last}\n"


@pytest.mark.parametrize("first", [1, 2])
def test_a_slice_is_the_same_rows(encode: Encode, every_type: pa.RecordBatch, first: int) -> None:
    """Batches that begin in the middle of their buffers, as those of partitions do."""
    copied = pa.RecordBatch.from_pylist(every_type.slice(first).to_pylist(), every_type.schema)
    # the codec of a JSON column makes no copy
    names = [name for name in every_type.schema.names if name != "doc"]
    assert encode("csv", every_type.slice(first).select(names)) == encode("csv", copied.select(names))


def test_quotes_stand_where_they_must_and_only_there(encode: Encode) -> None:
    """Delimiter, quote, line ends; nothing for blanks, backslashes or other delimiters."""
    values = ["plain", " blanks ", "a,b", 'a"b', "a\nb", "a\rb", "", None, "a;b", "\\.", "NULL", "é"]
    lines = ["plain", " blanks ", '"a,b"', '"a""b"', '"a\nb"', '"a\rb"', '""', "", "a;b", "\\.", "NULL", "é"]
    batch = pa.record_batch({"a": values, "b": [1] * len(values)})
    assert encode("csv", batch).decode() == "a,b\n" + "".join(f"{line},1\n" for line in lines)


def test_one_column_never_ends_the_file(encode: Encode) -> None:
    """PostgreSQL reads a line of ``\\.`` as the end."""
    batch = pa.record_batch({"a": ["\\.", None, "", "x"]})
    assert encode("csv", batch) == b'a\n"\\."\n\n""\nx\n'


def test_non_finite_floats(encode: Encode) -> None:
    """PostgreSQL's words."""
    batch = pa.record_batch({"a": pa.array([float("nan"), float("inf"), float("-inf"), None, -0.0])})
    assert encode("csv", batch) == b"a\nNaN\nInfinity\n-Infinity\n\n-0\n"


def test_every_decimal_with_many_digits(encode: Encode) -> None:
    """Arrow's own text of them would have an exponent."""
    values = [Decimal("0.00000001"), None, Decimal("-1.5"), Decimal(0), Decimal("9.99999999")]
    kinds = [pa.decimal32(9, 8), pa.decimal64(18, 8), pa.decimal128(9, 8), pa.decimal256(9, 8)]
    batch = pa.record_batch({str(kind): pa.array(values, kind) for kind in kinds}).slice(0, 5)
    texts = ["0.00000001", "", "-1.50000000", "0.00000000", "9.99999999"]
    assert encode("csv", batch, options=CsvOptions(header=False)).decode() == "".join(
        ",".join([text] * 4) + "\n" for text in texts
    )


def test_half_floats(encode: Encode) -> None:
    """Arrow has few kernels for them; their digits are those of the value that is stored."""
    values = pa.array([float("inf"), float("nan"), float("-inf"), 1.5, 0.1, None], pa.float32()).cast(pa.float16())
    batch = pa.record_batch({"h": values, "i": range(6)})
    assert encode("csv", batch) == b"h,i\nInfinity,0\nNaN,1\n-Infinity,2\n1.5,3\n0.0999755859375,4\n,5\n"


@pytest.mark.parametrize("rows", [0, 2])
def test_columns_of_nothing(encode: Encode, every_type: pa.RecordBatch, rows: int) -> None:
    """A batch without rows, and NULL in every column, which then may have no buffers at all."""
    columns = [
        pa.nulls(rows, kind) if not isinstance(kind, pa.BaseExtensionType) else pa.nulls(rows, kind.storage_type)
        for kind in every_type.schema.types
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=every_type.schema.names)
    header = ",".join(batch.schema.names)
    assert encode("csv", batch).decode() == f"{header}\n" + ("," * (batch.num_columns - 1) + "\n") * rows
    lines = encode("jsonl", batch).decode().splitlines()
    assert [json.loads(line) for line in lines] == [dict.fromkeys(batch.schema.names)] * rows


def test_intervals_keep_their_parts(encode: Encode) -> None:
    """A month is not thirty days."""
    values = [(1, 2, 3), (0, 0, 0), None, (0, 0, -1_500_000_000), (14, -1, 0)]
    batch = pa.record_batch({"a": pa.array(values, pa.month_day_nano_interval())})
    assert encode("csv", batch) == b"a\nP1M2DT0.000000003S\nPT0S\n\nPT-1.5S\nP14M-1D\n"


def test_a_negative_scale_has_no_exponent(encode: Encode) -> None:
    batch = pa.record_batch({"a": pa.array([Decimal(12300), None, Decimal(-100)], pa.decimal128(5, -2))})
    assert encode("csv", batch) == b"a\n12300\n\n-100\n"


def test_options(encode: Encode) -> None:
    """Another delimiter, another NULL, other booleans, no header; a value that looks like NULL is quoted."""
    batch = pa.record_batch({"a": ["x;y", "N", "x,y", None], "b": [True, False, None, True], "c": [1, 2, None, 4]})
    options = CsvOptions(header=False, delimiter=";", null_text="N", boolean_texts=("true", "false"))
    assert encode("csv", batch, options=options) == b'"x;y";true;1\n"N";false;2\nx,y;N;N\nN;true;4\n'
    odd = CsvOptions(null_text="2", boolean_texts=("1", "2"))
    assert encode("csv", batch, options=odd) == b'a,b,c\nx;y,1,1\nN,"2","2"\n"x,y",2,2\n2,1,4\n'


@pytest.mark.parametrize(
    "wrong",
    [{"delimiter": "-"}, {"null_text": "a,b"}, {"boolean_texts": ("t", 'f"')}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_options_that_no_reader_could_undo(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        CsvOptions(**wrong)


def test_the_header_is_quoted_as_values_are(encode: Encode) -> None:
    batch = pa.record_batch({"?column?": [1], 'a "b"': [2], "c,d": [3]})
    assert encode("csv", batch) == b'?column?,"a ""b""","c,d"\n1,2,3\n'


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([2932897], pa.date32()),
        ([-719163], pa.date32()),
        ([253402300800], pa.timestamp("s")),
        ([-62135596800000001], pa.timestamp("us")),
        ([253402300800000], pa.timestamp("ms", "UTC")),
    ],
)
def test_years_that_text_cannot_hold(encode: Encode, values: list[int], kind: pa.DataType) -> None:
    """Beyond the years 1 to 9999, readers disagree, so it is an error that names the column."""
    with pytest.raises(SourceError, match=r"column 'when' .* outside the years 1 to 9999"):
        encode("csv", pa.record_batch({"when": pa.array(values, kind)}))


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_view(pa.int64()),
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
        pa.struct([("a", pa.int8()), ("a", pa.int8())]),
        pa.opaque(pa.binary(), "inet", "PostgreSQL"),
        pa.map_(pa.string(), pa.list_view(pa.int8())),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_a_type_nobody_knows(name: str, kind: pa.DataType) -> None:
    with pytest.raises(InvalidArgumentError, match="column 'odd' is of the type") as caught:
        format_spec(name).encoder(pa.schema([("odd", kind)]))
    assert str(kind) in str(caught.value)


def test_a_row_too_long_for_arrow(monkeypatch: pytest.MonkeyPatch, encode: Encode) -> None:
    """Arrow's own errors come out as ours."""
    from airflow_xacct.dump.formats.csv_rows import CsvEncoder

    def lines(*_: object) -> None:
        raise pa.ArrowCapacityError("array cannot contain more than 2147483646 bytes")

    monkeypatch.setattr(CsvEncoder, "lines", lines)
    with pytest.raises(SourceError, match="cannot be written as text: array cannot contain"):
        encode("csv", pa.record_batch({"a": [1]}))


def test_large_batches_are_encoded_in_halves(monkeypatch: pytest.MonkeyPatch, encode: Encode) -> None:
    """What is encoded at once is bounded, whatever the source hands over."""
    batch = pa.record_batch({"a": ["x" * 100] * 64})
    whole = encode("csv", batch)
    monkeypatch.setattr("airflow_xacct.dump.formats.text_rows.BATCH_BYTES", 300)
    assert encode("csv", batch) == whole


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8) | st.sampled_from(
    ['"', ",", "\n", "\r", "", "\\.", '""', "a,\n"]
)
ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | TEXT,
    st.none() | st.decimals(-(10**9), 10**9, places=9),
    st.none() | st.floats(),
    st.none() | st.datetimes(),
    st.none() | st.dates(),
    st.none() | st.booleans(),
    st.none() | st.binary(max_size=5),
    st.none() | st.lists(TEXT, max_size=3),
)
SCHEMA = pa.schema(
    {
        "i": pa.int64(),
        "t": pa.string(),
        "n": pa.decimal128(20, 9),
        "f": pa.float64(),
        "ts": pa.timestamp("us"),
        "d": pa.date32(),
        "b": pa.bool_(),
        "x": pa.binary(),
        "l": pa.list_(pa.string()),
    }
)


def _expected(value: object) -> str:
    """The same value by Python's own means."""
    match value:
        case None:
            return ""
        case bool():
            return "t" if value else "f"
        case bytes():
            return "\\x" + value.hex()
        case Decimal():
            return f"{value:f}"
        case dt.datetime():
            return value.isoformat(" ")[:19] + (f".{value.microsecond:06d}".rstrip("0") if value.microsecond else "")
        case _:
            return str(value)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=20))
def test_any_rows(encode: Encode, rows: list[tuple[Any, ...]]) -> None:
    """The csv module reads back what went in, whatever it was."""
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), SCHEMA.types, strict=True)]
    data = encode("csv", pa.RecordBatch.from_arrays(columns, schema=SCHEMA)).decode()
    read = list(csv.reader(io.StringIO(data, newline="")))
    assert read[0] == SCHEMA.names
    assert len(read) == len(rows) + 1
    for row, fields in zip(rows, read[1:], strict=True):
        for name, value, text in zip(SCHEMA.names, row, fields, strict=True):
            if name == "f" and value is not None:
                number = float(text)
                assert number == value or (number != number and value != value)
            elif name == "l" and value is not None:
                assert json.loads(text) == value
            else:
                assert text == _expected(value)


@pytest.fixture
def plain_rows() -> pa.RecordBatch:
    return pa.record_batch(
        {
            "i": pa.array([1, None, -3]),
            "t": pa.array(['a "b", c\nd', "", None]),
            "f": pa.array([0.1, 1e300, None]),
            "d": pa.array([dt.date(2013, 1, 1), None, dt.date(1899, 12, 31)]),
            "ts": pa.array(
                [dt.datetime.fromisoformat("2013-01-01T05:00:00.250"), None, dt.datetime.fromisoformat("1850-01-01")]
            ),
        }
    )


def test_pyarrow_reads_it(encode: Encode, plain_rows: pa.RecordBatch) -> None:
    read = pyarrow.csv.read_csv(
        io.BytesIO(encode("csv", plain_rows)),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=plain_rows.schema,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            timestamp_parsers=[pyarrow.csv.ISO8601],
        ),
    )
    assert read.to_pylist() == plain_rows.to_pylist()


@pytest.mark.parametrize(("compression", "suffix"), [("none", ".csv"), ("gzip", ".csv.gz"), ("zstd", ".csv.zst")])
def test_duckdb_pandas_and_polars_read_it(
    encode: Encode, plain_rows: pa.RecordBatch, tmp_path: Any, compression: str, suffix: str
) -> None:
    """With each compression, from a file, as a receiver would."""
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(encode("csv", plain_rows, compression=compression))
    types = "{i: 'BIGINT', t: 'VARCHAR', f: 'DOUBLE', d: 'DATE', ts: 'TIMESTAMP'}"
    with duckdb.connect() as connection:
        query = f"SELECT * FROM read_csv('{path}', header=true, columns={types}, allow_quoted_nulls=false)"
        read = connection.execute(query).fetchall()
    assert read == [tuple(row.values()) for row in plain_rows.to_pylist()]
    frame = pd.read_csv(path, parse_dates=["d", "ts"], date_format="ISO8601", dtype={"i": "Int64"})
    assert frame["i"].tolist()[::2] == [1, -3]
    assert frame["t"].iloc[0] == 'a "b", c\nd'
    assert frame["ts"].iloc[2] == pd.Timestamp(1850, 1, 1)
    wide = pl.read_csv(path)
    assert wide["t"].to_list() == plain_rows.column("t").to_pylist()
    assert wide["f"].to_list() == plain_rows.column("f").to_pylist()
