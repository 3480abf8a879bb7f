"""Each refusal becomes an error that names the action, the resource, the policy, what is missing, and whose account."""

from __future__ import annotations

import inspect
import pickle

import botocore.exceptions as aws
import pytest
from botocore.exceptions import ClientError

from airflow_xacct import exceptions as ours
from airflow_xacct.access.denied import Denial
from airflow_xacct.access.refusals import RefusalContext, translate

ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
SESSION = "arn:aws:sts::222222222222:assumed-role/DataDumpRole/nyc.flights.r1"
WORKER = "arn:aws:iam::111111111111:user/airflow-worker"
CONTEXT = RefusalContext("acme", ROLE, "222222222222", "333333333333", "very-long-external-id-abcd", "the worker")
PUT = f'User: {SESSION} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::acme-landing/x" '


def answer(code: str, message: str = "", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
    )


@pytest.mark.parametrize(
    ("text", "kind", "explicit", "account"),
    [
        ("because no identity-based policy allows the s3:PutObject action", "identity-based policy", False, "2" * 12),
        ("because no session policy allows the s3:PutObject action", "session policy", False, ""),
        ("because no resource-based policy allows the s3:PutObject action", "resource-based policy", False, "3" * 12),
        ("because no permissions boundary allows the s3:PutObject action", "permissions boundary", False, "2" * 12),
        ("because no service control policy allows the s3:PutObject action", "service control policy", False, "2" * 12),
        ("because no VPC endpoint policy allows the s3:PutObject action", "VPC endpoint policy", False, ""),
        ("with an explicit deny in an identity-based policy", "identity-based policy", True, "2" * 12),
        ("with an explicit deny in a resource-based policy", "resource-based policy", True, "3" * 12),
        ("with an explicit deny in a session policy", "session policy", True, ""),
        ("with an explicit deny in a resource control policy", "resource control policy", True, "3" * 12),
        ("with an explicit deny in a service control policy", "service control policy", True, "2" * 12),
        ("with an explicit deny in a permissions boundary", "permissions boundary", True, "2" * 12),
        ("with an explicit deny in a VPC endpoint policy", "VPC endpoint policy", True, ""),
    ],
)
def test_access_denied_is_taken_apart(text: str, kind: str, explicit: bool, account: str) -> None:
    """AWS's sentence says who, what and which kind of policy; the remedy says in whose account."""
    error = translate(answer("AccessDenied", PUT + text, 403), context=CONTEXT)
    assert isinstance(error, ours.AccessDeniedError)
    assert (error.action, error.resource, error.policy_kind) == ("s3:PutObject", "arn:aws:s3:::acme-landing/x", kind)
    assert Denial.parse(PUT + text).explicit is explicit
    assert ("explicit Deny in a" in error.what) is explicit
    assert account in error.remedy
    assert "acme" in str(error)


def test_a_bare_denial_lists_what_usually_causes_it() -> None:
    """A wrong owner gives "Access Denied" and nothing else; both accounts are named."""
    error = translate(
        answer("AccessDenied", "Access Denied", 403),
        context=CONTEXT,
        action="s3:PutObject",
        resource="arn:aws:s3:::acme-landing/airflow/x",
    )
    text = str(error)
    for part in (
        "s3:PutObject",
        "acme-landing/airflow/x",
        "does not own the bucket",
        "2" * 12,
        "3" * 12,
        "AWS does not say",
    ):
        assert part in text


def test_a_head_without_a_body_is_a_denial_too() -> None:
    """HEAD answers have no body, only a number."""
    error = translate(answer("403", "Forbidden", 403), context=CONTEXT, action="s3:GetObject")
    assert isinstance(error, ours.AccessDeniedError)
    assert error.action == "s3:GetObject"


def test_kms_is_explained_by_the_key() -> None:
    """The key's own policy must admit the role, in its own account."""
    key = "arn:aws:kms:eu-central-1:222222222222:key/1"
    text = f"User: {SESSION} is not authorized to perform: kms:GenerateDataKey on resource: {key}"
    error = translate(answer("AccessDenied", text, 403), context=CONTEXT, action="s3:PutObject")
    assert "key policy" in error.remedy
    assert "kms:Decrypt" in error.remedy


def test_tagging_says_that_only_tags_need_it() -> None:
    """The one right beyond PutObject that an upload may need."""
    text = f'User: {SESSION} is not authorized to perform: s3:PutObjectTagging on resource: "arn:aws:s3:::b/k"'
    error = translate(answer("AccessDenied", text, 403), context=CONTEXT, action="s3:PutObject")
    assert "leave tags out" in error.remedy


def test_a_refused_role_names_both_sides_and_four_characters() -> None:
    """STS says the same for a wrong External ID and a missing permission; the id is shown by its end."""
    text = f"User: {WORKER} is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    error = translate(answer("AccessDenied", text, 403), context=CONTEXT, action="sts:AssumeRole")
    assert isinstance(error, ours.AssumeRoleError)
    assert "ends in 'abcd'" in error.remedy
    assert "very-long" not in str(error)
    assert WORKER in str(error)
    assert "2" * 12 in error.remedy


def test_a_refused_role_without_an_external_id_says_so() -> None:
    """It may be all that is missing."""
    context = RefusalContext("acme", ROLE, "2" * 12, "2" * 12, None, "the worker")
    error = translate(answer("AccessDenied", "Access denied", 403), context=context, action="sts:AssumeRole")
    assert "none was sent" in error.remedy
    assert "the worker" in error.what


@pytest.mark.parametrize("action", ["sts:TagSession", "sts:SetSourceIdentity"])
def test_refused_tags_name_the_action_on_both_sides(action: str) -> None:
    """Tags and source identity are permissions of their own, for the caller and in the trust policy."""
    text = f"User: {WORKER} is not authorized to perform: {action} on resource: {ROLE}"
    error = translate(answer("AccessDenied", text, 403), context=CONTEXT, action="sts:AssumeRole")
    assert error.remedy.startswith(f"Allow {action}")


def test_the_region_of_the_bucket_is_told_where_aws_tells_it() -> None:
    """The answer names the region it expected."""
    text = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'"
    error = translate(answer("AuthorizationHeaderMalformed", text), context=CONTEXT)
    assert isinstance(error, ours.WrongRegionError)
    assert "eu-west-1" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NoSuchBucket", ours.BucketNotFoundError),
        ("PermanentRedirect", ours.WrongRegionError),
        ("301", ours.WrongRegionError),
        ("ExpiredToken", ours.ExpiredCredentialsError),
        ("ExpiredTokenException", ours.ExpiredCredentialsError),
        ("RequestTimeTooSkewed", ours.RefusedError),
        ("InvalidAccessKeyId", ours.NoCredentialsError),
        ("InvalidClientTokenId", ours.NoCredentialsError),
        ("SignatureDoesNotMatch", ours.NoCredentialsError),
        ("SlowDown", ours.ThrottledError),
        ("Throttling", ours.ThrottledError),
        ("BadDigest", ours.ChecksumMismatchError),
        ("AccessControlListNotSupported", ours.RefusedError),
        ("KMS.DisabledException", ours.RefusedError),
        ("PackedPolicyTooLarge", ours.AssumeRoleError),
        ("RegionDisabledException", ours.AssumeRoleError),
        ("SomethingNew", ours.RefusedError),
    ],
)
def test_each_answer_has_its_error_and_a_remedy(code: str, kind: type[ours.XacctError]) -> None:
    """No refusal leaves the package as boto3's own exception."""
    error = translate(answer(code, "AWS's words"), context=CONTEXT, action="s3:PutObject", resource="acme-landing/x")
    assert type(error) is kind
    assert "acme" in error.where
    assert error.remedy
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_an_unknown_403_is_a_denial_and_an_unknown_sts_answer_a_refused_role() -> None:
    """The status decides where the code is new."""
    assert isinstance(translate(answer("NewCode", "no", 403), context=CONTEXT), ours.AccessDeniedError)
    error = translate(answer("ValidationError", "bad"), context=CONTEXT, action="sts:AssumeRole")
    assert isinstance(error, ours.AssumeRoleError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aws.NoCredentialsError(), ours.NoCredentialsError),
        (aws.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), ours.NoCredentialsError),
        (aws.ProfileNotFound(profile="gone"), ours.NoCredentialsError),
        (aws.NoRegionError(), ours.ConfigurationError),
        (aws.EndpointConnectionError(endpoint_url="https://x"), ours.EndpointUnreachableError),
        (aws.ConnectTimeoutError(endpoint_url="https://x"), ours.EndpointUnreachableError),
        (aws.ReadTimeoutError(endpoint_url="https://x"), ours.EndpointUnreachableError),
        (aws.ProxyConnectionError(proxy_url="https://x"), ours.EndpointUnreachableError),
        (aws.SSLError(endpoint_url="https://x", error="self-signed"), ours.EndpointUnreachableError),
        (aws.MissingDependencyException(msg="needs awscrt"), ours.MissingDependencyError),
        (aws.ParamValidationError(report="bad"), ours.RefusedError),
    ],
)
def test_failures_of_the_client_are_translated_too(error: Exception, kind: type[ours.XacctError]) -> None:
    """No network, no identity, no region: each is told apart."""
    assert isinstance(translate(error, context=CONTEXT), kind)


def test_every_error_of_botocore_is_translated() -> None:
    """Whatever botocore may raise ends in an error of ours, also what it grows later."""
    for name, kind in inspect.getmembers(aws, inspect.isclass):
        if issubclass(kind, Exception) and not issubclass(kind, aws.ClientError) and kind.__module__ == aws.__name__:
            made = kind.__new__(kind)
            Exception.__init__(made, "text")
            assert isinstance(translate(made, context=CONTEXT), ours.XacctError), name


def test_an_error_of_ours_comes_back_as_it_is() -> None:
    """Translating twice changes nothing."""
    error = ours.ThrottledError("slow")
    assert translate(error, context=CONTEXT) is error
