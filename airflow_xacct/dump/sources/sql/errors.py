"""What databases refuse, in our words: one translator for every driver, by shape alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_xacct.dump.sources.problems import printable
from airflow_xacct.exceptions import InvalidArgumentError, SourceNotFoundError, SourceUnreadableError, XacctError

__all__ = ["SecretWords", "is_database_error", "translated"]

_LIMIT = 500
_AGAIN = "Nothing was delivered; a retry of the task reads from the start and delivers the whole."
_SYNTAX = "Correct the query; it is shown on the task's Rendered Templates page."
_MISSING = "Check the name, its schema and the connection's database; a name in quotes keeps its case."
_GRANT = "Let the owner of the database GRANT SELECT to the connection's user."
_TIMEOUT = "Raise the statement timeout, or make the query faster, for example with a key range per task."
_READ_ONLY = "A dump only reads; where the query must write, say read_only=False."
_CONNECT = "Check host, port, login and password of the connection."

# SQLSTATE (SQL standard; PostgreSQL: appendix A), MySQL's and MariaDB's error numbers, SQLite's own words
_KINDS: tuple[tuple[type[XacctError], str, str, str], ...] = (
    (InvalidArgumentError, "the query has a syntax error", _SYNTAX, r"42601|1064|.*syntax error.*|incomplete input"),
    (SourceNotFoundError, "no such table", _MISSING, r"42P01|3F000|42S02|1146|1051|no such table.*"),
    (
        InvalidArgumentError,
        "no such column or function",
        _MISSING,
        r"42703|42883|1054|1305|no such (column|function).*",
    ),
    (SourceUnreadableError, "permission denied", _GRANT, r"42501|1142|1143|1044|1227|.*not authorized.*"),
    (SourceUnreadableError, "the statement timeout was reached", _TIMEOUT, r"57014.*timeout.*|1969|3024|interrupted"),
    (
        InvalidArgumentError,
        "the query wants to write",
        _READ_ONLY,
        r"25006|0A000.*data-modifying.*|1792|.*readonly database.*",
    ),
    (SourceUnreadableError, "the connection was refused", _CONNECT, r"28...|1045|1698|2002|2003|2005"),
    (
        SourceUnreadableError,
        "the connection to the database was lost",
        _AGAIN,
        r"57P0[123]|08...|2006|2013|1927|1053|.*(server closed the connection|connection is (lost|closed)|"
        r"terminating connection|lost connection|connection already closed|SSL SYSCALL|"
        r"consuming input failed|no message from the libpq).*",
    ),
)


class SecretWords:
    """Values that no message may show: the parameters' and the connection's password.

    :param parameters: the values bound to the query.
    :param password: the connection's, if it has one and it is known.
    """

    def __init__(self, parameters: object = None, password: str | None = None) -> None:
        words = {text for value in _leaves(parameters) if (text := str(value))}
        self.of_parameters = bool(words)
        if password:
            words.add(password)
        # the longest first, for one value may be a part of another
        patterns = [re.escape(word) for word in sorted(words, key=len, reverse=True)]
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)") if patterns else None

    def hidden_in(self, text: str) -> str:
        """The text with each secret replaced."""
        return self._pattern.sub("***", text) if self._pattern else text


def _leaves(value: object) -> Iterable[Any]:
    if value is None:
        return
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def is_database_error(error: BaseException) -> bool:
    """Whether a driver raised it: all of theirs descend from an ``Error`` (PEP 249)."""
    return any(cls.__name__ == "Error" and issubclass(cls, Exception) for cls in type(error).__mro__)


def translated(
    error: BaseException, where: str, secrets: SecretWords, *, rows: int | None = None
) -> tuple[XacctError, bool]:
    """The error of a driver as one of ours, and whether the driver's own may be shown as its cause.

    :param where: the connection.
    :param rows: how many rows had been read, ``None`` before the first could be.
    """
    codes, words = _codes(error), _words(error)
    known = (entry[:3] for entry in _KINDS if _matches(entry[3], codes, words))
    kind, what, remedy = next(known, (SourceUnreadableError, "the database refused", _AGAIN))
    shown = secrets.hidden_in(printable(" ".join(words.split())))[:_LIMIT]
    after = f" after {rows:,} rows" if rows else ""
    found = kind(f"{what}{after}: {shown}" if shown else what + after, where=where, remedy=remedy)
    # a driver's own text repeats the statement with its values, and a cause is printed with the error
    return found, not secrets.of_parameters and secrets.hidden_in(str(error)) == str(error)


def _matches(pattern: str, codes: Iterable[str], words: str) -> bool:
    texts = [*codes, *(f"{code} {words}" for code in codes), words]
    return any(re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL) for text in texts if text)


def _codes(error: BaseException) -> list[str]:
    """SQLSTATE and number, as far as the driver has them."""
    found = [getattr(error, name, None) for name in ("sqlstate", "pgcode", "errno", "sqlite_errorname")]
    if error.args and isinstance(error.args[0], int):
        found.append(error.args[0])
    return [str(code) for code in found if code]


def _words(error: BaseException) -> str:
    """The server's message without the statement that some drivers put below it."""
    for primary in (getattr(getattr(error, "diag", None), "message_primary", None), getattr(error, "msg", None)):
        if isinstance(primary, str) and primary:
            return primary
    if len(error.args) > 1 and isinstance(error.args[0], int):
        return str(error.args[1])
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
