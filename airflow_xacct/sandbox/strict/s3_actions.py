"""Which IAM actions an S3 operation needs, and what its request says to the policies' conditions.

AWS: *Actions, resources, and condition keys for Amazon S3*, *Required permissions for Amazon S3 API operations*.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from airflow_xacct.sandbox.wire import Request

__all__ = ["NOT_EMULATED", "Need", "global_context", "needs", "s3_context"]

Need = tuple[str, str]

# ministack would take these for another operation of the same path, such as a listing: better an honest 501
NOT_EMULATED = frozenset(
    {
        "CreateBucketMetadataConfiguration",
        "CreateBucketMetadataTableConfiguration",
        "CreateSession",
        "DeleteBucketAnalyticsConfiguration",
        "DeleteBucketIntelligentTieringConfiguration",
        "DeleteBucketInventoryConfiguration",
        "DeleteBucketMetadataConfiguration",
        "DeleteBucketMetadataTableConfiguration",
        "DeleteBucketMetricsConfiguration",
        "GetBucketAbac",
        "GetBucketAnalyticsConfiguration",
        "GetBucketIntelligentTieringConfiguration",
        "GetBucketInventoryConfiguration",
        "GetBucketMetadataConfiguration",
        "GetBucketMetadataTableConfiguration",
        "GetBucketMetricsConfiguration",
        "GetBucketPolicyStatus",
        "GetBucketRequestPayment",
        "GetObjectTorrent",
        "ListBucketAnalyticsConfigurations",
        "ListBucketIntelligentTieringConfigurations",
        "ListBucketInventoryConfigurations",
        "ListBucketMetricsConfigurations",
        "PutBucketAbac",
        "PutBucketAnalyticsConfiguration",
        "PutBucketIntelligentTieringConfiguration",
        "PutBucketInventoryConfiguration",
        "PutBucketMetricsConfiguration",
        "RenameObject",
        "SelectObjectContent",
        "UpdateBucketMetadataAnnotationTableConfiguration",
        "UpdateBucketMetadataInventoryTableConfiguration",
        "UpdateBucketMetadataJournalTableConfiguration",
        "UpdateObjectEncryption",
    }
)

# only where the action is not named as the operation is
_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
# with a version id the action is another one
_OF_VERSIONS = {
    "DeleteObject": "DeleteObjectVersion",
    "DeleteObjectTagging": "DeleteObjectVersionTagging",
    "GetObject": "GetObjectVersion",
    "GetObjectAcl": "GetObjectVersionAcl",
    "GetObjectAttributes": "GetObjectVersionAttributes",
    "GetObjectTagging": "GetObjectVersionTagging",
    "PutObjectAcl": "PutObjectVersionAcl",
    "PutObjectTagging": "PutObjectVersionTagging",
}
_CREATING = frozenset({"CopyObject", "CreateMultipartUpload", "PutObject"})


def needs(request: Request) -> list[Need]:
    """The (action, resource ARN) pairs the caller must be allowed; those of a copy's source are not among them."""
    operation = request.operation
    resource = f"arn:aws:s3:::{request.bucket}" + (f"/{request.key}" if request.key else "")
    if operation == "ListBuckets":
        return [("s3:ListAllMyBuckets", "*")]
    name = _ACTIONS.get(operation, operation)
    versioned = bool(request.argument("versionId"))
    if versioned:
        name = _OF_VERSIONS.get(name, name)
    found = [(f"s3:{name}", resource)]
    if operation == "GetObjectAttributes":
        found.append(("s3:GetObjectVersion" if versioned else "s3:GetObject", resource))
    if operation in _CREATING:
        found += [(f"s3:{extra}", resource) for extra in _beside_put(request)]
    if operation in ("PutObject", "CompleteMultipartUpload") and request.headers.get("if-match"):
        found.append(("s3:GetObject", resource))
    if request.headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
        found.append(("s3:BypassGovernanceRetention", resource))
    return found


def _beside_put(request: Request) -> list[str]:
    """What a write sets beside the bytes has an action of its own (AWS: *PutObject*, "Permissions")."""
    extra = []
    headers = request.headers
    if headers.get("x-amz-tagging"):
        extra.append("PutObjectTagging")
    if headers.get("x-amz-acl") or any(name.startswith("x-amz-grant-") for name in headers):
        extra.append("PutObjectAcl")
    if headers.get("x-amz-object-lock-mode"):
        extra.append("PutObjectRetention")
    if headers.get("x-amz-object-lock-legal-hold"):
        extra.append("PutObjectLegalHold")
    return extra


def global_context(request: Request, owner: str) -> dict[str, Any]:
    """The keys every request has (AWS: *AWS global condition context keys*)."""
    now = time.time()
    context: dict[str, Any] = {
        "aws:currenttime": datetime.fromtimestamp(now, UTC).isoformat(),
        "aws:epochtime": str(int(now)),
        "aws:requestedregion": request.signed_region,
        "aws:securetransport": "false",
        "aws:sourceip": "127.0.0.1",
        "aws:viaawsservice": "false",
        "aws:principalisawsservice": "false",
        "aws:resourceaccount": owner,
    }
    for key, header in (("aws:useragent", "user-agent"), ("aws:referer", "referer")):
        if header in request.headers:
            context[key] = request.headers[header]
    return context


def s3_context(request: Request, owner: str, existing_tags: Mapping[str, str]) -> dict[str, Any]:
    """The condition keys of an S3 request."""
    presigned = "X-Amz-Signature" in request.query
    context = {
        **global_context(request, owner),
        "s3:resourceaccount": owner,
        "s3:authtype": "REST-QUERY-STRING" if presigned else "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        "s3:tlsversion": None,
    }
    for name, value in request.headers.items():
        if name.startswith("x-amz-") or name in ("if-match", "if-none-match"):
            context[f"s3:{name}"] = value
    for parameter, key in (
        ("prefix", "s3:prefix"),
        ("delimiter", "s3:delimiter"),
        ("max-keys", "s3:max-keys"),
        ("versionId", "s3:versionid"),
    ):
        if parameter in request.query:
            context[key] = request.argument(parameter)
    tags = dict(parse_qsl(request.headers.get("x-amz-tagging", ""), keep_blank_values=True))
    if tags:
        context["s3:requestobjecttagkeys"] = list(tags)
        context |= {f"s3:requestobjecttag/{key.lower()}": value for key, value in tags.items()}
    context |= {f"s3:existingobjecttag/{key.lower()}": value for key, value in existing_tags.items()}
    if request.operation in ("PutObject", "CompleteMultipartUpload", "CopyObject"):
        context["s3:objectcreationoperation"] = "true"
    elif request.operation in ("CreateMultipartUpload", "UploadPart", "UploadPartCopy"):
        context["s3:objectcreationoperation"] = "false"
    return {key: value for key, value in context.items() if value is not None}
