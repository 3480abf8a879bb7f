"""One statement that returns rows, and the values that go with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError

__all__ = ["Parameters", "SqlQuery"]

Parameters = Sequence[Any] | Mapping[str, Any]

_BEGIN_QUERIES = frozenset(
    {"CALL", "DESC", "DESCRIBE", "EXEC", "EXECUTE", "EXPLAIN", "FROM", "PRAGMA", "SELECT", "SHOW", "TABLE", "VALUES"}
    | {"WITH"}
)
_CAN_BE_WRAPPED = frozenset({"FROM", "SELECT", "TABLE", "VALUES", "WITH"})


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """A query, checked when it is made: one statement, of a kind that returns rows.

    Only what a statement begins with is looked at; the database has the last word on the rest.

    :param sql: the statement; a trailing semicolon and trailing comments are left out of :attr:`text`.
    :param parameters: the values of its placeholders, bound by the driver and in its own style; never in a message.
        ``None``, unlike an empty list, leaves percent signs alone.
    :param order_by: names of columns of the result to sort the whole result by, so that each partition is one run.
    :raises InvalidArgumentError: it is empty, several statements, or a statement that is no query.
    :raises MissingDependencyError: there is no ``sqlparse``, which the SQL providers of Airflow bring.
    """

    sql: str
    parameters: Parameters | None = field(default=None, repr=False)
    order_by: Sequence[str] = ()
    text: str = field(init=False, repr=False, default="")
    first_word: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        statements = _statements(self.sql)
        if len(statements) != 1:
            found = "no statement" if not statements else f"{len(statements)} statements"
            raise InvalidArgumentError(
                f"the query holds {found}, and a dump is of exactly one",
                where="sql",
                remedy="Run the others in tasks of their own, before this one.",
            )
        text, first_word = statements[0]
        if first_word not in _BEGIN_QUERIES:
            raise InvalidArgumentError(
                f"a statement that begins with {first_word[:30]!r} is no query",
                where="sql",
                remedy="Give one that returns rows, such as SELECT, WITH or VALUES.",
            )
        if self.order_by and first_word not in _CAN_BE_WRAPPED:
            raise InvalidArgumentError(
                f"the rows of {first_word} cannot be sorted by the database",
                where="sql",
                remedy="Leave partition_by out, or select from a table.",
            )
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "first_word", first_word)

    @property
    def can_be_wrapped(self) -> bool:
        """Whether it can stand in the FROM of another query."""
        return self.first_word in _CAN_BE_WRAPPED

    @property
    def is_sorted(self) -> bool:
        """Whether it has an ``ORDER BY`` of its own, outside of every parenthesis."""
        from sqlparse import lexer, tokens

        depth = 0
        for kind, word in lexer.tokenize(self.text):  # type: ignore[no-untyped-call, unused-ignore]
            if kind is tokens.Punctuation:
                depth += (word == "(") - (word == ")")
            elif depth == 0 and kind in tokens.Keyword and word.upper().split() == ["ORDER", "BY"]:
                return True
        return False

    def ordered(self, quote: Callable[[str], str], text: str | None = None) -> str:
        """The statement, sorted by ``order_by`` where that is set.

        :param quote: makes an identifier of a column's name, in the database's own way.
        :param text: stands in for :attr:`text`, where the driver has already bound the parameters.
        """
        inner = self.text if text is None else text
        if not self.order_by:
            return inner
        columns = ", ".join(quote(column) for column in self.order_by)
        # the line break ends a comment in the query's last line
        return f"SELECT * FROM (\n{inner}\n) xacct_query ORDER BY {columns}"  # noqa: S608 - the DAG's own query


def _statements(sql: str) -> list[tuple[str, str]]:
    """Each statement without its end and its trailing comments, and the word it begins with, in capitals."""
    try:
        from sqlparse import engine, tokens
    except ImportError as exc:
        raise MissingDependencyError(
            "the package sqlparse is not installed",
            where="sql",
            remedy="Install a SQL provider, such as apache-airflow-providers-postgres.",
        ) from exc
    found = []
    # only split, not grouped: grouping is slow, and refuses long statements
    stack: Any = engine.FilterStack()  # type: ignore[no-untyped-call, unused-ignore]
    for statement in stack.run(sql):
        parts = list(statement.flatten())
        while parts and _is_filler(parts[-1], tokens):
            parts.pop()
        first = next((part for part in parts if not _is_filler(part, tokens)), None)
        if first is None:
            continue
        word = next((part for part in parts if not _is_filler(part, tokens) and part.value != "("), first)
        found.append(("".join(part.value for part in parts).strip(), word.value.split()[0].upper()))
    return found


def _is_filler(token: Any, tokens: Any) -> bool:
    is_end = token.ttype is tokens.Punctuation and token.value == ";"
    # '#' begins a comment in MySQL and is an operator in PostgreSQL: it is the database's to read
    is_comment = token.ttype in tokens.Comment and token.value.startswith(("--", "/*"))
    return bool(is_end or is_comment or token.is_whitespace)
