"""Object keys and prefixes as text: which are legal, and which would leave the place they belong to.

AWS: *Naming Amazon S3 objects*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["MAX_KEY_BYTES", "PathProblem", "normalise_prefix", "path_problem"]

MAX_KEY_BYTES = 1024

# Control characters and line separators break listings and logs; lone surrogates have no UTF-8; XML, in which
# S3 lists keys, cannot carry U+FFFE and U+FFFF.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_SEPARATOR = re.compile(r"[/\\]")


@dataclass(frozen=True, slots=True)
class PathProblem:
    """Why a key or prefix cannot be used.

    :param outside: whether it tries to leave its place, or is simply not legal.
    """

    what: str
    remedy: str
    outside: bool = False


def path_problem(path: str) -> PathProblem | None:
    """Return the first thing wrong with a key or prefix, or None. A slash at the end is no problem here."""
    shown = show(path)
    if _UNUSABLE.search(path):
        return PathProblem(f"{shown} holds control characters or no valid Unicode", "Use printable characters.")
    if path.startswith("/"):
        return PathProblem(f"{shown} begins with a slash", "Keys are relative: leave the first slash out.", True)
    if "\\" in path:
        return PathProblem(f"{shown} holds a backslash", "Separate with slashes.", True)
    if _climbs_when_decoded(path):
        return PathProblem(
            f"{shown} would lead elsewhere once its percent-encoding is undone", "Write the path without them.", True
        )
    if "://" in path:
        return PathProblem(f"{shown} is a URL", "Give the key alone, relative to the connection's prefix.", True)
    segments = path.removesuffix("/").split("/") if path else []
    if any(segment in {".", ".."} for segment in segments):
        return PathProblem(f"{shown} holds the segment '.' or '..'", "Write the path without them.", True)
    if "" in segments:
        return PathProblem(f"{shown} holds an empty segment", "Write one slash between two names.", True)
    return None


def _climbs_when_decoded(path: str) -> bool:
    """Whether some later decoder would bring a ``..`` or a leading slash to life, however often it was encoded.

    A slash inside a value, as Hive writes a partition (``tz=America%2FNew_York``), leads nowhere.
    """
    decoded = unquote(path)
    while decoded != path:
        segments = _SEPARATOR.split(decoded)
        if not segments[0] or "." in segments or ".." in segments:
            return True
        path, decoded = decoded, unquote(decoded)
    return False


def normalise_prefix(text: str) -> str:
    """Return a prefix that is empty or ends in a slash, so that ``acme`` never covers ``acme-competitor/``.

    :raises InvalidArgumentError: if it is not legal, or leaves no room for a key.
    """
    if text != text.strip():
        raise InvalidArgumentError(f"{show(text)} begins or ends with white space", remedy="Remove it.")
    problem = path_problem(text)
    if problem is not None:
        raise InvalidArgumentError(problem.what, remedy=problem.remedy)
    prefix = text if not text or text.endswith("/") else f"{text}/"
    if len(prefix.encode()) >= MAX_KEY_BYTES:
        raise InvalidArgumentError(
            f"{show(text)} has {len(prefix.encode())} bytes of UTF-8",
            remedy=f"A key has at most {MAX_KEY_BYTES}, its prefix included.",
        )
    return prefix
