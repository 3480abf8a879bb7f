"""The bytes of one local file, and the proof that they did not change while they were read."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from airflow_xacct.dump.payload import PayloadReader
from airflow_xacct.dump.sources.problems import not_found, on_this_host, os_reason, printable
from airflow_xacct.exceptions import SourceChangedError, SourceUnreadableError

__all__ = ["FilePayload", "FileState", "file_kind", "open_regular"]

_CHANGED = "Start the task when the file is complete; whoever writes it should write another name and rename it."
_UNREADABLE = "Let the user that Airflow runs as read it."

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def file_kind(mode: int) -> str:
    """What a thing that is no regular file is, in words."""
    return next((words for test, words in _KINDS if test(mode)), "no regular file")


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells one content of a file from another, up to the grain of the file system's clock."""

    size_bytes: int
    mtime_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, result: os.stat_result) -> Self:
        """From what ``stat`` said."""
        return cls(result.st_size, result.st_mtime_ns, result.st_dev, result.st_ino)

    def changes(self, now: FileState, *, same_file: bool) -> str:
        """What changed since, as words; empty for nothing.

        :param same_file: whether another inode counts as a change, too.
        """
        found = []
        if same_file and (now.device, now.inode) != (self.device, self.inode):
            found.append("another file took its place")
        if now.size_bytes != self.size_bytes:
            found.append(f"its size went from {self.size_bytes:,} to {now.size_bytes:,} bytes")
        elif now.mtime_ns != self.mtime_ns:
            found.append("it was written to (its modification time moved)")
        return " and ".join(found)


def open_regular(path: str, *, follow_symlinks: bool) -> io.FileIO:
    """Open a file for reading, never waiting for the other end of a pipe that took its place.

    :raises OSError: it cannot be opened, or is no regular file.
    """
    flags = os.O_NONBLOCK | (0 if follow_symlinks else os.O_NOFOLLOW)
    file = io.FileIO(path, "rb", opener=lambda name, mode: os.open(name, mode | flags))
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        raise OSError(errno.EINVAL, f"it is {file_kind(mode)}", path)
    return file


class FilePayload:
    """One local file.

    Its state is taken when the source is listed: a file that is another one when it is opened, or changes
    until it was read, is an error, so that all files of a delivery stand as they did at one moment.

    :param path: absolute.
    :param state: as listed.
    :param follow_symlinks: whether ``path`` itself may be a symbolic link.
    :param opener: opens it, as :func:`open_regular` does.
    """

    def __init__(
        self,
        path: str,
        state: FileState,
        *,
        follow_symlinks: bool = True,
        opener: Callable[..., io.FileIO] = open_regular,
    ) -> None:
        self._path = path
        self._state = state
        self._follow_symlinks = follow_symlinks
        self._open = opener

    @property
    def name(self) -> str:
        """The path."""
        return printable(self._path)

    @property
    def max_size_bytes(self) -> int:
        """Its size, in bytes."""
        return self._state.size_bytes

    def open(self) -> PayloadReader:
        """Begin a pass.

        :raises SourceNotFoundError: it was removed.
        :raises SourceUnreadableError: it cannot be opened.
        :raises SourceChangedError: it is not as it was listed.
        """
        try:
            file = self._open(self._path, follow_symlinks=self._follow_symlinks)
        except FileNotFoundError as exc:
            raise not_found("the file was removed after it was listed", self._path) from exc
        except OSError as exc:
            raise SourceUnreadableError(
                f"the file cannot be opened: {os_reason(exc)}",
                where=on_this_host(self._path),
                remedy=_UNREADABLE,
            ) from exc
        state = FileState.of(os.fstat(file.fileno()))
        # some network file systems number their inodes anew after each look-up, so only an open file is held
        # to its own
        if changes := self._state.changes(state, same_file=False):
            file.close()
            raise SourceChangedError(
                f"the file changed after it was listed: {changes}",
                where=on_this_host(self._path),
                remedy=_CHANGED,
            )
        return _FileReader(self._path, file, state)


class _FileReader:
    def __init__(self, path: str, file: io.FileIO, state: FileState) -> None:
        self._path = path
        self._file = file
        self._state = state
        self._offset = 0

    @property
    def rows(self) -> int | None:
        return None

    def read(self, size_bytes: int, /) -> bytes:
        # never past the listed size: what is appended meanwhile is found by finish()
        wanted = min(size_bytes, self._state.size_bytes - self._offset)
        block = self._read_once(wanted)
        if len(block) < wanted:
            block = self._read_rest(block, wanted)
        self._offset += len(block)
        return block

    def _read_rest(self, block: bytes, wanted: int) -> bytes:
        # Linux returns at most 2 GiB - 4 KiB at once, and network file systems less when they like
        blocks = [block]
        missing = wanted - len(block)
        while block and missing:
            block = self._read_once(missing)
            blocks.append(block)
            missing -= len(block)
        return b"".join(blocks)

    def _read_once(self, size_bytes: int) -> bytes:
        if not size_bytes:
            return b""
        try:
            # None means "would block", which a regular file never does
            return self._file.read(size_bytes) or b""
        except OSError as exc:
            raise SourceUnreadableError(
                f"reading stopped after {self._offset:,} bytes: {os_reason(exc)}",
                where=on_this_host(self._path),
                remedy="Look at the disk or mount it is on.",
            ) from exc

    def finish(self) -> None:
        if self._offset < self._state.size_bytes:
            raise self._changed(f"it ended after {self._offset:,} of {self._state.size_bytes:,} bytes")
        if changes := self._state.changes(FileState.of(os.fstat(self._file.fileno())), same_file=True):
            raise self._changed(changes)
        try:
            at_path = FileState.of(os.stat(self._path))
        except OSError as exc:
            raise self._changed(f"it is no longer there ({os_reason(exc)})") from exc
        if changes := self._state.changes(at_path, same_file=True):
            raise self._changed(changes)

    def _changed(self, what: str) -> SourceChangedError:
        return SourceChangedError(
            f"the file changed while it was read: {what}", where=on_this_host(self._path), remedy=_CHANGED
        )

    def close(self) -> None:
        self._file.close()
