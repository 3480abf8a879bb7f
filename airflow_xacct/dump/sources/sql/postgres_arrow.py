"""The rows of a query through ``COPY``, as Arrow batches: from the server's binary form, or from its CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from airflow_xacct.dump.sources.sql.postgres import PostgresSession
from airflow_xacct.dump.sources.sql.postgres_binary import BinaryRows, binary_text, can_be_binary
from airflow_xacct.dump.sources.sql.postgres_copy import AS_BINARY, AS_CSV, copy_blocks
from airflow_xacct.dump.sources.sql.postgres_csv import CsvRows, csv_text
from airflow_xacct.dump.sources.sql.postgres_parallel import SessionGroup, read_parts
from airflow_xacct.dump.sources.sql.postgres_reader import CopyBlock
from airflow_xacct.dump.sources.sql.postgres_rows import schema_of
from airflow_xacct.dump.sources.sql.session import Stream

__all__ = ["CopyArrowSource", "CopyForm", "copy_form"]


class _Rows(Protocol):
    """What makes batches of blocks, which come in their order."""

    def batch(self, block: CopyBlock, first_row: int) -> pa.RecordBatch: ...


@dataclass(frozen=True, slots=True)
class CopyForm:
    """In which form the server sends rows.

    :param what: for the log.
    :param options: of COPY.
    :param text: the query, as it is sent to have them in this form.
    :param rows: what reads the form, for one session.
    """

    what: str
    options: str
    text: Callable[[PostgresSession], str]
    rows: Callable[[PostgresSession], _Rows]


_CSV = CopyForm("its CSV parsed by Arrow", AS_CSV, csv_text, CsvRows)
_BINARY = CopyForm("its binary rows made columns", AS_BINARY, binary_text, BinaryRows)


def copy_form(session: PostgresSession) -> CopyForm:
    """The form that is cheapest for the server and for us, of those that hold all the columns exactly.

    :param session: open.
    """
    return _BINARY if can_be_binary(session) else _CSV


class CopyArrowSource:
    """The rows of a query.

    :param sessions: open, one for each part; closed by this source.
    :param form: in which their server sends them.
    """

    def __init__(self, sessions: Sequence[PostgresSession], form: CopyForm) -> None:
        self.name = f"the query of {sessions[0].where}"
        self._form = form
        self._schema = schema_of(sessions[0].columns)
        self._group = SessionGroup(sessions)
        self._stream: Stream[pa.RecordBatch] = Stream(self._group, lambda batch: batch.num_rows)

    def schema(self) -> pa.Schema:
        """The columns."""
        return self._schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, one batch for each block."""
        return self._stream.items(read_parts(self._group, self._read))

    def close(self) -> None:
        """Cancel the query if it runs, and close the connection."""
        self._stream.close()

    def _read(self, session: PostgresSession) -> Iterator[pa.RecordBatch]:
        rows, first_row = self._form.rows(session), 1
        for block in copy_blocks(session, self._form.text, self._form.options):
            batch = rows.batch(block, first_row)
            if batch.num_rows:  # the binary form ends with a row that is none
                yield batch
            first_row += batch.num_rows
