"""Keys below the connection's prefix. A task may narrow what its connection allows, and never widen it.

AWS: *Naming Amazon S3 objects*. Keys and prefixes of a task are relative to the prefix of its connection.
"""

from __future__ import annotations

from dataclasses import replace

from airflow_xacct.destination.bucket import BucketRef
from airflow_xacct.destination.destination import Destination
from airflow_xacct.destination.paths import MAX_KEY_BYTES, path_problem
from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError, OutsideDestinationError

__all__ = ["check_location", "narrow", "resolve_key", "resolve_prefix"]


def resolve_key(destination: Destination, key: str) -> str:
    """Return the full key of an object.

    :param key: relative to the connection's prefix.
    :raises OutsideDestinationError: if it would leave the prefix: absolute, with ``..`` (also encoded), a URL.
    :raises InvalidArgumentError: if it is empty, ends in a slash, is too long or holds control characters.
    """
    if not key:
        raise InvalidArgumentError("the key is empty", where=_where(destination), remedy="Name the object.")
    if key.endswith("/"):
        raise InvalidArgumentError(
            f"the key {show(key)} ends in a slash",
            where=_where(destination),
            remedy="Name an object, not a folder.",
        )
    return _below(destination, key)


def resolve_prefix(destination: Destination, prefix: str) -> str:
    """Return a full prefix: empty, or ending in a slash.

    :param prefix: relative to the connection's prefix; empty means that prefix itself.
    :raises OutsideDestinationError: as :func:`resolve_key` does.
    :raises InvalidArgumentError: as :func:`resolve_key` does.
    """
    if not prefix:
        return destination.prefix
    return _below(destination, prefix if prefix.endswith("/") else f"{prefix}/")


def narrow(destination: Destination, *, bucket: str | None = None, prefix: str | None = None) -> Destination:
    """Return a destination that allows less.

    :param bucket: the bucket of the connection, or any where the connection names none.
    :param prefix: relative to the connection's prefix.
    :raises OutsideDestinationError: if it would allow more.
    :raises InvalidArgumentError: if bucket or prefix is not legal.
    """
    reference = destination.bucket
    if bucket:
        reference = BucketRef.parse(bucket)
        _check_bucket(destination, reference)
    return replace(destination, bucket=reference, prefix=resolve_prefix(destination, prefix or ""))


def check_location(destination: Destination, *, bucket: str, key: str) -> None:
    """Check a bucket and a full key, for callers that do not use relative keys, such as ``S3Hook``.

    :param key: complete, the connection's prefix included.
    :raises OutsideDestinationError: if they are not below the destination.
    :raises InvalidArgumentError: if they are not legal.
    """
    _check_bucket(destination, BucketRef.parse(bucket))
    _check_path(destination, key)
    # The prefix ends in a slash, so a sibling that only begins with the same letters does not match.
    if not key.startswith(destination.prefix):
        raise OutsideDestinationError(
            f"the key {show(key)} is not below {destination.prefix!r}",
            where=_where(destination),
            remedy="Choose a key below the prefix, or use a connection for the other place.",
        )
    _check_length(destination, key)


def _below(destination: Destination, path: str) -> str:
    _check_path(destination, path)
    full = destination.prefix + path
    _check_length(destination, full)
    return full


def _check_path(destination: Destination, path: str) -> None:
    problem = path_problem(path)
    if problem is not None:
        error = OutsideDestinationError if problem.outside else InvalidArgumentError
        raise error(f"the key {problem.what}", where=_where(destination), remedy=problem.remedy)


def _check_length(destination: Destination, key: str) -> None:
    size = len(key.encode())
    if size > MAX_KEY_BYTES:
        raise InvalidArgumentError(
            f"the key {show(key)} has {size} bytes of UTF-8, the connection's prefix included",
            where=_where(destination),
            remedy=f"S3 takes at most {MAX_KEY_BYTES}: shorten it.",
        )


def _check_bucket(destination: Destination, bucket: BucketRef) -> None:
    if destination.bucket is not None and bucket != destination.bucket:
        raise OutsideDestinationError(
            f"the bucket {show(str(bucket))} is not the connection's, {show(str(destination.bucket))}",
            where=_where(destination),
            remedy="Leave the bucket out, or use a connection for the other bucket.",
        )


def _where(destination: Destination) -> str:
    return f"connection {destination.conn_id!r}"
