"""One object becomes visible: what each answer to Complete means, also when an earlier answer was lost.

AWS: *CompleteMultipartUpload*, *Preventing object overwrites with conditional writes*.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_xacct.delivery.attempt import LoggedObject
from airflow_xacct.delivery.evidence import Evidence, Verdict
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.staging import upload_ended
from airflow_xacct.delivery.store import (
    AnswerLost,
    NoSuchUpload,
    ObjectReceipt,
    PreconditionFailed,
    WriteConflict,
)
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import OutcomeUnknownError, TransportError, XacctError

__all__ = ["Completion", "ForeignObject", "UploadGone", "unknown_outcome"]

_REMAKES = 3

Again = Callable[[LoggedObject], LoggedObject]


class ForeignObject(Exception):  # noqa: N818 - a finding, not yet an error
    """An object that is not of this delivery holds the key, and it may not be left out.

    :param upload: what was to have the key.
    :param looked: whether HEAD was allowed, so that it is certain that no try of this task wrote it.
    """

    def __init__(self, upload: LoggedObject, *, looked: bool) -> None:
        super().__init__(upload.key)
        self.upload = upload
        self.looked = looked


class UploadGone(Exception):  # noqa: N818 - a finding, not yet an error
    """An upload that must be made again, by somebody who cannot make it."""


class Completion:
    """Completes the uploads of the log's attempt, each to a certain end.

    :param again: makes an upload again; ``None`` when that is not possible here, see :class:`UploadGone`.
    """

    def __init__(
        self,
        transfer: Transfer,
        log: DeliveryLog,
        identity: DeliveryIdentity,
        evidence: Evidence,
        again: Again | None,
    ) -> None:
        self._transfer = transfer
        self._log = log
        self._identity = identity
        self._evidence = evidence
        self._again = again

    def complete(self, upload: LoggedObject, again: Again | None = None) -> None:
        """Complete an upload and record its outcome.

        :param again: overrides how this one is made again.
        :raises ForeignObject: another object holds the key, and skipping was not asked for.
        :raises OutcomeUnknownError: an object holds the key, and nobody can tell whose.
        :raises UploadGone: it must be made again and cannot be.
        :raises TransportError: S3 did not answer; the outcome is open.
        """
        if not upload.outcome and (not upload.upload_id or upload.size_bytes is None):
            raise UploadGone(upload.key)
        delays = self._transfer.settings.delays()
        remakes = 0
        while not upload.outcome:
            try:
                receipt = self._send(upload)
            except PreconditionFailed:
                self._held(upload)
            except (WriteConflict, NoSuchUpload) as answer:
                if self._won_before(upload, answer):
                    break
                remakes += 1
                if remakes > _REMAKES:
                    raise upload_ended(self._identity.uri(upload.key), remakes) from answer
                upload = self._make_again(upload, again or self._again)
            except TransportError:
                delay = next(delays, None)
                if delay is None:
                    raise
                self._transfer.pause(delay)
            else:
                self._done(upload, receipt)
        if upload.outcome == "done":
            self._transfer.progress.completed()

    def _send(self, upload: LoggedObject) -> ObjectReceipt:
        attempt = self._log.attempt
        try:
            return self._transfer.store.complete_multipart(
                upload.key,
                upload.upload_id,
                upload.part_list,
                checksum=upload.checksum,
                size_bytes=upload.size_bytes or 0,
                if_absent=attempt.conditional and upload.key not in attempt.own_keys,
            )
        except AnswerLost:
            upload.sent = True
            raise
        except XacctError:
            # an answer, whatever it says: this request did nothing
            raise
        except BaseException:
            upload.sent = True
            raise

    def _held(self, upload: LoggedObject) -> None:
        """412: an object holds the key. Ours by this upload, ours of an earlier try, or foreign?"""
        attempt = self._log.attempt
        if upload.sent:
            verdict = self._evidence.verdict(attempt, upload)
            if verdict is Verdict.OURS:
                self._done(upload, None)
                return
            if verdict is Verdict.UNKNOWN:
                raise unknown_outcome(self._identity, upload.key)
        earlier = self._evidence.from_earlier_try(upload.key)
        if earlier:
            self._log.record(["k", upload.key])
        elif earlier is None and upload.key in attempt.doubted:
            raise unknown_outcome(self._identity, upload.key)
        elif attempt.may_leave_out(upload):
            self._log.record(["o", upload.index, "foreign"])
        else:
            raise ForeignObject(upload, looked=earlier is not None)

    def _won_before(self, upload: LoggedObject, answer: WriteConflict | NoSuchUpload) -> bool:
        """409, or gone: whether an earlier Complete made the object. If that is open, the doubt is recorded."""
        if not upload.sent:
            return False
        gone = isinstance(answer, NoSuchUpload)
        verdict = self._evidence.verdict(self._log.attempt, upload, gone=gone)
        if verdict is Verdict.OURS:
            self._done(upload, None)
            return True
        if verdict is Verdict.UNKNOWN or not gone:
            # what it collided with may be our own request, still under way
            self._log.record(["q", upload.key])
        return False

    def _make_again(self, upload: LoggedObject, again: Again | None) -> LoggedObject:
        if again is None:
            raise UploadGone(upload.key)
        return again(upload)

    def _done(self, upload: LoggedObject, receipt: ObjectReceipt | None) -> None:
        etag, version_id = (receipt.etag, receipt.version_id) if receipt is not None else ("", "")
        self._log.record(["d", upload.index, etag, version_id])


def unknown_outcome(identity: DeliveryIdentity, key: str) -> OutcomeUnknownError:
    """The error for an object that may be ours, or not."""
    return OutcomeUnknownError(
        "an object holds the key, and whether this delivery wrote it cannot be known: the answer of S3 was lost and "
        "the role may not look",
        where=identity.uri(key),
        remedy=f"Let the owner of the bucket look at the object's metadata x-amz-meta-xacct-token: if it begins with "
        f"{identity.digest}, it is ours. Then delete it, and let the task run "
        "again.",
    )
