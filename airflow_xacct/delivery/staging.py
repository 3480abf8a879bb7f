"""Staging: every object as an open multipart upload, all of its parts in the bucket, nothing visible yet."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace

from airflow_xacct.delivery.attempt import MANIFEST_INDEX, Item, LoggedObject
from airflow_xacct.delivery.cleanup import abort_uploads, listed
from airflow_xacct.delivery.evidence import UPLOAD_LIFETIME_SECONDS
from airflow_xacct.delivery.identity import TOKEN_METADATA
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.payload import ObjectPlan, PayloadReader, Role
from airflow_xacct.delivery.store import AnswerLost, NoSuchUpload, ObjectAttributes, PartReceipt
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.delivery.writer import ObjectWriter
from airflow_xacct.exceptions import DeliveryError, SourceChangedError

__all__ = ["Staging", "upload_ended"]

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
        self._create(MANIFEST_INDEX, key, attributes, "manifest")
        self._log.flush()

    def drop_leftovers(self) -> None:
        """Abort what an earlier try staged and this one did not ask for."""
        left = list(self._earlier.values())
        self._earlier.clear()
        if left:
            self._log.record(*(["o", o.index, "dropped"] for o in left))
            # a later try may want these keys again, and its rows pass by once: it must not count on these uploads
            self._log.flush()
            self.abort(left)

    def again(self, upload: LoggedObject) -> LoggedObject:
        """Give an upload up and send the same bytes in another one.

        :raises SourceChangedError: the source has other bytes now.
        """
        plan = self.plans[upload.key]
        self._log.record(["c", upload.index])
        self._log.flush()
        self._create(upload.index, plan.key, plan.attributes, upload.role)
        self._log.flush()
        self.abort([upload])
        self.fill(plan, expected=upload)
        # as in the first commit: what is not known to be staged was never completed
        self._log.flush()
        return self._log.attempt.at(plan.key)

    def abort(self, discarded: Iterable[LoggedObject]) -> None:
        """Abort uploads that were discarded. What cannot be aborted is tried once more when all is done."""
        left = abort_uploads(self._transfer, discarded, lambda o: self._log.record(["a", o.upload_id]))
        if left:
            logger.warning("Uploads that are not needed could not be aborted: %s.", listed(o.key for o in left))

    def _number(self, key: str) -> int:
        earlier = self._log.attempt.find(key)
        return next(self._numbers) if earlier is None or earlier.role == "manifest" else earlier.index

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
                if earlier.role != plan.role:
                    self._log.record(["r", index, plan.role])
                return
        self._create(index, plan.key, plan.attributes, plan.role)
        if earlier is not None:
            self._log.flush()
            self.abort([earlier])

    def _create(self, index: int, key: str, attributes: ObjectAttributes, role: Role) -> None:
        stamped = self.stamped(attributes)
        created_at = self._clock()

        def create() -> str:
            try:
                return self._transfer.store.create_multipart(key, stamped)
            except AnswerLost:
                self._warn_of_leak(key)
                raise

        upload_id = self._transfer.patiently(create)
        items: list[Item] = [["u", index, key, upload_id, created_at, self._digest(attributes)]]
        if role not in ("data", "manifest"):
            items.append(["r", index, role])
        self._log.record(*items)

    def fill(self, plan: ObjectPlan, reader: PayloadReader | None = None, expected: LoggedObject | None = None) -> None:
        """Send the bytes of an object; when its upload is found to be gone, in another one.

        :param reader: its payload, where it was opened already.
        :param expected: its bytes must be those that were staged before.
        :raises SourceChangedError: they are others; they are not recorded as staged.
        """
        for _ in range(_TRIES):
            try:
                self._send(plan, reader if reader is not None else plan.payload.open(), expected)
            except NoSuchUpload:
                gone = self._log.attempt.at(plan.key)
                self._create(gone.index, plan.key, plan.attributes, gone.role)
                self._log.record(["a", gone.upload_id])
                self._log.flush()
                reader = None
            else:
                return
        raise upload_ended(plan.key, _TRIES)

    def _send(self, plan: ObjectPlan, reader: PayloadReader, expected: LoggedObject | None) -> None:
        upload = self._log.attempt.at(plan.key)
        limit = plan.payload.max_size_bytes

        def on_part(number: int, receipt: PartReceipt) -> None:
            self._log.record(["p", upload.index, number, receipt.etag, receipt.checksum, receipt.size_bytes])

        try:
            sizes = self._transfer.settings.part_sizes(limit)
            writer = ObjectWriter(self._transfer, plan.key, upload.upload_id, sizes, dict(upload.parts), limit, on_part)
            staged = writer.write(reader)
        finally:
            reader.close()
        if expected is not None and (staged.size_bytes, staged.checksum) != (expected.size_bytes, expected.checksum):
            raise SourceChangedError(
                f"{plan.payload.name} changed while its delivery was being committed",
                where=plan.key,
                remedy="Let the task run again: it will deliver everything anew.",
            )
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


def upload_ended(where: str, times: int) -> DeliveryError:
    """The error for an upload that vanished again and again, by nothing we did."""
    return DeliveryError(
        f"S3 ended the upload {times} times before it was complete",
        where=where,
        remedy="Find out who else writes this key or aborts uploads in the bucket, then let the task run again.",
    )
