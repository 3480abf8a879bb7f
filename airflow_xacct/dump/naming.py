"""The keys of objects: prefix, Hive-style partitions, file name, suffix of the compression. Pure functions.

::

    key ""  or "flights/"     flights/ + ds=2013-01-01/ + 2013/jan.csv + .gz
    key "flights/jan.csv"     flights/ + ds=2013-01-01/ + jan.csv      + .gz

All keys here are relative to the connection's prefix, below which :mod:`airflow_xacct.destination.keys` puts
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol, TypeAlias

from airflow_xacct.destination.paths import path_problem
from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError, OutsideDestinationError

__all__ = ["HIVE_NULL", "VERSIONS_FOLDER", "PartitionValue", "key_problem", "object_keys", "partition_path"]

VERSIONS_FOLDER = "_versions/"
"""Below which deliveries with keys of their own lie. Readers of a prefix (Spark, Hive, Athena, pyarrow) pass over names
that begin with ``_``, so that none of them reads two versions."""

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""How Hive, Spark, Athena and Redshift Spectrum write a partition whose value is NULL."""

PartitionValue: TypeAlias = str | int | bool | date | None

# Hive escapes these and the control characters (FileUtils.escapePathName); readers undo any %XX. Not "}",
# which Hive and Spark leave alone: another spelling would make a second directory for the same partition.
_HIVE_ESCAPED = re.compile(r"""[\x00-\x1f\x7f"#%'*/:=?\\{\[\]^]""")
_PARTITION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class _Named(Protocol):
    """A :class:`~airflow_xacct.dump.payload.SourceFile`, as far as its key goes."""

    @property
    def path(self) -> str: ...

    @property
    def relative_name(self) -> str: ...


def key_problem(relative_name: str) -> str | None:
    """Why no object can have this name below a prefix; ``None`` when it can."""
    if not relative_name or relative_name.endswith("/"):
        return "its name is empty or ends in a slash"
    problem = path_problem(relative_name)
    return None if problem is None else f"its name {problem.what}"


def partition_path(partitions: Mapping[str, PartitionValue]) -> str:
    """``ds=2013-01-01/hour=5/`` for ``{"ds": date(2013, 1, 1), "hour": 5}``, in the order of the mapping.

    Values are escaped as Hive does; ``None`` becomes ``__HIVE_DEFAULT_PARTITION__``, booleans ``true`` and
    ``false``.

    :raises InvalidArgumentError: a name that is no column name or comes twice (case does not count in Hive),
        an empty value (Hive could not tell it from NULL), one that would climb once somebody undid the
        escapes, or a value of another type.
    """
    seen: set[str] = set()
    path = ""
    for name, value in partitions.items():
        if not isinstance(name, str) or not _PARTITION_NAME.fullmatch(name):
            raise _bad_partition(
                f"{name!r} is no name for a partition",
                "Use letters, digits and '_', not starting with a digit.",
            )
        if name.lower() in seen:
            raise _bad_partition(f"the partition {name!r} comes twice", "Case does not count: name each column once.")
        seen.add(name.lower())
        path += f"{name}={_escape(name, _partition_text(name, value))}/"
    return path


def object_keys(
    key: str,
    files: Sequence[_Named],
    *,
    partitions: Mapping[str, PartitionValue] | None = None,
    suffix: str = "",
) -> list[str]:
    """The key of each file, in their order.

    :param key: empty or ending with ``/``: a prefix, below which each file keeps its relative name. Anything
        else: the exact key of the one file.
    :param files: what to deliver.
    :param partitions: put between the prefix and the relative name, or before the last part of an exact key.
    :param suffix: of the compression. An exact key that ends with it already is left alone; a file name never
        is, since what is inside ``a.csv.gz`` is then compressed twice.
    :raises OutsideDestinationError: a key that climbs or starts at the root.
    :raises InvalidArgumentError: several files for an exact key, a file without a name below a prefix, two
        files with one key, a partition or key that cannot be used.
    """
    where, exact_name = _split(key)
    prefix = where + partition_path(partitions or {})
    if exact_name:
        if len(files) > 1:
            raise InvalidArgumentError(
                f"{len(files):,} files cannot share the key {show(key)}",
                where="key",
                remedy="End the key with '/' to keep their names below it.",
            )
        name = exact_name if suffix and exact_name.endswith(suffix) else exact_name + suffix
        keys = [prefix + name for _ in files]
    else:
        keys = [prefix + _own_name(file, key) + suffix for file in files]
    _check_distinct(keys, files)
    return keys


def _split(key: str) -> tuple[str, str]:
    """An argument ``key`` as prefix (empty or ending with ``/``) and exact name (may be empty)."""
    if not isinstance(key, str):
        raise InvalidArgumentError(
            f"a key is text, not {type(key).__name__}",
            where="key",
            remedy="Give a key or a prefix that ends with '/'.",
        )
    if problem := path_problem(key):
        error = OutsideDestinationError if problem.outside else InvalidArgumentError
        raise error(f"the key {problem.what}", where="key", remedy=problem.remedy)
    head, slash, name = key.rpartition("/")
    return head + slash, name


def _own_name(file: _Named, key: str) -> str:
    if not file.relative_name:
        raise InvalidArgumentError(
            f"what is sent has no file name to put below {show(key)}",
            where="key",
            remedy="Give the whole key, such as 'reports/summary.json'.",
        )
    return file.relative_name


def _check_distinct(keys: Sequence[str], files: Sequence[_Named]) -> None:
    first: dict[str, _Named] = {}
    for key, file in zip(keys, files, strict=True):
        other = first.setdefault(key, file)
        if other is not file:
            raise InvalidArgumentError(
                f"{other.path} and {file.path} would both become {show(key)}",
                where="source",
                remedy="Deliver them below different keys, or rename one.",
            )


def _partition_text(name: str, value: PartitionValue) -> str:
    if value is None:
        return HIVE_NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if not value:
            raise _bad_partition(
                f"the partition {name!r} has an empty value",
                "Hive reads that as NULL: give None if it is meant.",
            )
        return value
    if isinstance(value, int) or (isinstance(value, date) and not isinstance(value, datetime)):
        return str(value)
    raise _bad_partition(
        f"the partition {name!r} has a value of type {type(value).__name__}",
        "Give text, a whole number, a date or None.",
    )


def _escape(name: str, value: str) -> str:
    problem = path_problem(_HIVE_ESCAPED.sub("_", value))
    if problem or {".", ".."} & set(re.split(r"[/\\]", value)):
        raise _bad_partition(
            f"the partition {name!r} has the value {show(value)}, which no key can carry safely",
            "Use printable characters, and no '.' or '..' between slashes.",
        )
    return _HIVE_ESCAPED.sub(lambda match: f"%{ord(match.group()):02X}", value)


def _bad_partition(what: str, remedy: str) -> InvalidArgumentError:
    return InvalidArgumentError(what, where="partitions", remedy=remedy)
