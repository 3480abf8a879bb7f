"""Bucket sniping: a name that Account B gave up, and a stranger took.

Bucket names are global. B once had a bucket, its role may still write there, and the connection still names it; then B
deleted it, and Account C made one of the same name that gladly takes whatever B's roles put there. Only the expected
owner, which each request carries, tells the two apart (AWS: *Verifying bucket ownership with bucket owner condition*).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from airflow_xacct.sandbox import Account, Scenario

__all__ = ["lay_bait"]

_WRITES = ["s3:PutObject", "s3:AbortMultipartUpload"]


def lay_bait(scenario: Scenario, stranger: Account, bucket: str) -> bool:
    """Let a stranger own ``bucket``, and try whether the role would write there for want of an expected owner.

    :param stranger: the account that takes the name.
    :return: whether the object landed, as it must for a later refusal to prove anything; it is removed again.
    """
    partner = scenario.partner
    partner.account.put_role_policy(
        partner.role_name,
        _statement(
            _WRITES,
            [f"arn:aws:s3:::{name}/{partner.prefix}*" for name in (partner.bucket, bucket)],
        ),
    )
    welcome = _statement(_WRITES, [f"arn:aws:s3:::{bucket}/*"])
    welcome["Statement"][0]["Principal"] = {"AWS": f"arn:aws:iam::{partner.account.id}:root"}
    stranger.create_bucket(bucket, policy=welcome)
    key = f"{partner.prefix}bait.txt"
    client = scenario.box.client(scenario.assume(), "s3")
    try:
        client.put_object(Bucket=bucket, Key=key, Body=b"bait")
    except ClientError:
        return False
    finally:
        client.close()
    taken = key in stranger.objects(bucket)
    stranger.client("s3").delete_object(Bucket=bucket, Key=key)
    return taken


def _statement(actions: list[str], resources: list[str]) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {"Version": "2012-10-17", "Statement": [statement]}
