"""An S3 bucket in memory that answers as S3 does, and fails when it is told to. For tests, yours included."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.settings import MAX_PARTS, MIN_PART_BYTES
from airflow_xacct.delivery.store import (
    NoSuchUpload,
    ObjectAttributes,
    ObjectHead,
    ObjectReceipt,
    PartReceipt,
    PreconditionFailed,
    WriteConflict,
)
from airflow_xacct.exceptions import AccessDeniedError, ChecksumMismatchError, RefusedError

__all__ = ["FakeObject", "FakeStore", "FakeUpload", "StoreCall"]

Moment = Literal["before", "after"]
Operation = Literal["put", "create", "part", "complete", "abort", "head", "delete"]


@dataclass(frozen=True, slots=True)
class StoreCall:
    """One call of a store.

    :param number: counts all calls, from 1.
    :param nth: counts the calls of this operation, from 1.
    """

    operation: Operation
    key: str
    number: int
    nth: int


@dataclass(frozen=True, slots=True)
class FakeObject:
    """What stands at a key."""

    body: bytes
    attributes: ObjectAttributes
    etag: str
    version_id: str

    @property
    def token(self) -> str:
        """The delivery token in its metadata; empty for a foreign object."""
        return dict(self.attributes.metadata).get("xacct-token", "")


@dataclass(slots=True)
class FakeUpload:
    """A multipart upload. ``state`` says how it ended."""

    key: str
    attributes: ObjectAttributes
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)
    state: Literal["open", "completed", "aborted"] = "open"
    receipt: ObjectReceipt | None = None


class FakeStore:
    """One bucket. Thread-safe.

    :param completes_again: a repeated Complete of a completed upload succeeds, as AWS does for a while; otherwise
        it is NoSuchUpload.
    :param aborts_again: an Abort of a completed or aborted upload succeeds, as AWS does for some hours; otherwise it
        is NoSuchUpload.
    :param condition_first: Complete looks at the key before it looks at the upload: 412 rather than NoSuchUpload.
    :param smallest_part_bytes: of every part but the last.
    :ivar can_head: whether ``s3:GetObject`` is allowed; likewise ``can_abort``, ``can_delete`` and ``can_list``
        (without which HEAD on nothing is refused, as in S3).
    :ivar hook: called around every call with the moment. To raise *before* loses the request, to raise *after* loses
        the answer; it may also change the bucket.
    :ivar history: a line for each time a key began, or ceased, to be visible: the key, and its object or ``None``.
    """

    def __init__(
        self,
        bucket: str = "bucket",
        *,
        completes_again: bool = False,
        aborts_again: bool = False,
        condition_first: bool = False,
        smallest_part_bytes: int = MIN_PART_BYTES,
    ) -> None:
        self._bucket = bucket
        self._completes_again = completes_again
        self._aborts_again = aborts_again
        self._condition_first = condition_first
        self._smallest_part_bytes = smallest_part_bytes
        self.can_head = self.can_list = self.can_abort = self.can_delete = True
        self.hook: Callable[[StoreCall, Moment], None] | None = None
        self.objects: dict[str, FakeObject] = {}
        self.uploads: dict[str, FakeUpload] = {}
        self.history: list[tuple[str, FakeObject | None]] = []
        self.calls: list[StoreCall] = []
        self._conflicts: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    @property
    def bucket(self) -> str:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        return self._bucket

    @property
    def open_uploads(self) -> dict[str, FakeUpload]:
        """Uploads that were neither completed nor aborted, by id."""
        return {i: upload for i, upload in self.uploads.items() if upload.state == "open"}

    def place(self, key: str, body: bytes = b"foreign") -> None:
        """Let somebody else put an object, whatever stands there."""
        with self._lock:
            self._store(key, body, ObjectAttributes())

    def expire_uploads(self) -> None:
        """End every open upload, as a lifecycle rule does."""
        with self._lock:
            for upload in self.open_uploads.values():
                upload.state = "aborted"

    def conflict_once(self, key: str) -> None:
        """Answer 409 to the next Complete of the key."""
        self._conflicts.add(key)

    def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, checksum: str, if_absent: bool
    ) -> ObjectReceipt:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        call = self._begin("put", key)
        with self._lock:
            self._check(key, body, checksum)
            self._check_absent(key, if_absent=if_absent)
            receipt = self._store(key, body, attributes)
        self._tell(call, "after")
        return receipt

    def create_multipart(self, key: str, attributes: ObjectAttributes) -> str:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        call = self._begin("create", key)
        with self._lock:
            upload_id = f"upload-{next(self._numbers)}"
            self.uploads[upload_id] = FakeUpload(key, attributes)
        self._tell(call, "after")
        return upload_id

    def upload_part(
        self, key: str, upload_id: str, part_number: int, body: bytes | memoryview, *, checksum: str
    ) -> PartReceipt:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        call = self._begin("part", key)
        body = bytes(body)
        with self._lock:
            upload = self._open_upload(key, upload_id)
            if not 1 <= part_number <= MAX_PARTS:
                self._refuse("InvalidArgument", "s3:PutObject", key)
            self._check(key, body, checksum)
            etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            upload.parts[part_number] = (body, etag)
        self._tell(call, "after")
        return PartReceipt(etag, checksum, len(body))

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
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        call = self._begin("complete", key)
        with self._lock:
            receipt = self._complete(key, upload_id, parts, checksum, size_bytes, if_absent)
        self._tell(call, "after")
        return receipt

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        call = self._begin("abort", key)
        with self._lock:
            self._permit(self.can_abort, "s3:AbortMultipartUpload", key)
            known = self.uploads.get(upload_id)
            if known is None or known.state == "open" or not self._aborts_again:
                self._open_upload(key, upload_id).state = "aborted"
        self._tell(call, "after")

    def head(self, key: str) -> ObjectHead | None:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        call = self._begin("head", key)
        with self._lock:
            self._permit(self.can_head, "s3:GetObject", key)
            found = self.objects.get(key)
            if found is None:
                self._permit(self.can_list, "s3:ListBucket", key)
        self._tell(call, "after")
        if found is None:
            return None
        metadata = {name.lower(): value for name, value in found.attributes.metadata.items()}
        return ObjectHead(len(found.body), found.etag, metadata, checksum_of(found.body))

    def delete(self, key: str) -> None:
        """See :class:`~airflow_xacct.delivery.store.ObjectStore`."""
        call = self._begin("delete", key)
        with self._lock:
            self._permit(self.can_delete, "s3:DeleteObject", key)
            if self.objects.pop(key, None) is not None:
                self.history.append((key, None))
        self._tell(call, "after")

    def _begin(self, operation: Operation, key: str) -> StoreCall:
        with self._lock:
            self._counts[operation] += 1
            call = StoreCall(operation, key, len(self.calls) + 1, self._counts[operation])
            self.calls.append(call)
        self._tell(call, "before")
        return call

    def _tell(self, call: StoreCall, moment: Moment) -> None:
        if self.hook is not None:
            self.hook(call, moment)

    def _complete(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[PartReceipt],
        checksum: str,
        size_bytes: int,
        if_absent: bool,
    ) -> ObjectReceipt:
        known = self.uploads.get(upload_id)
        if self._completes_again and known is not None and known.state == "completed" and known.receipt:
            return known.receipt
        if self._condition_first:
            self._check_absent(key, if_absent=if_absent)
        upload = self._open_upload(key, upload_id)
        body = self._assemble(key, upload, parts)
        if len(body) != size_bytes:
            self._refuse("InvalidRequest", "s3:PutObject", key)
        self._check(key, body, checksum)
        self._check_absent(key, if_absent=if_absent)
        if key in self._conflicts:
            self._conflicts.discard(key)
            raise WriteConflict("409: a conflicting operation is under way", where=key)
        upload.receipt = self._store(key, body, upload.attributes, part_count=len(parts))
        upload.state = "completed"
        return upload.receipt

    def _assemble(self, key: str, upload: FakeUpload, parts: Sequence[PartReceipt]) -> bytes:
        if not parts:
            self._refuse("MalformedXML", "s3:PutObject", key)
        bodies = []
        for number, part in enumerate(parts, 1):
            body, etag = upload.parts.get(number, (b"", ""))
            if etag != part.etag or checksum_of(body) != part.checksum:
                self._refuse("InvalidPart", "s3:PutObject", key)
            if number < len(parts) and len(body) < self._smallest_part_bytes:
                self._refuse("EntityTooSmall", "s3:PutObject", key)
            bodies.append(body)
        return b"".join(bodies)

    def _store(self, key: str, body: bytes, attributes: ObjectAttributes, part_count: int = 0) -> ObjectReceipt:
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        etag = f'"{digest}-{part_count}"' if part_count else f'"{digest}"'
        stored = FakeObject(body, attributes, etag, f"v{next(self._numbers)}")
        self.objects[key] = stored
        self.history.append((key, stored))
        return ObjectReceipt(etag, checksum_of(body), len(body), stored.version_id)

    def _open_upload(self, key: str, upload_id: str) -> FakeUpload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.state != "open" or upload.key != key:
            raise NoSuchUpload("404: the upload does not exist", where=key)
        return upload

    def _check(self, key: str, body: bytes, checksum: str) -> None:
        if checksum_of(body) != checksum:
            raise ChecksumMismatchError("S3 computed another checksum", where=key)

    def _check_absent(self, key: str, *, if_absent: bool) -> None:
        if if_absent and key in self.objects:
            raise PreconditionFailed("412: an object holds the key", where=key)

    def _permit(self, allowed: bool, action: str, key: str) -> None:
        if not allowed:
            raise AccessDeniedError(f"{action} was denied", where=key, action=action)

    def _refuse(self, code: str, action: str, key: str) -> NoReturn:
        raise RefusedError(f"{code} to {action}", where=key)
