"""How PostgreSQL writes values in binary form: as the ``send`` functions of their types do (``src/backend/utils``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from airflow_xacct.dump.sources.sql import postgres_oids as oids
from airflow_xacct.dump.sources.sql.postgres_fields import (
    DamagedRowsError,
    Field,
    Fields,
    Fixed,
    OutOfRangeError,
    bitmap,
    pooled,
)
from airflow_xacct.dump.sources.sql.postgres_types import PgColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Text", "own_field"]

_DAY = 86_400 * 10**6
_DAYS = 10_957  # from 1970, where Arrow counts from, to 2000, where PostgreSQL does
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # of the years 1 to 9999; infinity is the least and the largest number
_OUR_DAYS = (_FIRST_DAY - _DAYS, _LAST_DAY - _DAYS)
_OUR_TIMES = (_OUR_DAYS[0] * _DAY, (_OUR_DAYS[1] + 1) * _DAY - 1)

_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), "u1").reshape(256, 2)
_UUID_TEXT = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_UUID_DIGITS = np.flatnonzero(np.frombuffer(_UUID_TEXT, "u1") == ord("x"))

_GROUP = 10_000
"""A digit of ``numeric``."""
_MOST_DIGITS = 18
"""Of a decimal that is computed in 64 bits."""
_POWERS = 10 ** np.arange(_MOST_DIGITS + 1, dtype=np.int64)
_HEAD_BYTES = 8
_TOGETHER = 4
"""So many groups of digits are read at once."""
_MASKS = np.array([(1 << 16 * groups) - 1 for groups in range(_TOGETHER + 1)], np.uint64)
_NEGATIVE, _NO_NUMBER = 0x4000, 0xC000  # NaN and both infinities have both bits


def own_field(column: PgColumn) -> Field | None:
    """How the values of a column are written, where that is read here; ``None`` for all else."""
    kind = column.own_type
    if column.type != kind:
        return None
    if column.oid == oids.NUMERIC:
        is_short = pa.types.is_decimal(kind) and kind.precision <= _MOST_DIGITS
        return _Numeric(kind) if is_short else None
    return _OWN.get(column.oid)


class _Flag(Fixed):
    def array(self, values: NDArray[Any], there: NDArray[np.bool_] | None = None) -> pa.Array:
        """As :class:`Fixed` has it."""
        bits = pa.py_buffer(np.packbits(values != 0, bitorder="little"))
        return pa.Array.from_buffers(self.kind, len(values), [bitmap(there), bits])


class _Uuid(Fixed):
    def array(self, values: NDArray[Any], there: NDArray[np.bool_] | None = None) -> pa.Array:
        """As :class:`Fixed` has it."""
        some = values if there is None else values[there]
        texts = np.full((len(some), len(_UUID_TEXT)), ord("-"), "u1")
        digits = np.ascontiguousarray(some).view("u1").reshape(len(some), self.bytes)
        texts[:, _UUID_DIGITS] = _HEX[digits].reshape(len(some), len(_UUID_DIGITS))
        ends = np.zeros(len(values) + 1, np.int32)
        np.cumsum(len(_UUID_TEXT) * (np.ones(len(values), np.int32) if there is None else there), out=ends[1:])
        return pa.Array.from_buffers(self.kind, len(values), [bitmap(there), pooled(ends, "<i4"), pooled(texts, "u1")])


@dataclass(frozen=True, slots=True)
class Text(Field):
    """Text, or bytes.

    :param kind: what is made of them: ``string``, ``binary``, or a decimal that they are the text of.
    :param version: the byte before them, if there is one.
    """

    kind: pa.DataType
    version: int | None = None

    def read(self, rows: Fields) -> pa.Array:
        """As :class:`Field` has it."""
        begins, lengths, there = rows.next()
        ends = begins + lengths
        if self.version is not None:
            if (rows.numbers(begins if there is None else begins[there], "u1") != self.version).any():
                raise DamagedRowsError
            begins = begins + (1 if there is None else there)
            if (begins > ends).any():
                raise DamagedRowsError
        found = rows.bytes_of(begins, ends, there)
        if pa.types.is_binary(self.kind):
            return found
        try:
            return self._made(found)  # which checks that it is UTF-8
        except pa.ArrowInvalid:
            raise OutOfRangeError(next(i for i in range(len(found)) if not self._holds(found[i : i + 1]))) from None

    def _made(self, found: pa.BinaryArray) -> pa.Array:
        return found.cast(pa.string()).cast(self.kind)

    def _holds(self, found: pa.BinaryArray) -> bool:
        try:
            self._made(found)
        except pa.ArrowInvalid:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Numeric(Field):
    """Groups of four decimal digits, the power of 10,000 of the first of them, and a sign.

    :param kind: a decimal of few enough digits to be computed in 64 bits.
    """

    kind: pa.Decimal128Type

    def read(self, rows: Fields) -> pa.Array:
        """As :class:`Field` has it."""
        begins, lengths, there = rows.next()
        row_of = np.arange(len(rows)) if there is None else np.flatnonzero(there)
        begins, lengths = begins[row_of], lengths[row_of]
        if (lengths < _HEAD_BYTES).any():
            raise DamagedRowsError
        head = rows.numbers(begins, ">u8").astype(np.int64)
        # how many groups, the weight of the first, the sign, and how many digits are shown after the point
        groups, weights, signs = head >> 48, head << 16 >> 48, head >> 16 & 0xFFFF
        if (groups < 0).any() or (lengths != _HEAD_BYTES + 2 * groups).any():
            raise DamagedRowsError
        self._check((signs & _NO_NUMBER) != _NO_NUMBER, row_of)
        if ((signs != 0) & (signs != _NEGATIVE)).any():
            raise DamagedRowsError
        ends, found = begins + lengths, np.zeros(len(row_of), np.int64)
        for last in range(0, int(groups.max(initial=0)), _TOGETHER):
            some = np.flatnonzero(groups > last)
            digits = self._digits(rows, ends[some] - 2 * last, groups[some] - last)
            found[some] += self._part(
                digits, 4 * (weights[some] - groups[some] + last + 1) + self.kind.scale, row_of[some]
            )
        self._check(found < _POWERS[self.kind.precision], row_of)
        halves = np.zeros((len(rows), 2), np.int64)
        halves[row_of, 0] = np.where(signs == _NEGATIVE, -found, found)
        halves[:, 1] = halves[:, 0] >> 63
        return pa.Array.from_buffers(self.kind, len(rows), [bitmap(there), pooled(halves, "<i8")])

    @staticmethod
    def _digits(rows: Fields, ends: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number that the last groups before these places are, four of them at most."""
        # what stands before the first group is the head
        words = rows.numbers(ends - 2 * _TOGETHER, ">u8") & _MASKS[np.minimum(groups, _TOGETHER)]
        found = np.zeros(len(words), np.int64)
        for shift in range(16 * (_TOGETHER - 1), -1, -16):
            group = (words >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.int64)
            if (group >= _GROUP).any():
                raise DamagedRowsError
            found = found * _GROUP + group
        return found

    def _part(
        self, digits: NDArray[np.int64], powers: NDArray[np.int64], row_of: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """What digits stand for, in units of the last digit of the column's scale.

        :param powers: of ten, of the last of them.
        """
        up, down = (_POWERS[np.minimum(np.maximum(some, 0), _MOST_DIGITS)] for some in (powers, -powers))
        whole = digits // down
        # neither too large for the type nor, which the server has seen to, with more digits than its scale
        self._check((whole <= _POWERS[self.kind.precision] // up) & (whole * down == digits), row_of)
        return whole * up

    @staticmethod
    def _check(holds: NDArray[np.bool_], row_of: NDArray[np.int64]) -> None:
        if not holds.all():
            raise OutOfRangeError(int(row_of[np.argmin(holds)]))


_OWN: dict[int, Field] = {
    oids.BOOL: _Flag(pa.bool_(), "u1", "u1"),
    oids.BYTEA: Text(pa.binary()),
    oids.NAME: Text(pa.string()),
    oids.INT8: Fixed(pa.int64(), ">i8", "<i8"),
    oids.INT2: Fixed(pa.int16(), ">i2", "<i2"),
    oids.INT4: Fixed(pa.int32(), ">i4", "<i4"),
    oids.TEXT: Text(pa.string()),
    oids.OID: Fixed(pa.uint32(), ">u4", "<u4"),
    oids.JSON: Text(pa.string()),
    oids.FLOAT4: Fixed(pa.float32(), ">f4", "<f4"),
    oids.FLOAT8: Fixed(pa.float64(), ">f8", "<f8"),
    oids.BPCHAR: Text(pa.string()),
    oids.VARCHAR: Text(pa.string()),
    oids.DATE: Fixed(pa.date32(), ">i4", "<i4", _DAYS, _OUR_DAYS),
    oids.TIME: Fixed(pa.time64("us"), ">i8", "<i8", 0, (0, _DAY - 1)),
    oids.TIMESTAMP: Fixed(pa.timestamp("us"), ">i8", "<i8", _DAYS * _DAY, _OUR_TIMES),
    oids.TIMESTAMPTZ: Fixed(pa.timestamp("us", tz="UTC"), ">i8", "<i8", _DAYS * _DAY, _OUR_TIMES),
    oids.UUID: _Uuid(pa.string(), "V16", "u1"),
    oids.JSONB: Text(pa.string(), 1),
}
