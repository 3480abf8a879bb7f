"""Bucket and prefix of a delivery: nothing outside them is ever asked for, whatever a manifest says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from airflow_xacct.destination.bucket import BucketRef
from airflow_xacct.destination.paths import MAX_KEY_BYTES, normalise_prefix, path_problem
from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["Place", "split_uri"]

# the name of an access point is an ARN with one slash in it
_URI = re.compile(r"s3://(?P<bucket>arn:aws[^/]*/[^/]+|[^/]+)/(?P<key>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects of a delivery may lie.

    :param bucket: its name, or the ARN of an access point.
    :param prefix: empty, or ending in a slash, so that ``acme/`` never covers ``acme-competitor/``.
    """

    bucket: str
    prefix: str

    @classmethod
    def of(cls, bucket: str, prefix: str) -> Self:
        """A place as a person names it.

        :raises InvalidArgumentError: it is none.
        """
        return cls(str(BucketRef.parse(bucket)), normalise_prefix(prefix))

    @property
    def uri(self) -> str:
        """The place as ``s3://bucket/prefix``."""
        return self.uri_of(self.prefix)

    def uri_of(self, key: str) -> str:
        """The URI of a key in the bucket."""
        return f"s3://{self.bucket}/{key}"

    def problem_of(self, url: str) -> str | None:
        """Why an object of that URL is not in this place; ``None`` when it is.

        Keys are taken as they are written, and so are those that some decoder on the way could turn into others.
        """
        head = self.uri_of("")
        if not url.startswith(head):
            return f"it is not in the bucket {self.bucket}, and was not asked for"
        key = url[len(head) :]
        problem = path_problem(key)
        if problem is not None:
            return f"its key {problem.what}, and was not asked for"
        if not key or key.endswith("/"):
            return "its key names no object, and was not asked for"
        if len(key.encode()) > MAX_KEY_BYTES:
            return f"its key is longer than the {MAX_KEY_BYTES} bytes that S3 takes"
        if not key.startswith(self.prefix):
            return f"it is not below {self.prefix}, and was not asked for"
        return None

    def key_of(self, url: str) -> str:
        """The key of a URL that has no problem."""
        return url[len(self.uri_of("")) :]


def split_uri(uri: str, *, where: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``.

    :param where: the argument, for messages.
    :raises InvalidArgumentError: it is not the URI of an object.
    """
    match = _URI.fullmatch(uri)
    problem = path_problem(match["key"]) if match else None
    if match is None or problem is not None or match["key"].endswith("/"):
        why = f": its key {problem.what}" if problem is not None else ""
        raise InvalidArgumentError(
            f"{show(uri)} is not the URI of an object{why}",
            where=where,
            remedy="Give s3://bucket/prefix/_manifest.json.",
        )
    return str(BucketRef.parse(match["bucket"])), match["key"]
