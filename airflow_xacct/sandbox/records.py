"""What the sandbox remembers of its requests, for tests and for ``audit`` where CloudTrail would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["AssumeRoleEvent", "RequestRecord"]


@dataclass(frozen=True, slots=True)
class AssumeRoleEvent:
    """One AssumeRole call, granted or not (AWS: *Logging IAM and AWS STS API calls with AWS CloudTrail*).

    :param source_identity_arn: the ARN of the caller.
    :param source_identity: the SourceIdentity in force, set in this call or inherited; empty for none.
    :param tags: the session tags of the new session, inherited ones included.
    :param error: AWS's error code and text; empty when it was granted.
    """

    time: datetime
    source_identity_arn: str
    role_arn: str
    session_name: str
    source_identity: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    external_id_given: bool = False
    granted: bool = False
    error: str = ""
    duration_seconds: int = 3600
    session_policy: str = ""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that reached the server, with what it was answered.

    :param caller_arn: empty for an anonymous caller, or one whose signature was refused.
    :param account: the account of the caller.
    :param status: 0 when the connection was closed without an answer.
    :param error: AWS's error code, empty for none.
    :param headers: the request's headers, names in lower case, without the signature and the session token.
    """

    method: str
    service: str
    operation: str
    bucket: str
    key: str
    caller_arn: str
    account: str
    expected_owner: str
    status: int
    error: str = ""
    body_size_bytes: int = 0
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
