"""A query cut into ranges of one table's pages, where its rows are those of the table, one for one.

What a query is, only the server knows: it is asked with ``EXPLAIN``. A plan that is one sequential scan and nothing
else filters the rows of one table and computes each result row from one of them: no join, sort, limit, aggregate,
window, set of rows or subquery, for each of those is a node of its own. The range is put into the text of the query,
and the server is asked again: the plan must now be the same scan, with the same filter and the same output, of the
range alone (``Tid Range Scan``, since PostgreSQL 14). A text that was read wrongly here cannot pass that.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_xacct.dump.sources.sql.postgres import PostgresSession

__all__ = ["CannotSplit", "Pages", "Scan", "check_functions", "check_table", "scan_of", "with_condition"]

_SCAN, _RANGE_SCAN = "Seq Scan", "Tid Range Scan"
_MOST_CHARACTERS = 65_536  # of a query; a longer one is a list of values, which is better read in one go

# each transaction has a time of its own
_CLOCK_WORDS = re.compile(r"\b(CURRENT_DATE|CURRENT_TIME|CURRENT_TIMESTAMP|LOCALTIME|LOCALTIMESTAMP)\b")
_CLOCKS = frozenset({"age", "now", "statement_timestamp", "transaction_timestamp"})
_OF_THE_BACKEND = frozenset({"inet_client_port", "pg_backend_pid", "pg_current_xact_id_if_assigned"})
_LITERAL = re.compile(r"E?'(?:[^'\\]|''|\\.)*'")
_CALL = re.compile(r'(?:"((?:[^"]|"")+)"|([a-z_][a-z0-9_$]*))\(')


class CannotSplit(Exception):  # noqa: N818 - one connection reads it as well
    """Why a query is read through one connection; its text is for the log."""


@dataclass(frozen=True, slots=True)
class Pages:
    """A range of a table's pages.

    :param first: its first page; ``None`` for the first range, which begins where the table does.
    :param end: the page behind it; ``None`` for the last one, which ends where the table does.
    """

    first: int | None
    end: int | None

    @property
    def condition(self) -> str:
        """It, in SQL; written with its schema, for the search path is the user's."""
        bounds = []
        if self.first is not None:
            bounds.append(f"ctid OPERATOR(pg_catalog.>=) '({self.first},0)'::pg_catalog.tid")
        if self.end is not None:
            bounds.append(f"ctid OPERATOR(pg_catalog.<) '({self.end},0)'::pg_catalog.tid")
        return " AND ".join(bounds)

    def __str__(self) -> str:
        return f"pages {self.first or 0} to {'the last' if self.end is None else self.end - 1}"

    @classmethod
    def split(cls, pages: int, parts: int) -> list[Pages]:
        """So many ranges of about one size."""
        cuts: list[int | None] = [None, *(pages * part // parts for part in range(1, parts)), None]
        return [cls(first, end) for first, end in itertools.pairwise(cuts)]


@dataclass(frozen=True, slots=True)
class Scan:
    """What a plan of a single scan says.

    :param output: the expressions of the result's columns, as the server writes them.
    :param filter: which rows of the table are read; empty for all.
    :param tids: of which range, empty for the whole table.
    """

    kind: str
    schema: str
    table: str
    output: tuple[str, ...]
    filter: str
    tids: str

    def is_part_of(self, whole: Scan) -> bool:
        """Whether it reads the same of fewer pages."""
        mine = (self.schema, self.table, self.output, self.filter)
        theirs = (whole.schema, whole.table, whole.output, whole.filter)
        return mine == theirs and self.kind == _RANGE_SCAN and bool(self.tids)


def scan_of(session: PostgresSession, text: str, *, part: bool = False) -> Scan:
    """The plan of a query.

    :param part: one that was cut: the server is kept from reading all the table for it.
    :raises CannotSplit: it is more than a scan of one table.
    """
    ways = ("enable_seqscan", "enable_indexscan", "enable_bitmapscan") if part else ()
    with session.connection.cursor() as cursor:
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        for way in ways:
            cursor.execute(f"SET LOCAL {way} = off")
    found = session.look_up(f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON)\n{text}")[0][0]
    plan: Mapping[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    kind = str(plan["Node Type"])
    if "Plans" in plan or kind not in (_SCAN, _RANGE_SCAN):
        raise CannotSplit(f"it takes more than one scan of a whole table ({_outline(plan)})")
    return Scan(
        kind=kind,
        schema=str(plan.get("Schema", "")),
        table=str(plan.get("Relation Name", "")),
        output=tuple(plan.get("Output", ())),
        filter=str(plan.get("Filter", "")),
        tids=str(plan.get("TID Cond", "")),
    )


def _outline(plan: Mapping[str, Any]) -> str:
    below = [_outline(child) for child in plan.get("Plans", ())]
    return " of ".join([str(plan["Node Type"]), *below[:1]])


def check_table(session: PostgresSession, scan: Scan) -> int:
    """How many pages the table has in the snapshot of the session, or a few more.

    :raises CannotSplit: it is no plain permanent table.
    """
    rows = session.look_up(
        "SELECT c.relkind::text, c.relpersistence::text, a.amname::text, "
        "pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint "
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_am a ON a.oid = c.relam "
        "WHERE n.nspname = %s AND c.relname = %s",
        scan.schema,
        scan.table,
    )
    if not rows or tuple(rows[0][:3]) != ("r", "p", "heap"):
        raise CannotSplit("what it reads is no plain permanent table")
    return int(rows[0][3])


def check_functions(session: PostgresSession, scan: Scan) -> None:
    """See that each connection would compute the same.

    :raises CannotSplit: it calls what is volatile, tells the time, or may do either.
    """
    texts = [_LITERAL.sub("''", text) for text in (*scan.output, scan.filter)]
    if any(_CLOCK_WORDS.search(text) for text in texts):
        raise CannotSplit("it asks for the time, and each connection has its own")
    names = {(quoted or plain).replace('""', '"') for text in texts for quoted, plain in _CALL.findall(text)}
    rows = session.look_up(
        "SELECT p.proname::text, p.provolatile::text, n.nspname::text FROM pg_catalog.pg_proc p "
        "JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
        "WHERE p.proname = ANY(%s::text[]) AND p.provolatile <> 'i' ORDER BY 1",
        sorted(names),
    )
    for name, volatility, schema in rows:
        # a stable function of the database's own may ask for the time
        if volatility == "v" or schema != "pg_catalog" or name in _CLOCKS | _OF_THE_BACKEND:
            raise CannotSplit(f"each connection may find something else with its function {name}")
    signs = session.look_up(
        "SELECT o.oprname::text FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode "
        "WHERE p.provolatile <> 'i' AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace "
        "UNION SELECT '::' FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc "
        "WHERE p.provolatile <> 'i' AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace"
    )
    for (sign,) in signs:
        if any(sign in text for text in texts):
            raise CannotSplit(f"each connection may find something else with {sign}, which somebody made")


def with_condition(text: str, condition: str) -> str:
    """A query of one table, limited further.

    :param text: without a semicolon at its end.
    :raises CannotSplit: its words are not those of such a query.
    """
    from sqlparse import lexer, tokens

    if len(text) > _MOST_CHARACTERS:
        raise CannotSplit(f"its text is longer than {_MOST_CHARACTERS:,} characters")
    depth, at, where, words = 0, 0, None, []
    for kind, value in lexer.tokenize(text):  # type: ignore[no-untyped-call, unused-ignore]
        if kind in tokens.Punctuation:
            depth += {"(": 1, ")": -1}.get(value, 0)
        elif depth == 0 and kind in tokens.Keyword:
            words.append(value.split()[0].upper())
            if words[-1] == "WHERE":
                where = at if where is None else where
        at += len(value)
    if not words or words[0] != "SELECT" or words.count("SELECT") != 1 or words.count("WHERE") > 1:
        raise CannotSplit("it is not one SELECT of one table")
    # each line break ends a comment in the line before
    if where is None:
        return f"{text}\nWHERE {condition}"
    head, rest = text[:where], text[where + len("WHERE") :]
    return f"{head}WHERE ({rest}\n) AND {condition}"
