"""Rows in the binary form of COPY: read where they are whole, refused where they are not what the server documents."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from airflow_xacct.dump.sources.sql import postgres_oids as oids
from airflow_xacct.dump.sources.sql.postgres_binary import BinaryRows, can_be_binary
from airflow_xacct.dump.sources.sql.postgres_reader import CopyBlock
from airflow_xacct.dump.sources.sql.postgres_types import PgColumn
from airflow_xacct.exceptions import SourceUnreadableError

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!II", 0, 0)
END = struct.pack("!h", -1)
INT4 = PgColumn("n", oids.INT4, "integer", None, None)
TEXT = PgColumn("t", oids.TEXT, "text", None, None)
JSONB = PgColumn("j", oids.JSONB, "jsonb", None, None)
PRICE = PgColumn("p", oids.NUMERIC, "numeric", 12, 2)


def reader(*columns: PgColumn) -> BinaryRows:
    session: Any = SimpleNamespace(columns=columns, where="connection 'w'", pages=None)
    return BinaryRows(session)


def field(value: bytes | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value


def row(*values: bytes | None) -> bytes:
    return struct.pack("!h", len(values)) + b"".join(field(value) for value in values)


def int4(value: int | None) -> bytes | None:
    return None if value is None else struct.pack("!i", value)


def numeric(weight: int, sign: int, *digits: int) -> bytes:
    return struct.pack(f"!hhHh{len(digits)}h", len(digits), weight, sign, 2, *digits)


def block(*rows: bytes) -> CopyBlock:
    ends, size = array("i"), 0
    for item in rows:
        size += len(item)
        ends.append(size)
    return CopyBlock(b"".join(rows), ends)


def read(rows: BinaryRows, *blocks: Sequence[bytes]) -> list[Any]:
    first, found = 1, []
    for items in blocks:
        batch = rows.batch(block(*items), first)
        batch.validate(full=True)
        first += batch.num_rows
        found += [tuple(item.values()) for item in batch.to_pylist()]
    return found


def test_the_header_comes_with_the_first_row_and_the_end_alone() -> None:
    """As the server sends them; a block of the end alone has no rows."""
    assert read(reader(INT4, TEXT), [HEADER + row(int4(1), b"a")], [row(int4(2), b"")], [END]) == [(1, "a"), (2, "")]
    assert read(reader(INT4), [HEADER + END]) == []
    assert read(reader(INT4), [HEADER + row(int4(-1)), END]) == [(-1,)]


def test_a_header_that_comes_by_itself() -> None:
    """As no PostgreSQL sends it, but nothing forbids."""
    assert read(reader(INT4), [HEADER, row(int4(1)), END]) == [(1,)]
    assert read(reader(INT4), [HEADER], [row(int4(1))], [END]) == [(1,)]
    assert read(reader(INT4), [HEADER, END]) == []


def test_a_header_with_an_extension() -> None:
    """Which a reader skips (PostgreSQL: COPY, Binary Format)."""
    header = HEADER[:-4] + struct.pack("!I", 3) + b"new"
    assert read(reader(INT4), [header + row(int4(7)), END]) == [(7,)]


def test_a_null_in_each_place() -> None:
    """Alone, first, last, in every row, in rows too short to be anything else; and none in the block after it."""
    two = reader(INT4, PgColumn("m", oids.INT4, "integer", None, None), TEXT)
    some = [(1, 2, "x"), (None, 2, "y"), (1, None, None), (None, None, ""), (None, None, None)]
    rows = [row(int4(n), int4(m), None if t is None else t.encode()) for n, m, t in some]
    assert read(two, [HEADER + rows[0], *rows[1:]], rows[:1], [rows[4]], [END]) == [*some, some[0], some[4]]


def test_columns_come_back_in_their_order() -> None:
    """Numbers are sent before text, wherever they stand in the query."""
    rows = reader(TEXT, INT4)
    assert rows.schema.names == ["t", "n"]
    assert read(rows, [HEADER + row(int4(5), b"five"), END]) == [("five", 5)]


@pytest.mark.parametrize(
    ("digits", "value"),
    [
        ((0, 0), "0"),
        ((0, 0, 1), "1"),
        ((1, 0x4000, 1, 2345, 6700), "-12345.67"),
        ((-1, 0, 100), "0.01"),
        ((-1, 0x4000, 9900), "-0.99"),
        ((2, 0, 99, 9999, 9999, 9900), "9999999999.99"),
        ((2, 0, 10), "1000000000"),
    ],
)
def test_numeric(digits: tuple[int, ...], value: str) -> None:
    """Groups of four digits, those at the end that are zero left out."""
    assert read(reader(PRICE), [HEADER + row(numeric(*digits)), END]) == [(Decimal(value),)]


@pytest.mark.parametrize(
    "digits",
    [
        (0, 0xC000),
        (0, 0xD000),
        (0, 0xF000),
        (2, 0, 100, 0, 0),
        (4, 0, 1),
        (30_000, 0, 1),
        (-1, 0, 1),
        (-2, 0, 1),
        (-30_000, 0, 1),
        (2, 0, 99, 9999, 9999, 9901),
    ],
)
def test_a_numeric_that_the_column_cannot_hold(digits: tuple[int, ...]) -> None:
    """NaN, infinity, too many digits before or behind the point: refused, with the row, never cut."""
    items = [HEADER + row(numeric(0, 0, 1)), row(None), row(numeric(*digits))]
    with pytest.raises(
        SourceUnreadableError, match=r"^row 3 holds a value that column 'p' \(numeric, Arrow decimal128"
    ):
        read(reader(PRICE), items)


ONE = HEADER + row(int4(1), b"a")


@pytest.mark.parametrize(
    "items",
    [
        [row(int4(1), b"a")],
        [HEADER[:10]],
        [b"PGCOPY\n\xff\r\n\1" + HEADER[11:] + row(int4(1), b"a")],
        [HEADER[:11] + struct.pack("!II", 1 << 16, 0) + row(int4(1), b"a")],
        [HEADER[:11] + struct.pack("!II", 0, 1 << 30) + row(int4(1), b"a")],
        [ONE, row(int4(1))],
        [ONE, row(int4(1), b"a", b"b")],
        [ONE, row(b"12345", b"a")],
        [ONE, row(b"", b"a")],
        [ONE, row(int4(1), b"a") + b"?"],
        [ONE, struct.pack("!hii", 2, 4, 1) + struct.pack("!i", 99) + b"a"],
        [ONE, struct.pack("!hii", 2, 4, 1) + struct.pack("!i", -2)],
        [ONE, struct.pack("!hii", 2, 4, 1) + struct.pack("!i", 2**31 - 1) + b"a"],
        [ONE, struct.pack("!hii", 2, 4, 1)],
        [ONE, struct.pack("!h", 2)],
        [ONE, b"\0"],
        [ONE, END, row(int4(1), b"a")],
    ],
    ids=range(17),
)
def test_damaged_rows(items: list[bytes]) -> None:
    """Nothing is read from beyond a row, and nothing of the block is delivered."""
    with pytest.raises(SourceUnreadableError, match=r"is not of COPY's binary form .*fast_path='forbid'"):
        reader(INT4, TEXT).batch(block(*items), 1)


@pytest.mark.parametrize("rest", [b"", b"\0", row(int4(1))[:-1]], ids=len)
def test_a_block_of_next_to_nothing(rest: bytes) -> None:
    """Is no row."""
    rows = reader(INT4)
    rows.batch(block(HEADER + row(int4(1))), 1)
    with pytest.raises(SourceUnreadableError, match="binary form"):
        rows.batch(block(rest), 2)


@pytest.mark.parametrize("value", [b"", b'\2{"a": 1}'])
def test_a_version_of_jsonb_that_is_not_known(value: bytes) -> None:
    """There is only the first."""
    assert read(reader(JSONB), [HEADER + row(b'\1{"a": 1}'), row(None), END]) == [('{"a": 1}',), (None,)]
    with pytest.raises(SourceUnreadableError, match="binary form"):
        reader(JSONB).batch(block(HEADER + row(b"\1{}"), row(value), END), 1)


def test_a_numeric_that_is_none() -> None:
    """Three groups of which one is there, a group of five digits, a sign that is not known."""
    damaged = (struct.pack("!hhHhh", *values) for values in ((3, 0, 0, 0, 1), (1, 0, 0, 0, 10_000), (1, 0, 1, 0, 1)))
    for value in (b"\0\0", *damaged):
        with pytest.raises(SourceUnreadableError, match="binary form"):
            reader(PRICE).batch(block(HEADER + row(value), END), 1)


def test_text_that_is_no_utf_8() -> None:
    """The server sends none; it would be refused with its row."""
    with pytest.raises(SourceUnreadableError, match=r"^row 12 holds a value that column 't'"):
        reader(INT4, TEXT).batch(block(ONE, row(int4(1), b"\xff")), 11)


def session(version: int, *columns: PgColumn, casts: Sequence[int] = (), **parameters: str) -> Any:
    """A server, as far as it is asked."""
    asked = lambda _text, sources: [(oid,) for oid in casts if oid in sources]  # noqa: E731
    info = SimpleNamespace(server_version=version, parameter_status=parameters.get)
    return SimpleNamespace(connection=SimpleNamespace(info=info), columns=columns, look_up=asked)


def test_what_can_be_binary() -> None:
    """Where at least half of the columns are read from it, and the text of the others is what COPY would write."""
    interval = PgColumn("i", 1186, "interval", None, None)
    mine = PgColumn("m", 99_999, "mine", None, None)
    assert can_be_binary(session(180_000, INT4, TEXT, PRICE))
    assert can_be_binary(session(180_000, INT4, interval))
    assert not can_be_binary(session(180_000, INT4, interval, mine))
    assert not can_be_binary(session(180_000, INT4, mine, casts=[99_999]))
    assert not can_be_binary(session(90_600, INT4))
    assert not can_be_binary(session(180_000, INT4, crdb_version="CockroachDB CCL v25.1"))
    assert not can_be_binary(session(180_000, INT4, PgColumn("n", oids.INT4, "integer", None, None, pa.int64())))
