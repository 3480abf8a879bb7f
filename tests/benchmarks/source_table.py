"""The table that every dump reads: twelve columns of the kinds that tables have, about 200 bytes a row as CSV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from tests.databases import Server, postgres_server

__all__ = ["Database", "database", "table_of"]

_ROWS = """
CREATE UNLOGGED TABLE {table} AS SELECT
    i::bigint AS id,
    (i * 7919 % 100003)::int AS customer,
    (i % 97)::smallint AS store,
    ((i * 31 % 1000000) / 100.0)::numeric(12, 2) AS price,
    sin(i) * 1000 AS weight,
    md5(i::text) AS reference,
    CASE WHEN i % 5 <> 0 THEN 'said "no", twice, then left by door ' || i % 1000 END AS note,
    timestamp '2013-01-01' + i * interval '1.7 seconds' AS sold_at,
    date '2013-01-01' + (i % 3650)::int AS day,
    i % 3 = 0 AS paid,
    jsonb_build_object('color', (ARRAY['red', 'green', 'blue'])[i % 3 + 1], 'tag', i % 100) AS details,
    CASE WHEN i % 4 <> 0 THEN i * 1000003 END AS parent
FROM generate_series(1::bigint, {rows}) AS i
"""


class Database:
    """A PostgreSQL that holds the tables, each made once."""

    def __init__(self, url: str) -> None:
        self.url = url

    def need(self, rows: int) -> str:
        """The table of that many rows; made if it is not there."""
        import psycopg

        table = table_of(rows)
        with psycopg.connect(self.url, autocommit=True) as connection:
            if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
                print(f"making {table} ...", flush=True)
                connection.execute(_ROWS.format(table=table, rows=rows))
                # nobody's first read shall have to write hint bits
                connection.execute(f"VACUUM (FREEZE, ANALYZE) {table}")
        return table

    def describe(self) -> dict[str, Any]:
        """The parts of the address, for clients that want them one by one."""
        parts = urlsplit(self.url)
        return {
            "host": parts.hostname,
            "port": parts.port,
            "user": parts.username,
            "password": parts.password,
            "dbname": parts.path.lstrip("/"),
        }


def table_of(rows: int) -> str:
    """The name of a table of that size."""
    return f"source_{rows}"


@contextlib.contextmanager
def database(url: str | None = None) -> Iterator[Database]:
    """The server at that address, or one of our own that goes away.

    :raises ServerMissing: there is no PostgreSQL on this machine.
    """
    if url is not None:
        yield Database(url)
        return
    with postgres_server() as server:
        yield Database(_url(server))


def _url(server: Server) -> str:
    return f"postgres://{server.user}:{quote(server.password)}@{server.host}:{server.port}/{server.database}"
