"""The bucket, as whoever looks may read it: every call carries the account that must own it.

``s3:GetObject`` is enough; ``s3:ListBucket`` makes a missing object known as missing, and shows what nobody named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from airflow_xacct.delivery.checksum import EMPTY, checksum_of, combine
from airflow_xacct.exceptions import OutcomeUnknownError, XacctError
from airflow_xacct.verify.place import Place
from airflow_xacct.verify.refusals import code_of, explain

__all__ = ["BLOCK_SIZE_BYTES", "BucketReader", "ObjectStream", "Stored"]

BLOCK_SIZE_BYTES = 1024 * 1024
"""How much of an object is held at once."""

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed"})
_FORBIDDEN = frozenset({"403", "AccessDenied", "Forbidden"})
_ATTEMPTS = 5
_GET, _LIST = "s3:GetObject", "s3:ListBucket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object as S3 tells of it.

    :param checksum: its full-object CRC64NVME in base64; empty when S3 keeps another one, or none.
    :param other_checksum: what S3 keeps instead; empty for none.
    """

    size_bytes: int
    etag: str
    version_id: str
    checksum: str
    other_checksum: str


class BucketReader:
    """Reads below one place and nowhere else.

    :param s3: an S3 client of whoever looks. Its ``response_checksum_validation`` should be ``when_required``:
        checksums are compared here.
    :param owner: the account that must own the bucket, 12 digits.
    :param who: whose credentials the client has, in words.
    """

    def __init__(self, s3: Any, place: Place, *, owner: str, who: str) -> None:
        self._s3 = s3
        self._place = place
        self._owner = owner
        self._who = who

    def read(self, key: str, max_bytes: int) -> tuple[bytes, str] | None:
        """The first bytes of an object and its ETag; ``None`` when it is not there.

        :raises XacctError: it could not be looked at.
        """
        try:
            answer = self._s3.get_object(**self._names(key))
            with answer["Body"] as stream:
                return bytes(stream.read(max_bytes)), str(answer["ETag"])
        except Exception as error:  # noqa: BLE001 - the translator knows them all
            if code_of(error) in _MISSING:
                return None
            self._fail(error, _GET, key)

    def head(self, key: str) -> Stored | None:
        """What S3 knows of an object; ``None`` when it is not there.

        :raises XacctError: it could not be looked at.
        """
        try:
            answer = self._s3.head_object(**self._names(key), ChecksumMode="ENABLED")
        except Exception as error:  # noqa: BLE001 - as above
            # the answer to a HEAD has no words: those to a GET of one byte say whose policy it was, or that there is
            # no such bucket
            said = self._words(key) if code_of(error) in _FORBIDDEN | _MISSING else error
            if code_of(said) in _MISSING:
                return None
            self._fail(said, _GET, key)
        full = answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        kept = sorted(
            name for name in answer if name.startswith("Checksum") and name not in ("ChecksumMode", "ChecksumType")
        )
        return Stored(
            size_bytes=int(answer["ContentLength"]),
            etag=str(answer["ETag"]),
            version_id=str(answer.get("VersionId") or ""),
            checksum=str(answer.get("ChecksumCRC64NVME", "")) if full else "",
            other_checksum=", ".join(name.removeprefix("Checksum") for name in kept),
        )

    def _words(self, key: str) -> Exception:
        try:
            answer = self._s3.get_object(**self._names(key), Range="bytes=0-0")
            answer["Body"].close()
        except Exception as error:  # noqa: BLE001 - as above
            return error
        return OutcomeUnknownError("it appeared while it was looked at", where=self._place.uri_of(key))

    def stream(self, key: str, stored: Stored, told: Callable[[int], None]) -> ObjectStream:
        """The bytes of an object, from its beginning.

        :param stored: as :meth:`head` told; another object under that key is not read.
        :param told: called with the number of bytes of each block.
        """
        return ObjectStream(lambda offset: self._open(key, stored, f"bytes={offset}-"), stored.size_bytes, told)

    def last(self, key: str, stored: Stored, size_bytes: int) -> bytes:
        """The last bytes of an object that is not empty.

        :raises XacctError: they could not be read.
        """
        with self._open(key, stored, f"bytes=-{size_bytes}") as body:
            try:
                return bytes(body.read())
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(error, _GET, key)

    def _open(self, key: str, stored: Stored, wanted: str) -> Any:
        try:
            return self._s3.get_object(**self._names(key), Range=wanted, IfMatch=stored.etag)["Body"]
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error, _GET, key)

    def listing(self) -> Iterator[str]:
        """Every key below the prefix.

        :raises XacctError: they may not be listed.
        """
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._place.bucket, Prefix=self._place.prefix, ExpectedBucketOwner=self._owner
        )
        try:
            for page in pages:
                yield from (str(item["Key"]) for item in page.get("Contents", []))
        except Exception as error:
            raise self._explained(error, _LIST, self._place.prefix) from error

    def _names(self, key: str) -> dict[str, str]:
        return {"Bucket": self._place.bucket, "Key": key, "ExpectedBucketOwner": self._owner}

    def _fail(self, error: Exception, action: str, key: str) -> NoReturn:
        raise self._explained(error, action, key) from error

    def _explained(self, error: Exception, action: str, key: str) -> XacctError:
        uri = self._place.uri_of(key)
        if code_of(error) in _CHANGED:
            return OutcomeUnknownError("it changed while it was looked at", where=uri, remedy="Look again.")
        return explain(error, action=action, resource=uri, who=self._who, owner=self._owner)


class ObjectStream:
    """Hands out the bytes of an object and keeps the checksum of all that passed; never more than one block.

    A connection that breaks is made again from where it broke. One thread may use it.

    :param open_at: opens the object at an offset in bytes.
    :param size_bytes: how many bytes there must be.
    """

    def __init__(self, open_at: Callable[[int], Any], size_bytes: int, told: Callable[[int], None]) -> None:
        self._open_at = open_at
        self._size_bytes = size_bytes
        self._told = told
        self._body: Any = None
        self._ready = memoryview(b"")
        self._passed = 0
        self._checksum = EMPTY

    @property
    def checksum(self) -> str:
        """The CRC64NVME of what was read from S3 so far, in base64."""
        return self._checksum

    def read(self, size_bytes: int = BLOCK_SIZE_BYTES, /) -> bytes:
        """That many bytes, fewer only at the end: ``gzip`` takes a short answer for the end of the file.

        :raises XacctError: S3 refused, or the connection broke again and again.
        """
        taken: list[memoryview] = []
        while size_bytes:
            if not self._ready:
                self._ready = memoryview(self._block())
                if not self._ready:
                    break
            taken.append(self._ready[:size_bytes])
            size_bytes -= len(taken[-1])
            self._ready = self._ready[len(taken[-1]) :]
        return b"".join(taken)

    def drain(self) -> None:
        """Read what is left, for its checksum."""
        self._ready = memoryview(b"")
        while self._block():
            pass

    def close(self) -> None:
        """Give the connection back."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _block(self) -> bytes:
        wanted = min(BLOCK_SIZE_BYTES, self._size_bytes - self._passed)
        if not wanted:
            return b""
        block = self._fetched(wanted)
        self._checksum = combine([(self._checksum, self._passed), (checksum_of(block), len(block))])
        self._passed += len(block)
        self._told(len(block))
        return block

    def _fetched(self, wanted: int) -> bytes:
        broken: Exception = EOFError("the answer ended early")
        for _ in range(_ATTEMPTS):
            if self._body is None:
                self._body = self._open_at(self._passed)
            try:
                block = bytes(self._body.read(wanted))
            except Exception as error:  # noqa: BLE001 - urllib3's and botocore's: whichever it is, ask again
                broken, block = error, b""
            if block:
                return block
            self.close()
        raise OutcomeUnknownError(
            f"the connection broke {_ATTEMPTS} times ({type(broken).__name__})",
            remedy="Look again, with fewer --jobs on a slow line.",
        ) from broken
