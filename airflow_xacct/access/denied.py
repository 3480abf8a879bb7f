"""Access denied: what AWS's text says, and what is likely missing, in whose account.

The texts follow AWS: *Troubleshoot access denied error messages* (IAM User Guide). Across accounts, and for a wrong
expected owner, AWS leaves the reason out; then all that can be said is what usually causes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_xacct.access.context import RefusalContext
from airflow_xacct.exceptions import AccessDeniedError, AssumeRoleError

__all__ = ["Denial", "assume_role_denied", "denied"]

_TEXT = re.compile(
    r"(?:User: (?P<user>\S+) )?is not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"(?: on resource: \"?(?P<resource>arn:[^\s\"]+|\*)\"?)?"
    r"(?:.*?(?P<verdict>because no|with an explicit deny in an?) (?P<kind>[\w -]+?)(?: polic(?:y|ies))?"
    r"(?: allows? .*|[.:]?\s*)$)?",
    re.DOTALL,
)
_KINDS = {
    "identity-based": "identity-based policy",
    "session": "session policy",
    "resource-based": "resource-based policy",
    "role trust": "role trust policy",
    "service control": "service control policy",
    "resource control": "resource control policy",
    "VPC endpoint": "VPC endpoint policy",
    "permissions boundary": "permissions boundary",
}
_SESSION_ACTIONS = ("sts:TagSession", "sts:SetSourceIdentity")


@dataclass(frozen=True, slots=True)
class Denial:
    """What an access denied text says; empty where it does not.

    :param explicit: a Deny decided, not a missing Allow.
    """

    user: str = ""
    action: str = ""
    resource: str = ""
    policy_kind: str = ""
    explicit: bool = False

    @classmethod
    def parse(cls, message: str) -> Denial:
        """Take AWS's sentence apart."""
        match = _TEXT.search(message)
        if match is None:
            return cls()
        found = match["kind"] or ""
        return cls(
            user=match["user"] or "",
            action=match["action"],
            resource=match["resource"] or "",
            policy_kind=_KINDS.get(found, found),
            explicit=(match["verdict"] or "").startswith("with"),
        )


def assume_role_denied(message: str, to: RefusalContext) -> AssumeRoleError:
    """STS refused the role: one text for a wrong External ID, a foreign trust policy, no role and no permission."""
    said = Denial.parse(message)
    who = said.user or to.source
    if said.action in _SESSION_ACTIONS:
        remedy = (
            f"Allow {said.action} beside sts:AssumeRole, in the policy of {who} and in the trust policy of the role "
            f"(account {to.role_account})."
        )
    else:
        named = f"AWS names the {said.policy_kind}. " if said.policy_kind else ""
        sent = f"which ends in {to.external_id[-4:]!r}" if to.external_id else "and none was sent"
        remedy = (
            f"{named}AWS gives the same answer to all of these. In account {to.role_account}: the role does not exist; "
            f"its trust policy does not name {who}; or its condition sts:ExternalId is not our External ID, {sent}. "
            f"In the account of {who}: no policy allows sts:AssumeRole on {to.role_arn}."
        )
    return AssumeRoleError(f"STS refused the role to {who}", where=to.where, remedy=remedy)


def denied(message: str, to: RefusalContext, *, action: str = "", resource: str = "") -> AccessDeniedError:
    """A service refused an action to the assumed role.

    :param action: the IAM action that was asked for, where AWS does not repeat it.
    :param resource: what it was asked for, where AWS does not repeat it.
    """
    said = Denial.parse(message)
    action = said.action or action
    resource = said.resource or resource
    by = f" by an explicit Deny in a {said.policy_kind}" if said.explicit and said.policy_kind else ""
    return AccessDeniedError(
        f"{action or 'the request'} was denied{by}",
        where=to.at(resource),
        remedy=_remedy(action, resource, said, to),
        action=action,
        resource=resource,
        policy_kind=said.policy_kind,
    )


def _remedy(action: str, resource: str, said: Denial, to: RefusalContext) -> str:
    allow = f"an Allow of {action or 'the action'}" + (f" on {resource}" if resource.startswith("arn:") else "")
    change = "remove or narrow that Deny" if said.explicit else f"add {allow}"
    role, bucket = f"account {to.role_account}", f"account {to.bucket_owner}"
    if action.startswith("kms:"):
        return (
            f"In the account of the KMS key: allow {action} to {to.role_arn} in the key policy. In {role}: allow it in "
            "the role's own policy. Multipart uploads need kms:GenerateDataKey and kms:Decrypt."
        )
    by_kind = {
        "identity-based policy": f"In {role}: {change} in a policy of the role.",
        "resource-based policy": f"In {bucket}: {change} in the bucket policy.",
        "session policy": "The session was narrowed when the role was assumed: the task does more than it asked for.",
        "permissions boundary": f"In {role}: the permissions boundary of the role must allow it too.",
        "service control policy": f"The organisation of {role} must change its service control policy.",
        "resource control policy": f"The organisation of {bucket} must change its resource control policy.",
        "VPC endpoint policy": "In the account of the workers' network: the VPC endpoint's policy must allow it.",
    }
    hint = by_kind.get(said.policy_kind) or (
        f"AWS does not say why. In {role}: the role's policy lacks {allow}, or the key is outside what it allows. "
        f"In {bucket}: this account does not own the bucket (it is sent as the expected owner), the bucket's policy "
        "denies, or its KMS key does not admit the role."
    )
    if action == "s3:PutObjectTagging":
        hint += " Only deliveries with tags need s3:PutObjectTagging: leave tags out to do without."
    return hint
