"""The argument ``schema``: what a task says about its columns before the first row is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from airflow_xacct.dump.sources.python.types import settled_type
from airflow_xacct.dump.sources.sql.arrow_types import named_types
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["DeclaredColumns", "check_names", "declared_columns"]

_REMEDY = (
    "Give a pyarrow.Schema, a mapping of names to types such as {'id': 'int64', 'price': 'decimal128(12, 2)'} (None "
    "for a type that the first rows tell), or a list of names."
)


@dataclass(frozen=True, slots=True)
class DeclaredColumns:
    """The columns, in their order.

    :param fields: a field for each name, ``None`` where the first rows tell its type.
    """

    fields: Mapping[str, pa.Field | None]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return list(self.fields)

    @property
    def schema(self) -> pa.Schema | None:
        """All of it, if every type was given."""
        given = [field for field in self.fields.values() if field is not None]
        return pa.schema(given) if len(given) == len(self.fields) else None


def declared_columns(schema: Any) -> DeclaredColumns | None:
    """Read the argument.

    :param schema: a ``pyarrow.Schema``, a mapping of names to types (text, ``pyarrow.DataType`` or ``None``), a
        sequence of names, or ``None``.
    :raises InvalidArgumentError: it is none of these, names no column, one twice, or an unknown type.
    """
    if schema is None:
        return None
    if isinstance(schema, pa.Schema):
        fields = [pa.field(field.name, settled_type(field.type), field.nullable) for field in schema]
        check_names(schema.names, "schema")
        return DeclaredColumns({field.name: field for field in fields})
    if isinstance(schema, Mapping):
        check_names(list(schema), "schema")
        return DeclaredColumns({name: _field(name, kind) for name, kind in schema.items()})
    if isinstance(schema, Sequence) and not isinstance(schema, (str, bytes)):
        check_names(list(schema), "schema")
        return DeclaredColumns(dict.fromkeys(schema))
    raise InvalidArgumentError(f"{type(schema).__name__} is no schema", where="schema", remedy=_REMEDY)


def check_names(names: Sequence[Any], where: str) -> None:
    """Refuse names that cannot be those of columns.

    :raises InvalidArgumentError: there is none, one is no text or is empty, or two are the same.
    """
    if not names:
        raise InvalidArgumentError("there is no column", where=where, remedy="Name at least one.")
    odd = [name for name in names if not isinstance(name, str) or not name]
    if odd:
        raise InvalidArgumentError(
            f"a column has the name {odd[0]!r}, which is no text or is empty",
            where=where,
            remedy="Give each column a name.",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidArgumentError(
            f"two columns have the name {twice[0]!r}", where=where, remedy="Give each column a name of its own."
        )


def _field(name: str, kind: Any) -> pa.Field | None:
    if kind is None:
        return None
    if isinstance(kind, pa.DataType):
        return pa.field(name, settled_type(kind))
    if not isinstance(kind, str):
        raise InvalidArgumentError(
            f"the type of column {name!r} is a {type(kind).__name__}", where="schema", remedy=_REMEDY
        )
    if kind == "json":
        return pa.field(name, pa.json_())
    try:
        return pa.field(name, named_types({name: kind}, [name])[name])
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            error.what, where="schema", remedy=f"{error.remedy} A pyarrow.Schema can name every other."
        ) from error
