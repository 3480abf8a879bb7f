"""The fields of one block of PostgreSQL's binary rows, a column at a time, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.arrow_pool import POOL

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DamagedRowsError", "Field", "Fields", "Fixed", "OutOfRangeError", "bitmap", "pooled", "read_together"]

_LENGTH_BYTES = 4  # before each field


class DamagedRowsError(Exception):
    """The rows are not of the binary form."""


class OutOfRangeError(Exception):
    """The column's type cannot hold a value.

    :param row: of the block, from 0.
    """

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


class Fields:
    """Where the next field of each row begins.

    :param data: the block, of at least one row.
    :param at: of each row, in ``data``; in rising order.
    :param ends: of each row, which is before the next one's ``at``.
    """

    def __init__(self, data: bytes | memoryview, at: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        self.data = data
        self.at = at
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends)

    def numbers(self, at: NDArray[np.int64], kind: str) -> NDArray[Any]:
        """The numbers that stand at these places.

        :param kind: numpy's name of how they are written, such as ``>i4``.
        :raises DamagedRowsError: some of it would lie beyond the block.
        """
        # a view for every place in the block, aligned or not
        places = max(0, len(self.data) - np.dtype(kind).itemsize + 1)
        try:
            return np.ndarray((places,), kind, self.data, strides=(1,))[at]
        except IndexError:
            raise DamagedRowsError from None

    def next(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_] | None]:
        """Where the next field of each row begins, its length in bytes, and whether it is not NULL; go on to the next.

        :return: for NULL the length is 0; instead of the last, ``None`` where no row has NULL.
        :raises DamagedRowsError: a field would be longer than its row.
        """
        lengths = self.numbers(self.at, ">i4").astype(np.int64)
        begins = self.at + _LENGTH_BYTES
        there = None
        if (least := int(lengths.min())) < 0:
            if least < -1:
                raise DamagedRowsError
            there = lengths >= 0
            lengths[~there] = 0
        self.at = begins + lengths
        if (self.at > self.ends).any():
            raise DamagedRowsError
        return begins, lengths, there

    def check_ended(self) -> None:
        """See that there is no further field.

        :raises DamagedRowsError: there is.
        """
        if (self.at != self.ends).any():
            raise DamagedRowsError

    def bytes_of(
        self, begins: NDArray[np.int64], ends: NDArray[np.int64], there: NDArray[np.bool_] | None = None
    ) -> pa.BinaryArray:
        """What lies between these places of each row, one behind the other.

        :param there: which are not NULL.
        """
        # of an array whose every other value lies between two of them; Arrow does not look whether it is its own
        bounds = np.zeros(2 * len(self) + 1, np.int32)
        bounds[1::2], bounds[2::2] = begins, ends
        whole = pa.Array.from_buffers(pa.binary(), 2 * len(self), [None, pa.py_buffer(bounds), pa.py_buffer(self.data)])
        every_other = pa.py_buffer(np.arange(1, 2 * len(self), 2, dtype=np.int32))
        return pc.take(
            whole, pa.Array.from_buffers(pa.int32(), len(self), [bitmap(there), every_other]), memory_pool=POOL
        )


def bitmap(there: NDArray[np.bool_] | None) -> pa.Buffer | None:
    """The validity bitmap of Arrow."""
    return None if there is None else pa.py_buffer(np.packbits(there, bitorder="little"))


def pooled(values: NDArray[Any], kind: str, *, plus: int = 0) -> pa.Buffer:
    """Numbers in a buffer of the pool for rows.

    :param kind: numpy's name of how Arrow writes them, such as ``<i4``.
    """
    buffer = pa.allocate_buffer(values.size * np.dtype(kind).itemsize, memory_pool=POOL)
    into = np.frombuffer(buffer, kind).reshape(values.shape)
    into[...] = values
    if plus:
        into += plus
    return buffer


class Field:
    """How the values of one column are written. It is stateless."""

    def read(self, rows: Fields) -> pa.Array:
        """The next field of each row.

        :raises OutOfRangeError: the column's type cannot hold a value.
        :raises DamagedRowsError: it is not written in this way.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Fixed(Field):
    """A number, in the same number of bytes in every row.

    :param kind: of the column.
    :param wire: numpy's name of how it is written.
    :param host: the same in Arrow.
    :param plus: what is added to it.
    :param bounds: the least and the largest that is written.
    """

    kind: pa.DataType
    wire: str
    host: str
    plus: int = 0
    bounds: tuple[int, int] | None = None

    def read(self, rows: Fields) -> pa.Array:
        """As :class:`Field` has it."""
        begins, lengths, there = rows.next()
        at = begins if there is None else begins[there]
        if (lengths != (self.bytes if there is None else there * self.bytes)).any():
            raise DamagedRowsError
        found = rows.numbers(at, self.wire)
        if there is not None:
            found, some = np.zeros(len(rows), self.wire), found
            found[there] = some
        return self.array(found, there)

    @property
    def bytes(self) -> int:
        """How many there are of a value."""
        return np.dtype(self.wire).itemsize

    def array(self, values: NDArray[Any], there: NDArray[np.bool_] | None = None) -> pa.Array:
        """What was written, in Arrow.

        :param values: zero where there is NULL.
        :param there: which are not NULL.
        :raises OutOfRangeError: the column's type cannot hold a value.
        """
        if self.bounds is not None:
            inside = (values >= self.bounds[0]) & (values <= self.bounds[1])
            if there is not None:
                inside |= ~there
            if not inside.all():
                raise OutOfRangeError(int(np.argmin(inside)))
        return pa.Array.from_buffers(self.kind, len(values), [bitmap(there), pooled(values, self.host, plus=self.plus)])


def read_together(rows: Fields, fields: Sequence[Fixed]) -> list[NDArray[Any]] | None:
    """The values of the next fields of each row, copied in one go.

    :return: ``None``, and nothing was read, where one of them is NULL.
    """
    shape = np.dtype(
        [item for i, field in enumerate(fields) for item in ((f"length{i}", ">i4"), (f"value{i}", field.wire))]
    )
    ends = rows.at + shape.itemsize
    if (ends > rows.ends).any():
        return None
    found = np.frombuffer(rows.bytes_of(rows.at, ends).buffers()[2], shape, count=len(rows))
    if any((found[f"length{i}"] != field.bytes).any() for i, field in enumerate(fields)):
        return None
    rows.at = ends
    return [found[f"value{i}"] for i in range(len(fields))]
