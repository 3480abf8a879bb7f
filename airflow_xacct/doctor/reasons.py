"""Whose policy refused, and so who has to act.

AWS: *Troubleshoot access denied error messages*, *Policy evaluation logic*. The remedies themselves are those of
:mod:`airflow_xacct.access.denied`; here each gets its addressee.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Owner, Remedy

__all__ = ["in_a", "in_b", "in_bucket_owner", "principal_of", "refusal_of_role", "refusal_of_s3", "why"]

_IDENTITY, _BOUNDARY = "identity-based policy", "permissions boundary"
_SESSION, _VPC = "session policy", "VPC endpoint policy"
_RESOURCE, _TRUST = "resource-based policy", "role trust policy"
# what AWS calls a resource-based policy has a name of its own with each service
_OWN_NAMES = {"kms": "key policy", "s3": "bucket policy", "sts": "role trust policy"}
_SCP, _RCP = "service control policy", "resource control policy"


@dataclass(frozen=True, slots=True)
class _Addressee:
    """Who owns a kind of policy, and what to do with it; ``{change}`` is the change of that policy."""

    place: str
    text: str


# of S3 and KMS requests, which the role makes: "role" is B's account of the role, "resource" that of bucket or key
_OF_REQUESTS = {
    _IDENTITY: _Addressee("role", "{change} in a policy of the role {role}."),
    _BOUNDARY: _Addressee("role", "the permissions boundary of the role {role} must allow {action} too."),
    _SESSION: _Addressee("a", "{change} in the extra session_policy, or set it to auto."),
    _RESOURCE: _Addressee("resource", "{change} in the {policy}."),
    _SCP: _Addressee(
        "role", "the organisation of this account must let {action} through its service control policies."
    ),
    _RCP: _Addressee(
        "resource", "the organisation of this account must let {action} through its resource control policies."
    ),
    _VPC: _Addressee("a", "the policy of the VPC endpoint that the workers use must allow {action} on {resource}."),
}
# of AssumeRole, which the source makes: its own policies are A's, the role is the resource
_OF_ASSUME_ROLE = {
    _IDENTITY: _Addressee("a", "{change} in a policy of {who}."),
    _BOUNDARY: _Addressee("a", "the permissions boundary of {who} must allow {action} too."),
    _SESSION: _Addressee("a", "the session of {who} was narrowed when it was made, and must allow {action} too."),
    _RESOURCE: _Addressee("role", "{change} in the trust policy of the role {role}."),
    _TRUST: _Addressee("role", "{change} in the trust policy of the role {role}."),
    _SCP: _Addressee("a", "the organisation of this account must let {action} through its service control policies."),
    _RCP: _Addressee(
        "role", "the organisation of this account must let {action} through its resource control policies."
    ),
    _VPC: _Addressee("a", "the policy of the VPC endpoint for STS must allow {action} on {resource}."),
}


def in_a(facts: Facts, text: str) -> Remedy:
    """For the owner of Account A."""
    return Remedy("A", facts.source_account, text)


def in_b(facts: Facts, text: str) -> Remedy:
    """For the owner of the role."""
    return Remedy("B", facts.role_account, text)


def in_bucket_owner(facts: Facts, text: str) -> Remedy:
    """For the owner of the bucket, who may be another than the role's."""
    return Remedy("B", facts.destination.bucket_owner, text)


def why(answer: Answer) -> str:
    """The kind of policy that decided, as far as AWS says it; empty where it does not."""
    said = answer.denial
    kind = (
        _OWN_NAMES.get(said.action.split(":")[0], said.policy_kind)
        if said.policy_kind == _RESOURCE
        else said.policy_kind
    )
    if not kind:
        return ""
    article = "an" if kind.startswith("i") else "a"
    return f"by an explicit Deny in {article} {kind}" if said.explicit else f"since no {kind} allows it"


def refusal_of_s3(facts: Facts, answer: Answer, action: str, resource: str) -> tuple[Remedy, ...]:
    """Who must do what so that S3 (or KMS on its behalf) allows an action to the role.

    :param action: what was asked for; several in words.
    :param resource: what it must be allowed on. Of a KMS key AWS tells the ARN, if it tells anything.
    """
    said = answer.denial
    is_kms = action.startswith("kms:")
    resource = (said.resource if is_kms else "") or resource
    known = _OF_REQUESTS.get(said.policy_kind)
    change = _change(said.explicit, action, resource)
    if known is None:
        return _s3_without_reason(facts, action, change, is_kms=is_kms)
    policy = "key policy" if is_kms else "bucket policy"
    text = known.text.format(
        change=change, action=action, resource=resource, policy=policy, role=facts.destination.role
    )
    owner = _owner_of(resource) if is_kms else facts.destination.bucket_owner
    return (_addressed(facts, known.place, text, owner or facts.destination.bucket_owner),)


def refusal_of_role(facts: Facts, answer: Answer) -> tuple[Remedy, ...]:
    """Who must do what so that STS hands out the role: each owner's part, where AWS does not say which it is."""
    said = answer.denial
    role = facts.destination.role
    action = said.action or "sts:AssumeRole"
    who = str(facts.identity.data.get("Arn", "")) or facts.access.source.description
    known = _OF_ASSUME_ROLE.get(said.policy_kind)
    if known is not None:
        text = known.text.format(
            change=_change(said.explicit, action, str(role)), action=action, resource=role, role=role, who=who
        )
        return (_addressed(facts, known.place, text, role.account),)
    principal = principal_of(who)
    if action != "sts:AssumeRole":
        return (
            in_b(facts, f"allow {action} beside sts:AssumeRole in the trust policy of {role}, to {principal}."),
            in_a(facts, f"allow {action} on {role} in a policy of {principal}."),
        )
    if facts.destination.external_id is None:
        theirs = "it may ask for an External ID, and the connection sends none: set the extra external_id to B's."
        condition = "say which External ID its condition sts:ExternalId asks for"
    else:
        theirs = f"compare the External ID {facts.external_id_shown} and the extra role_arn with what B gave you."
        condition = f"its condition sts:ExternalId must be our External ID, {facts.external_id_shown}"
    return (
        in_b(facts, f"the role {role} must exist; its trust policy must name {principal}; and {condition}."),
        in_a(facts, f"{theirs} Also allow sts:AssumeRole on {role} in a policy of {principal}."),
    )


def _s3_without_reason(facts: Facts, action: str, change: str, *, is_kms: bool) -> tuple[Remedy, ...]:
    """AWS leaves the reason out across accounts, so each owner has a part to look at."""
    role = facts.destination.role
    if is_kms:
        return (
            in_bucket_owner(facts, f"the policy of the KMS key must allow {action} to {role} (the key's owner)."),
            in_b(facts, f"a policy of the role {role} must allow {action} on the key too."),
        )
    return (
        in_bucket_owner(facts, f"the bucket policy must allow {action} to {role}, and none of its Denies may apply."),
        in_b(facts, f"{change} in a policy of the role {role}."),
    )


def _addressed(facts: Facts, place: str, text: str, resource_owner: str) -> Remedy:
    if place == "a":
        return in_a(facts, text)
    account = facts.role_account if place == "role" else resource_owner
    owner: Owner = "B"
    return Remedy(owner, account, text)


def _change(explicit: bool, action: str, resource: str) -> str:
    """The change of the policy that decided."""
    where = f" on {resource}" if resource.startswith("arn:") else ""
    return f"remove or narrow the Deny of {action}{where}" if explicit else f"allow {action}{where}"


def _owner_of(arn: str) -> str:
    """The account in an ARN; empty for none."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""


def principal_of(who: str) -> str:
    """The principal a trust policy names: of a session, the role behind it (AWS: *AWS JSON policy elements:
    Principal*). The role's path is not in the session's ARN.
    """
    parts = who.split(":")
    if len(parts) > 5 and parts[5].startswith("assumed-role/"):
        return f"{':'.join([*parts[:2], 'iam', *parts[3:5]])}:role/{parts[5].split('/')[1]}"
    return who
