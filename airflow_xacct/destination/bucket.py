"""Bucket names, access points and their aliases.

AWS: *General purpose bucket naming rules*, *Access points for general purpose buckets naming rules,
restrictions, and limitations*, *Access point for general purpose buckets aliases*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from airflow_xacct.destination.arn import check_partition
from airflow_xacct.destination.partitions import REGION
from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["BucketRef"]

_NAME = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_ALIAS_SUFFIX = "-s3alias"

_ACCESS_POINT_ARN = re.compile(
    rf"arn:(?P<partition>aws(?:-[a-z]+){{0,2}}):s3:(?P<region>{REGION}):(?P<account>[0-9]{{12}})"
    r":accesspoint/(?P<name>[a-z0-9][a-z0-9\-]{1,48}[a-z0-9])"
)

_RESERVED_PREFIXES = {
    "xn--": "AWS reserves names that begin with it",
    "sthree-": "AWS reserves names that begin with it",
    "amzn-s3-demo-": "AWS's documentation uses such names as examples; nobody can own one",
}
_REFUSED_SUFFIXES = {
    "--x-s3": (
        "it is a directory bucket",
        "Its sessions and checksums are not those a delivery relies on: deliver to a general purpose bucket.",
    ),
    "--xa-s3": ("it is an access point of a directory bucket", "Deliver to a general purpose bucket."),
    "--table-s3": (
        "it is a table bucket",
        "A table bucket takes no objects: deliver to a general purpose bucket.",
    ),
    "--ol-s3": (
        "it is the alias of an Object Lambda access point, which only reads",
        "Name the bucket, or an access point of it.",
    ),
    "--op-s3": (
        "it is an access point of S3 on Outposts",
        "Deliver to a general purpose bucket in a region.",
    ),
    ".mrap": (
        "it is a Multi-Region Access Point, so the region that stores the data is not known beforehand",
        "Name one bucket, or an access point of it.",
    ),
}


@dataclass(frozen=True, slots=True)
class BucketRef:
    """Where objects go; ``str()`` is what the ``Bucket`` parameter of S3 takes.

    :param value: the name, the access point's ARN or its alias, as written.
    :param kind: which of them it is.
    :param partition: of an access point ARN, else None.
    :param region: of an access point ARN, else None.
    :param account: of an access point ARN, else None. The bucket behind it may belong to another.
    """

    value: str
    kind: Literal["bucket", "access_point", "access_point_alias"]
    partition: str | None = None
    region: str | None = None
    account: str | None = None

    def __str__(self) -> str:
        return self.value

    @classmethod
    def parse(cls, text: str) -> BucketRef:
        """Recognise a bucket, an access point ARN or an access point alias.

        :raises InvalidArgumentError: if it is none of them, or of a kind that cannot be delivered to.
        """
        if text.startswith("arn:"):
            return cls._parse_arn(text)
        for suffix, (what, remedy) in _REFUSED_SUFFIXES.items():
            if text.endswith(suffix):
                raise InvalidArgumentError(f"{show(text)} cannot be used: {what}", remedy=remedy)
        if text.endswith(_ALIAS_SUFFIX):
            _check_name(text)
            return cls(text, "access_point_alias")
        for prefix, reason in _RESERVED_PREFIXES.items():
            if text.startswith(prefix):
                raise InvalidArgumentError(f"{show(text)} is not the name of a bucket: {reason}")
        _check_name(text)
        return cls(text, "bucket")

    @classmethod
    def _parse_arn(cls, text: str) -> BucketRef:
        match = _ACCESS_POINT_ARN.fullmatch(text)
        if match is None:
            raise InvalidArgumentError(f"{show(text)} is not the ARN of an access point", remedy=_arn_remedy(text))
        return cls(
            text,
            "access_point",
            check_partition(match["partition"]),
            match["region"],
            match["account"],
        )


def _arn_remedy(text: str) -> str:
    """Say what was probably meant."""
    bucket_arn = re.fullmatch(r"arn:[a-z\-]+:s3:::(?P<bucket>[^/]*)(?P<rest>/.*)?", text)
    if bucket_arn is not None:
        return "Give the bucket by its name alone, and a prefix in the extra prefix."
    if text.endswith(".mrap"):
        return _REFUSED_SUFFIXES[".mrap"][1]
    if re.match(r"arn:[a-z\-]+:(?:s3-outposts|s3-object-lambda|s3express|s3tables)\b", text):
        return "Only general purpose buckets and their access points can be delivered to."
    return "It looks like arn:aws:s3:eu-central-1:222222222222:accesspoint/landing."


def _check_name(text: str) -> None:
    if "://" in text or "/" in text:
        raise InvalidArgumentError(
            f"{show(text)} is not the name of a bucket",
            remedy="Give the name alone: no s3://, no slash; a prefix goes into the extra prefix.",
        )
    if not _NAME.fullmatch(text) or ".." in text or _IP_ADDRESS.fullmatch(text):
        raise InvalidArgumentError(
            f"{show(text)} is not the name of a bucket",
            remedy="A name has 3 to 63 lower-case letters, digits, hyphens and single dots, begins and ends "
            "with a letter or a digit, and is no IP address.",
        )
