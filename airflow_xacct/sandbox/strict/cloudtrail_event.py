"""One AssumeRole call as CloudTrail writes it down.

The form is that of AWS: *Logging IAM and AWS STS API calls with AWS CloudTrail*, "Example cross-account AWS STS API
events" and "Example AWS STS role chaining API event". AWS leaves the secret key out and shows the session token, which
opens nothing without it; here neither is written.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from airflow_xacct.sandbox.records import AssumeRoleEvent
from airflow_xacct.sandbox.strict.answers import Refusal, request_id
from airflow_xacct.sandbox.strict.assume_role_input import AssumeRoleInput
from airflow_xacct.sandbox.strict.principals import Caller
from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["Document", "common_part", "event_in", "resources"]

Document = dict[str, Any]

_SOURCE = "sts.amazonaws.com"
_IDENTITY_TYPES = {"User": "IAMUser", "AssumedRole": "AssumedRole", "FederatedUser": "FederatedUser", "Root": "Root"}


def event_in(account: str, caller: Caller, common: Document) -> Document:
    """The event as one account sees it.

    :param common: what all of them see.
    """
    return {
        "eventVersion": "1.11",
        "userIdentity": _user_identity(caller, seen_from=account),
        **common,
        "eventID": str(uuid.uuid4()),
        "recipientAccountId": account,
    }


def common_part(
    request: Request, caller: Caller, call: AssumeRoleEvent, refusal: Refusal | None, response: Response | None
) -> Document:
    """What every account sees of a call.

    :param call: what the sandbox logged of it.
    :param refusal: or else ``response``.
    """
    text = request.body.decode("utf-8") or request.raw_query
    asked = AssumeRoleInput.parse(dict(parse_qsl(text, keep_blank_values=True)))
    return {
        "eventTime": call.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": _SOURCE,
        "eventName": "AssumeRole",
        "awsRegion": request.signed_region,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": request.headers.get("user-agent", ""),
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        **_outcome(asked, caller, call, refusal, response),
    }


def _outcome(
    asked: AssumeRoleInput,
    caller: Caller,
    call: AssumeRoleEvent,
    refusal: Refusal | None,
    response: Response | None,
) -> Document:
    if response is not None:
        return {**_granted(call, response), "requestParameters": _parameters(asked, caller, call)}
    refused = refusal or Refusal(500, "InternalFailure", "")
    # of a denied call STS records neither session name nor External ID; who was asked for is in the text alone
    denied = refused.code == "AccessDenied"
    return {
        "requestID": request_id(),
        "errorCode": refused.code,
        "errorMessage": refused.message,
        "requestParameters": None if denied else _parameters(asked, caller, call),
        "responseElements": None,
    }


def _parameters(asked: AssumeRoleInput, caller: Caller, call: AssumeRoleEvent) -> Document:
    parameters: Document = {
        "roleArn": asked.role_arn,
        "roleSessionName": asked.session_name,
        "durationSeconds": asked.duration_seconds,
    }
    inherited = {key: value for key, value in call.tags.items() if key not in asked.tags}
    further: Document = {
        "externalId": asked.external_id,
        "policy": asked.policy,
        "sourceIdentity": call.source_identity,
        "tags": [{"key": key, "value": value} for key, value in asked.tags.items()],
        "transitiveTagKeys": list(asked.transitive_tag_keys),
        "incomingTransitiveTags": inherited if caller.kind == "AssumedRole" else {},
    }
    return parameters | {name: value for name, value in further.items() if value}


def _granted(call: AssumeRoleEvent, response: Response) -> Document:
    """What STS answered, without what opens anything."""
    body = response.body.decode()

    def told(name: str) -> str:
        found = re.search(rf"<{name}>(.*?)</{name}>", body)
        return found[1] if found else ""

    ends = datetime.fromisoformat(told("Expiration")).astimezone(UTC)
    elements: Document = {
        "credentials": {
            "accessKeyId": told("AccessKeyId"),
            "expiration": f"{ends:%b} {ends.day}, {ends:%Y}, {ends.hour % 12 or 12}:{ends:%M:%S %p}",
        },
        "assumedRoleUser": {"assumedRoleId": told("AssumedRoleId"), "arn": told("Arn")},
    }
    if told("PackedPolicySize"):
        elements["packedPolicySize"] = int(told("PackedPolicySize"))
    if call.source_identity:
        elements["sourceIdentity"] = call.source_identity
    role = {"accountId": call.role_arn.split(":")[4], "type": "AWS::IAM::Role", "ARN": call.role_arn}
    return {"responseElements": elements, "resources": [role], "requestID": told("RequestId")}


def _user_identity(caller: Caller, *, seen_from: str) -> Document:
    """Who called: from another account only its account and principal id are seen."""
    if seen_from != caller.account:
        return {"type": "AWSAccount", "principalId": caller.user_id, "accountId": caller.account}
    identity: Document = {
        "type": _IDENTITY_TYPES.get(caller.kind, caller.kind),
        "principalId": caller.user_id,
        "arn": caller.arn,
        "accountId": caller.account,
        "accessKeyId": caller.access_key_id,
    }
    if caller.kind == "User":
        identity["userName"] = caller.arn.rpartition("/")[2]
    if caller.kind == "AssumedRole":
        name = caller.arn.split("/")[1]
        issued = datetime.fromtimestamp(caller.record.get("IssuedAt", 0.0), UTC)
        identity["sessionContext"] = {
            "sessionIssuer": {
                "type": "Role",
                "principalId": caller.user_id.partition(":")[0],
                "arn": caller.context.get("aws:principalarn", ""),
                "accountId": caller.account,
                "userName": name,
            },
            "attributes": {"creationDate": issued.strftime("%Y-%m-%dT%H:%M:%SZ"), "mfaAuthenticated": "false"},
        }
        if source := caller.record.get("SourceIdentity"):
            identity["sessionContext"]["sourceIdentity"] = source
    return identity


def resources(document: Document) -> Iterator[tuple[str, str]]:
    """Type and name of the resources that LookupEvents finds an event by; none for a denied call."""
    elements = document["responseElements"]
    if elements is None:
        return
    yield "AWS::IAM::AccessKey", elements["credentials"]["accessKeyId"]
    user = elements["assumedRoleUser"]
    for name in (user["arn"], user["assumedRoleId"], document["requestParameters"]["roleSessionName"]):
        yield "AWS::STS::AssumedRole", name
    yield "AWS::IAM::Role", document["requestParameters"]["roleArn"]
