"""Staging: every object as an open multipart upload, all of its parts in the bucket, nothing visible yet."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import fields, replace

from airflow_xacct.delivery.attempt import MANIFEST_INDEX, LoggedObject
from airflow_xacct.delivery.evidence import UPLOAD_LIFETIME_SECONDS
from airflow_xacct.delivery.identity import TOKEN_METADATA
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.payload import ObjectPlan, PayloadReader
from airflow_xacct.delivery.store import AnswerLost, NoSuchUpload, ObjectAttributes, PartReceipt
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.delivery.writer import ObjectWriter
from airflow_xacct.exceptions import SourceChangedError, XacctError

__all__ = ["Staging"]

logger = logging.getLogger(__name__)

CREATES_PER_WRITE = 100
_TRIES = 3


class Staging:
    """Stages the objects of the log's attempt.

    :ivar plans: what was staged, by key, so that an upload can be made again.
    """

    def __init__(self, transfer: Transfer, log: DeliveryLog, clock: Callable[[], float]) -> None:
        self._transfer = transfer
        self._log = log
        self._clock = clock
        self._warned = False
        self._earlier = {o.index: o for o in log.attempt.undecided()}
        self._numbers = itertools.count(log.attempt.next_index)
        self.plans: dict[str, ObjectPlan] = {}

    def stage(self, plans: Iterator[ObjectPlan], *, side_by_side: bool) -> None:
        """Stage everything that the plans yield.

        Upload ids are durable before their first part is sent: one write of the log for a hundred of them where
        objects are staged side by side, else one for each.
        """
        if not side_by_side:
            for plan in plans:
                self.stage_one(plan)
            return
        while batch := list(itertools.islice(plans, CREATES_PER_WRITE)):
            numbered = [(self._number(plan.key), plan) for plan in batch]
            self._transfer.each(lambda pair: self._open(*pair), numbered)
            self._log.flush()
            self._transfer.each(self.fill, batch)

    def stage_one(self, plan: ObjectPlan, reader: PayloadReader | None = None) -> None:
        """Stage one object in the calling thread.

        :param reader: its payload, where it was opened already.
        """
        self._open(self._number(plan.key), plan)
        self._log.flush()
        self.fill(plan, reader)

    def open_manifest(self, key: str, attributes: ObjectAttributes) -> None:
        """Create the upload of the manifest, whose bytes are not known yet."""
        self._create(MANIFEST_INDEX, key, attributes)
        self._log.flush()

    def drop_leftovers(self) -> None:
        """Abort what an earlier try staged and this one did not ask for."""
        left = list(self._earlier.values())
        self._earlier.clear()
        self._transfer.each(self.abort_quietly, left)
        self._log.record(*(["o", o.index, "dropped"] for o in left))

    def again(self, upload: LoggedObject) -> LoggedObject:
        """Give an upload up and send the same bytes in another one.

        :raises SourceChangedError: the source has other bytes now.
        """
        plan = self.plans[upload.key]
        self._log.record(["c", upload.index])
        self._log.flush()
        self.abort_quietly(upload)
        self._create(upload.index, plan.key, plan.attributes)
        self._log.flush()
        self.fill(plan)
        made = self._log.attempt.objects[upload.index]
        if (made.size_bytes, made.checksum) != (upload.size_bytes, upload.checksum):
            raise SourceChangedError(
                f"{plan.payload.name} changed while its delivery was being committed",
                where=plan.key,
                remedy="Let the task run again: it will deliver everything anew.",
            )
        return made

    def abort_quietly(self, upload: LoggedObject) -> None:
        """Abort an upload that is not needed, where it still exists."""
        try:
            self._transfer.patiently(self._transfer.store.abort_multipart, upload.key, upload.upload_id)
        except NoSuchUpload:
            pass
        except XacctError as exc:
            logger.warning("The unfinished upload of %s could not be aborted: %s", upload.key, exc)

    def _number(self, key: str) -> int:
        earlier = self._log.attempt.find(key)
        return next(self._numbers) if earlier is None else earlier.index

    def _open(self, index: int, plan: ObjectPlan) -> None:
        """See to it that the object has an upload: the one of an earlier try if it will do, else a new one."""
        self.plans[plan.key] = plan
        earlier = self._earlier.pop(index, None)
        if earlier is not None:
            young = self._clock() - earlier.created_at < UPLOAD_LIFETIME_SECONDS
            if young and earlier.attributes == self._digest(plan.attributes):
                # the last part is sent once more, which shows that the upload is still alive
                earlier.parts.pop(max(earlier.parts, default=0), None)
                earlier.size_bytes = None
                return
            self.abort_quietly(earlier)
        self._create(index, plan.key, plan.attributes)

    def _create(self, index: int, key: str, attributes: ObjectAttributes) -> None:
        stamped = self.stamped(attributes)
        created_at = self._clock()

        def create() -> str:
            try:
                return self._transfer.store.create_multipart(key, stamped)
            except AnswerLost:
                self._warn_of_leak(key)
                raise

        upload_id = self._transfer.patiently(create)
        self._log.record(["u", index, key, upload_id, created_at, self._digest(attributes)])

    def fill(self, plan: ObjectPlan, reader: PayloadReader | None = None) -> None:
        """Send the bytes of an object; when its upload is found to be gone, in another one.

        :param reader: its payload, where it was opened already.
        """
        for _ in range(_TRIES - 1):
            try:
                self._send(plan, reader if reader is not None else plan.payload.open())
            except NoSuchUpload:
                self._create(self._upload(plan.key).index, plan.key, plan.attributes)
                self._log.flush()
                reader = None
            else:
                return
        self._send(plan, plan.payload.open())

    def _upload(self, key: str) -> LoggedObject:
        upload = self._log.attempt.find(key)
        if upload is None:
            raise KeyError(key)
        return upload

    def _send(self, plan: ObjectPlan, reader: PayloadReader) -> None:
        upload = self._upload(plan.key)
        limit = plan.payload.max_size_bytes

        def on_part(number: int, receipt: PartReceipt) -> None:
            self._log.record(["p", upload.index, number, receipt.etag, receipt.checksum, receipt.size_bytes])

        try:
            sizes = self._transfer.settings.part_sizes(limit)
            writer = ObjectWriter(self._transfer, plan.key, upload.upload_id, sizes, dict(upload.parts), limit, on_part)
            staged = writer.write(reader)
        finally:
            reader.close()
        self._log.record(["s", upload.index, staged.size_bytes, staged.checksum, staged.rows])
        self._transfer.progress.staged()

    def stamped(self, attributes: ObjectAttributes) -> ObjectAttributes:
        """The attributes with the delivery's token in their metadata."""
        token = self._log.attempt.head.token
        return replace(attributes, metadata={**attributes.metadata, TOKEN_METADATA: token})

    def _digest(self, attributes: ObjectAttributes) -> str:
        facts = {f.name: getattr(attributes, f.name) for f in fields(attributes)}
        facts |= {"metadata": dict(attributes.metadata), "tags": dict(attributes.tags)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def _warn_of_leak(self, key: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "S3's answer to a CreateMultipartUpload of %s was lost. An empty upload may remain in the bucket until "
                "its lifecycle rule (AbortIncompleteMultipartUpload) ends it.",
                key,
            )
