"""Abort what is open, delete what has no place any more, and name what could not be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from airflow_xacct.delivery.attempt import LoggedObject
from airflow_xacct.delivery.store import NoSuchUpload
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import AccessError, TransportError, XacctError

__all__ = ["abort_uploads", "delete_objects", "listed", "tell"]

_NAMED = 10


def listed(keys: Iterable[str]) -> str:
    """Some names for a sentence: the first ten, and how many more there are."""
    names = sorted(keys)
    text = ", ".join(names[:_NAMED])
    return text if len(names) <= _NAMED else f"{text} and {len(names) - _NAMED} more"


def tell(error: BaseException, sentence: str) -> None:
    """Add a sentence to what a person will read of an error."""
    if isinstance(error, XacctError):
        error.remedy = f"{error.remedy} {sentence}".strip()
    else:
        error.add_note(sentence)


def abort_uploads(
    transfer: Transfer, uploads: Iterable[LoggedObject], on_aborted: Callable[[LoggedObject], None] | None = None
) -> list[LoggedObject]:
    """Abort uploads, several at once; one that is gone already is as good.

    :param on_aborted: is told of each that is gone now; from several threads.
    :returns: those that could not be aborted. After the first that S3 does not answer, the others are not
        tried, since that would take very long.
    """
    left: list[LoggedObject] = []
    silent = threading.Event()

    def abort(upload: LoggedObject) -> None:
        try:
            if silent.is_set():
                left.append(upload)
                return
            with suppress(NoSuchUpload):
                transfer.patiently(transfer.store.abort_multipart, upload.key, upload.upload_id)
        except TransportError:
            silent.set()
            left.append(upload)
        except AccessError:
            left.append(upload)
        else:
            if on_aborted is not None:
                on_aborted(upload)

    transfer.each(abort, uploads)
    return left


def delete_objects(
    transfer: Transfer, keys: Iterable[str], on_deleted: Callable[[str], None] | None = None
) -> tuple[list[str], AccessError | None]:
    """Delete objects, several at once; one that is gone already is as good.

    :param on_deleted: is told of each that is gone now; from several threads.
    :returns: those that may not be deleted, and S3's first refusal. After that the others are not tried.
    :raises TransportError: S3 does not answer.
    """
    left: list[str] = []
    refusals: list[AccessError] = []

    def delete(key: str) -> None:
        if not refusals:
            try:
                transfer.patiently(transfer.store.delete, key)
            except AccessError as exc:
                refusals.append(exc)
            else:
                if on_deleted is not None:
                    on_deleted(key)
                return
        left.append(key)

    transfer.each(delete, keys)
    return sorted(left), refusals[0] if refusals else None
