"""Which AWS operation a request asks for, read from method, path, query and headers alone.

The table comes from botocore's service model of S3, so that an operation AWS adds is known as soon as botocore is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, unquote

import botocore.loaders

from airflow_xacct.sandbox.wire import Request

__all__ = ["S3Operation", "classify", "s3_operations"]

# one wire form, two names: the newer name of each pair is the one reported
_SUPERSEDED = frozenset(
    {
        "GetBucketLifecycle",
        "GetBucketNotification",
        "PutBucketLifecycle",
        "PutBucketNotification",
        # the two below belong to directory buckets and to Object Lambda, on other hosts
        "ListDirectoryBuckets",
        "WriteGetObjectResponse",
    }
)


@dataclass(frozen=True, slots=True)
class S3Operation:
    """How one S3 operation looks on the wire.

    ``level`` is 0 for the service, 1 for a bucket, 2 for an object; ``query`` maps the query parameters it must have
    to their fixed value (empty for any); ``headers`` are those it must have.
    """

    name: str
    method: str
    level: int
    query: tuple[tuple[str, str], ...]
    headers: tuple[str, ...]
    takes_expected_owner: bool

    def matches(self, method: str, level: int, query: dict[str, list[str]], headers: dict[str, str]) -> bool:
        """Whether a request has this form."""
        return (
            self.method == method
            and self.level == level
            and all(name in query and value in ("", query[name][0]) for name, value in self.query)
            and all(name in headers for name in self.headers)
        )


@lru_cache(maxsize=1)
def s3_operations() -> tuple[S3Operation, ...]:
    """Every S3 operation of botocore's model, the most specific form first."""
    model = botocore.loaders.Loader().load_service_model("s3", "service-2")
    found = []
    for name, operation in model["operations"].items():
        if name in _SUPERSEDED:
            continue
        path, _, fixed = operation["http"]["requestUri"].partition("?")
        query = {key: values[0] for key, values in parse_qs(fixed, keep_blank_values=True).items()}
        shape = model["shapes"].get(operation.get("input", {}).get("shape", ""), {})
        headers = []
        for member in shape.get("required", []):
            place = shape["members"][member]
            if place.get("location") == "querystring":
                query.setdefault(place["locationName"], "")
            elif place.get("location") == "header":
                headers.append(place["locationName"].lower())
        level = 2 if "{Key+}" in path else 1 if "{Bucket}" in path else 0
        takes_owner = "ExpectedBucketOwner" in shape.get("members", {})
        found.append(
            S3Operation(name, operation["http"]["method"], level, tuple(query.items()), tuple(headers), takes_owner)
        )
    return tuple(sorted(found, key=lambda op: -(len(op.query) + len(op.headers))))


def _credential_scope(request: Request) -> None:
    """Note which key signed the request, for which region and service (AWS: *Signature Version 4*)."""
    authorization = request.headers.get("authorization", "")
    credential = request.argument("X-Amz-Credential")
    if "Credential=" in authorization:
        credential = authorization.split("Credential=", 1)[1].split(",", 1)[0].strip()
    scope = credential.split("/")
    if len(scope) == 5:
        request.access_key_id, _, request.signed_region, request.service, _ = scope


def _s3_operation(request: Request) -> str:
    level = 2 if request.key else 1 if request.bucket else 0
    for operation in s3_operations():
        if operation.matches(request.method, level, request.query, request.headers):
            return operation.name
    return ""


def classify(request: Request) -> Request:
    """Fill in service, operation, bucket and key of a request; what cannot be told stays empty."""
    _credential_scope(request)
    if request.service == "s3" or not (request.service or _named_action(request)):
        # an unsigned request that names no action is one to S3, which serves public objects
        request.service = "s3"
        bucket, _, key = request.raw_path.lstrip("/").partition("/")
        request.bucket, request.key = unquote(bucket), unquote(key)
        request.operation = _s3_operation(request)
    else:
        request.operation = _named_action(request)
    return request


def _named_action(request: Request) -> str:
    """The action of the query and JSON protocols."""
    target = request.headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qs(request.body.decode("utf-8", "replace"))
        return form.get("Action", request.query.get("Action", [""]))[0]
    return request.argument("Action")
