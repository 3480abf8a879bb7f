"""One way in for everything that an upload may read from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

from airflow_xacct.dump.payload import SourceFile
from airflow_xacct.dump.sources.files import Symlinks, local_files
from airflow_xacct.dump.sources.storage_path import StoragePath, is_storage_path, storage_path_files
from airflow_xacct.exceptions import InvalidArgumentError, SourceNotFoundError

__all__ = ["Source", "resolve_source"]

Source: TypeAlias = str | os.PathLike[str] | StoragePath


def resolve_source(
    source: Source | Sequence[Source], *, allow_empty: bool = False, symlinks: Symlinks = "refuse"
) -> list[SourceFile]:
    """The files of a path, pattern, directory, ``ObjectStoragePath``, or of a list of these in its order.

    :param source: see :func:`~airflow_xacct.dump.sources.files.local_files` and
        :func:`~airflow_xacct.dump.sources.storage_path.storage_path_files`.
    :param allow_empty: return an empty list where nothing is found.
    :param symlinks: what to do about links below a directory or pattern.
    :raises InvalidArgumentError: something else than a path.
    :raises SourceError: it cannot be read.
    """
    if isinstance(source, (list, tuple)):
        if not source and not allow_empty:
            raise SourceNotFoundError(
                "the list of sources is empty",
                where="source",
                remedy="Give allow_empty=True if that may happen.",
            )
        return [file for one in source for file in resolve_source(one, allow_empty=allow_empty, symlinks=symlinks)]
    # first, since a local ObjectStoragePath may also be an os.PathLike
    if is_storage_path(source):
        return storage_path_files(source, allow_empty=allow_empty, symlinks=symlinks)
    if isinstance(source, (str, os.PathLike)):
        return local_files(source, allow_empty=allow_empty, symlinks=symlinks)
    raise InvalidArgumentError(
        f"{type(source).__name__} is no source",
        where="source",
        remedy="Give a path, a pattern, an ObjectStoragePath or a list of these; text and bytes are data.",
    )
