"""MariaDB's types, and MySQL's, with the traps of each."""

from __future__ import annotations

import pyarrow as pa

from tests.golden.cases import Column, Refused, Value, column, decimal
from tests.golden.postgres_cases import TRAPS

__all__ = ["ASKED", "COLUMNS", "REFUSED", "SET_UP_SESSION"]

SET_UP_SESSION = ("SET sql_mode = ''", "SET time_zone = '+00:00'", "SET NAMES utf8mb4")
"""Of the connection that writes the values: zero dates are let in."""

TEXT, BINARY, NAIVE = pa.string(), pa.binary(), pa.timestamp("us")


def _quoted(text: str) -> Value:
    return Value("'" + text.replace("\\", "\\\\").replace("'", "''") + "'", text)


def _hex(digits: str, stored: str | None = None) -> Value:
    return Value(f"x'{digits}'", "\\x" + (digits if stored is None else stored))


COLUMNS: tuple[Column, ...] = (
    column("tinyint", "TINYINT", pa.int8(), "-128", "127"),
    column("tinyint_unsigned", "TINYINT UNSIGNED", pa.uint8(), "0", "255"),
    column("boolean", "BOOLEAN", pa.int8(), "1", "0"),
    column("smallint", "SMALLINT", pa.int16(), "-32768", "32767"),
    column("smallint_unsigned", "SMALLINT UNSIGNED", pa.uint16(), "65535"),
    column("mediumint", "MEDIUMINT", pa.int32(), "-8388608"),
    column("mediumint_unsigned", "MEDIUMINT UNSIGNED", pa.uint32(), "16777215"),
    column("int", "INT", pa.int32(), "-2147483648", "2147483647"),
    column("int_unsigned", "INT UNSIGNED", pa.uint32(), "4294967295"),
    column("int_zerofill", "INT(5) ZEROFILL", pa.uint32(), Value("42", "00042", csv="42")),
    column("bigint", "BIGINT", pa.int64(), "-9223372036854775808", "9007199254740993"),
    column("bigint_unsigned", "BIGINT UNSIGNED", pa.uint64(), "18446744073709551615", "9223372036854775808"),
    column("decimal_10_2", "DECIMAL(10,2)", decimal(10, 2), "1.50", "-99999999.99", "0.00"),
    column("decimal_5_0_unsigned", "DECIMAL(5,0) UNSIGNED", decimal(5, 0), "99999"),
    column("decimal_38_10", "DECIMAL(38,10)", decimal(38, 10), "-9999999999999999999999999999.0123456789"),
    column("decimal_39_0", "DECIMAL(39,0)", TEXT, "123456789012345678901234567890123456789"),
    column("decimal_65_30", "DECIMAL(65,30)", TEXT, "-0.000000000000000000000000000001",
           "99999999999999999999999999999999999.999999999999999999999999999999"),
    column("float", "FLOAT", pa.float32(), "0.1", "1.5", Value("16777216", "16777200", csv="16777216"),
           Value("3.14159274", "3.14159", csv="3.1415927"), Value("3.4028235e38", "3.40282e38", csv="3.4028235e38"),
           Value("1.4e-45", "1.4013e-45", csv="1e-45")),
    column("float_10_2", "FLOAT(10,2)", pa.float32(), "1.50", "16777216.00"),
    column("double", "DOUBLE", pa.float64(), "0.1", "0.30000000000000004", "1e22", "0.00001",
           "1.7976931348623157e308", "9.007199254740992e15"),
    column("double_few_can_read", "DOUBLE", pa.float64(), "5e-324"),
    column("bit_1", "BIT(1)", BINARY, Value("b'1'", "\\x01"), Value("b'0'", "\\x00")),
    column("bit_9", "BIT(9)", BINARY, Value("b'100000001'", "\\x0101"), Value("b'1'", "\\x0001")),
    column("bit_64", "BIT(64)", BINARY, Value("18446744073709551615", "\\xffffffffffffffff")),
    column("year", "YEAR", pa.int16(), "1901", "2155", Value("0", "0000", csv="0")),
    column("date", "DATE", pa.date32(), "0001-01-01", "1000-01-01", "1899-12-31", "9999-12-31"),
    column("datetime", "DATETIME", NAIVE, "0001-01-01 00:00:00", "1850-01-01 01:02:03", "9999-12-31 23:59:59"),
    column("datetime_6", "DATETIME(6)", NAIVE, "1850-01-01 01:02:03.000004", "9999-12-31 23:59:59.999999",
           Value("'2024-01-01 00:00:00.5'", "2024-01-01 00:00:00.500000", csv="2024-01-01 00:00:00.5"),
           Value("'2024-01-01'", "2024-01-01 00:00:00.000000", csv="2024-01-01 00:00:00")),
    column("timestamp", "TIMESTAMP NULL", NAIVE, "1970-01-01 00:00:01", "2024-06-01 12:00:00"),
    column("timestamp_3", "TIMESTAMP(3) NULL", NAIVE,
           Value("'2024-06-01 12:00:00.5'", "2024-06-01 12:00:00.500", csv="2024-06-01 12:00:00.5")),
    column("time", "TIME", TEXT, "838:59:59", "-838:59:59", "-00:30:00", "00:00:00", "24:00:00"),
    column("time_1", "TIME(1)", TEXT, "25:00:00.5", "-00:00:00.1"),
    column("time_6", "TIME(6)", TEXT, Value("'-838:59:58.5'", "-838:59:58.500000"), "-00:00:00.000001"),
    column("char", "CHAR(5)", TEXT, "ab", "", Value("'a  '", "a")),
    column("varchar", "VARCHAR(50)", TEXT, *map(_quoted, TRAPS), _quoted("a "), _quoted("\0nul")),
    column("varchar_latin1", "VARCHAR(50) CHARACTER SET latin1", TEXT, "é", "ÿ", "€"),
    column("varchar_bin", "VARCHAR(50) COLLATE utf8mb4_bin", TEXT, "é💥", ""),
    column("char_ucs2", "CHAR(5) CHARACTER SET ucs2", TEXT, "é"),
    column("text", "TEXT", TEXT, *map(_quoted, TRAPS)),
    column("longtext", "LONGTEXT", TEXT, _quoted("a\r\n")),
    column("binary_4", "BINARY(4)", BINARY, _hex("00ff", "00ff0000"), _hex("", "00000000")),
    column("varbinary", "VARBINARY(9)", BINARY, _hex("00ff"), _hex(""), _hex("5c780a2200")),
    column("blob", "BLOB", BINARY, _hex("00ff5c2227"), _hex("")),
    column("enum", "ENUM('a,b','c','')", TEXT, "a,b", ""),
    column("set", "SET('q','p','é')", TEXT, Value("'p,q'", "q,p"), "", "q,p,é"),
    column("json", "JSON", TEXT, '{"b": 1.0, "a":   12345678901234567890.10}', "null"),
    column("uuid", "UUID", TEXT, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    column("inet6", "INET6", TEXT, "::1", "2001:db8::ff00:42:8329"),
    column("point", "POINT", BINARY,
           Value("ST_GeomFromText('POINT(1 2)')", "\\x000000000101000000000000000000f03f0000000000000040")),
)  # fmt: skip

ASKED: tuple[Column, ...] = (
    column("tinyint_as_bool", "TINYINT(1)", pa.bool_(), Value("1", "1", csv="t"), Value("0", "0", csv="f"),
           asked="bool"),
    column("decimal_as_decimal256", "DECIMAL(65,30)", pa.decimal256(65, 30),
           "-0.000000000000000000000000000001", asked="decimal(65, 30)"),
    column("decimal_as_double", "DECIMAL(20,1)", pa.float64(),
           Value("9007199254740993", "9007199254740993.0", csv="9007199254740992"), asked="double"),
    column("bigint_unsigned_as_int64", "BIGINT UNSIGNED", pa.int64(), "9223372036854775807", asked="int64"),
    column("time_as_time", "TIME(3)", pa.time64("us"), Value("'23:59:59.5'", "23:59:59.500", csv="23:59:59.5"),
           asked="time64[us]"),
    column("date_as_string", "DATE", TEXT, "0000-00-00", "2024-00-10", "2024-01-01", asked="string"),
    column("datetime_as_string", "DATETIME", TEXT, "0000-00-00 00:00:00", "2024-01-01 01:02:03", asked="string"),
    column("float_as_string", "FLOAT", TEXT, Value("1.5", "1.5"), Value("16777216", "16777200", csv="16777200.0"),
           asked="string"),
)  # fmt: skip

_NO_PLACE = ("cannot hold", "column_types={'v': 'string'}")
_ALL = ("csv", "jsonl", "parquet")

REFUSED: tuple[Refused, ...] = (
    Refused("zero_date", "DATE", "'0000-00-00'", "0000-00-00", _NO_PLACE, _ALL),
    Refused("date_without_month", "DATE", "'2024-00-10'", "2024-00-10", _NO_PLACE, _ALL),
    Refused("date_of_the_year_0", "DATE", "'0000-01-01'", "0000-01-01", _NO_PLACE, _ALL),
    Refused("zero_datetime", "DATETIME", "'0000-00-00'", "0000-00-00 00:00:00", _NO_PLACE, _ALL),
    Refused("datetime_without_day", "DATETIME(3)", "'2024-02-00 10:00:00.5'", "2024-02-00 10:00:00.500", _NO_PLACE,
            _ALL),
    Refused("zero_timestamp", "TIMESTAMP NULL", "'0000-00-00'", "0000-00-00 00:00:00", _NO_PLACE, _ALL),
)  # fmt: skip
