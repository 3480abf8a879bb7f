"""PostgreSQL's types in Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_xacct.dump.sources.sql import postgres_oids as oids

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PgColumn"]

_JSON = frozenset({oids.JSON, oids.JSONB})
_PLAIN_TEXT = frozenset({oids.TEXT, oids.BPCHAR, oids.VARCHAR})
_MAX_SCALE = 1000  # a scale below zero comes out of the drivers as a large one


@dataclass(frozen=True, slots=True)
class PgColumn:
    """A column of a result.

    What Arrow has no type for is the server's own text: numeric without precision, intervals, arrays, ranges,
    composites, json, uuid, network addresses, bits, money, enums and whatever extensions add.

    :param asked: the Arrow type that the DAG wants instead.
    """

    name: str
    oid: int
    type_name: str
    precision: int | None
    scale: int | None
    asked: pa.DataType | None = None

    @property
    def is_bytea(self) -> bool:
        """Whether its text is hexadecimal digits that stand for bytes."""
        return self.oid == oids.BYTEA

    @property
    def is_json(self) -> bool:
        """Whether the server has checked that its text is JSON."""
        return self.oid in _JSON and self.asked is None

    @property
    def is_instant(self) -> bool:
        """Whether it is a point in time, to be written in UTC."""
        return self.oid == oids.TIMESTAMPTZ and self.type == self.own_type

    @property
    def type(self) -> pa.DataType:
        """Its Arrow type."""
        return self.own_type if self.asked is None else self.asked

    @property
    def own_type(self) -> pa.DataType:
        """The Arrow type that holds the values of its type in the database."""
        import pyarrow as pa

        from airflow_xacct.dump.sources.sql.arrow_types import decimal_type

        if self.oid == oids.NUMERIC:
            if not self.precision or self.scale is None or not 0 <= self.scale <= _MAX_SCALE:
                return pa.string()
            return decimal_type(self.precision, self.scale)
        types = {
            oids.BOOL: pa.bool_(),
            oids.BYTEA: pa.binary(),
            oids.INT2: pa.int16(),
            oids.INT4: pa.int32(),
            oids.INT8: pa.int64(),
            oids.OID: pa.uint32(),
            oids.FLOAT4: pa.float32(),
            oids.FLOAT8: pa.float64(),
            oids.DATE: pa.date32(),
            oids.TIME: pa.time64("us"),
            oids.TIMESTAMP: pa.timestamp("us"),
            oids.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
        }
        return types.get(self.oid, pa.string())

    def selected(self, identifier: str, *, as_csv: bool) -> str:
        """How it is selected so that its values arrive unchanged.

        :param identifier: its name, quoted.
        :param as_csv: for COPY, whose text is parsed here; otherwise the driver makes values of it.
        """
        if self.is_instant:
            # offsets of instants before 1900 have seconds, which no parser but PostgreSQL's reads; and what is a year
            # of four digits in UTC may be none in the zone of the session
            return f"{identifier} AT TIME ZONE 'UTC' AS {identifier}"
        if not as_csv and self.oid not in _PLAIN_TEXT and (self.is_text or self.type != self.own_type):
            # what COPY would write, which is not always what a cast to text makes (inet, char)
            return f"CASE WHEN {identifier} IS DISTINCT FROM NULL THEN format('%s', {identifier}) END AS {identifier}"
        return identifier

    @property
    def is_text(self) -> bool:
        """Whether Arrow holds it as text."""
        import pyarrow as pa

        return bool(pa.types.is_string(self.type))
