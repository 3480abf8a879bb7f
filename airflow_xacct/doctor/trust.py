"""The trust policy itself, read with the eyes of B's owner: STS gives one answer to all that can be wrong with it.

AWS: *AWS JSON policy elements: Principal*, *How to use an external ID when granting access to third parties*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Remedy
from airflow_xacct.doctor.reasons import in_a, in_b, principal_of

__all__ = ["TrustView", "judge_trust"]

_ASSUME = frozenset({"sts:assumerole", "sts:assume*", "sts:*", "*"})
_NO_ROLE = "NoSuchEntity"


@dataclass(frozen=True, slots=True)
class TrustView:
    """What the trust policy says about us.

    :param requires_external_id: each statement that lets us in asks for our External ID.
    :param remedies: why the role was refused, as far as the trust policy tells; never empty.
    """

    evidence: str
    requires_external_id: bool
    remedies: tuple[Remedy, ...]


def judge_trust(facts: Facts) -> TrustView | None:
    """Read the trust policy; ``None`` where nobody may look."""
    owner, role = facts.owner, facts.destination.role
    if owner is None or owner.account != role.account:
        return None
    answer = owner.ask("iam", lambda client: client.get_role(RoleName=role.name))
    if answer.code == _NO_ROLE:
        text = f"create the role {role.name}, or tell A its right ARN."
        return TrustView(f"There is no role {role.name} in account {role.account}.", False, (in_b(facts, text),))
    document = answer.data.get("Role", {}).get("AssumeRolePolicyDocument")
    if not isinstance(document, Mapping):
        return None
    return _judge(facts, document)


def _judge(facts: Facts, document: Mapping[str, Any]) -> TrustView:
    principal = principal_of(str(facts.identity.data.get("Arn", "")))
    allows = [one for one in _many(document.get("Statement")) if _lets_in(one, principal)]
    if not allows:
        text = f"name {principal} as a principal in the trust policy of {facts.destination.role}."
        evidence = f"Its trust policy does not name {principal}."
        return TrustView(evidence, False, (in_b(facts, text),))
    asked = [_external_ids(one) for one in allows]
    if not all(asked):
        evidence = "The trust policy lets A in without an External ID."
        text = "add the condition StringEquals sts:ExternalId to each statement of the trust policy that allows A."
        return TrustView(evidence, False, (in_b(facts, text),))
    known = facts.destination.external_id or ""
    if not any(known in ids for ids in asked):
        evidence = f"Its trust policy names {principal}, and asks for another External ID."
        texts = (
            in_a(facts, f"set the extra external_id to what the trust policy asks for, not the one {_shown(facts)}."),
            in_b(facts, "or change the condition sts:ExternalId to A's, if A made a new one."),
        )
        return TrustView(evidence, False, texts)
    evidence = f"The trust policy names {principal} and requires our External ID."
    text = f"allow sts:AssumeRole on {facts.destination.role} in a policy of {principal}: the trust policy is right."
    return TrustView(evidence, True, (in_a(facts, text),))


def _shown(facts: Facts) -> str:
    return facts.external_id_shown if facts.destination.external_id else "that was left out"


def _lets_in(statement: Mapping[str, Any], principal: str) -> bool:
    actions = {str(action).lower() for action in _many(statement.get("Action"))}
    if statement.get("Effect") != "Allow" or not actions & _ASSUME:
        return False
    named = statement.get("Principal")
    names = _many(named.get("AWS") if isinstance(named, Mapping) else named)
    account = principal.split(":")[4] if principal.count(":") > 4 else ""
    # a role's path is not in the ARN of its session, so names are compared by their last part
    return any(
        name in ("*", account, principal)
        or name.endswith(f"::{account}:root")
        or (f"::{account}:role/" in name and ":role/" in principal and name.split("/")[-1] == principal.split("/")[-1])
        for name in map(str, names)
    )


def _external_ids(statement: Mapping[str, Any]) -> set[str]:
    """The External IDs a statement takes; none when it asks for none."""
    conditions = statement.get("Condition") or {}
    for operator in ("StringEquals", "ForAnyValue:StringEquals"):
        for key, values in (conditions.get(operator) or {}).items():
            if key.lower() == "sts:externalid":
                return {str(value) for value in _many(values)}
    return set()


def _many(value: Any) -> Iterable[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
