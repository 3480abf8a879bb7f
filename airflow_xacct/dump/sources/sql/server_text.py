"""Columns whose values a driver hands over as the server wrote them, parsed by Arrow: the text holds every digit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from airflow_xacct.dump.sources.sql.arrow_types import in_our_era
from airflow_xacct.dump.sources.sql.values import ColumnWriter

__all__ = ["ServerTextWriter"]


class ServerTextWriter(ColumnWriter):
    """Makes Arrow arrays of a number's, a date's or a decimal's text."""

    __slots__ = ()

    def array(self, values: Sequence[Any], first_row: int) -> pa.Array:
        """The values of the texts as Arrow.

        :param values: ``bytes``, ``bytearray`` or ``str``, and ``None`` for NULL.
        :raises SourceUnreadableError: a value that the type does not hold, such as ``0000-00-00``.
        """
        try:
            return in_our_era(pa.array(values, pa.string()).cast(self.type))
        except pa.ArrowInvalid:
            texts = [value if value is None else str(value, "ascii", "replace") for value in map(_bytes, values)]
            self._refuse(texts, first_row, self._is_wrong)

    def _is_wrong(self, text: str) -> bool:
        try:
            in_our_era(pa.array([text], pa.string()).cast(self.type))
        except pa.ArrowInvalid:
            return True
        return False


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else bytes(value)
