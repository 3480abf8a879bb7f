"""What AWS and botocore say when they refuse, translated in one place into our errors."""

from __future__ import annotations

import re
from dataclasses import dataclass

import botocore.exceptions as aws

from airflow_xacct.access.context import RefusalContext
from airflow_xacct.access.denied import assume_role_denied, denied
from airflow_xacct.exceptions import (
    AssumeRoleError,
    BucketNotFoundError,
    ChecksumMismatchError,
    ConfigurationError,
    EndpointUnreachableError,
    ExpiredCredentialsError,
    MissingDependencyError,
    NoCredentialsError,
    RefusedError,
    ThrottledError,
    WrongRegionError,
    XacctError,
)

__all__ = ["RefusalContext", "translate"]

FORBIDDEN = 403
_DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403", "Forbidden"})


@dataclass(frozen=True, slots=True)
class _Answer:
    """One kind of answer and what it means; the texts may name ``{action}``, ``{code}``, ``{said}`` (AWS's own words),
    ``{region}``, ``{source}``, ``{role_account}`` and ``{bucket_owner}``."""

    codes: frozenset[str]
    error: type[XacctError]
    what: str
    remedy: str


def _answer(codes: str, error: type[XacctError], what: str, remedy: str) -> _Answer:
    return _Answer(frozenset(codes.split()), error, what, remedy)


# AWS: *Error responses* (Amazon S3 API Reference), *AssumeRole* and *Common error types* (AWS STS API Reference),
# *Troubleshooting* (AWS KMS exceptions as S3 passes them on)
_ANSWERS = (
    _answer(
        "NoSuchBucket",
        BucketNotFoundError,
        "the bucket does not exist",
        "Compare the extra bucket with the buckets of account {bucket_owner}.",
    ),
    _answer(
        "PermanentRedirect TemporaryRedirect 301 307 AuthorizationHeaderMalformed IllegalLocationConstraintException",
        WrongRegionError,
        "the bucket is not in the region that was asked{region}",
        "Set the extra region_name to the bucket's region.",
    ),
    _answer(
        "ExpiredToken ExpiredTokenException TokenRefreshRequired RequestExpired",
        ExpiredCredentialsError,
        "the credentials are not valid any more ({code}: {said})",
        "They are refreshed before they expire. So the clock of the worker is wrong, or the sessions of the role were "
        "revoked (account {role_account}), or the credentials of {source} expired.",
    ),
    _answer(
        "RequestTimeTooSkewed",
        RefusedError,
        "the worker's clock differs too much from AWS's ({said})",
        "Synchronise the clock of the worker (NTP): a signature is valid for 15 minutes.",
    ),
    _answer(
        "InvalidAccessKeyId InvalidClientTokenId SignatureDoesNotMatch InvalidToken UnrecognizedClientException",
        NoCredentialsError,
        "AWS does not know the credentials of {source} ({code})",
        "The access key was deleted, deactivated or mistyped, or belongs to another partition or endpoint.",
    ),
    _answer(
        "SlowDown Throttling ThrottlingException RequestLimitExceeded TooManyRequestsException 503",
        ThrottledError,
        "{action} was throttled ({code}), and went on being throttled after our retries",
        "Try the task again, let fewer tasks write at once, or raise retries in the extra config_kwargs.",
    ),
    _answer(
        "BadDigest XAmzContentChecksumMismatch InvalidDigest",
        ChecksumMismatchError,
        "S3 computed another checksum than we did ({code})",
        "The bytes changed on the way or in memory, and nothing was stored. Try the task again.",
    ),
    _answer(
        "AccessControlListNotSupported",
        RefusedError,
        "the bucket takes no ACL",
        "Its object ownership is 'bucket owner enforced': leave the ACL out; the owner of the bucket owns the object.",
    ),
    _answer(
        "KMS.DisabledException KMS.NotFoundException KMS.KMSInvalidStateException KMS.InvalidKeyUsageException",
        RefusedError,
        "the KMS key cannot be used ({code}: {said})",
        "It must be enabled and in the bucket's region; see the extra kms_key_id and the bucket's default encryption.",
    ),
    _answer(
        "PackedPolicyTooLarge PackedPolicyTooLargeException MalformedPolicyDocument",
        AssumeRoleError,
        "STS refused the session ({code}: {said})",
        "Session policy and session tags share one packed limit: use fewer or shorter tags, or a shorter policy.",
    ),
    _answer(
        "RegionDisabledException",
        AssumeRoleError,
        "STS is not active in this region for account {role_account}",
        "Set the extra sts_region_name to a region that both accounts use, or activate it there.",
    ),
)


_Kinds = tuple[type[Exception], ...]
#: In this order: the first that fits. ``{error}`` is botocore's own text.
_FAILURES: tuple[tuple[_Kinds, type[XacctError], str, str], ...] = (
    (
        (aws.ProfileNotFound, aws.SSOTokenLoadError, aws.TokenRetrievalError, aws.UnauthorizedSSOTokenError),
        NoCredentialsError,
        "the profile of {source} gives no credentials ({error})",
        "Check AWS_PROFILE and the shared config file of the worker, or sign in again.",
    ),
    (
        (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError),
        NoCredentialsError,
        "there are no usable credentials for {source} ({error})",
        "Give the worker a role, or name an 'aws' connection in the extra source_conn_id.",
    ),
    (
        (aws.NoRegionError,),
        ConfigurationError,
        "no region is known",
        "Set the extra region_name, or AWS_DEFAULT_REGION on the worker.",
    ),
    (
        (aws.MissingDependencyException,),
        MissingDependencyError,
        "{error}",
        "Install it with pip install 'boto3[crt]'.",
    ),
    (
        (aws.SSLError,),
        EndpointUnreachableError,
        "the TLS certificate was not accepted ({error})",
        "Set the extra verify to the CA file of your proxy or endpoint.",
    ),
    (
        (aws.HTTPClientError, aws.ConnectionError),
        EndpointUnreachableError,
        "{action} got no answer ({error})",
        "Check name resolution, routes, proxy and VPC endpoints from the worker, and the extra endpoint_url.",
    ),
)


def translate(error: Exception, *, context: RefusalContext, action: str = "", resource: str = "") -> XacctError:
    """Turn what boto3 raised into the most specific error of ours; raise the result ``from`` the original.

    :param error: a ``ClientError`` or another error of botocore; an error of ours comes back as it is.
    :param action: the IAM action that was asked for, such as ``s3:PutObject``, where AWS does not repeat it.
    :param resource: what it was asked for: an ARN, a bucket or a key.
    """
    if isinstance(error, XacctError):
        return error
    if isinstance(error, aws.ClientError):
        return _translate_answer(error, action, resource, context)
    return _translate_failure(error, action, resource, context)


def _translate_answer(error: aws.ClientError, action: str, resource: str, context: RefusalContext) -> XacctError:
    details = error.response.get("Error", {})
    code, said = str(details.get("Code", "")), str(details.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    assuming = action == "sts:AssumeRole"
    if code in _DENIED_CODES:
        return (
            assume_role_denied(said, context) if assuming else denied(said, context, action=action, resource=resource)
        )
    expected = re.search(r"expecting '([\w-]+)'", said)
    words = {
        "action": action or "the request",
        "code": code,
        "said": said,
        "region": f": it is in {expected[1]}" if expected else "",
        "source": context.source,
        "role_account": context.role_account,
        "bucket_owner": context.bucket_owner,
    }
    for answer in _ANSWERS:
        if code in answer.codes:
            return answer.error(
                answer.what.format_map(words), where=context.at(resource), remedy=answer.remedy.format_map(words)
            )
    if status == FORBIDDEN:
        return denied(said, context, action=action, resource=resource)
    refused = AssumeRoleError if assuming else RefusedError
    return refused(
        f"{words['action']} was refused ({code}: {said})",
        where=context.at(resource),
        remedy="These are AWS's own words; its reference of the service explains the code.",
    )


def _translate_failure(error: Exception, action: str, resource: str, context: RefusalContext) -> XacctError:
    """Errors that botocore raises itself, without an answer of AWS."""
    where = context.at(resource)
    for kinds, ours, what, remedy in _FAILURES:
        if isinstance(error, kinds):
            return ours(
                what.format(source=context.source, action=action or "the request", error=error),
                where=where,
                remedy=remedy,
            )
    return RefusedError(
        f"{action or 'the request'} failed in the AWS client ({type(error).__name__}: {error})",
        where=where,
        remedy="Nothing is known of what AWS would have answered.",
    )
