"""What can be wrong with what a function made: the errors, and their remedies in one place."""

from __future__ import annotations

from airflow_xacct.exceptions import InvalidArgumentError, SourceUnreadableError

__all__ = ["KINDS", "column_misfit", "no_rows", "other_columns"]

KINDS = (
    "Yield or return dicts, tuples, lists of those, Arrow tables or record batches, pandas or polars DataFrames; or "
    "say format='bytes' to deliver bytes and files as they are."
)


def column_misfit(what: str, column: str) -> SourceUnreadableError:
    """The error for a value that its column cannot hold.

    :param what: begins with the number of the row; names types and never the value.
    """
    return SourceUnreadableError(
        what,
        where=f"column {column!r}",
        remedy="Make all values of the column alike, or give schema with a type that holds each of them unchanged.",
    )


def other_columns(what: str) -> SourceUnreadableError:
    """The error for a row or frame that has not the columns of the first one."""
    return SourceUnreadableError(
        what, where="schema", remedy="Give every row all columns and no other, with None where there is no value."
    )


def no_rows(what: str) -> InvalidArgumentError:
    """The error for something that is no row and holds none."""
    return InvalidArgumentError(what, where="python_callable or data", remedy=KINDS)
