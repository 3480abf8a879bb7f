"""When a commit does not go through: clean up as far as that loses nothing, and say what is left."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import NoReturn

from airflow_xacct.delivery.attempt import Attempt, LoggedObject
from airflow_xacct.delivery.cleanup import abort_uploads, delete_objects, listed, tell
from airflow_xacct.delivery.completion import ForeignObject, UploadGone
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.recovery import Recovery
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import (
    ObjectExistsError,
    OutcomeUnknownError,
    SourceError,
    TransportError,
    XacctError,
)

__all__ = ["Setback"]

logger = logging.getLogger(__name__)


class Setback:
    """Decides between giving up and leaving the rest to the next try."""

    def __init__(self, transfer: Transfer, log: DeliveryLog, identity: DeliveryIdentity, recovery: Recovery) -> None:
        self._transfer = transfer
        self._log = log
        self._identity = identity
        self._recovery = recovery

    @property
    def _attempt(self) -> Attempt:
        return self._log.attempt

    def of(self, error: BaseException) -> None:
        """Do what an error asks for; may raise what a user should see instead."""
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
        what = "an object that this delivery did not write holds the key"
        if found.upload.role == "claim":
            what += " of its manifest"
        choice = "'replace'" if self._attempt.head.if_exists == "skip" else "'replace' or 'skip'"
        remedy = f"Remove that object, deliver to another key, or choose if_exists={choice}."
        if not found.looked:
            remedy += (
                " If it may come from an earlier try of this task whose log is gone: its metadata "
                f"x-amz-meta-xacct-token then begins with {self._identity.digest}."
            )
            if not self._log.durable:  # a delivery with a log never asks to read
                remedy += (
                    " With s3:GetObject, or with commit_log = variable in section xacct of the Airflow configuration, "
                    "the task would see that by itself."
                )
        error = ObjectExistsError(what, where=self._identity.uri(found.upload.key), remedy=remedy)
        self._give_up(error)
        visible = [o for o in self._attempt.objects.values() if o.outcome == "done"]
        if visible:
            removed = self._attempt.head.allow_delete and self._remove(visible)
            fate = "deleted again" if removed else "visible already"
            tell(error, f"Of this delivery {len(visible)} objects were {fate}: {listed(o.key for o in visible)}.")
        raise error

    def _remove(self, visible: list[LoggedObject]) -> bool:
        """Take back what became visible; whether all of it is gone.

        That it may be gone is durable before it is. What is not known to be gone is ours as before.
        """
        there = {upload.key for upload in visible}
        refusal: XacctError | None
        try:
            for upload in visible:
                self._log.record(["o", upload.index, "removed"], ["q", upload.key])
            self._log.advance("aborted")
            _, refusal = delete_objects(self._transfer, sorted(there), there.discard)
        except XacctError as exc:
            refusal = exc
        if refusal is None:
            return True
        logger.warning("Objects of the failed delivery could not be deleted: %s", refusal)
        with suppress(XacctError):
            self._log.record(*(["k", key] for key in sorted(there)))
            self._log.advance("aborted")
        return False
