"""What a source hands over: rows as Arrow batches, or the text that the server made of them.

``dump/sources/sql`` has the sources, ``dump/pipeline.py`` makes objects of them; they meet here, by shape alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CHECKED_JSON", "DATABASE_TYPE", "RowSource", "TextBlock", "TextSource"]

CHECKED_JSON = {b"xacct:json": b"checked"}
"""Metadata of a text field whose server has checked that every value is JSON, so that it can stand in JSON as it is."""

DATABASE_TYPE = b"database_type"
"""Metadata of a field: the name of the column's type in the database, such as ``jsonb``."""


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Whole rows of text, as the server wrote them.

    :param data: bytes that end where a row ends; without a header, which every object gets from the columns' names.
    :param rows: how many rows end in ``data``.
    """

    data: bytes
    rows: int


@runtime_checkable
class RowSource(Protocol):
    """One pass over the rows of a source."""

    @property
    def name(self) -> str:
        """What a person would call it; used in messages."""
        ...

    def schema(self) -> pa.Schema:
        """The columns, known before the first row. Every batch has exactly this schema."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, about 8,000 to 64,000 at a time, so that memory does not grow with their number.

        Called once, and read in one thread, which need not be the one that made the source.
        """
        ...

    def close(self) -> None:
        """Release what the source holds, and cancel what still runs.

        May be called at any time, from any thread, more than once; also while another thread waits for rows, which
        then ends with whatever error it likes.
        """
        ...


@runtime_checkable
class TextSource(Protocol):
    """A server that writes CSV itself (PostgreSQL's COPY): its bytes are delivered untouched."""

    @property
    def name(self) -> str:
        """What a person would call it; used in messages."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns, in their order."""
        ...

    @property
    def database_types(self) -> Sequence[str]:
        """What the database calls the type of each; empty where it does not tell."""
        ...

    def blocks(self) -> Iterator[TextBlock]:
        """The text, about 512 KiB at a time, cut at row ends.

        Where it is cut depends on the rows alone (say, at the first row end after so many bytes), not on how the
        network happened to hand them over: objects roll between blocks. Called once, and read in one thread, which
        need not be the one that made the source.
        """
        ...

    def close(self) -> None:
        """Release what the source holds, and cancel what still runs.

        May be called at any time, from any thread, more than once; also while another thread waits for rows, which
        then ends with whatever error it likes.
        """
        ...
