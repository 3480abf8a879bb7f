"""SQLite's types, which are those of values and not of columns."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tests.golden.cases import Column, Value, column, decimal
from tests.golden.postgres_cases import TRAPS

__all__ = ["ASKED", "COLUMNS", "MIXED", "Mixed"]

TEXT, BINARY, REAL, WHOLE = pa.string(), pa.binary(), pa.float64(), pa.int64()


def _is(literal: str, text: str | None = None) -> Value:
    return Value(literal, literal if text is None else text)


COLUMNS: tuple[Column, ...] = (
    column("integer", "INTEGER", WHOLE, _is("9223372036854775807"), _is("-9223372036854775808"),
           _is("9007199254740993"), _is("3.0", "3"), _is("'42'", "42")),
    column("bigint_unsigned", "BIGINT UNSIGNED", WHOLE, _is("9223372036854775807")),
    column("integer_too_large", "INTEGER", REAL, _is("9223372036854775808", "9.2233720368547758e+18")),
    column("integer_with_fractions", "INTEGER", REAL, _is("1", "1"), _is("2.5"), _is("9007199254740992")),
    column("boolean", "BOOLEAN", WHOLE, _is("TRUE", "1"), _is("FALSE", "0")),
    column("real", "REAL", REAL, _is("1", "1"), _is("0.1"), _is("1e22"), _is("1.7976931348623157e308"),
           _is("-0.5"), _is("9e999", "Infinity"), _is("-9e999", "-Infinity")),
    column("real_few_can_read", "REAL", REAL, _is("5e-324")),
    column("numeric", "NUMERIC", REAL, _is("1", "1"), _is("2.50", "2.5"), _is("-7", "-7")),
    column("numeric_of_whole_numbers", "DECIMAL(10,2)", REAL, _is("100", "100"), _is("9007199254740992")),
    column("decimal", "DECIMAL(10,2)", REAL, _is("1.10", "1.1"), _is("'1.10'", "1.1"), _is("100", "100")),
    column("text", "TEXT", TEXT, *(Value("'" + text.replace("'", "''") + "'", text) for text in TRAPS),
           _is("char(0) || 'x' || char(0)", "\0x\0"), _is("5", "5"), _is("2.5", "2.5")),
    column("varchar_3", "VARCHAR(3)", TEXT, "longer than three"),
    column("blob", "BLOB", BINARY, _is("x'00ff5c2227'", "\\x00ff5c2227"), _is("x''", "\\x")),
    column("none", "", WHOLE, _is("1")),
    column("nothing", "", TEXT),
    column("nothing_declared_integer", "INTEGER", WHOLE),
    column("nothing_declared_real", "REAL", REAL),
    column("nothing_declared_blob", "BLOB", BINARY),
    column("date_as_text", "DATE", TEXT, "2024-02-29", "0001-01-01", "not a date"),
    column("date_as_integer", "DATE", WHOLE, _is("1704153600")),
    column("date_as_real", "DATE", REAL, _is("2460311.5")),
    column("datetime_as_text", "DATETIME", TEXT, "2024-02-29 01:02:03.5", "2024-02-29T01:02:03Z"),
    column("json", "JSON", TEXT, '{"b": 1.0,"a":12345678901234567890.10}', "null"),
)  # fmt: skip

ASKED: tuple[Column, ...] = (
    column("date", "DATE", pa.date32(), "2024-02-29", "0001-01-01", asked="date32"),
    column("timestamp", "DATETIME", pa.timestamp("us"), "2024-02-29 01:02:03.5",
           Value("'2024-02-29T01:02'", "2024-02-29T01:02", csv="2024-02-29 01:02:00"),
           Value("'2024-02-29'", "2024-02-29", csv="2024-02-29 00:00:00"), asked="timestamp"),
    column("instant", "DATETIME", pa.timestamp("us", tz="UTC"),
           Value("'2024-02-29 01:02:03+02:00'", "2024-02-29 01:02:03+02:00", csv="2024-02-28 23:02:03+00"),
           Value("'2024-02-29T01:02:03Z'", "2024-02-29T01:02:03Z", csv="2024-02-29 01:02:03+00"), asked="timestamptz"),
    column("time", "TIME", pa.time64("us"), "01:02:03.5", asked="time64[us]"),
    column("boolean", "BOOLEAN", pa.bool_(), Value("1", "1", csv="t"), Value("0", "0", csv="f"), asked="bool"),
    column("decimal_in_text", "TEXT", decimal(12, 2), "1.10", Value("'7'", "7", csv="7.00"), asked="decimal(12, 2)"),
    column("decimal_of_numbers", "NUMERIC", decimal(12, 2), Value("0.1", "0.1", csv="0.10"),
           Value("7", "7", csv="7.00"), asked="decimal(12, 2)"),
    column("integer_in_text", "TEXT", WHOLE, "9007199254740993", "-7", asked="int64"),
    column("integer_small", "INTEGER", pa.int16(), _is("32767"), asked="int16"),
    column("double_of_any_number", "", REAL, Value("9007199254740993", "9007199254740993", csv="9007199254740992"),
           _is("2.5"), asked="double"),
    column("text_of_any_value", "", TEXT, _is("1"), _is("2.5"), Value("1e22", "1e22", csv="1e+22"),
           _is("9e999", "Infinity"), _is("9007199254740993"), _is("'x'", "x"), _is("x'00ff'", "\\x00ff"),
           asked="string"),
)  # fmt: skip


@dataclass(frozen=True)
class Mixed:
    """A column whose values no one type holds.

    :param literals: its values in SQL.
    :param words: of the message.
    :param texts: what ``column_types={"v": "string"}`` delivers.
    """

    name: str
    type: str
    literals: tuple[str, ...]
    words: tuple[str, ...]
    texts: tuple[str, ...]


MIXED: tuple[Mixed, ...] = (
    Mixed("text_among_integers", "INTEGER", ("1", "'abc'"), ("first rows", "int and str"), ("1", "abc")),
    Mixed("integers_among_text", "INTEGER", ("'abc'", "5"), ("first rows", "int and str"), ("abc", "5")),
    Mixed("text_in_a_blob", "BLOB", ("x'00'", "'text'"), ("first rows", "bytes and str"), ("\\x00", "text")),
    Mixed("dates_of_two_kinds", "DATE", ("'2024-01-02'", "1704153600"), ("first rows", "int and str"),
          ("2024-01-02", "1704153600")),
    Mixed("large_integer_among_reals", "NUMERIC", ("2.5", "9007199254740993"), ("row 2 ", "double"),
          ("2.5", "9007199254740993")),
    Mixed("text_behind_many_integers", "INTEGER", (*["7"] * 40_000, "'abc'"), ("row 40,001 ", "int64"),
          (*["7"] * 40_000, "abc")),
    Mixed("real_behind_many_integers", "INTEGER", (*["7"] * 40_000, "2.5"), ("row 40,001 ", "int64"),
          (*["7"] * 40_000, "2.5")),
)  # fmt: skip
