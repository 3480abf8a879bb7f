"""Giving up: abort what is open, and name what could not be."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from airflow_xacct.delivery.attempt import LoggedObject
from airflow_xacct.delivery.store import NoSuchUpload
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import TransportError, XacctError

__all__ = ["abort_uploads", "listed"]

_NAMED = 10


def listed(keys: Iterable[str]) -> str:
    """Some names for a sentence: the first ten, and how many more there are."""
    names = sorted(keys)
    text = ", ".join(names[:_NAMED])
    return text if len(names) <= _NAMED else f"{text} and {len(names) - _NAMED} more"


def abort_uploads(transfer: Transfer, uploads: Iterable[LoggedObject]) -> list[str]:
    """Abort uploads, several at once; one that is gone already is as good.

    :returns: the keys of those that could not be aborted. After the first that S3 does not answer, the others are not
        tried, since that would take very long.
    """
    left: list[str] = []
    silent = threading.Event()

    def abort(upload: LoggedObject) -> None:
        try:
            if silent.is_set():
                left.append(upload.key)
            else:
                transfer.patiently(transfer.store.abort_multipart, upload.key, upload.upload_id)
        except NoSuchUpload:
            pass
        except TransportError:
            silent.set()
            left.append(upload.key)
        except XacctError:
            left.append(upload.key)

    transfer.each(abort, uploads)
    return left
