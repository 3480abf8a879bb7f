"""The bucket's side: its policy, its settings, and where its logs go.

Settings have the shape in which S3's own API takes them.
"""

from __future__ import annotations

from typing import Any

from airflow_xacct.access.policy import escape
from airflow_xacct.policies.access import Body, Statement, objects_arn, policy
from airflow_xacct.policies.setup import Setup, actions_of

__all__ = [
    "ABORT_AFTER_DAYS",
    "LIFECYCLE_RULE_ID",
    "TRAIL_PREFIX",
    "bucket_policy",
    "data_event_selectors",
    "encryption",
    "lifecycle",
    "log_bucket_policy",
    "log_prefix",
    "logging",
    "ownership",
    "public_access_block",
    "trail_arn",
    "versioning",
]

#: An upload that is older was given up; a dump may well take days.
ABORT_AFTER_DAYS = 7
LIFECYCLE_RULE_ID = "abort-incomplete-deliveries"
#: Where CloudTrail's events begin in the log bucket, apart from the access logs.
TRAIL_PREFIX = "cloudtrail"


def bucket_policy(setup: Setup) -> Body:
    """TLS only, expected writers only, and the role of another account where it is one.

    The denial of other writers holds for the bucket owner's own administrators too, and only for ``s3:PutObject`` below
    the prefix: they still read, delete, and change this policy.
    """
    bucket, objects = setup.bucket_arn, objects_arn(setup)
    statements: list[Statement] = [
        {
            # AWS: *Security best practices for Amazon S3*
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket, f"{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            # aws:PrincipalArn is the role's ARN for all of its sessions (AWS: *AWS global condition context keys*)
            "Sid": "DenyOtherWriters",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": objects,
            "Condition": {"ArnNotLike": {"aws:PrincipalArn": sorted({escape(str(setup.role)), *setup.writers})}},
        },
    ]
    if not setup.one_account:
        statements.append(
            {
                # the role's ARN, not a session's: a grant to a session is not bounded by its session policy
                "Sid": "AllowDeliveryRole",
                "Effect": "Allow",
                "Principal": {"AWS": str(setup.role)},
                "Action": list(actions_of(setup.abilities)),
                "Resource": objects,
            }
        )
    return policy(*statements)


def ownership() -> Body:
    """The bucket's owner owns what A writes, and ACLs are off (AWS: *Controlling ownership of objects*)."""
    return {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def public_access_block() -> Body:
    """AWS: *Blocking public access to your Amazon S3 storage*."""
    return {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }


def lifecycle(setup: Setup) -> Body:
    """AWS: *Configuring a bucket lifecycle configuration to delete incomplete multipart uploads*."""
    rule: dict[str, Any] = {
        "ID": LIFECYCLE_RULE_ID,
        "Status": "Enabled",
        "Filter": {"Prefix": setup.prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_AFTER_DAYS},
    }
    return {"Rules": [rule]}


def encryption(setup: Setup) -> Body | None:
    """The bucket's default encryption, where the ARN of its key is known.

    An alias there would be looked up in the account of whoever writes (AWS: *PutBucketEncryption*).
    """
    if setup.key_arn is None:
        return None
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": setup.key_arn}
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": True}]}


def versioning() -> Body:
    """AWS: *Retaining multiple versions of objects with S3 Versioning*."""
    return {"Status": "Enabled"}


def logging(setup: Setup) -> Body:
    """AWS: *Enabling Amazon S3 server access logging*."""
    return {"LoggingEnabled": {"TargetBucket": setup.log_bucket, "TargetPrefix": log_prefix(setup)}}


def log_prefix(setup: Setup) -> str:
    """Where the access logs of this bucket begin in the log bucket."""
    return f"s3/{setup.bucket}/"


def log_bucket_policy(setup: Setup) -> Body:
    """The log bucket takes this bucket's logs and this trail's events, and nobody else's.

    AWS: *Permissions for log delivery*, *Amazon S3 bucket policy for CloudTrail*.
    """
    log_bucket = f"arn:{setup.partition}:s3:::{setup.log_bucket}"
    statements: list[Statement] = [
        {
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [log_bucket, f"{log_bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "AllowAccessLogs",
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"{log_bucket}/{log_prefix(setup)}*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": setup.bucket_arn},
                "StringEquals": {"aws:SourceAccount": setup.bucket_owner},
            },
        },
    ]
    if setup.trail:
        service, source = {"Service": "cloudtrail.amazonaws.com"}, {"aws:SourceArn": trail_arn(setup)}
        statements += [
            {
                "Sid": "AllowTrailToCheckAcl",
                "Effect": "Allow",
                "Principal": service,
                "Action": "s3:GetBucketAcl",
                "Resource": log_bucket,
                "Condition": {"StringEquals": source},
            },
            {
                "Sid": "AllowTrailEvents",
                "Effect": "Allow",
                "Principal": service,
                "Action": "s3:PutObject",
                "Resource": f"{log_bucket}/{TRAIL_PREFIX}/AWSLogs/{setup.bucket_owner}/*",
                "Condition": {"StringEquals": {**source, "s3:x-amz-acl": "bucket-owner-full-control"}},
            },
        ]
    return policy(*statements)


def trail_arn(setup: Setup) -> str:
    """The ARN of the trail."""
    return f"arn:{setup.partition}:cloudtrail:{setup.region}:{setup.bucket_owner}:trail/{setup.trail}"


def data_event_selectors(setup: Setup) -> list[dict[str, Any]]:
    """Reads and writes of objects below the prefix, which CloudTrail does not log by itself.

    AWS: *Logging data events*. A value here is plain text: it has no wildcards, and nothing to escape.
    """
    return [
        {
            "Name": "Objects below the prefix of the deliveries",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                {"Field": "resources.ARN", "StartsWith": [f"{setup.bucket_arn}/{setup.prefix}"]},
            ],
        }
    ]
