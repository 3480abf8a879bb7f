"""Rows through a cursor: what every driver can do."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from airflow_xacct.dump.sources.sql.arrow_types import arrow_field, named_types
from airflow_xacct.dump.sources.sql.hints import ColumnHint
from airflow_xacct.dump.sources.sql.server_text import ServerTextWriter
from airflow_xacct.dump.sources.sql.session import Session, Stream, checked_names
from airflow_xacct.dump.sources.sql.values import ColumnWriter, guessed_type
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["CursorSource"]

_Rows = Sequence[Sequence[Any]]

_BATCH_ROWS = 8_192


class CursorSource:
    """The rows of a query by ``fetchmany``, as Arrow. It has executed the query when it is made.

    A column that is all NULL in the first fetch, and of which the database tells no type, is text.

    :param session: open; closed by this source.
    """

    def __init__(self, session: Session) -> None:
        self.name = f"the query of {session.where}"
        self._session = session
        self._fetch_rows = session.options.fetch_rows or session.fetch_rows
        self._first: list[_Rows] = []
        self._stream: Stream[pa.RecordBatch] = Stream(session, lambda batch: batch.num_rows)
        try:
            with session.translating():
                session.run(self._begin)
            self._writers = self._plan()
        except BaseException:
            self.close()
            raise
        self._schema = pa.schema([self._field(writer) for writer in self._writers])

    @property
    def is_complete(self) -> bool:
        """Whether the first rows are all there are."""
        return sum(map(len, self._first)) < _BATCH_ROWS

    @property
    def begins_with_null(self) -> list[bool]:
        """Which columns are NULL in all of the first rows."""
        columns = zip(*itertools.chain.from_iterable(self._first), strict=True)
        return [all(value is None for value in column) for column in columns] or [True] * len(self._schema)

    def forget(self) -> None:
        """Let go of the query, which somebody else reads."""
        self._first = []
        self._session.run(self._cursor.close)

    def schema(self) -> pa.Schema:
        """The columns."""
        return self._schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, some thousands at a time."""
        return self._stream.items(self._read())

    def close(self) -> None:
        """Cancel the query if it runs, and close the connection."""
        self._stream.close()

    def _begin(self) -> None:
        session = self._session
        self._cursor = session.execute()
        if self._cursor.description is None and not session.describes_late:
            raise self._no_result()
        self._first = list(self._pieces())
        if self._cursor.description is None:
            raise self._no_result()
        self._names = [str(column[0]) for column in self._cursor.description]
        self._hints: Mapping[str, ColumnHint] = session.column_hints(self._cursor)

    def _pieces(self) -> Iterator[_Rows]:
        """The rows of one batch, fetch by fetch; nothing at the end."""
        count = 0
        while count < _BATCH_ROWS and (rows := self._cursor.fetchmany(self._fetch_rows)):
            count += len(rows)
            yield rows

    def _no_result(self) -> InvalidArgumentError:
        return InvalidArgumentError(
            "the statement returned no result", where=self._session.where, remedy="Give one that returns rows."
        )

    def _plan(self) -> list[ColumnWriter]:
        names = checked_names(self._names, self._session.where)
        asked = named_types(self._session.options.column_types, names)
        columns = list(zip(*itertools.chain.from_iterable(self._first), strict=True)) or [()] * len(names)
        writers = []
        for name, values in zip(names, columns, strict=True):
            hint = self._hints.get(name, ColumnHint())
            kind = asked.get(name) or hint.type
            if kind is None:
                kind = guessed_type(name, values, hint.decimals) or hint.otherwise or pa.string()
                if hint.fractions and pa.types.is_integer(kind):
                    kind = pa.float64()
            kind_of_writer = ServerTextWriter if hint.as_text else ColumnWriter
            writers.append(kind_of_writer(name, kind, asked=name in asked, naive_is_utc=hint.naive_is_utc))
        return writers

    def _field(self, writer: ColumnWriter) -> pa.Field:
        hint = self._hints.get(writer.name, ColumnHint())
        is_json = hint.is_json and not writer.asked
        return arrow_field(writer.name, writer.type, hint.database_type, is_json=is_json)

    def _read(self) -> Iterator[pa.RecordBatch]:
        pieces: Iterable[_Rows] = self._first
        self._first, first_row = [], 1
        while batches := list(self._converted(pieces, first_row)):
            count = sum(batch.num_rows for batch in batches)
            yield batches[0] if len(batches) == 1 else pa.concat_batches(batches)
            first_row += count
            pieces = self._pieces()

    def _converted(self, pieces: Iterable[_Rows], first_row: int) -> Iterator[pa.RecordBatch]:
        for rows in pieces:
            columns = zip(*rows, strict=True)
            arrays = [writer.array(column, first_row) for writer, column in zip(self._writers, columns, strict=True)]
            yield pa.record_batch(arrays, schema=self._schema)
            first_row += len(rows)
