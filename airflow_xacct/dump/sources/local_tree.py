"""Finds the files of a directory tree or glob pattern, and everything in the way.

A tree is the pattern ``**`` below its directory. Patterns are matched while walking, part by part: ``*``,
``?`` and ``[...]`` stay within a name, ``**`` as a whole part stands for any number of directories (at the
end: for any file below). Names that begin with a dot are nothing special. Each directory is read once.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airflow_xacct.dump.naming import key_problem
from airflow_xacct.dump.sources.file_payload import FileState, file_kind
from airflow_xacct.dump.sources.problems import Problem, os_reason

__all__ = ["Findings", "FoundFile", "Symlinks", "find_files"]

Symlinks = Literal["refuse", "skip", "follow"]

_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file that matches."""

    path: str
    relative_name: str
    state: FileState


@dataclass(slots=True)
class Findings:
    """What a walk found; the files in the order of their relative names."""

    files: list[FoundFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped_links: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Directory:
    path: str
    relative_name: str
    positions: frozenset[int]
    above: tuple[_Identity, ...] = ()


def find_files(root: str, pattern: Sequence[str], symlinks: Symlinks) -> Findings:
    """Walk ``root`` for what matches.

    :param root: a directory; symbolic links in this path itself are followed, for it was named on purpose.
    :param pattern: the parts of a pattern relative to it.
    :param symlinks: what to do about links below it that match, or that lead on.
    :raises OSError: ``root`` itself cannot be read.
    """
    walk = _Walk(_Pattern(pattern), symlinks)
    os.scandir(root).close()
    walk.run(root)
    walk.findings.files.sort(key=lambda file: file.relative_name)
    walk.findings.problems.sort(key=lambda problem: problem.path)
    return walk.findings


class _Pattern:
    """A pattern as a small automaton: a position is the number of parts matched so far."""

    def __init__(self, parts: Sequence[str]) -> None:
        if parts[-1] == "**":
            parts = [*parts, "*"]  # a file lies below a directory, so at least one name must follow
        self._matchers: list[Callable[[str], object] | None] = [
            None if part == "**" else re.compile(fnmatch.translate(part)).match for part in parts
        ]
        self.start = self._close({0})
        self.end = len(parts)

    def step(self, positions: frozenset[int], name: str) -> frozenset[int]:
        """The positions after one more name on the path."""
        reached = set()
        for position in positions:
            if position == len(self._matchers):
                continue
            matches = self._matchers[position]
            if matches is None:
                reached.add(position)
            elif matches(name):
                reached.add(position + 1)
        return self._close(reached)

    def _close(self, positions: set[int]) -> frozenset[int]:
        # "**" may stand for no directory at all
        for position in range(len(self._matchers)):
            if position in positions and self._matchers[position] is None:
                positions.add(position + 1)
        return frozenset(positions)


class _Walk:
    def __init__(self, pattern: _Pattern, symlinks: Symlinks) -> None:
        self._pattern = pattern
        self._symlinks = symlinks
        self.findings = Findings()

    def run(self, root: str) -> None:
        above = (_identity(os.stat(root)),) if self._symlinks == "follow" else ()
        waiting = [_Directory(root, "", self._pattern.start, above)]
        while waiting:
            directory = waiting.pop()
            try:
                with os.scandir(directory.path) as entries:
                    for entry in entries:
                        waiting.extend(self._visit(directory, entry))
            except OSError as exc:
                self._problem(directory.path, os_reason(exc))

    def _visit(self, parent: _Directory, entry: os.DirEntry[str]) -> Iterator[_Directory]:
        """Take note of one entry; yields the directory to go on with, if it is one."""
        positions = self._pattern.step(parent.positions, entry.name)
        matches = self._pattern.end in positions
        leads_on = any(position < self._pattern.end for position in positions)
        if not positions:
            return
        try:
            result = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(result.st_mode):
                if not self._admits_link(entry.path, matches=matches, leads_on=leads_on):
                    return
                result = os.stat(entry.path)
        except OSError as exc:
            reason = os_reason(exc)
            self._problem(entry.path, f"a symbolic link to nothing ({reason})" if entry.is_symlink() else reason)
            return
        relative_name = f"{parent.relative_name}/{entry.name}" if parent.relative_name else entry.name
        if stat.S_ISDIR(result.st_mode):
            if leads_on:
                yield from self._descend(parent, entry.path, relative_name, positions, result)
        elif matches:
            self._take(entry.path, relative_name, result)

    def _admits_link(self, path: str, *, matches: bool, leads_on: bool) -> bool:
        """Whether to follow a link; one that could add nothing to the matches is nobody's concern."""
        if not (leads_on if os.path.isdir(path) else matches):
            return False
        if self._symlinks == "refuse":
            self._problem(path, "a symbolic link")
        elif self._symlinks == "skip":
            self.findings.skipped_links.append(path)
        return self._symlinks == "follow"

    def _descend(
        self,
        parent: _Directory,
        path: str,
        relative_name: str,
        positions: frozenset[int],
        result: os.stat_result,
    ) -> Iterator[_Directory]:
        above = parent.above
        if self._symlinks == "follow":
            if _identity(result) in above:
                self._problem(path, "a symbolic link that leads back to a directory above it")
                return
            above = (*above, _identity(result))
        yield _Directory(path, relative_name, positions, above)

    def _take(self, path: str, relative_name: str, result: os.stat_result) -> None:
        if not stat.S_ISREG(result.st_mode):
            self._problem(path, file_kind(result.st_mode))
        elif problem := key_problem(relative_name):
            self._problem(path, problem)
        else:
            self.findings.files.append(FoundFile(path, relative_name, FileState.of(result)))

    def _problem(self, path: str, reason: str) -> None:
        self.findings.problems.append(Problem(path, reason))


def _identity(result: os.stat_result) -> _Identity:
    return result.st_dev, result.st_ino
