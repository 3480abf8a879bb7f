"""What to do when the audit itself is refused."""

from __future__ import annotations

from airflow_xacct.access.refusals import RefusalContext, translate
from airflow_xacct.destination import Destination
from airflow_xacct.exceptions import AccessDeniedError, XacctError

__all__ = ["explain"]

ACTION = "cloudtrail:LookupEvents"


def explain(error: Exception, *, destination: Destination, auditor: str, account: str, region: str) -> XacctError:
    """Translate what CloudTrail answered into an error that names who must allow what.

    :param auditor: the ARN of whoever asks.
    :param account: its account, whose history it is.
    """
    context = RefusalContext(
        conn_id=destination.conn_id,
        role_arn=str(destination.role),
        role_account=destination.role.account,
        bucket_owner=destination.bucket_owner,
        external_id=destination.external_id,
        source=auditor,
    )
    translated = translate(error, context=context, action=ACTION, resource=f"the event history in {region}")
    if not isinstance(translated, AccessDeniedError):
        return translated
    by = f" by {translated.policy_kind}" if translated.policy_kind else ""
    return AccessDeniedError(
        f"{ACTION} was denied to {auditor}{by}",
        where=f"account {account}, region {region}",
        remedy=f"In account {account}: allow {ACTION} on resource '*' to it (AWS's managed policy "
        "AWSCloudTrail_ReadOnlyAccess contains it), or name a --profile of that account that may.",
        action=ACTION,
        policy_kind=translated.policy_kind,
    )
