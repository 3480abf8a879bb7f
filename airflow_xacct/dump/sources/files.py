"""Local files: one file, a glob pattern, or a directory tree."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import get_args

from airflow_xacct.dump.naming import key_problem
from airflow_xacct.dump.payload import MAX_OBJECT_SIZE_BYTES, SourceFile, check_size
from airflow_xacct.dump.sources.file_payload import FilePayload, FileState, file_kind, open_regular
from airflow_xacct.dump.sources.local_tree import FoundFile, Symlinks, find_files
from airflow_xacct.dump.sources.problems import Problem, not_found, on_this_host, os_reason, printable, unreadable
from airflow_xacct.exceptions import InvalidArgumentError, SourceUnreadableError

__all__ = ["Symlinks", "local_files"]

log = logging.getLogger(__name__)

_MAGIC = re.compile(r"[*?\[]")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_REMEDY = "Let the user that Airflow runs as read them, or take them out of the source."
_REMEDY_LINKS = "For symbolic links, symlinks='follow' delivers what they lead to and 'skip' leaves them out."


def local_files(
    source: str | os.PathLike[str],
    *,
    allow_empty: bool = False,
    symlinks: Symlinks = "refuse",
    max_object_size_bytes: int = MAX_OBJECT_SIZE_BYTES,
) -> list[SourceFile]:
    """The files that a path stands for, sorted by relative name. Each was opened once, none is left open.

    - A path that exists under exactly this name is that file, or every file below that directory, even when
      it contains ``*``, ``?`` or ``[``. Otherwise it is a pattern, with ``**`` for any number of directories.
    - A file of its own is known by its name; others by their path below the directory, or below the last
      directory before the first wildcard. Names that begin with a dot are included. Directories that match
      are no files.
    - Symbolic links in ``source`` itself are followed: it was named on purpose. Those found below are refused
      by default, for they may lead out of the tree, into another company's account; ``"skip"`` leaves them
      out with one line in the log, ``"follow"`` delivers what they lead to.
    - Nothing is delivered in part: one entry that cannot be read, is a pipe, socket or device, or has a name
      that no key may have is an error, which lists all of them.

    :param source: a path, relative to the worker's current directory if not absolute.
    :param allow_empty: return an empty list for a pattern that matches nothing, or a directory without files.
    :param symlinks: ``"refuse"``, ``"skip"`` or ``"follow"``; see above.
    :param max_object_size_bytes: S3's limit.
    :raises InvalidArgumentError: no path at all, a URL, or an unknown value of ``symlinks``.
    :raises SourceNotFoundError: nothing there.
    :raises SourceUnreadableError: entries that cannot be delivered.
    :raises ObjectTooLargeError: a file above S3's limit.
    """
    if symlinks not in get_args(Symlinks):
        raise InvalidArgumentError(
            f"{symlinks!r} is no way to treat symbolic links",
            where="symlinks",
            remedy=f"Use one of {get_args(Symlinks)}.",
        )
    path = _absolute(source)
    found = _find(path, allow_empty=allow_empty, symlinks=symlinks)
    # the source itself may be a link; one that took a listed file's place since is nobody's wish
    follow = symlinks == "follow" or [file.path for file in found] == [path]
    for file in found:
        check_size(file.state.size_bytes, on_this_host(file.path), limit_bytes=max_object_size_bytes)
    if problems := _probe(found, follow_symlinks=follow):
        raise _refused(problems, path)
    return [
        SourceFile(
            printable(file.path),
            file.relative_name,
            FilePayload(file.path, file.state, follow_symlinks=follow),
        )
        for file in found
    ]


def _absolute(source: str | os.PathLike[str]) -> str:
    text = os.fspath(source)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidArgumentError(
            f"{source!r} is no path",
            where="source",
            remedy="Give a file, a directory or a pattern such as '/data/**/*.csv'.",
        )
    if _URL.match(text):
        raise InvalidArgumentError(
            f"{text!r} is a URL, not a path on the worker",
            where="source",
            remedy=f"Wrap it: ObjectStoragePath({text!r}).",
        )
    # not normpath: "link/.." is the parent of what the link leads to
    path = str(Path(text).absolute())
    if text.endswith("/") and _is_pattern(path):
        raise InvalidArgumentError(
            f"the pattern {text!r} matches directories only",
            where="source",
            remedy=f"For all files below them use {text + '**'!r}.",
        )
    return path


def _is_pattern(path: str) -> bool:
    return bool(_MAGIC.search(path)) and not os.path.lexists(path)


def _find(path: str, *, allow_empty: bool, symlinks: Symlinks) -> list[FoundFile]:
    if _is_pattern(path):
        parts = PurePath(path).parts
        first_wildcard = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
        root, pattern = os.path.join(*parts[:first_wildcard]), parts[first_wildcard:]
        return _find_below(path, root, pattern, allow_empty=allow_empty, symlinks=symlinks)
    try:
        result = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as exc:
        is_link = os.path.islink(path)
        what = "the source is a symbolic link to nothing" if is_link else "there is no such file or directory"
        raise not_found(what, path) from exc
    except OSError as exc:
        raise _refused([Problem(path, os_reason(exc))], path) from exc
    if stat.S_ISDIR(result.st_mode):
        return _find_below(path, path, ["**"], allow_empty=allow_empty, symlinks=symlinks)
    name = os.path.basename(path)
    problem = key_problem(name) if stat.S_ISREG(result.st_mode) else file_kind(result.st_mode)
    if problem:
        raise _refused([Problem(path, problem)], path)
    return [FoundFile(path, name, FileState.of(result))]


def _find_below(
    path: str, root: str, pattern: Sequence[str], *, allow_empty: bool, symlinks: Symlinks
) -> list[FoundFile]:
    if ".." in pattern:
        raise InvalidArgumentError(
            f"the pattern {path!r} climbs after its first wildcard",
            where="source",
            remedy="Write '..' only before the first wildcard.",
        )
    try:
        findings = find_files(root, pattern, symlinks)
    except (FileNotFoundError, NotADirectoryError) as exc:
        if allow_empty:
            return []
        raise not_found(
            f"no file matches, for there is no directory {printable(root)}", path, may_be_empty=True
        ) from exc
    except OSError as exc:
        raise _refused([Problem(root, os_reason(exc))], path) from exc
    if findings.problems:
        raise _refused(findings.problems, path)
    skipped = findings.skipped_links
    if skipped:
        log.warning(
            "Left out %d symbolic links of %s (symlinks='skip'), among them %s",
            len(skipped),
            printable(path),
            printable(min(skipped)),
        )
    if not findings.files and not allow_empty:
        links = f", only {len(skipped):,} symbolic links" if skipped else ""
        what = "the directory holds no file" if path == root else "no file matches the pattern"
        raise not_found(what + links, path, may_be_empty=True)
    return findings.files


def _probe(found: Sequence[FoundFile], *, follow_symlinks: bool) -> list[Problem]:
    """What cannot be opened. Only opening tells: ``access`` knows nothing of network file systems."""
    problems = []
    for file in found:
        try:
            open_regular(file.path, follow_symlinks=follow_symlinks).close()
        except OSError as exc:
            problems.append(Problem(file.path, os_reason(exc)))
    return problems


def _refused(problems: Sequence[Problem], path: str) -> SourceUnreadableError:
    has_links = any("symbolic link" in problem.reason for problem in problems)
    return unreadable(problems, on_this_host(path), f"{_REMEDY} {_REMEDY_LINKS}" if has_links else _REMEDY)
