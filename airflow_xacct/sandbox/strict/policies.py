"""Policy documents: parsing and matching of their statements (AWS: *IAM JSON policy elements reference*)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_xacct.sandbox.strict.conditions import conditions_hold
from airflow_xacct.sandbox.strict.patterns import action_matches, matches

__all__ = ["Ask", "Statement", "names_directly", "names_principal", "statements"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to the policies: may this principal do this action on this resource, in this context?

    Context keys are lower case; a key that is absent from the request is absent from the mapping.
    """

    principal_arn: str
    principal_account: str
    action: str
    resource: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy document, its lists made lists."""

    effect: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    conditions: Mapping[str, Any]
    principal: Any = None
    not_principal: Any = None

    def applies(self, ask: Ask) -> bool:
        """Whether action, resource and conditions fit; the principal is looked at by who knows the policy's kind."""
        return (
            self._action_fits(ask.action)
            and self._resource_fits(ask.resource, ask.context)
            and conditions_hold(self.conditions, ask.context)
        )

    def _action_fits(self, action: str) -> bool:
        if self.actions:
            return any(action_matches(pattern, action) for pattern in self.actions)
        return not any(action_matches(pattern, action) for pattern in self.not_actions)

    def _resource_fits(self, resource: str, context: Mapping[str, Any]) -> bool:
        if self.resources:
            return any(matches(p, resource, context) for p in self.resources)
        # a trust policy names no resource: the role is the resource
        return not any(matches(p, resource, context) for p in self.not_resources)


def _strings(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value)


def statements(document: str | Mapping[str, Any] | None) -> tuple[Statement, ...]:
    """The statements of a policy document; none for no document.

    A document that is not JSON grants nothing, since AWS would not have stored it.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return ()
    if not isinstance(document, Mapping):
        return ()
    listed = document.get("Statement", [])
    return tuple(
        Statement(
            effect=str(item.get("Effect", "")),
            actions=_strings(item.get("Action")),
            not_actions=_strings(item.get("NotAction")),
            resources=_strings(item.get("Resource")),
            not_resources=_strings(item.get("NotResource")),
            conditions=item.get("Condition") or {},
            principal=item.get("Principal"),
            not_principal=item.get("NotPrincipal"),
        )
        for item in ([listed] if isinstance(listed, Mapping) else listed)
    )


_ACCOUNT = re.compile(r"(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/(?:.*/)?([^/]+)")
_SESSION = re.compile(r"arn:aws[a-z-]*:sts::(\d{12}):assumed-role/([^/]+)/.+")


def _named(principal: Any) -> Iterable[str]:
    if isinstance(principal, str):
        return (principal,)
    return _strings(principal.get("AWS")) if isinstance(principal, Mapping) else ()


def _is_role_of(name: str, caller_arn: str) -> bool:
    role, session = _ROLE.fullmatch(name), _SESSION.fullmatch(caller_arn)
    return role is not None and session is not None and role.groups() == session.groups()


def names_principal(statement: Statement, ask: Ask, *, account_counts: bool = True) -> bool:
    """Whether a statement's ``Principal`` names the caller (AWS: *AWS JSON policy elements: Principal*).

    :param account_counts: whether naming the caller's whole account is enough.
    """
    if statement.not_principal is not None:
        return not _fits(statement.not_principal, ask, account_counts=True)
    return _fits(statement.principal, ask, account_counts=account_counts)


def _fits(principal: Any, ask: Ask, *, account_counts: bool) -> bool:
    for name in _named(principal):
        account = _ACCOUNT.fullmatch(name)
        if name in ("*", ask.principal_arn) or _is_role_of(name, ask.principal_arn):
            return True
        if account_counts and account is not None and account.group(1) == ask.principal_account:
            return True
    return False


def names_directly(statement: Statement, ask: Ask) -> bool:
    """Whether it names the very user or session, or everybody: such a grant is not narrowed by session policies.

    A grant to a role's ARN is narrowed; one to its session's ARN, or to ``*`` with a condition on
    ``aws:PrincipalArn``, is not (AWS: *Session policies*, *Policy evaluation logic*).
    """
    return any(name in ("*", ask.principal_arn) for name in _named(statement.principal))
