"""The documents that let a worker in: A's identity policy, the role's trust policy and its permissions, the KMS key's.

Each statement says one thing and has a Sid. Values may be references of a template instead of text.
"""

from __future__ import annotations

from typing import Any

from airflow_xacct.access.policy import escape
from airflow_xacct.destination import KmsKey
from airflow_xacct.policies.setup import PRINCIPAL_PLACEHOLDER, Setup, actions_of

__all__ = [
    "Body",
    "Statement",
    "encryption_statement",
    "key_statement",
    "max_session_duration_seconds",
    "objects_arn",
    "permission_policy",
    "policy",
    "trust_policy",
    "worker_policy",
]

Statement = dict[str, Any]
Body = dict[str, Any]

# a multipart upload needs both (AWS: *Using server-side encryption with AWS KMS keys*, "Permissions")
_KMS_ACTIONS = ["kms:Decrypt", "kms:GenerateDataKey"]
# AWS: *CreateRole*, parameter MaxSessionDuration
_LEAST_MAX_SESSION_DURATION_SECONDS = 3600


def policy(*statements: Statement) -> Body:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def max_session_duration_seconds(setup: Setup) -> int:
    """The role's MaxSessionDuration."""
    return max(_LEAST_MAX_SESSION_DURATION_SECONDS, setup.duration_seconds)


def worker_policy(setup: Setup) -> Body:
    """What A lets its workers do: assume this role, and no other (AWS: *Grant permissions to assume roles*)."""
    role = escape(str(setup.role))  # a role's path may hold any character
    statements: list[Statement] = [
        {"Sid": "AssumeRole", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
    ]
    if setup.tag_keys:
        statements.append({"Sid": "TagSession", "Effect": "Allow", "Action": "sts:TagSession", "Resource": role})
    if setup.source_identity:
        statements.append(
            {
                "Sid": "SetSourceIdentity",
                "Effect": "Allow",
                "Action": "sts:SetSourceIdentity",
                "Resource": role,
                "Condition": _source_identity(setup.source_identity),
            }
        )
    return policy(*statements)


def trust_policy(setup: Setup, *, external_id: Any = None, principal: Any = None) -> Body:
    """Whom the role trusts, and what they must bring.

    AWS: *How to use an external ID when granting access to your AWS resources to a third party*; for the tags *Pass
    session tags in AWS STS*; for the source identity *Monitor and control actions taken with assumed roles*.

    :param external_id: a template's reference, instead of the External ID itself.
    :param principal: a template's reference, instead of the principal's ARN itself.
    :raises InvalidArgumentError: there is no External ID.
    """
    setup.require_external_id()
    trusted, who = _trusted(setup, principal)
    demands: dict[str, Any] = {"StringEquals": {"sts:ExternalId": external_id or setup.external_id}}
    if setup.source_identity:
        demands["StringEquals"] |= {"sts:SourceIdentity": setup.source_identity}
    if setup.session_name_prefix:
        demands["StringLike"] = {"sts:RoleSessionName": escape(setup.session_name_prefix) + "*"}
    statements = [_trust("AssumeRoleWithExternalId", "sts:AssumeRole", trusted, _merged(demands, who))]
    if setup.tag_keys:
        keys = {"ForAllValues:StringEquals": {"aws:TagKeys": list(setup.tag_keys)}}
        statements.append(_trust("TagSession", "sts:TagSession", trusted, _merged(keys, who)))
    if setup.source_identity:
        condition = _merged(_source_identity(setup.source_identity), who)
        statements.append(_trust("SetSourceIdentity", "sts:SetSourceIdentity", trusted, condition))
    return policy(*statements)


def _trust(sid: str, action: str, principal: Any, condition: dict[str, Any]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": action, "Condition": condition}


def _trusted(setup: Setup, principal: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Principal element, and the conditions on who it is."""
    arn = {"ArnLike": {"aws:PrincipalArn": setup.principal}} if setup.principal else {}
    if setup.trust == "organization":
        # everybody, so the condition is what names them (AWS: *aws:PrincipalOrgID*)
        return {"AWS": "*"}, {"StringEquals": {"aws:PrincipalOrgID": setup.organization}, **arn}
    if setup.trust == "account":
        return {"AWS": f"arn:{setup.partition}:iam::{setup.principal_account}:root"}, arn
    return {"AWS": principal or setup.principal or PRINCIPAL_PLACEHOLDER}, {}


def _source_identity(value: str) -> dict[str, Any]:
    return {"StringEquals": {"sts:SourceIdentity": value}}


def _merged(*conditions: dict[str, Any]) -> dict[str, Any]:
    """One condition block of several; a key stands in one of them only."""
    found: dict[str, Any] = {}
    for condition in conditions:
        for operator, keys in condition.items():
            found[operator] = {**found.get(operator, {}), **keys}
    return found


def permission_policy(setup: Setup) -> Body:
    """What the role may do: write below the prefix, in a bucket of the right owner, and what was asked for.

    AWS: *Required permissions for Amazon S3 API operations*, *Multipart upload API and permissions*.
    """
    write: Statement = {
        "Sid": "WriteBelowPrefix",
        "Effect": "Allow",
        "Action": list(actions_of(setup.abilities)),
        "Resource": objects_arn(setup),
        # a bucket's name may be another's tomorrow (AWS: *s3:ResourceAccount*)
        "Condition": {"StringEquals": {"s3:ResourceAccount": setup.bucket_owner}},
    }
    return policy(write, *([encryption_statement(setup)] if setup.kms_key else []))


def objects_arn(setup: Setup) -> str:
    """The ARN of all objects below the prefix."""
    return f"{setup.bucket_arn}/{escape(setup.prefix)}*"


def encryption_statement(setup: Setup) -> Statement:
    """The use of the KMS key, for objects below the prefix and through S3 of the region only.

    An alias is no resource of a policy, and a condition names it (AWS: *Use aliases to control access to KMS keys*).
    """
    condition = _through_s3(setup)
    resource = setup.key_arn
    if resource is None:
        resource = f"arn:{setup.partition}:kms:{setup.key_region}:{setup.key_account}:key/*"
    if isinstance(setup.kms_key, KmsKey) and setup.kms_key.is_alias:
        alias = str(setup.kms_key).rsplit(":", 1)[-1]
        condition["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": alias}
    return {
        "Sid": "EncryptThroughS3",
        "Effect": "Allow",
        "Action": list(_KMS_ACTIONS),
        "Resource": resource,
        "Condition": condition,
    }


def key_statement(setup: Setup) -> Statement:
    """What the key's own policy must say where it leaves nothing to IAM, or belongs to another account than the role.

    AWS: *Allowing users in other accounts to use a KMS key*.
    """
    return {
        "Sid": "EncryptDeliveriesThroughS3",
        "Effect": "Allow",
        "Principal": {"AWS": str(setup.role)},
        "Action": list(_KMS_ACTIONS),
        "Resource": "*",
        "Condition": _through_s3(setup),
    }


def _through_s3(setup: Setup) -> dict[str, Any]:
    """AWS: *kms:ViaService*, *kms:CallerAccount*, *Encryption context* (of S3: the object's ARN, or the bucket's)."""
    return {
        "StringEquals": {"kms:CallerAccount": setup.role.account, "kms:ViaService": setup.s3_service},
        "StringLike": {"kms:EncryptionContext:aws:s3:arn": [setup.bucket_arn, objects_arn(setup)]},
    }
