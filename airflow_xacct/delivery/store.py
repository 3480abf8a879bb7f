"""The small part of S3 that a delivery needs, as a protocol.

One store speaks to one bucket of one owner. Its boto3 form is in :mod:`airflow_xacct.delivery.boto3_store`; a leaner
one may replace it, since the rest of the package knows only what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airflow_xacct.exceptions import TransportError, XacctError

__all__ = [
    "AnswerLost",
    "NoSuchUpload",
    "ObjectAttributes",
    "ObjectHead",
    "ObjectReceipt",
    "ObjectStore",
    "PartReceipt",
    "PreconditionFailed",
    "WriteConflict",
]


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What S3 stores beside the bytes of an object; fixed when its upload is created.

    ``tags`` need ``s3:PutObjectTagging`` beside ``s3:PutObject`` (AWS: *PutObject*, "Permissions").
    ``kms_key_id`` is a key id, key ARN, alias or alias ARN; empty means the bucket's own default encryption.
    """

    content_type: str = ""
    content_encoding: str = ""
    storage_class: str = ""
    kms_key_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """What S3 answered for one part; its number is its place in the list, from 1.

    ``checksum`` is the CRC64NVME of the part's bytes in base64, as S3 writes it.
    """

    etag: str
    checksum: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ObjectReceipt:
    """What S3 answered when an object became visible. ``checksum`` is the full-object CRC64NVME in base64."""

    etag: str
    checksum: str
    size_bytes: int
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What HEAD says of an object. Metadata keys are lower case."""

    size_bytes: int
    etag: str
    metadata: Mapping[str, str]
    checksum: str = ""


class PreconditionFailed(XacctError):  # noqa: N818 - S3's own name for the answer 412
    """412: an object holds the key. Nothing was written."""


class WriteConflict(XacctError):  # noqa: N818 - S3's ConditionalRequestConflict, 409
    """409: another write of the key was under way. The upload must be made again."""


class NoSuchUpload(XacctError):  # noqa: N818 - S3's own name for the answer 404
    """404: the multipart upload was completed, aborted or never existed."""


class AnswerLost(TransportError):  # noqa: N818 - it is no verdict, only the absence of one
    """The request may or may not have been carried out: time-out, broken connection, or a 5xx answer."""


class ObjectStore(Protocol):
    """One bucket of one owner, seen from one session.

    Refusals are raised as our errors (:mod:`airflow_xacct.exceptions`), the four answers above as themselves.
    Conditional calls, and :meth:`create_multipart`, take **exactly one wire attempt**: a hidden retry would turn our
    own earlier write into a conflict, or leave an upload nobody knows. The others are idempotent and may be retried
    inside the store. All methods may be called from several threads.
    """

    @property
    def bucket(self) -> str:
        """The bucket's name, or the access point's ARN or alias, as S3 calls take it."""
        ...

    def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, checksum: str, if_absent: bool
    ) -> ObjectReceipt:
        """Put a whole object. ``if_absent`` sends ``If-None-Match: *``.

        :param checksum: CRC64NVME of ``body`` in base64.
        :raises PreconditionFailed: an object holds the key.
        :raises AnswerLost: unknown whether it was stored.
        """
        ...

    def create_multipart(self, key: str, attributes: ObjectAttributes) -> str:
        """Begin an upload with a full-object CRC64NVME checksum; return its upload id. One wire attempt."""
        ...

    def upload_part(
        self, key: str, upload_id: str, part_number: int, body: bytes | memoryview, *, checksum: str
    ) -> PartReceipt:
        """Store one part, numbered from 1. The last one sent under a number counts.

        :raises NoSuchUpload: the upload was aborted or completed.
        :raises ChecksumMismatchError: S3 computed another checksum.
        """
        ...

    def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[PartReceipt],
        *,
        checksum: str,
        size_bytes: int,
        if_absent: bool,
    ) -> ObjectReceipt:
        """Make the parts one object. One wire attempt; an ``<Error>`` in a 200 answer counts as an error.

        :param checksum: CRC64NVME of the whole object in base64, sent with ``x-amz-mp-object-size``.
        :raises PreconditionFailed: an object holds the key (only with ``if_absent``).
        :raises WriteConflict: another write was under way: create and upload again.
        :raises NoSuchUpload: completed earlier, or aborted.
        :raises AnswerLost: unknown whether it was carried out.
        """
        ...

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an unfinished upload and its parts.

        :raises NoSuchUpload: there is none of that id (any more).
        """
        ...

    def head(self, key: str) -> ObjectHead | None:
        """What stands at the key, ``None`` for nothing.

        :raises AccessDeniedError: we may not look, or (without ``s3:ListBucket``) there is nothing.
        """
        ...

    def delete(self, key: str) -> None:
        """Delete an object, or put a delete marker where the bucket is versioned."""
        ...
