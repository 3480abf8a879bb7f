"""Airflow's ``ObjectStoragePath``: one object of any store, or all objects below a path.

Known by its shape, as ``universal_pathlib`` and fsspec give it, so that neither is imported here. A tree is
listed once (``fs.find``), which on a store is one request for a thousand objects instead of one for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeGuard

from airflow_xacct.dump.naming import key_problem
from airflow_xacct.dump.payload import MAX_OBJECT_SIZE_BYTES, PayloadReader, SourceFile, check_size
from airflow_xacct.dump.sources.files import Symlinks, local_files
from airflow_xacct.dump.sources.problems import Problem, os_reason, printable, unreadable
from airflow_xacct.exceptions import SourceChangedError, SourceNotFoundError, SourceUnreadableError

__all__ = ["StoragePath", "StoragePayload", "is_storage_path", "storage_path_files"]

_Info = Mapping[str, Any]

_LOCAL_PROTOCOLS = ("", "file", "local")
# what stores call the version or content of an object, and when it was written ("created": the in-memory
# store)
_VERSION_FIELDS = ("ETag", "etag", "generation", "md5Hash", "content_md5")
_TIME_FIELDS = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
_CHANGED = "Start the task when the object is complete and nobody replaces it."
_UNREADABLE = "Let the path's connection read it."


class StoragePath(Protocol):
    """What is used of an ``ObjectStoragePath``."""

    @property
    def path(self) -> str:
        """The path as its file system knows it."""
        ...

    @property
    def name(self) -> str:
        """Its last part."""
        ...

    @property
    def protocol(self) -> str:
        """The scheme, such as ``s3``."""
        ...

    @property
    def fs(self) -> Any:
        """Its fsspec file system."""
        ...

    def open(self, mode: str = ..., **kwargs: Any) -> Any:
        """A file object."""
        ...

    def __truediv__(self, other: str, /) -> StoragePath: ...


def is_storage_path(source: object) -> TypeGuard[StoragePath]:
    """Whether a source has the shape of an ``ObjectStoragePath``."""
    # of its class: the file system itself is made at the first look, which may fail
    return all(hasattr(type(source), name) for name in ("path", "name", "protocol", "fs", "open"))


def storage_path_files(
    source: StoragePath,
    *,
    allow_empty: bool = False,
    symlinks: Symlinks = "refuse",
    max_object_size_bytes: int = MAX_OBJECT_SIZE_BYTES,
) -> list[SourceFile]:
    """The objects that a path stands for, sorted by relative name.

    A path of the local file system is treated by :func:`~airflow_xacct.dump.sources.files.local_files`.

    :param source: an object, or a path that holds objects; no pattern.
    :param allow_empty: return an empty list for a path that holds nothing.
    :param symlinks: for the local file system.
    :param max_object_size_bytes: S3's limit.
    :raises SourceNotFoundError: nothing there.
    :raises SourceUnreadableError: it cannot be listed, or holds names that no key may have.
    :raises ObjectTooLargeError: an object above S3's limit.
    """
    if source.protocol in _LOCAL_PROTOCOLS:
        return local_files(
            source.path,
            allow_empty=allow_empty,
            symlinks=symlinks,
            max_object_size_bytes=max_object_size_bytes,
        )
    where = _where(source)
    try:
        source.fs  # noqa: B018 - made at the first look
    except ValueError as exc:
        raise SourceUnreadableError(
            f"the path has no file system: {exc}",
            where=where,
            remedy="Install the Airflow provider for this kind of store, with its fsspec package.",
        ) from exc
    try:
        info = _fresh_info(source)
        if info.get("type") == "directory":
            files = _tree(source)
        else:
            files = [SourceFile(where, source.name, StoragePayload(source, info))]
    except FileNotFoundError as exc:
        raise SourceNotFoundError(
            "there is no such object and nothing below it",
            where=where,
            remedy="Patterns are for local files only.",
        ) from exc
    except OSError as exc:
        raise SourceUnreadableError(
            f"the path cannot be listed: {os_reason(exc)}", where=where, remedy=_UNREADABLE
        ) from exc
    if not files and not allow_empty:
        raise SourceNotFoundError(
            "the path holds no object", where=where, remedy="Give allow_empty=True if that may happen."
        )
    for file in files:
        check_size(file.payload.max_size_bytes or 0, file.path, limit_bytes=max_object_size_bytes)
    return files


class StoragePayload:
    """One object of a store.

    :param path: where it is.
    :param info: what the store said of it when it was listed; what is read must still be that.
    """

    def __init__(self, path: StoragePath, info: _Info) -> None:
        self._path = path
        self._info = info

    @property
    def name(self) -> str:
        """Its URL."""
        return _where(self._path)

    @property
    def max_size_bytes(self) -> int | None:
        """Its size in bytes, where the store says it."""
        size_bytes = self._info.get("size")
        return None if size_bytes is None else int(size_bytes)

    def open(self) -> PayloadReader:
        """Begin a pass.

        :raises SourceNotFoundError: it was removed.
        :raises SourceUnreadableError: it cannot be opened.
        :raises SourceChangedError: it is not as it was listed.
        """
        try:
            # a listing that names a version needs no second look: finish() compares with it
            now = self._info if _has_version(self._info) else _fresh_info(self._path)
            file = self._path.open("rb")
        except FileNotFoundError as exc:
            raise SourceNotFoundError(
                "the object was removed after it was listed", where=self.name, remedy=_CHANGED
            ) from exc
        except OSError as exc:
            raise SourceUnreadableError(
                f"the object cannot be opened: {os_reason(exc)}", where=self.name, remedy=_UNREADABLE
            ) from exc
        if changes := _changes(self._info, now):
            file.close()
            raise SourceChangedError(
                f"the object changed after it was listed: {changes}", where=self.name, remedy=_CHANGED
            )
        return _StorageReader(self._path, file, now)


class _StorageReader:
    def __init__(self, path: StoragePath, file: Any, info: _Info) -> None:
        self._path = path
        self._file = file
        self._info = info
        self._offset = 0

    @property
    def rows(self) -> int | None:
        return None

    def read(self, size_bytes: int, /) -> bytes:
        blocks: list[bytes] = []
        missing = size_bytes
        try:
            while missing and (block := self._file.read(missing)):
                blocks.append(bytes(block))
                missing -= len(block)
        except OSError as exc:
            raise SourceUnreadableError(
                f"reading stopped after {self._offset:,} bytes: {os_reason(exc)}",
                where=_where(self._path),
                remedy="Look at the store it comes from.",
            ) from exc
        self._offset += size_bytes - missing
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def finish(self) -> None:
        size_bytes = self._info.get("size")
        if size_bytes is not None and self._offset != size_bytes:
            raise self._changed(f"it ended after {self._offset:,} of {size_bytes:,} bytes")
        try:
            now = _fresh_info(self._path)
        except OSError as exc:
            raise self._changed(f"it is no longer there ({os_reason(exc)})") from exc
        if changes := _changes(self._info, now):
            raise self._changed(changes)

    def _changed(self, what: str) -> SourceChangedError:
        return SourceChangedError(
            f"the object changed while it was read: {what}", where=_where(self._path), remedy=_CHANGED
        )

    def close(self) -> None:
        self._file.close()


def _tree(root: StoragePath) -> list[SourceFile]:
    files: list[SourceFile] = []
    problems: list[Problem] = []
    above = root.path.rstrip("/") + "/"
    for name, info in _listing(root.fs, root.path):
        relative_name = name.removeprefix(above)
        problem = key_problem(relative_name)
        if info.get("type") != "file":
            problem = f"it is of the type {info.get('type')!r}"
        path = root if problem else root / relative_name
        if problem or path.path != name:
            problems.append(Problem(name, problem or "its name cannot be expressed as a path"))
        else:
            files.append(SourceFile(_where(path), relative_name, StoragePayload(path, info)))
    if problems:
        raise unreadable(problems, _where(root), "Rename or remove them, or deliver a path beside them.")
    files.sort(key=lambda file: file.relative_name)
    return files


def _listing(fs: Any, root: str) -> Iterator[tuple[str, _Info]]:
    """All that is no directory below a path.

    Stores bring a flat listing of their own, a thousand objects for each request. For all others we walk
    ourselves: fsspec's walk leaves out the directories that it may not list, and says nothing.
    """
    fs.invalidate_cache()
    if getattr(getattr(type(fs), "_find", None), "__module__", "fsspec.asyn") != "fsspec.asyn":
        for name, info in fs.find(root, detail=True).items():
            # consoles write an empty object whose key ends in a slash to show an empty folder
            if info.get("type") != "directory" and (info.get("size") or not name.endswith("/")):
                yield name, info
        return
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        for info in fs.ls(directory, detail=True):
            if info["type"] != "directory":
                yield info["name"], info
            elif info["name"].rstrip("/") != directory.rstrip("/"):
                waiting.append(info["name"])


def _fresh_info(path: StoragePath) -> _Info:
    # stores answer from the listing they remember
    path.fs.invalidate_cache(path.path)
    info: _Info = path.fs.info(path.path)
    return info


def _has_version(info: _Info) -> bool:
    return any(info.get(name) for name in _VERSION_FIELDS)


def _changes(before: _Info, now: _Info) -> str:
    if before.get("size") != now.get("size"):
        return f"its size went from {before.get('size')} to {now.get('size')} bytes"
    # a listing and a look at one object may write times differently, so the version decides where there is
    # one
    names = _VERSION_FIELDS if _has_version(before) else _TIME_FIELDS
    for name in names:
        old, new = before.get(name), now.get(name)
        if old is not None and type(old) is type(new) and old != new:
            return f"its {name} went from {old} to {new}"
    return ""


def _where(path: StoragePath) -> str:
    return printable(str(path))
