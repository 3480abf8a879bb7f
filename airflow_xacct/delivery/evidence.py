"""What became of an upload whose answer was lost: what counts as proof, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from airflow_xacct.delivery.attempt import Attempt, LoggedObject
from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.identity import TOKEN_METADATA, DeliveryIdentity
from airflow_xacct.delivery.settings import MAX_PARTS
from airflow_xacct.delivery.store import NoSuchUpload, ObjectHead
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import AccessError

__all__ = ["UPLOAD_LIFETIME_SECONDS", "Evidence", "Verdict"]

UPLOAD_LIFETIME_SECONDS = 23 * 3600.0
"""A lifecycle rule ends uploads after one day at the earliest; an hour is left for clocks that differ."""

_PROBE = b"?"


class Verdict(Enum):
    """Whether an earlier Complete of an upload was carried out."""

    OURS = "the object at the key is this upload"
    OTHER = "it is not: nothing stands there, or something else"
    UNKNOWN = "nobody can tell with the permissions at hand"


class Evidence:
    """Looks, where looking is allowed, and otherwise asks the upload whether it still lives.

    Nothing here reads on the normal path: it is asked only after an answer was lost or a key was found taken.
    """

    def __init__(self, transfer: Transfer, identity: DeliveryIdentity, clock: Callable[[], float]) -> None:
        self._transfer = transfer
        self._identity = identity
        self._clock = clock

    def verdict(self, attempt: Attempt, upload: LoggedObject, *, gone: bool = False) -> Verdict:
        """Judge an upload whose Complete may have been carried out.

        The token in the object's metadata is proof. Where HEAD is refused, an upload that is gone was completed by
        us if nothing else can have ended it: we did not abort it, S3 did not answer it with a conflict, and it is
        younger than any lifecycle rule.

        Whether it is gone is asked by sending a part that no Complete names, not by aborting it: that may be
        repeated, and AWS answers an Abort of a completed upload with success for some hours.

        :param gone: S3 has just said that the upload is gone.
        """
        if not upload.upload_id:
            return Verdict.UNKNOWN
        allowed, found = self._look(upload.key)
        if allowed:
            ours = found is not None and found.metadata.get(TOKEN_METADATA) == attempt.head.token
            return Verdict.OURS if ours else Verdict.OTHER
        if not gone and not self._is_gone(upload):
            return Verdict.OTHER
        young = self._clock() - upload.created_at < UPLOAD_LIFETIME_SECONDS
        return Verdict.OURS if young and not upload.conflicted else Verdict.UNKNOWN

    def from_earlier_try(self, key: str) -> bool | None:
        """Whether any try of this task instance wrote what stands at a key; ``None`` when we may not look."""
        allowed, found = self._look(key)
        if not allowed:
            return None
        return found is not None and self._identity.owns(found.metadata.get(TOKEN_METADATA, ""))

    def _look(self, key: str) -> tuple[bool, ObjectHead | None]:
        try:
            return True, self._transfer.patiently(self._transfer.store.head, key)
        except AccessError:
            return False, None

    def _is_gone(self, upload: LoggedObject) -> bool:
        number = min(len(upload.parts) + 1, MAX_PARTS)
        try:
            self._transfer.patiently(
                self._transfer.store.upload_part,
                upload.key,
                upload.upload_id,
                number,
                _PROBE,
                checksum=checksum_of(_PROBE),
            )
        except NoSuchUpload:
            return True
        return False
