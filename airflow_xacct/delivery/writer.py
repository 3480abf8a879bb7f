"""One object, sent as the parts of one multipart upload: read once, in order, several parts in flight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

from airflow_xacct.delivery.checksum import checksum_of, combine
from airflow_xacct.delivery.payload import PayloadReader
from airflow_xacct.delivery.settings import MAX_PARTS, PartSizes
from airflow_xacct.delivery.store import PartReceipt
from airflow_xacct.delivery.transfer import Transfer, raise_first
from airflow_xacct.exceptions import ObjectTooLargeError

__all__ = ["Buffered", "ObjectWriter", "StagedBytes", "read_part"]


@dataclass(frozen=True, slots=True)
class StagedBytes:
    """All bytes of an object, stored as parts. ``checksum`` is that of the whole object."""

    size_bytes: int
    checksum: str
    rows: int | None


def read_part(reader: PayloadReader, size_bytes: int) -> bytes:
    """Exactly that many bytes, fewer only at the end: a reader that gives less in between is asked again.

    An object must not be cut short because one read was.
    """
    body = reader.read(size_bytes)
    if len(body) == size_bytes or not body:
        return body
    chunks, have = [body], len(body)
    while have < size_bytes:
        body = reader.read(size_bytes - have)
        if not body:
            break
        chunks.append(body)
        have += len(body)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class Buffered:
    """A reader whose first bytes were already read."""

    def __init__(self, reader: PayloadReader, head: bytes) -> None:
        self._reader = reader
        self._head = head
        self._finished = False

    @property
    def rows(self) -> int | None:
        """See :class:`~airflow_xacct.delivery.payload.PayloadReader`."""
        return self._reader.rows

    def read(self, size_bytes: int, /) -> bytes:
        """See :class:`~airflow_xacct.delivery.payload.PayloadReader`."""
        if not self._head:
            return self._reader.read(size_bytes)
        body, self._head = self._head[:size_bytes], self._head[size_bytes:]
        return body

    def finish(self) -> None:
        """See :class:`~airflow_xacct.delivery.payload.PayloadReader`; only the first call is passed on."""
        if not self._finished:
            self._finished = True
            self._reader.finish()

    def close(self) -> None:
        """See :class:`~airflow_xacct.delivery.payload.PayloadReader`."""
        self._reader.close()


@dataclass(slots=True)
class ObjectWriter:
    """Sends the parts of one object.

    Holds at most the transfer's memory budget, together with all other writers of the transfer
    (:class:`~airflow_xacct.delivery.settings.TransferSettings`).

    :param known: parts that the log says are stored already; one whose size and checksum are those of the bytes just
        read is not sent again. The last part sent under a number counts (AWS: *UploadPart*), so the others are.
    :param max_size_bytes: an upper bound of the object's size, if there is one.
    :param on_part: is told number and receipt of every part that was sent; from several threads.
    """

    transfer: Transfer
    key: str
    upload_id: str
    sizes: PartSizes
    known: Mapping[int, PartReceipt]
    max_size_bytes: int | None
    on_part: Callable[[int, PartReceipt], None]
    _pending: dict[Future[None], int] = field(default_factory=dict)
    _told_rows: int = 0

    def write(self, reader: PayloadReader) -> StagedBytes:
        """Send everything the reader has.

        Ends with no part in flight, whatever happens. The reader is finished, not closed.

        :raises NoSuchUpload: the upload is gone.
        :raises ObjectTooLargeError: there is more than 10,000 parts hold.
        :raises SourceError: the reader failed.
        :raises TransportError: S3 did not answer.
        """
        parts: list[tuple[str, int]] = []
        try:
            while self._one_part(reader, parts):
                pass
            reader.finish()
            wait(self._pending)
            raise_first(self._pending)
        except BaseException:
            for future, held_bytes in self._pending.items():
                if future.cancel():
                    self.transfer.budget.release(held_bytes)
            wait(self._pending)
            raise
        return StagedBytes(sum(size for _, size in parts), combine(parts), reader.rows)

    def _one_part(self, reader: PayloadReader, parts: list[tuple[str, int]]) -> bool:
        """Read one part and see to it that it is sent; returns whether there may be more.

        A function of its own, so that no part is kept alive while there is room to wait for.
        """
        self.transfer.check()
        if len(parts) == MAX_PARTS and not reader.read(1):
            return False
        size_bytes = self._size_of(len(parts) + 1)
        held_bytes = size_bytes if self.max_size_bytes is None else min(size_bytes, self.max_size_bytes)
        self.transfer.budget.acquire(held_bytes)
        handed_over = False
        try:
            body = read_part(reader, size_bytes)
            ended = len(body) < size_bytes
            self._tell_rows(reader.rows or 0)
            if body or not parts:
                parts.append((checksum_of(body), len(body)))
                handed_over = self._send(len(parts), body, parts[-1][0], held_bytes, last=ended)
        finally:
            if not handed_over:
                self.transfer.budget.release(held_bytes)
        return not ended

    def _tell_rows(self, rows: int) -> None:
        if rows > self._told_rows:
            self.transfer.progress.read(rows - self._told_rows)
            self._told_rows = rows

    def _size_of(self, number: int) -> int:
        try:
            return self.sizes.of(number)
        except ObjectTooLargeError as error:
            error.where = self.key
            raise

    def _send(self, number: int, body: bytes, checksum: str, held_bytes: int, *, last: bool) -> bool:
        """Send a part, or find that it is stored; returns whether another thread releases its bytes."""
        ended = [future for future in self._pending if future.done()]
        raise_first(ended)
        for future in ended:
            del self._pending[future]
        known = self.known.get(number)
        if known is not None and known.checksum == checksum and known.size_bytes == len(body):
            self.transfer.progress.sent(len(body))
            return False
        if last and not self._pending:
            # a small object: nothing is gained by handing it to another thread
            self._put(number, body, checksum)
            return False
        future = self.transfer.submit_part(self._put_and_release, number, body, checksum, held_bytes)
        self._pending[future] = held_bytes
        return True

    def _put_and_release(self, number: int, body: bytes, checksum: str, held_bytes: int) -> None:
        try:
            self.transfer.check()
            self._put(number, body, checksum)
        finally:
            self.transfer.budget.release(held_bytes)

    def _put(self, number: int, body: bytes, checksum: str) -> None:
        receipt = self.transfer.patiently(
            self.transfer.store.upload_part, self.key, self.upload_id, number, body, checksum=checksum
        )
        self.on_part(number, receipt)
        self.transfer.progress.sent(len(body))
