"""What CloudTrail wrote down of one AssumeRole call (AWS: *Logging IAM and AWS STS API calls with AWS CloudTrail*)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_xacct.access.denied import Denial

__all__ = ["AssumeRoleCall", "read_event"]

_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
# what CloudTrail writes in the place of a value it does not show
_HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumeRoleCall:
    """One call, as the account whose history was read sees it; what was not recorded is empty.

    :param caller_arn: empty in the history of the role's account when the caller is of another one.
    :param caller_id: the caller's unique id, ``AIDA...`` for a user, ``AROA...:session`` for a role; recorded in both.
    :param parameters_recorded: whether session name, External ID and tags were written down at all; of a denied call
        they may not be.
    :param tags: session tags, the ones inherited through a chain included.
    :param access_key_id: of the session that was handed out; it is in every later event of that session.
    """

    time: datetime
    region: str
    role_arn: str
    session_name: str = ""
    caller_arn: str = ""
    caller_account: str = ""
    caller_id: str = ""
    parameters_recorded: bool = True
    external_id: str | None = None
    source_identity: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    access_key_id: str = ""
    source_ip: str = ""
    user_agent: str = ""
    error_code: str = ""
    error_message: str = ""
    event_id: str = ""
    shared_event_id: str = ""

    @property
    def denied(self) -> bool:
        """Whether STS refused the caller; other errors are mistakes in the call."""
        return self.error_code in _DENIED

    @property
    def session_arn(self) -> str:
        """The ARN of the session; empty when its name was not recorded."""
        if not self.session_name:
            return ""
        _, partition, _, _, account, resource = self.role_arn.split(":", 5)
        return f"arn:{partition}:sts::{account}:assumed-role/{resource.rsplit('/', 1)[-1]}/{self.session_name}"

    @property
    def external_id_hidden(self) -> bool:
        """Whether there was an External ID that CloudTrail does not show."""
        return self.external_id == _HIDDEN


def read_event(event: Mapping[str, Any]) -> AssumeRoleCall | None:
    """Read one of LookupEvents' ``Events``.

    :return: ``None`` for an event that is no AssumeRole, or that names no role.
    :raises ValueError: it is not in the form that CloudTrail documents.
    """
    try:
        document = json.loads(event["CloudTrailEvent"])
        if document["eventName"] != "AssumeRole":
            return None
        return _read(document)
    except (AttributeError, KeyError, TypeError, RecursionError) as exc:
        raise ValueError(f"not an event of CloudTrail's form: {exc!r}") from exc


def _read(document: Mapping[str, Any]) -> AssumeRoleCall | None:
    asked: Mapping[str, Any] = document.get("requestParameters") or {}
    answered: Mapping[str, Any] = document.get("responseElements") or {}
    user: Mapping[str, Any] = document.get("userIdentity") or {}
    message = _text(document, "errorMessage")
    # a denied call may have no parameters: then the role is in AWS's sentence alone
    role_arn = _text(asked, "roleArn") or Denial.parse(message).resource
    if role_arn.count(":") < 5:
        return None
    return AssumeRoleCall(
        time=datetime.fromisoformat(document["eventTime"]).astimezone(UTC),
        region=_text(document, "awsRegion"),
        role_arn=role_arn,
        session_name=_text(asked, "roleSessionName"),
        caller_arn=_text(user, "arn"),
        caller_account=_text(user, "accountId"),
        caller_id=_text(user, "principalId") or _text(user, "invokedBy"),
        parameters_recorded=bool(asked),
        external_id=_text(asked, "externalId") or None,
        source_identity=_text(asked, "sourceIdentity") or _text(answered, "sourceIdentity"),
        tags=_tags(asked),
        access_key_id=_text(answered.get("credentials") or {}, "accessKeyId"),
        source_ip=_text(document, "sourceIPAddress"),
        user_agent=_text(document, "userAgent"),
        error_code=_text(document, "errorCode"),
        error_message=message,
        event_id=_text(document, "eventID"),
        shared_event_id=_text(document, "sharedEventID"),
    )


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return "" if value is None else str(value)


def _tags(asked: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    inherited = asked.get("incomingTransitiveTags") or {}
    given = {str(tag["key"]): str(tag["value"]) for tag in asked.get("tags") or []}
    return tuple(sorted({**{str(key): str(value) for key, value in inherited.items()}, **given}.items()))
