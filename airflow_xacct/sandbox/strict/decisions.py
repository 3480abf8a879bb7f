"""The verdict over all policies that speak about a request (AWS: *Policy evaluation logic*)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_xacct.sandbox.strict.answers import Refusal
from airflow_xacct.sandbox.strict.policies import Ask, Statement, names_directly, names_principal, statements
from airflow_xacct.sandbox.strict.principals import Caller

__all__ = ["Verdict", "decide", "denial"]

PolicyKind = Literal["identity-based policy", "resource-based policy", "session policy", "permissions boundary"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is allowed; if not, the kind of policy that decided and whether it said Deny."""

    allowed: bool
    kind: PolicyKind = "identity-based policy"
    explicit: bool = False


def _any(effect: str, policies: Iterable[Statement] | None, ask: Ask) -> bool:
    return any(statement.effect == effect and statement.applies(ask) for statement in policies or ())


def decide(
    caller: Caller,
    action: str,
    resource: str,
    context: Mapping[str, Any],
    *,
    owner: str,
    policy: str | Mapping[str, Any] | None,
    policy_required: bool = False,
) -> Verdict:
    """Whether ``caller`` may do ``action`` on a resource of account ``owner``.

    :param policy: the resource's own policy: bucket policy, key policy or trust policy.
    :param policy_required: the owner's own identities need it too, as with a KMS key and with a role's trust policy.
    """
    ask = Ask(caller.arn, caller.account, action, resource, {**caller.context, **context})
    own = [s for s in statements(policy) if names_principal(s, ask)]
    explicit: tuple[tuple[PolicyKind, Iterable[Statement] | None], ...] = (
        ("identity-based policy", caller.identity),
        ("resource-based policy", own),
        ("session policy", caller.session),
        ("permissions boundary", caller.boundary),
    )
    for kind, policies in explicit:
        if _any("Deny", policies, ask):
            return Verdict(allowed=False, kind=kind, explicit=True)
    granted = [s for s in own if s.effect == "Allow" and s.applies(ask)]
    if caller.root and caller.account == owner:
        return Verdict(allowed=True)
    if caller.account == owner and caller.account:
        return _same_account(caller, ask, granted, policy_required=policy_required)
    return _other_account(caller, ask, granted)


def _within_limits(caller: Caller, ask: Ask) -> Verdict:
    if caller.boundary is not None and not _any("Allow", caller.boundary, ask):
        return Verdict(allowed=False, kind="permissions boundary")
    if caller.session is not None and not _any("Allow", caller.session, ask):
        return Verdict(allowed=False, kind="session policy")
    return Verdict(allowed=True)


def _same_account(caller: Caller, ask: Ask, granted: list[Statement], *, policy_required: bool) -> Verdict:
    """Either side's Allow is enough, except that a grant to the whole account only lets its own policies decide."""
    if any(names_directly(statement, ask) for statement in granted):
        return Verdict(allowed=True)
    by_resource = any(names_principal(statement, ask, account_counts=False) for statement in granted)
    by_identity = _any("Allow", caller.identity, ask)
    if policy_required and not granted:
        return Verdict(allowed=False, kind="resource-based policy")
    if not (by_resource or by_identity):
        return Verdict(allowed=False)
    return _within_limits(caller, ask)


def _other_account(caller: Caller, ask: Ask, granted: list[Statement]) -> Verdict:
    """Both accounts must allow (AWS: *Cross-account policy evaluation logic*)."""
    if not granted:
        return Verdict(allowed=False, kind="resource-based policy")
    if not caller.account or caller.root:
        return Verdict(allowed=True)
    if not _any("Allow", caller.identity, ask):
        return Verdict(allowed=False)
    return _within_limits(caller, ask)


def denial(verdict: Verdict, caller: Caller, action: str, resource: str, *, owner: str, quoted: bool) -> Refusal:
    """The refusal in AWS's words (AWS: *Troubleshoot access denied error messages*).

    The reason is told inside one account only: a caller from outside learns no more than "Access Denied".

    :param quoted: S3 puts the resource in quotation marks, STS does not.
    """
    if caller.account != owner and quoted:
        return Refusal(403, "AccessDenied", "Access Denied")
    place = f'"{resource}"' if quoted else resource
    text = f"User: {caller.arn} is not authorized to perform: {action} on resource: {place}"
    if caller.account != owner:
        return Refusal(403, "AccessDenied", text)
    article = "an" if verdict.kind[0] in "aeiou" else "a"
    if verdict.explicit:
        text += f" with an explicit deny in {article} {verdict.kind}"
    elif verdict.kind == "permissions boundary":
        text += f" because no permissions boundary allows the {action} action"
    else:
        text += f" because no {verdict.kind} allows the {action} action"
    return Refusal(403, "AccessDenied", text)
