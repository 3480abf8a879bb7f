"""What an earlier delivery of the task left at keys that this one does not write."""

from __future__ import annotations

import logging

from airflow_xacct.delivery.attempt import Attempt
from airflow_xacct.delivery.cleanup import delete_objects, listed
from airflow_xacct.delivery.completion import Completion
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import AccessError, StaleObjectsError

__all__ = ["Surplus"]

logger = logging.getLogger(__name__)


class Surplus:
    """Deletes what may be deleted, puts objects without rows in the place of the rest, and names what stays.

    A stand-in is staged for each surplus key beforehand, wherever there can be one: whether the role may delete shows
    only when it does, and the try that finds out may have no schema to make one of. Keys of which nobody knows whether
    they hold an object of ours get one too, and are never deleted: S3 decides with the write.

    :param completion: makes stand-ins visible.
    """

    def __init__(
        self, transfer: Transfer, log: DeliveryLog, identity: DeliveryIdentity, completion: Completion
    ) -> None:
        self._transfer = transfer
        self._log = log
        self._identity = identity
        self._completion = completion
        self._left: list[str] = []
        self._refusal: AccessError | None = None

    @property
    def _attempt(self) -> Attempt:
        return self._log.attempt

    def pending(self) -> list[str]:
        """The keys whose objects are neither known to be deleted nor replaced."""
        attempt = self._attempt
        stand_ins = [o for o in attempt.objects.values() if o.role == "stand_in"]
        settled = {o.key for o in stand_ins if o.outcome}
        return sorted((attempt.surplus(attempt.written()) | {o.key for o in stand_ins}) - settled)

    def clear(self) -> None:
        """Delete, or replace, what is pending.

        Called while no manifest names any of it, so that whoever waits for the manifest finds nothing but the
        delivery. What can be neither deleted nor replaced is remembered for :meth:`refuse`: it does not keep the
        manifest from being written.

        :raises XacctError: S3 does not answer, or refused to replace.
        """
        attempt = self._attempt
        stand_ins = {o.key: o for o in attempt.of("stand_in")}
        left = self.pending()

        def deleted(key: str) -> None:
            if key in stand_ins:
                self._log.record(["o", stand_ins[key].index, "dropped"])

        if attempt.head.allow_delete:
            unsure = [key for key in left if key not in attempt.own_keys]
            left, self._refusal = delete_objects(self._transfer, sorted({*left} - {*unsure}), deleted)
            left += unsure
        replaced = [stand_ins[key] for key in left if key in stand_ins]
        self._transfer.each(self._completion.complete, replaced)
        self._left = [key for key in left if key not in stand_ins]

    def refuse(self) -> None:
        """Say what stays.

        :raises StaleObjectsError: something does.
        """
        if self._left:
            raise StaleObjectsError(
                "the delivery is complete, but objects of an earlier one could not be deleted: " + listed(self._left),
                where=self._identity.uri(self._identity.dataset),
                remedy="Allow s3:DeleteObject to the role and let the task run again; it only has to delete them.",
            ) from self._refusal

    def drop_versions(self) -> None:
        """Delete the older versions, which nobody reads any more; where that is not allowed, name them."""
        attempt = self._attempt
        older = sorted(attempt.older_versions())
        left, refusal = delete_objects(self._transfer, older) if attempt.head.allow_delete else (older, None)
        if left:
            folders = {key.removeprefix(attempt.head.versions).partition("/")[0] for key in left}
            logger.info(
                "Older versions of this delivery stay below %s: %s.%s",
                self._identity.uri(attempt.head.versions),
                listed(folders),
                f" They could not be deleted: {refusal}" if refusal else "",
            )
