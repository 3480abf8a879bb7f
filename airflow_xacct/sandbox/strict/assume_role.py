"""AssumeRole, decided and carried out here (AWS: *AssumeRole*).

ministack knows neither the limits of a duration, nor source identities, nor the inheritance of tags through a chain.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from airflow_xacct.sandbox.records import AssumeRoleEvent
from airflow_xacct.sandbox.store import Record, Store
from airflow_xacct.sandbox.strict.answers import STS_NAMESPACE, Refusal, element, request_id, xml_document
from airflow_xacct.sandbox.strict.assume_role_input import AssumeRoleInput
from airflow_xacct.sandbox.strict.decisions import decide, denial
from airflow_xacct.sandbox.strict.principals import EXPIRES_AT, Caller
from airflow_xacct.sandbox.strict.s3_actions import global_context
from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["AssumeRoleRules"]

_CHAIN_LIMIT_SECONDS = 3600
# ministack drops a session by its own clock; ours decides, so that one is set out of the way
_FAR_SECONDS = 10 * 365 * 86400
_PACKED_LIMIT_CHARS = 4096


@dataclass(frozen=True, slots=True)
class _Inherited:
    """What a session passes on to the next role of a chain (AWS: *Pass session tags in AWS STS*, "Chaining")."""

    source_identity: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, caller: Caller) -> _Inherited:
        """What the session of a caller passes on; nothing when it is a user."""
        transitive = {key.lower() for key in caller.record.get("TransitiveTagKeys", [])}
        tags = {
            tag["Key"]: tag["Value"]
            for tag in caller.record.get("SessionTags") or []
            if tag["Key"].lower() in transitive
        }
        return cls(str(caller.record.get("SourceIdentity", "")), tags)


class AssumeRoleRules:
    """Hands out sessions.

    :param clock: seconds since the epoch.
    :param log: told of every call, granted or not.
    """

    def __init__(self, store: Store, clock: Callable[[], float], log: Callable[[AssumeRoleEvent], None]) -> None:
        self._store = store
        self._clock = clock
        self._log = log

    def answer(self, request: Request, caller: Caller) -> Response:
        """Grant a session, or refuse it; either way it is logged.

        :raises Refusal: as STS would.
        """
        form = dict(parse_qsl(request.body.decode("utf-8"), keep_blank_values=True)) or {
            name: values[0] for name, values in request.query.items()
        }
        asked = AssumeRoleInput.parse(form)
        inherited = _Inherited.of(caller)
        try:
            asked.validate()
            self._check_conflicts(asked, inherited)
            policies = self._session_policies(form, asked)
            role = self._permitted_role(request, caller, asked, inherited)
            self._check_duration(caller, asked, role)
        except Refusal as refusal:
            self._record(caller, asked, inherited, refusal)
            raise
        self._record(caller, asked, inherited, None)
        return self._grant(caller, asked, inherited, role, policies)

    def _record(self, caller: Caller, asked: AssumeRoleInput, inherited: _Inherited, refusal: Refusal | None) -> None:
        self._log(
            AssumeRoleEvent(
                time=datetime.fromtimestamp(self._clock(), UTC),
                source_identity_arn=caller.arn,
                role_arn=asked.role_arn,
                session_name=asked.session_name,
                source_identity=asked.source_identity or inherited.source_identity,
                tags={**inherited.tags, **asked.tags},
                external_id_given=asked.external_id is not None,
                granted=refusal is None,
                error="" if refusal is None else f"{refusal.code}: {refusal.message}",
                duration_seconds=asked.duration_seconds,
                session_policy=asked.policy,
            )
        )

    @staticmethod
    def _check_conflicts(asked: AssumeRoleInput, inherited: _Inherited) -> None:
        """What a chain carries on cannot be changed on the way."""
        if {key.lower() for key in asked.tags} & {key.lower() for key in inherited.tags}:
            text = (
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag "
                "key from the calling session."
            )
            raise Refusal(400, "InvalidParameterValue", text)
        if asked.source_identity and inherited.source_identity not in ("", asked.source_identity):
            text = "The source identity of a session cannot be changed by role chaining."
            raise Refusal(400, "ValidationError", text)

    def _session_policies(self, form: Mapping[str, str], asked: AssumeRoleInput) -> Record | None:
        policies = self._store.session_policies(asked.role_arn.split(":")[4], form)
        if len(asked.policy) + sum(len(k) + len(v) for k, v in asked.tags.items()) > _PACKED_LIMIT_CHARS:
            text = "Packed size of the session policies and session tags exceeds the limit."
            raise Refusal(400, "PackedPolicyTooLarge", text)
        return policies

    def _permitted_role(
        self, request: Request, caller: Caller, asked: AssumeRoleInput, inherited: _Inherited
    ) -> Record:
        """The role, if its trust policy and the caller's own policies allow every action the call needs."""
        if caller.root:
            raise Refusal(403, "AccessDenied", "Roles may not be assumed by root accounts.")
        owner = asked.role_arn.split(":")[4]
        name = asked.role_arn.rsplit("/", 1)[-1]
        role = self._store.role(owner, name)
        if role is None or role["Arn"] != asked.role_arn:
            # the same words as for a role that does not trust the caller: nobody learns which roles exist
            text = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {asked.role_arn}"
            raise Refusal(403, "AccessDenied", text)
        actions = ["sts:AssumeRole"]
        if asked.tags or inherited.tags:
            actions.append("sts:TagSession")
        if asked.source_identity or inherited.source_identity:
            actions.append("sts:SetSourceIdentity")
        context = self._context(request, owner, asked, inherited)
        for action in actions:
            verdict = decide(
                caller,
                action,
                asked.role_arn,
                context,
                owner=owner,
                policy=role["AssumeRolePolicyDocument"],
                policy_required=True,
            )
            if not verdict.allowed:
                raise denial(verdict, caller, action, asked.role_arn, owner=owner, quoted=False)
        return role

    @staticmethod
    def _context(request: Request, owner: str, asked: AssumeRoleInput, inherited: _Inherited) -> dict[str, Any]:
        context = {**global_context(request, owner), "sts:rolesessionname": asked.session_name}
        if asked.external_id is not None:
            context["sts:externalid"] = asked.external_id
        if source := asked.source_identity or inherited.source_identity:
            context["sts:sourceidentity"] = source
        if tags := {**inherited.tags, **asked.tags}:
            context["aws:tagkeys"] = list(tags)
            context |= {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()}
        if asked.transitive_tag_keys or inherited.tags:
            context["sts:transitivetagkeys"] = [*asked.transitive_tag_keys, *inherited.tags]
        return context

    @staticmethod
    def _check_duration(caller: Caller, asked: AssumeRoleInput, role: Record) -> None:
        if caller.kind == "AssumedRole" and asked.duration_seconds > _CHAIN_LIMIT_SECONDS:
            text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
            raise Refusal(400, "ValidationError", text)
        if asked.duration_seconds > int(role.get("MaxSessionDuration", 3600)):
            text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            raise Refusal(400, "ValidationError", text)

    def _grant(
        self, caller: Caller, asked: AssumeRoleInput, inherited: _Inherited, role: Record, policies: Record | None
    ) -> Response:
        now = self._clock()
        partition, account = asked.role_arn.split(":")[1], asked.role_arn.split(":")[4]
        key, secret, token = self._store.new_credentials()
        session = {
            "Arn": f"arn:{partition}:sts::{account}:assumed-role/{role['RoleName']}/{asked.session_name}",
            "UserId": f"{role['RoleId']}:{asked.session_name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": time.time() + _FAR_SECONDS,
            EXPIRES_AT: now + asked.duration_seconds,
            "IssuedAt": now,
            "AccountId": account,
            "PrincipalType": "AssumedRole",
            "SourceAccessKeyId": caller.access_key_id,
            "SourcePrincipalArn": caller.arn,
            "SessionTags": [{"Key": k, "Value": v} for k, v in {**inherited.tags, **asked.tags}.items()],
            "TransitiveTagKeys": [*asked.transitive_tag_keys, *inherited.tags],
            "SourceIdentity": asked.source_identity or inherited.source_identity,
            "SessionPolicies": policies,
        }
        self._store.sessions[key] = session
        return _granted(key, session, asked.policy)


def _granted(key: str, session: Record, policy: str) -> Response:
    """The answer that hands out a session."""
    ends = datetime.fromtimestamp(session[EXPIRES_AT], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = (
        element("AccessKeyId", key)
        + element("SecretAccessKey", session["SecretAccessKey"])
        + element("SessionToken", session["SessionToken"])
        + element("Expiration", ends)
    )
    user = element("AssumedRoleId", session["UserId"]) + element("Arn", session["Arn"])
    result = f"<Credentials>{credentials}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"
    filled = len(policy) + sum(len(tag["Key"]) + len(tag["Value"]) for tag in session["SessionTags"])
    if filled:
        result += element("PackedPolicySize", str(math.ceil(100 * filled / _PACKED_LIMIT_CHARS)))
    if session["SourceIdentity"]:
        result += element("SourceIdentity", session["SourceIdentity"])
    metadata = f"<ResponseMetadata>{element('RequestId', request_id())}</ResponseMetadata>"
    return xml_document(
        f'<AssumeRoleResponse xmlns="{STS_NAMESPACE}"><AssumeRoleResult>{result}</AssumeRoleResult>'
        f"{metadata}</AssumeRoleResponse>"
    )
