"""What a database tells of a column before its values do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ColumnHint"]


@dataclass(frozen=True, slots=True)
class ColumnHint:
    """What is known of a column.

    :param type: its Arrow type, for certain.
    :param otherwise: its Arrow type if the first rows are all NULL.
    :param fractions: whether integers in its first rows may be followed by fractions.
    :param decimals: precision and scale, should its values be decimals.
    :param database_type: the name of its type in the database.
    :param is_json: whether the database has checked that its text is JSON.
    :param as_text: whether the driver hands its values over as the server's text.
    :param naive_is_utc: whether its timestamps without a zone are instants in UTC.
    """

    type: pa.DataType | None = None
    otherwise: pa.DataType | None = None
    fractions: bool = False
    decimals: tuple[int, int] | None = None
    database_type: str = ""
    is_json: bool = False
    as_text: bool = False
    naive_is_utc: bool = False
