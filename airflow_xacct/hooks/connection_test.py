"""What "Test" answers: sentences about who asked, who it became, and what was not looked at."""

from __future__ import annotations

from airflow_xacct.access.session import RoleAccess
from airflow_xacct.destination import DeploymentOptions

__all__ = ["describe_access"]


def describe_access(access: RoleAccess, *, host: str, options: DeploymentOptions) -> str:
    """Assume the role and describe what happened, without touching the bucket.

    :param host: the name of the machine that asks.
    :raises XacctError: the role could not be assumed.
    """
    to = access.destination
    asked = access.source_arn()
    arn = access.session_arn
    account = arn.split(":")[4]
    sentences = [
        f"Asked from host {host} as {asked} ({access.source.description}).",
        f"Became {arn} in account {account}.",
    ]
    if to.external_id:
        sentences.append(
            f"The External ID that ends in {to.external_id[-4:]!r} was accepted; whether the role also refuses to be "
            "assumed without it was not checked."
        )
    else:
        sentences.append("No External ID was sent: the role is open to a confused deputy.")
    if to.bucket:
        sentences.append(
            f"Not checked: whether the role may write to {to.bucket}/{to.prefix} and whether account "
            f"{to.bucket_owner} owns that bucket; each write is refused by S3 if it does not."
        )
    else:
        sentences.append("No bucket is named, so none was checked.")
    sentences.append(
        "The test ran where this host is: workers may be another identity, and only theirs counts for tasks."
    )
    if options.allow_insecure and to.verify is False:
        sentences.append("TLS certificates are NOT verified.")
    return " ".join(sentences)
