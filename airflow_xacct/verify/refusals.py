"""What to do when the receiver's own account refuses: no role and no connection has a part in it."""

from __future__ import annotations

from typing import Any

from airflow_xacct.access.refusals import RefusalContext, translate
from airflow_xacct.exceptions import (
    AccessDeniedError,
    BucketNotFoundError,
    EndpointUnreachableError,
    ExpiredCredentialsError,
    NoCredentialsError,
    RefusedError,
    ThrottledError,
    WrongRegionError,
    XacctError,
)

__all__ = ["code_of", "explain"]

_REMEDIES: dict[type[XacctError], str] = {
    BucketNotFoundError: "Compare the URI with the buckets of your account.",
    EndpointUnreachableError: "Check name resolution, routes, proxy and VPC endpoints, --endpoint-url and --region.",
    ExpiredCredentialsError: "Sign in again, or check the clock of this machine.",
    NoCredentialsError: "Name a --profile, set AWS_PROFILE, or give this machine a role.",
    ThrottledError: "Try again with fewer --jobs.",
    WrongRegionError: "Give the bucket's --region.",
}
_ARCHIVED = "InvalidObjectState"


def code_of(error: Exception) -> str:
    """AWS's error code; empty when AWS did not answer."""
    response: Any = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def explain(error: Exception, *, action: str, resource: str, who: str, owner: str) -> XacctError:
    """Translate what AWS answered into an error that names who must allow what; raise it ``from`` the original.

    :param action: the IAM action that was needed.
    :param resource: the URI it was needed for.
    :param who: whose credentials were used, in words.
    :param owner: the account that is expected to own the bucket; empty when no bucket was asked.
    """
    if code_of(error) == _ARCHIVED:
        return RefusedError("the object is archived", where=resource, remedy="Restore it, or look without --recompute.")
    context = RefusalContext(
        conn_id="", role_arn=who, role_account="", bucket_owner=owner, external_id=None, source=who
    )
    found = translate(error, context=context, action=action, resource=resource)
    if found is error:
        return found
    if isinstance(found, AccessDeniedError):
        by = f" by {'an' if found.policy_kind[0] in 'aei' else 'a'} {found.policy_kind}" if found.policy_kind else ""
        return AccessDeniedError(
            f"{found.action} was denied to {who}{by}",
            where=resource,
            remedy=_permission(found.action, resource, owner),
            action=found.action,
            policy_kind=found.policy_kind,
        )
    return type(found)(found.what, where=resource, remedy=_REMEDIES.get(type(found), found.remedy))


def _permission(action: str, resource: str, owner: str) -> str:
    if action.startswith("kms:"):
        return f"Allow {action} on the key that encrypts the object, in its key policy too."
    if action == "s3:ListBucket":
        missing = "" if resource.endswith("/") else ": only then S3 tells an object that is missing from a denied one"
        return f"Allow s3:ListBucket on the bucket{missing}."
    if action.startswith("sts:"):
        return "Name the account that owns the bucket with --expected-owner; then STS is not asked."
    return (
        f"Allow {action}, and kms:Decrypt where a KMS key encrypts. The same answer comes when account {owner} does "
        "not own the bucket (--expected-owner), or the bucket's policy denies."
    )
