"""What every S3 call carries: the account that must own the bucket.

A bucket name is global. If its owner deletes it, anybody may own the next one of that name, and S3 tells only those
who send the expected owner (AWS: *Verifying bucket ownership with bucket owner condition*). One handler on the
session's event emitter covers boto3 clients and resources, s3transfer, S3Hook's own methods and aiobotocore alike.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from botocore.model import OperationModel

__all__ = ["EXPECTED_OWNER", "EXPECTED_SOURCE_OWNER", "guard_bucket_owner", "guard_region"]

EXPECTED_OWNER = "ExpectedBucketOwner"
EXPECTED_SOURCE_OWNER = "ExpectedSourceBucketOwner"
_EVENT = "provide-client-params.s3"
_HANDLER_ID = "airflow-xacct-expected-bucket-owner"


def guard_bucket_owner(events: BaseEventHooks, *, bucket_owner: str, bucket: str = "") -> None:
    """Make each S3 operation that takes an expected owner carry ``bucket_owner``.

    A caller that names an expected owner itself is left alone: the check is then still made, for another account.
    Presigned URLs carry none, since whoever uses one would have to send the header too.

    :param events: the event emitter of a botocore (or aiobotocore) session, before clients are made from it.
    :param bucket_owner: 12 digits.
    :param bucket: the connection's bucket; the source of a copy is known to be B's only when it is this one.
    """
    events.register_first(_EVENT, _owner_handler(bucket_owner, bucket), unique_id=_HANDLER_ID)


def guard_region(events: BaseEventHooks) -> None:
    """Keep S3 calls in the region that was asked for: botocore would follow a bucket to any other.

    Where data is stored is often a promise to somebody, so a bucket elsewhere is an error and not a detour.

    :param events: the event emitter of a botocore (or aiobotocore) session, before clients are made from it.
    """
    events.register("before-call.s3", _stay, unique_id="airflow-xacct-region")


def _stay(context: dict[str, Any], **_: Any) -> None:
    # what botocore's redirector looks at before it follows
    context.setdefault("s3_redirect", {})["redirected"] = True


def _owner_handler(bucket_owner: str, bucket: str) -> Callable[..., None]:
    def add_expected_owner(
        params: MutableMapping[str, Any], model: OperationModel, context: dict[str, Any], **_: Any
    ) -> None:
        if context.get("is_presign_request") or model.input_shape is None:
            return
        members = model.input_shape.members
        if EXPECTED_OWNER in members:
            params.setdefault(EXPECTED_OWNER, bucket_owner)
        if EXPECTED_SOURCE_OWNER in members and bucket and _source_bucket(params.get("CopySource")) == bucket:
            params.setdefault(EXPECTED_SOURCE_OWNER, bucket_owner)

    return add_expected_owner


def _source_bucket(copy_source: Any) -> str:
    """The bucket of a CopySource: a mapping, or ``bucket/key`` with an optional leading slash; else empty.

    The source of an access point is an ARN with slashes of its own and never equals a bucket name.
    """
    if isinstance(copy_source, dict):
        return str(copy_source.get("Bucket", ""))
    if isinstance(copy_source, str):
        return copy_source.removeprefix("/").split("/", 1)[0]
    return ""
