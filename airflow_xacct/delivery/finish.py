"""The commit itself: from "everything is staged" to "everything is visible"."""

from __future__ import annotations

import logging
from dataclasses import replace

from airflow_xacct.delivery.attempt import Attempt, LoggedObject
from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.completion import Completion
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.plan import SmallObject
from airflow_xacct.delivery.pointer import Pointer
from airflow_xacct.delivery.recovery import Recovery
from airflow_xacct.delivery.result import DeliveryResult, result_of
from airflow_xacct.delivery.setback import Setback
from airflow_xacct.delivery.staging import Staging
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.delivery.surplus import Surplus
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import AccessError

__all__ = ["Finish", "success_plan"]

logger = logging.getLogger(__name__)


def success_plan(key: str, attributes: ObjectAttributes) -> ObjectPlan:
    """The marker that readers wait for as Hadoop's do: an empty object.

    :param attributes: of the manifest.
    """
    plain = replace(attributes, content_type="")
    return ObjectPlan(key, BytesPayload("the success marker", b""), plain, "success")


class Finish:
    """Commits the log's attempt, which is staged, or was being committed by an earlier try.

    :param completion: decides what each answer of S3 means.
    :param attributes: what S3 stores beside the manifest and the success marker.
    """

    def __init__(
        self,
        transfer: Transfer,
        log: DeliveryLog,
        identity: DeliveryIdentity,
        recovery: Recovery,
        staging: Staging,
        completion: Completion,
        attributes: ObjectAttributes,
    ) -> None:
        self._transfer = transfer
        self._log = log
        self._identity = identity
        self._staging = staging
        self._completion = completion
        self._attributes = attributes
        self._pointer = Pointer(transfer, log, identity, staging, completion, self._put, attributes)
        self._surplus = Surplus(transfer, log, identity, completion)
        self._setback = Setback(transfer, log, identity, recovery)

    @property
    def _attempt(self) -> Attempt:
        return self._log.attempt

    def commit(self, *, manifest: bool) -> DeliveryResult:
        """Make everything visible: data, then the manifest, then the success marker.

        :raises UploadGone: an upload of an earlier try must be made again.
        :raises XacctError: see :meth:`airflow_xacct.delivery.commit.DeliveryEngine.deliver`.
        """
        try:
            if self._attempt.phase != "committing":
                self._log.advance("committing", manifest=manifest)
            self._transfer.progress.committing()
            if self._pointer.claim():
                self._make_visible()
            else:
                self._leave_out_all()
            return self._conclude()
        except BaseException as error:
            self._setback.of(error)
            raise

    def put_single(self, single: SmallObject) -> DeliveryResult:
        """Put one small object that may replace what stands at its key: nothing needs to be staged."""
        plan = single.plan
        try:
            self._put(self._attempt.next_index, plan.key, single.body, plan.attributes, single.rows, announce=True)
            self._surplus.clear()
            self._surplus.refuse()
            return self._conclude()
        except BaseException as error:
            self._setback.of(error)
            raise

    def _make_visible(self) -> None:
        todo = [o for o in self._attempt.of("data", "auxiliary") if not o.outcome]
        surplus = self._surplus.pending()
        if todo and self._attempt.head.tombstone:
            self._remove_marker()
        if surplus or (todo and self._attempt.head.tombstone):
            self._pointer.empty()
        self._transfer.each(self._completion.complete, todo)
        self._surplus.clear()
        self._keep_outcomes()
        self._pointer.write()
        self._surplus.drop_versions()
        self._surplus.refuse()
        self._mark_success()

    def _leave_out_all(self) -> None:
        """The key of the manifest is taken, and that is no error: nothing of this delivery is to appear."""
        self._log.record(*(["o", o.index, "foreign"] for o in self._attempt.undecided()))
        logger.info(
            "Nothing was delivered, since an object that is not of this delivery holds the key of the manifest, %s.",
            self._identity.uri(self._attempt.manifest_key),
        )

    def _put(
        self,
        index: int,
        key: str,
        body: bytes,
        attributes: ObjectAttributes,
        rows: int | None = None,
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

    def _remove_marker(self) -> None:
        """While objects are being replaced, no marker should say that all is there; without the right, one may."""
        attempt = self._attempt
        for marker in attempt.of("success"):
            if attempt.head.allow_delete and (not attempt.conditional or marker.key in attempt.own_keys):
                try:
                    self._transfer.patiently(self._transfer.store.delete, marker.key)
                except AccessError as exc:
                    logger.info("A success marker of an earlier delivery stays while this one replaces it: %s", exc)

    def _mark_success(self) -> None:
        for marker in self._attempt.of("success"):
            if not marker.outcome:
                plan = success_plan(marker.key, self._attributes)
                self._staging.plans[plan.key] = plan
                self._completion.complete(marker, self._staging.again)
                self._warn_of_marker(marker.key)

    def _warn_of_marker(self, key: str) -> None:
        if self._attempt.at(key).outcome == "foreign":
            logger.warning(
                "An object that is not of this delivery holds the key of the success marker, %s: it was left as it is.",
                self._identity.uri(key),
            )

    def _keep_outcomes(self) -> None:
        """Make the outcomes durable, from which the manifest is made, then drop the uploads of what was left out."""
        if self._attempt.head.manifest:
            self._log.flush()
        self._drop_discarded()

    def _conclude(self) -> DeliveryResult:
        """Drop what has no place in the delivery any more, and write the result down."""
        self._drop_discarded()
        result = result_of(self._attempt, self._identity)
        self._log.advance("committed", summary=result.to_json())
        return result

    def _drop_discarded(self) -> None:
        """Abort the uploads that are not part of the delivery any more; that they are not is durable before."""
        discarded: list[LoggedObject] = list(self._attempt.discarded.values())
        if discarded:
            self._log.flush()
            self._staging.abort(discarded)
