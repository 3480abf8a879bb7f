"""The commit itself: from "everything is staged" to "everything is visible", or to a clean error."""

from __future__ import annotations

import logging
from typing import NoReturn

from airflow_xacct.delivery.attempt import MANIFEST_INDEX, Attempt, LoggedObject
from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.cleanup import abort_uploads, listed, tell
from airflow_xacct.delivery.completion import Completion, ForeignObject, UploadGone
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.manifest import manifest_of, tombstone_of
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.plan import SmallObject
from airflow_xacct.delivery.recovery import Recovery
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.delivery.staging import Staging
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import (
    AccessError,
    ObjectExistsError,
    OutcomeUnknownError,
    SourceError,
    StaleObjectsError,
    TransportError,
    XacctError,
)

__all__ = ["Finish"]

logger = logging.getLogger(__name__)

_NAMED_CHARACTERS = 4096


class Finish:
    """Commits the log's attempt, which is staged, or was being committed by an earlier try.

    :param completion: decides what each answer of S3 means.
    :param manifest_attributes: what S3 stores beside the manifest.
    """

    def __init__(
        self,
        transfer: Transfer,
        log: DeliveryLog,
        identity: DeliveryIdentity,
        recovery: Recovery,
        staging: Staging,
        completion: Completion,
        manifest_attributes: ObjectAttributes,
    ) -> None:
        self._transfer = transfer
        self._log = log
        self._identity = identity
        self._recovery = recovery
        self._staging = staging
        self._completion = completion
        self._manifest_attributes = manifest_attributes

    @property
    def _attempt(self) -> Attempt:
        return self._log.attempt

    def commit(self, *, manifest: bool) -> DeliveryResult:
        """Make everything visible, the manifest last.

        :raises UploadGone: an upload of an earlier try must be made again.
        :raises XacctError: see :meth:`airflow_xacct.delivery.commit.DeliveryEngine.deliver`.
        """
        try:
            if self._attempt.phase != "committing":
                self._log.advance("committing", manifest=manifest)
            self._transfer.progress.committing()
            todo = [o for o in self._attempt.undecided() if o.index != MANIFEST_INDEX]
            if todo:
                self._put_tombstones()
            self._transfer.each(self._completion.complete, todo)
            self._leave_skipped()
            self._write_manifest()
            return self._conclude()
        except BaseException as error:
            self._failed(error)
            raise

    def put_single(self, single: SmallObject) -> DeliveryResult:
        """Put one small object that may replace what stands at its key: nothing needs to be staged."""
        plan = single.plan
        try:
            self._put(self._attempt.next_index, plan.key, single.body, plan.attributes, single.rows, announce=True)
            return self._conclude()
        except BaseException as error:
            self._failed(error)
            raise

    def _put(
        self,
        index: int,
        key: str,
        body: bytes,
        attributes: ObjectAttributes,
        rows: int | None,
        *,
        announce: bool = False,
    ) -> None:
        """Put an object whole, over whatever stands at its key.

        :param announce: enter the phase "committing" before, so that a later try knows that the key may be ours.
        """
        checksum = checksum_of(body)
        self._log.record(["u", index, key, "", 0.0, ""], ["s", index, len(body), checksum, rows])
        if announce:
            self._log.advance("committing")
        receipt = self._transfer.patiently(
            self._transfer.store.put,
            key,
            body,
            self._staging.stamped(attributes),
            checksum=checksum,
            if_absent=False,
        )
        self._log.record(["d", index, receipt.etag, receipt.version_id])
        self._transfer.progress.sent(len(body))

    def _put_tombstones(self) -> None:
        """Empty every manifest that may name objects which are about to be replaced."""
        attempt = self._attempt
        if not attempt.head.tombstone:
            return
        keys = attempt.old_manifests & attempt.own_keys
        if attempt.head.manifest and attempt.manifest_by_put:
            keys = keys | {attempt.manifest_key}
            self._log.record(["k", attempt.manifest_key])
            self._log.flush()
        body = tombstone_of(attempt, self._identity).render()
        for key in sorted(keys):
            self._transfer.patiently(
                self._transfer.store.put,
                key,
                body,
                self._staging.stamped(self._manifest_attributes),
                checksum=checksum_of(body),
                if_absent=False,
            )

    def _leave_skipped(self) -> None:
        """Make the outcomes durable, from which the manifest is made, then drop the uploads of what was skipped."""
        if self._attempt.head.manifest:
            self._log.flush()
        self._drop_discarded()

    def _write_manifest(self) -> None:
        attempt = self._attempt
        upload = attempt.manifest
        if not attempt.head.manifest or (upload is not None and upload.outcome):
            return
        delivered = any(o.outcome == "done" for o in attempt.delivered())
        if not delivered and attempt.manifest_key not in attempt.own_keys:
            if upload is not None:
                self._log.record(["o", MANIFEST_INDEX, "dropped"])
            return
        body = manifest_of(attempt, self._identity).render()
        if upload is None or not upload.upload_id:
            self._put(MANIFEST_INDEX, attempt.manifest_key, body, self._manifest_attributes, None)
            return
        plan = ObjectPlan(attempt.manifest_key, BytesPayload("the manifest", body), self._manifest_attributes)
        self._complete_manifest(upload, plan)

    def _complete_manifest(self, upload: LoggedObject, plan: ObjectPlan) -> None:
        if upload.size_bytes is None:
            self._staging.fill(plan)
            self._log.flush()
            upload = self._attempt.objects[MANIFEST_INDEX]
        self._staging.plans[plan.key] = plan
        self._completion.complete(upload, self._staging.again)
        if self._attempt.objects[MANIFEST_INDEX].outcome == "foreign":
            logger.warning(
                "An object that is not of this delivery holds the key of the manifest, %s: it was left as it is.",
                self._identity.uri(upload.key),
            )

    def _conclude(self) -> DeliveryResult:
        """Delete what has no place in the delivery any more, and write the result down."""
        self._drop_discarded()
        attempt = self._attempt
        stale = attempt.stale_keys(manifest=attempt.head.manifest)
        try:
            self._transfer.each(lambda key: self._transfer.patiently(self._transfer.store.delete, key), stale)
        except AccessError as exc:
            raise StaleObjectsError(
                f"the delivery is complete, but objects of an earlier one could not be deleted: {listed(stale)}",
                where=self._identity.uri(self._identity.dataset),
                remedy="Allow s3:DeleteObject to the role and let the task run again; it only has to delete them.",
            ) from exc
        result = self._result()
        self._log.advance("committed", summary=result.to_json())
        return result

    def _result(self) -> DeliveryResult:
        attempt = self._attempt
        done = [o for o in attempt.delivered() if o.outcome == "done"]
        skipped = [o.key for o in attempt.delivered() if o.outcome == "foreign"]
        rows = [o.rows for o in done]
        manifest = attempt.manifest
        written = manifest is not None and manifest.outcome == "done"
        single = done[0] if len(done) == len(attempt.delivered()) == 1 else None
        named: list[str] = []
        for key in skipped:
            if sum(map(len, named)) + len(key) > _NAMED_CHARACTERS:
                break
            named.append(key)
        return DeliveryResult(
            uri=self._identity.uri(single.key if single else self._identity.dataset),
            manifest_uri=self._identity.uri(attempt.manifest_key) if written else "",
            objects=len(done),
            skipped=len(skipped),
            skipped_keys=tuple(named),
            rows=None if None in rows or not rows else sum(count for count in rows if count is not None),
            bytes=sum(o.size_bytes or 0 for o in done),
            checksum=manifest.checksum if manifest and written else single.checksum if single else "",
            token=attempt.head.token,
        )

    def _drop_discarded(self) -> None:
        """Abort the uploads that are not part of the delivery any more; that they are not is durable before."""
        discarded = list(self._attempt.discarded.values())
        if discarded:
            self._log.flush()
            self._staging.abort(discarded)

    def _failed(self, error: BaseException) -> None:
        """Clean up as far as that loses nothing, and say what is left; may raise what a user should see instead."""
        if isinstance(error, UploadGone):
            return
        if isinstance(error, ForeignObject):
            self._conflict(error)
        attempt = self._attempt
        begun = any(o.sent or o.outcome == "done" for o in attempt.objects.values())
        certain = not isinstance(error, TransportError) and not begun
        if not isinstance(error, Exception):
            if not self._log.durable:
                abort_uploads(self._transfer, [o for o in attempt.to_abort() if not o.sent])
        elif certain or isinstance(error, (OutcomeUnknownError, SourceError)) or not self._log.durable:
            self._give_up(error)
        else:
            tell(error, "The delivery was being committed. The next try of the task goes on from there.")

    def _give_up(self, error: BaseException) -> None:
        try:
            left = self._recovery.give_up()
        except XacctError as exc:
            tell(error, f"Unfinished uploads were left for the next try of the task, since: {exc}")
            return
        if left:
            tell(error, f"Unfinished uploads that could not be aborted: {listed(o.key for o in left)}.")
        visible = [o.key for o in self._attempt.objects.values() if o.outcome == "done"]
        if visible:
            tell(error, f"Objects of this delivery that are visible already: {listed(visible)}.")
        if self._attempt.doubted:
            tell(error, f"Objects that may be visible, which cannot be known: {listed(self._attempt.doubted)}.")

    def _conflict(self, found: ForeignObject) -> NoReturn:
        remedy = "Remove that object, deliver to another key, or choose if_exists='replace' or 'skip'."
        if not found.looked:
            remedy += (
                " If it may come from an earlier try of this task whose log is gone: its metadata "
                f"x-amz-meta-xacct-token then begins with {self._identity.digest}."
            )
            if not self._log.durable:  # a delivery with a log never asks to read
                remedy += " With s3:GetObject the role would see that by itself."
        error = ObjectExistsError(
            "an object that this delivery did not write holds the key",
            where=self._identity.uri(found.key),
            remedy=remedy,
        )
        self._give_up(error)
        visible = [o for o in self._attempt.objects.values() if o.outcome == "done"]
        if visible:
            removed = self._attempt.head.allow_delete and self._remove(visible)
            fate = "deleted again" if removed else "visible already"
            tell(error, f"Of this delivery {len(visible)} objects were {fate}: {listed(o.key for o in visible)}.")
        raise error

    def _remove(self, visible: list[LoggedObject]) -> bool:
        """Take back what became visible; whether all of it is gone."""
        try:
            for upload in visible:
                self._log.record(["o", upload.index, "removed"], ["q", upload.key])
            self._log.advance("aborted")
            self._transfer.each(lambda o: self._transfer.patiently(self._transfer.store.delete, o.key), visible)
        except XacctError as exc:
            logger.warning("Objects of the failed delivery could not be deleted: %s", exc)
            return False
        return True
