"""SQLite's rows as Arrow batches, made by the driver of Arrow's own project (ADBC) instead of Python's, row by row.

That driver takes the type of a column from its first rows, as SQLite has none, and some later values of other types it
would change without a word: an integer to the nearest float, a number to text, a BLOB to text. So the query is put into
another that says of each row which of its values is not of the type that the column is known to have: it is refused,
as it is by the cursor.

The driver cannot be interrupted, so that only queries are read through it that go through one table once: a batch of
those is there soon, and a close waits for no more than that.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import adbc_driver_manager as adbc
import adbc_driver_sqlite
import pyarrow as pa
import pyarrow.compute as pc

from airflow_xacct.dump.arrow_constants import integer, null
from airflow_xacct.dump.sources.sql.arrow_types import MAX_EXACT_INTEGER
from airflow_xacct.dump.sources.sql.cursor import CursorSource
from airflow_xacct.dump.sources.sql.errors import SecretWords, translated
from airflow_xacct.dump.sources.sql.session import Session, Stream
from airflow_xacct.dump.sources.sql.sqlite import SqliteSession
from airflow_xacct.exceptions import SourceUnreadableError, XacctError

__all__ = ["AdbcSource", "NotForAdbc"]

_BATCH_ROWS = 16_384
_MOST_COLUMNS = 200  # SQLite nests no deeper than 1,000 (SQLITE_MAX_EXPR_DEPTH), and a CASE of all columns is one

#: how a type is called in the driver's message, what ``typeof`` says of its values, and a value that is not NULL
_CLASSES = {
    pa.int64(): ("integer", "0"),
    pa.float64(): ("real", "0.0"),
    pa.string(): ("text", "''"),
    pa.binary(): ("blob", "x''"),
}
_MISMATCH = re.compile(r"Type mismatch in column (\d+): expected \w+ but got (\w+)")


class NotForAdbc(Exception):  # noqa: N818 - the cursor reads it as well
    """Why a query is read through a cursor; its text is for the log."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the query.

    :param begins_with_null: for as many rows as the driver looks at: it would take the type for integer.
    """

    name: str
    type: pa.DataType
    begins_with_null: bool

    @property
    def needs_mark(self) -> bool:
        """Whether NULL is selected beside its values, which have another in its place."""
        return self.begins_with_null and self.type != pa.int64()

    def selected(self, identifier: str) -> str:
        """How it is selected, so that the driver gives it this type."""
        _, filler = _CLASSES[self.type]
        found = f"CAST({identifier} AS REAL)" if self.type == pa.float64() else identifier
        return f"coalesce({found}, {filler})" if self.needs_mark else found

    def wrong(self, identifier: str) -> str | None:
        """What holds of a value that the driver would change; ``None`` where it refuses by itself."""
        if self.type == pa.int64():
            return None
        kind, _ = _CLASSES[self.type]
        right = f"typeof({identifier}) = '{kind}' OR {identifier} IS NULL"
        if self.type == pa.float64():
            whole = f"{identifier} BETWEEN {-MAX_EXACT_INTEGER} AND {MAX_EXACT_INTEGER}"
            right += f" OR (typeof({identifier}) = 'integer' AND {whole})"
        return f"NOT ({right})"


class AdbcSource:
    """The rows of a query whose columns a cursor has found out.

    :param first: has executed the query; of no use any more when this is made, and as it was when it is not.
    :param required: also where the cursor would be as fast.
    :raises NotForAdbc: the cursor must read it, or would be as fast.
    """

    def __init__(self, session: SqliteSession, first: CursorSource, *, required: bool) -> None:
        self.name = first.name
        self._schema = first.schema()
        _check(session, first, required=required)
        self._columns = [
            _Column(field.name, field.type, null)
            for field, null in zip(self._schema, first.begins_with_null, strict=True)
        ]
        self._session = _AdbcSession(session)
        try:
            self._reader = self._session.read(_statement(session, self._columns))
            self._check_types()
        except BaseException:
            self._session.close_driver()
            raise
        first.forget()
        self._stream: Stream[pa.RecordBatch] = Stream(self._session, lambda batch: batch.num_rows)

    def schema(self) -> pa.Schema:
        """The columns."""
        return self._schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows."""
        return self._stream.items(self._read())

    def close(self) -> None:
        """Close the connections, after the batch under way."""
        self._stream.close()

    def _check_types(self) -> None:
        found = self._reader.schema.types[: len(self._columns)]
        if found != [column.type for column in self._columns]:
            raise NotForAdbc("its first rows come in another order when it is asked again")

    def _read(self) -> Iterator[pa.RecordBatch]:
        done = 0
        while True:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return
            except OSError as exc:
                raise self._refused_by_driver(exc, done) from None
            if batch.num_rows:
                yield self._checked(batch, done)
                done += batch.num_rows

    def _checked(self, batch: pa.RecordBatch, done: int) -> pa.RecordBatch:
        count = len(self._columns)
        wrong = batch.column(count)
        if wrong.null_count < len(wrong):
            row = pc.index(pc.is_valid(wrong), True).as_py()
            raise _refused(f"row {done + row + 1:,}", "value", self._columns[wrong[row].as_py()])
        arrays, marks = list(batch.columns[:count]), iter(batch.columns[count + 1 :])
        for i, column in enumerate(self._columns):
            if column.needs_mark:
                is_null = pc.equal(next(marks), integer(1, pa.int64()))
                arrays[i] = pc.if_else(is_null, null(column.type), arrays[i])
            if column.type == pa.string():
                self._check_text(arrays[i], column, done)
        return pa.record_batch(arrays, schema=self._schema)

    def _check_text(self, array: pa.Array, column: _Column, done: int) -> None:
        """The driver does not look whether it is UTF-8."""
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            raise _refused(f"a row after the {done:,}th", "text that is no UTF-8", column) from None

    def _refused_by_driver(self, error: OSError, done: int) -> XacctError:
        if (match := _MISMATCH.search(str(error))) is None:
            return self._session.told(error, done)
        column = self._columns[int(match[1])]
        return _refused(self._session.place_of(column, done), f"{match[2].lower()} value", column)


class _AdbcSession(Session):
    """A session whose rows another connection reads, of another driver."""

    def __init__(self, session: SqliteSession) -> None:
        super().__init__(session.hook, session.query, session.options)
        self._python = session
        self._opened = contextlib.ExitStack()

    def read(self, statement: str) -> Any:
        """Execute the statement over a connection that may only read."""
        path = _path(self._python)
        try:
            return self._execute(f"file:{quote(path)}?mode=ro", statement)
        except (adbc.Error, OSError) as exc:
            raise NotForAdbc(f"the driver refuses it ({self.told(exc).what})") from exc

    def _execute(self, uri: str, statement: str) -> Any:
        # not its DB-API, which imports pandas and polars where they are installed
        self._opened = opened = contextlib.ExitStack()
        database = opened.enter_context(adbc_driver_sqlite.connect(uri))
        query = opened.enter_context(adbc.AdbcStatement(opened.enter_context(adbc.AdbcConnection(database))))
        query.set_options(**{"adbc.sqlite.query.batch_rows": str(_BATCH_ROWS)})
        query.set_sql_query(statement)
        if self.query.parameters:
            _bind(query, self.query.parameters)
        # in another thread, for this one may have to hear a signal
        handle, _ = self._python.run(query.execute_query)
        reader = pa.RecordBatchReader._import_from_c(handle.address)  # noqa: SLF001 - Arrow's C stream interface
        opened.callback(reader.close)
        return reader

    def told(self, error: Exception, rows: int | None = None) -> XacctError:
        """What the driver said, in our words."""
        return translated(error, self.where, SecretWords(self.query.parameters), rows=rows)[0]

    def place_of(self, column: _Column, done: int) -> str:
        """Where the first value is that is no integer: the driver does not tell.

        :param done: how many rows are known to be before it.
        """
        kinds = f"SELECT typeof({self.quote(column.name)}) FROM (\n{self.query.text}\n)"  # noqa: S608 - the DAG's own
        look = self._python.connection.execute
        rows = self._python.run(
            lambda: [
                row
                for row, (kind,) in enumerate(look(kinds, self.query.parameters or ()), 1)
                if row > done and kind not in ("integer", "null")
            ][:1]
        )
        return f"row {rows[0]:,}" if rows and not self.query.order_by else f"a row after the {done:,}th"

    def close_driver(self) -> None:
        """Close what reads, and leave the session that was given."""
        with contextlib.suppress(Exception):
            self._opened.close()

    def close(self) -> None:
        """Close both."""
        self.close_driver()
        self._python.close()


def _check(session: SqliteSession, first: CursorSource, *, required: bool) -> None:
    """See whether it can be read so, and is worth it.

    :raises NotForAdbc: it cannot, or is not.
    """
    options, query = session.options, session.query
    parameters = query.parameters
    for problem, reason in (
        (not query.can_be_wrapped, "it cannot stand in another query"),
        (query.is_sorted and not query.order_by, "the order of a query in another one is nobody's"),
        (options.column_types, "column_types asks for other types than those of its values"),
        (options.statement_timeout_seconds, "the driver knows no statement timeout"),
        (not options.read_only, "read_only=False, so it may write"),
        (len(first.schema()) > _MOST_COLUMNS, f"it has more than {_MOST_COLUMNS} columns"),
        (set(first.schema().types) - set(_CLASSES), "it has values that are not SQLite's own"),
        (not _can_bind(parameters), "the driver binds lists of text, numbers and bytes only"),
        (first.is_complete and not required, "it has few rows"),
        (not _is_one_pass(session), "it is more than one pass through one table"),
    ):
        if problem:
            raise NotForAdbc(reason)


def _is_one_pass(session: SqliteSession) -> bool:
    """Whether the next row never lies far behind the one before (SQLite: *EXPLAIN QUERY PLAN*)."""
    explain = f"EXPLAIN QUERY PLAN {session.statement()}"
    rows = session.run(lambda: session.connection.execute(explain, session.query.parameters or ()).fetchall())
    steps = [str(row[-1]) for row in rows]
    if session.query.order_by:
        steps = [step for step in steps if step != "USE TEMP B-TREE FOR ORDER BY"]
    return len(steps) == 1 and bool(re.match(r"(SCAN|SEARCH) (?!CONSTANT ROW)(?!.*VIRTUAL TABLE)", steps[0]))


def _can_bind(parameters: Any) -> bool:
    if parameters is None:
        return True
    simple = (str, int, float, bytes)
    return isinstance(parameters, Sequence) and all(type(value) in simple for value in parameters)


def _bind(query: Any, parameters: Any) -> None:
    """Bind values by their places."""
    batch = pa.record_batch([[value] for value in parameters], names=[str(i) for i in range(len(parameters))])
    array, schema = adbc.ArrowArrayHandle(), adbc.ArrowSchemaHandle()
    batch._export_to_c(array.address, schema.address)  # noqa: SLF001 - Arrow's C data interface
    query.bind(array, schema)


def _path(session: SqliteSession) -> str:
    databases = session.run(lambda: session.connection.execute("PRAGMA database_list").fetchall())
    places = [path for _, name, path in databases if name != "temp"]
    if len(places) != 1 or not places[0]:
        raise NotForAdbc("it is no single file")
    return str(places[0])


def _statement(session: SqliteSession, columns: Sequence[_Column]) -> str:
    names = [session.quote(column.name) for column in columns]
    items = [f"{column.selected(name)} AS {name}" for column, name in zip(columns, names, strict=True)]
    wrongs = [column.wrong(name) for column, name in zip(columns, names, strict=True)]
    cases = " ".join(f"WHEN {wrong} THEN {i}" for i, wrong in enumerate(wrongs) if wrong)
    items.append(f"CASE {cases} END" if cases else "NULL")
    items += [f"{name} IS NULL" for column, name in zip(columns, names, strict=True) if column.needs_mark]
    text = f"SELECT {', '.join(items)} FROM (\n{session.query.text}\n) xacct_query"  # noqa: S608 - the DAG's own query
    order = ", ".join(f"xacct_query.{session.quote(name)}" for name in session.query.order_by)
    return f"{text} ORDER BY {order}" if order else text


def _refused(at: str, what: str, column: _Column) -> SourceUnreadableError:
    return SourceUnreadableError(
        f"{at} holds a {what} that column {column.name!r} of type {column.type} cannot hold unchanged",
        where=f"column {column.name!r}",
        remedy=f"Cast it in the query, or give column_types={{{column.name!r}: 'string'}} or another Arrow type that "
        "holds every value.",
    )
