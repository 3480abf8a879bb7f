"""Every option of JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from airflow_xacct.dump.formats import JsonLinesOptions
from airflow_xacct.exceptions import InvalidArgumentError

Encode = Callable[..., bytes]

NUMBERS = pa.record_batch(
    {
        "big": pa.array([2**53 + 1, None], pa.int64()),
        "unsigned": pa.array([2**64 - 1, 0], pa.uint64()),
        "money": pa.array([Decimal("0.10"), None], pa.decimal128(38, 2)),
        "int": pa.array([2**31 - 1, None], pa.int32()),
        "double": pa.array([0.1, None], pa.float64()),
        "nested": pa.array([{"a": [2**60], "b": Decimal("1.50")}, None],
                           pa.struct({"a": pa.list_(pa.int64()), "b": pa.decimal128(5, 2)})),
        "map": pa.array([[(2**60, 1)], None], pa.map_(pa.int64(), pa.int16())),
    }
)  # fmt: skip


def test_exact_numbers_are_numbers(encode: Encode) -> None:
    """By default, with every digit."""
    first, _ = encode("jsonl", NUMBERS).decode().splitlines()
    assert first == (
        '{"big":9007199254740993,"unsigned":18446744073709551615,"money":0.10,"int":2147483647,"double":0.1,'
        '"nested":{"a":[1152921504606846976],"b":1.50},"map":[{"key":1152921504606846976,"value":1}]}'
    )


def test_exact_numbers_as_text(encode: Encode) -> None:
    """What a double holds in every case stays a number; also within nested values; a column is text in every row."""
    first, second = encode("jsonl", NUMBERS, options={"exact_numbers": "text"}).decode().splitlines()
    assert first == (
        '{"big":"9007199254740993","unsigned":"18446744073709551615","money":"0.10","int":2147483647,"double":0.1,'
        '"nested":{"a":["1152921504606846976"],"b":"1.50"},"map":[{"key":"1152921504606846976","value":1}]}'
    )
    assert json.loads(second) == {**dict.fromkeys(NUMBERS.schema.names), "unsigned": "0"}


def test_nulls_can_be_left_out(encode: Encode) -> None:
    """Of columns, in their order; those within values stay, and a row of nothing is an empty object."""
    batch = pa.record_batch(
        {
            "z": pa.array([None, 1, None], pa.int64()),
            "a": pa.array(["x", None, None]),
            "l": pa.array([[None], [], None], pa.list_(pa.int64())),
            "f": pa.array([float("nan"), 0.5, None]),
        }
    )
    made = encode("jsonl", batch, options={"nulls": "omit", "non_finite": "null"})
    assert made == b'{"a":"x","l":[null]}\n{"z":1,"l":[],"f":0.5}\n{}\n'
    kept = encode("jsonl", batch, options={"non_finite": "null"})
    assert kept.startswith(b'{"z":null,"a":"x","l":[null],"f":null}\n')
    whole = pa.record_batch({"b": [1], "a": ["é"]})
    assert encode("jsonl", whole, options={"nulls": "omit"}) == encode("jsonl", whole) == '{"b":1,"a":"é"}\n'.encode()


def test_binary(encode: Encode) -> None:
    batch = pa.record_batch({"x": [b"\xfb\xff"], "l": [[b"\0"]]})
    assert encode("jsonl", batch) == b'{"x":"+/8=","l":["AA=="]}\n'
    assert encode("jsonl", batch, options={"binary": "hex"}) == b'{"x":"fbff","l":["00"]}\n'


@pytest.mark.parametrize(("rule", "wanted"), [("null", b"null"), ("text", b'"NaN"')])
def test_non_finite(encode: Encode, rule: str, wanted: bytes) -> None:
    made = encode("jsonl", pa.record_batch({"f": [float("nan")]}), options={"non_finite": rule})
    assert made == b'{"f":' + wanted + b"}\n"


def test_duckdb_reads_all_of_it(encode: Encode, tmp_path: Any) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(encode("jsonl", NUMBERS, options={"exact_numbers": "text", "nulls": "omit"}))
    with duckdb.connect() as connection:
        columns = "{'big': 'BIGINT', 'unsigned': 'UBIGINT', 'money': 'DECIMAL(38, 2)'}"
        query = f"FROM read_json('{path}', format='newline_delimited', columns={columns})"
        assert connection.execute(query).fetchall() == [(2**53 + 1, 2**64 - 1, Decimal("0.10")), (None, 0, None)]


@pytest.mark.parametrize(
    "wrong",
    [{"non_finite": "zero"}, {"exact_numbers": True}, {"nulls": "drop"}, {"binary": "hexadecimal"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_is_not_known(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        JsonLinesOptions(**wrong)
    assert caught.value.where == next(iter(wrong))
