"""The manifest's key through a commit: claimed, emptied, and at last pointing to everything."""

from __future__ import annotations

import logging
from collections.abc import Callable

from airflow_xacct.delivery.attempt import MANIFEST_INDEX, Attempt, LoggedObject
from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.completion import Completion
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.manifest import claim_of, manifest_of, tombstone_of
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.staging import Staging
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.delivery.transfer import Transfer

__all__ = ["Pointer", "claim_plan"]

logger = logging.getLogger(__name__)


def claim_plan(attempt: Attempt, identity: DeliveryIdentity, attributes: ObjectAttributes) -> ObjectPlan:
    """What is put at the manifest's key before everything else; the same bytes whenever it is made."""
    body = claim_of(attempt, identity).render()
    return ObjectPlan(attempt.manifest_key, BytesPayload("the manifest", body), attributes, "claim")


class Pointer:
    """Writes what stands at the manifest's key.

    :param put: puts an object whole and records it: index, key, body, attributes.
    :param attributes: what S3 stores beside the manifest.
    """

    def __init__(
        self,
        transfer: Transfer,
        log: DeliveryLog,
        identity: DeliveryIdentity,
        staging: Staging,
        completion: Completion,
        put: Callable[[int, str, bytes, ObjectAttributes], None],
        attributes: ObjectAttributes,
    ) -> None:
        self._transfer = transfer
        self._log = log
        self._identity = identity
        self._staging = staging
        self._completion = completion
        self._put = put
        self._attributes = attributes

    @property
    def _attempt(self) -> Attempt:
        return self._log.attempt

    def claim(self) -> bool:
        """Take the manifest's key, where the delivery depends on it.

        The outcome is durable when this returns: a later try that finds none knows that nothing else was sent.

        :returns: whether the delivery goes on; otherwise the key is taken, and all of it is to be left out.
        :raises ForeignObject: it is taken, and that is an error.
        """
        claim = self._attempt.claim
        if claim is None:
            return True
        if not claim.outcome:
            plan = claim_plan(self._attempt, self._identity, self._attributes)
            self._staging.plans[plan.key] = plan
            self._completion.complete(claim, self._staging.again)
        if self._attempt.left_out:
            self._log.flush()
            return False
        self._log.record(["k", claim.key])
        self._log.flush()
        return True

    def empty(self) -> None:
        """Empty every manifest that may name objects which are about to be replaced or deleted."""
        attempt = self._attempt
        if self._written(attempt):
            return
        keys = attempt.old_manifests & attempt.own_keys
        if attempt.head.manifest and attempt.manifest_by_put and attempt.claim is None:
            keys = keys | {attempt.manifest_key}
            self._log.record(["k", attempt.manifest_key])
            self._log.flush()
        body = tombstone_of(attempt, self._identity).render()
        for key in sorted(keys):
            self._transfer.patiently(
                self._transfer.store.put,
                key,
                body,
                self._staging.stamped(self._attributes),
                checksum=checksum_of(body),
                if_absent=False,
            )

    def write(self) -> None:
        """Write the manifest of everything that is visible now."""
        attempt = self._attempt
        upload = attempt.manifest
        if not attempt.head.manifest or self._written(attempt):
            return
        delivered = any(o.outcome == "done" for o in attempt.delivered())
        if not delivered and attempt.manifest_key not in attempt.own_keys:
            if upload is not None:
                self._log.record(["o", MANIFEST_INDEX, "dropped"])
            return
        body = manifest_of(attempt, self._identity).render()
        if upload is None or not upload.upload_id:
            self._put(MANIFEST_INDEX, attempt.manifest_key, body, self._attributes)
            return
        plan = ObjectPlan(attempt.manifest_key, BytesPayload("the manifest", body), self._attributes, "manifest")
        self._complete(upload, plan)

    def _written(self, attempt: Attempt) -> bool:
        return attempt.manifest is not None and bool(attempt.manifest.outcome)

    def _complete(self, upload: LoggedObject, plan: ObjectPlan) -> None:
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
