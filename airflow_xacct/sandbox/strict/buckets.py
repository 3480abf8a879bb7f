"""Buckets, their owners and regions, and the policies that decide over them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_xacct.sandbox.store import Store
from airflow_xacct.sandbox.strict.answers import Refusal
from airflow_xacct.sandbox.strict.decisions import decide, denial
from airflow_xacct.sandbox.strict.principals import Caller
from airflow_xacct.sandbox.strict.s3_actions import needs, s3_context
from airflow_xacct.sandbox.wire import Request

__all__ = ["Bucket", "BucketAccess"]

_ACCOUNT_ID = re.compile(r"\d{12}")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket with what its owner said about it; ``policy`` is the bucket policy, ``None`` where there is none."""

    name: str
    owner: str
    region: str
    policy: str | None

    def check_owner(self, expected: str) -> None:
        """Refuse when it belongs to another account than the caller expects; an empty one is no expectation.

        AWS: *Verifying bucket ownership with bucket owner condition*.

        :raises Refusal: it changed hands, or what was expected is no account.
        """
        if expected and not _ACCOUNT_ID.fullmatch(expected):
            text = "The value of the expected bucket owner parameter must be an AWS account ID."
            raise Refusal(400, "InvalidBucketOwnerAWSAccountID", text)
        if expected and expected != self.owner:
            raise Refusal(403, "AccessDenied", "Access Denied")

    def check_region(self, request: Request) -> None:
        """Refuse a request signed for another region (AWS: *Request redirection and the REST API*).

        :raises Refusal: the redirect that SDKs follow.
        """
        if request.signed_region in ("", self.region) or request.operation == "GetBucketLocation":
            return
        fields = {"Endpoint": f"{self.name}.s3.{self.region}.amazonaws.com", "Bucket": self.name}
        text = (
            "The bucket you are attempting to access must be addressed using the specified endpoint. "
            "Please send all future requests to this endpoint."
        )
        raise Refusal(301, "PermanentRedirect", text, fields=fields, headers={"x-amz-bucket-region": self.region})


class BucketAccess:
    """Finds buckets, and asks the policies."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, name: str) -> Bucket:
        """A bucket by its name, which is unique over all accounts.

        :raises Refusal: there is none.
        """
        owner = self._store.bucket_owner(name)
        if not owner:
            fields = {"BucketName": name}
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist", fields=fields)
        region = str(self._store.bucket(owner, name).get("region") or "us-east-1")
        return Bucket(name, owner, region, self._store.bucket_policy(owner, name))

    def permit_in_account(self, request: Request, caller: Caller) -> None:
        """Ask the caller's policies for an operation on its own account: ListBuckets, CreateBucket.

        :raises Refusal: it is not allowed.
        """
        for action, resource in needs(request):
            context = s3_context(request, caller.account, {})
            verdict = decide(caller, action, resource, context, owner=caller.account, policy=None)
            if not verdict.allowed:
                raise denial(verdict, caller, action, resource, owner=caller.account, quoted=True)

    def permit(self, request: Request, caller: Caller, bucket: Bucket) -> None:
        """Ask the policies for every action the operation needs.

        :raises Refusal: one of them is not allowed.
        """
        for action, resource in needs(request):
            self.permit_action(request, caller, bucket, action, resource)

    def permit_action(self, request: Request, caller: Caller, bucket: Bucket, action: str, resource: str) -> None:
        """Ask the policies for one action.

        :raises Refusal: it is not allowed.
        """
        tags = self._store.tags(bucket.owner, bucket.name, request.key, request.query)
        context = s3_context(request, bucket.owner, tags)
        verdict = decide(caller, action, resource, context, owner=bucket.owner, policy=bucket.policy)
        if not verdict.allowed:
            raise denial(verdict, caller, action, resource, owner=bucket.owner, quoted=True)
