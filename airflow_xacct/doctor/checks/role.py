"""The role: handed out, as asked, guarded by its External ID."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from airflow_xacct.destination.readers import OFF
from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding
from airflow_xacct.doctor.reasons import in_a, in_b, refusal_of_role, why
from airflow_xacct.doctor.trust import judge_trust
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = [
    "Account",
    "Duration",
    "ExternalId",
    "ExternalIdRequired",
    "Role",
    "SessionPolicy",
    "SessionTags",
    "SourceIdentitySet",
]

# STS and we read the clock at different moments
_TOLERANCE_SECONDS = 60


class Role(Check):
    """AssumeRole, as a task does it."""

    id = "role"
    title = "The role can be assumed"
    proves = "The role exists, trusts whoever asks, accepts the External ID, and A lets its worker ask for it."
    needs = ("source-identity",)

    def examine(self, facts: Facts) -> Finding:
        """Assume it with all the rights it has; the session is used by the checks below and by nobody else."""
        trial = facts.trial
        if trial.answer.ok:
            return self.passed(f"became {trial.access.role.session_arn}.")
        answer = trial.answer
        if not answer.denied:
            what = answer.error.what if answer.error else answer.said
            remedy = answer.error.remedy if answer.error else ""
            return self.failed(f"{what}.", in_a(facts, remedy))
        reason = why(answer)
        evidence = f"STS refused it to {facts.identity.data['Arn']}{f', {reason}' if reason else ''}."
        if seen := judge_trust(facts):
            return self.failed(f"{evidence} {seen.evidence}", *seen.remedies)
        if not reason:
            evidence += " AWS gives the same answer to each of these causes:"
        return self.failed(evidence, *refusal_of_role(facts, answer))


class SessionTags(Check):
    """Tags need a right of their own, on both sides."""

    id = "session-tags"
    title = "Session tags are accepted"
    proves = "CloudTrail and B's policies can tell DAG, task and run."
    needs = ("role",)

    def examine(self, facts: Facts) -> Finding:
        """What AssumeRole said to them."""
        if not facts.destination.tags_sessions:
            return self.passed("none are set.")
        answer = facts.trial.refused.get("session_tags")
        if answer is None:
            return self.passed("accepted: sts:TagSession is allowed on both sides.")
        evidence = "the role can be assumed without them, and not with them."
        if not answer.denied:
            text = (answer.error.remedy if answer.error else "") or "use fewer or shorter tags."
            return self.failed(f"{evidence} STS says: {answer.said}", in_a(facts, text))
        return self.failed(evidence, *refusal_of_role(facts, answer))


class SourceIdentitySet(Check):
    """A source identity needs a right of its own, on both sides and through every chain."""

    id = "set-source-identity"
    title = "The source identity is accepted"
    proves = "CloudTrail shows who is behind a session, through every role of a chain."
    needs = ("role",)

    def examine(self, facts: Facts) -> Finding:
        """What AssumeRole said to it."""
        wanted = facts.destination.source_identity
        if not wanted:
            return self.passed("none is set.")
        answer = facts.trial.refused.get("source_identity")
        if answer is None:
            return self.passed(f"{wanted!r} accepted: sts:SetSourceIdentity is allowed on both sides.")
        evidence = f"the role can be assumed without {wanted!r}, and not with it."
        if not answer.denied:  # an inherited one cannot be changed
            text = f"leave the extra source_identity out, or set it to the one of the chain ({answer.said})."
            return self.failed(evidence, in_a(facts, text))
        return self.failed(evidence, *refusal_of_role(facts, answer))


class Account(Check):
    """Not only some session, but one in the account that was meant."""

    id = "account"
    title = "The session is in the role's account"
    proves = "STS answered with a session of the account and role that the connection names."
    needs = ("role",)

    def examine(self, facts: Facts) -> Finding:
        """Compare the session's ARN with the connection's."""
        role = facts.destination.role
        parts = facts.role.role.session_arn.split(":")
        account, name = parts[4], parts[5].split("/")[1]
        if (account, name) != (role.account, role.name):
            text = "the endpoint of STS answers for another account: check the extra endpoint_url and AWS_ENDPOINT_URL."
            return self.failed(f"asked for {role}, and became {facts.role.role.session_arn}.", in_a(facts, text))
        owner = facts.destination.bucket_owner
        bucket = "which also owns the bucket" if owner == account else f"and account {owner} owns the bucket"
        return self.passed(f"account {account}, {bucket}.")


class Duration(Check):
    """How long one set of credentials lives."""

    id = "duration"
    title = "The wished session duration is granted"
    proves = "Each session takes one request to STS, not one that is refused and a second one."
    needs = ("role",)

    def examine(self, facts: Facts) -> Finding:
        """Compare the wish with what was granted."""
        wish = facts.destination.duration_seconds
        ends: datetime = facts.trial.answer.data["Credentials"]["Expiration"]
        asked = facts.trial.answer.date or datetime.now(UTC)
        granted = round((ends - asked).total_seconds())
        if granted >= wish - _TOLERANCE_SECONDS:
            return self.passed(f"{wish} s; credentials are refreshed before they end, so work may take longer.")
        evidence = f"{wish} s wished, {granted} s granted. It works, since credentials are refreshed in time."
        chained = ":assumed-role/" in str(facts.identity.data.get("Arn", ""))
        mine = in_a(facts, f"set the extra duration_seconds to {granted // 60 * 60 or granted}.")
        if chained:
            return self.failed(f"{evidence} An assumed role gets an hour at most for the next one.", mine)
        theirs = f"or raise the maximum session duration of {facts.destination.role} to {wish} s."
        return self.failed(evidence, mine, in_b(facts, theirs))


class SessionPolicy(Check):
    """The policy that narrows a task's session, as STS takes it."""

    id = "session-policy"
    title = "The session policy of a task is accepted"
    proves = "A task's session is narrowed to what it does, within the size that STS takes."
    needs = ("role",)

    def examine(self, facts: Facts) -> Finding:
        """Assume the role once more, as a task that writes below the prefix would."""
        if facts.destination.session_policy == OFF:
            return self.passed("off, as the connection says: a session has all the rights of the role.")
        if facts.destination.bucket is None and facts.destination.session_policy == "auto":
            return self.unseen("the connection names no bucket, so the policy is known only in a task.")
        try:
            policy = facts.task_policy
        except InvalidArgumentError as error:
            return self.failed(f"{error.what}.", in_a(facts, error.remedy))
        answer = facts.task_answer
        if not answer.ok:
            text = (answer.error.remedy if answer.error else "") or "use a shorter prefix, or fewer session tags."
            return self.failed(f"STS refused it ({answer.said}).", in_a(facts, text))
        packed = answer.data.get("PackedPolicySize")
        size = f", {packed} % of the packed limit with the tags" if packed is not None else ""
        return self.passed(f"{len(policy)} of 2048 characters{size}.")


class ExternalId(Check):
    """What keeps others from making A act in B's account."""

    id = "external-id"
    title = "An External ID is sent, and accepted"
    proves = "The role was assumed with it; whether it is also required is the next check."
    group = "safe"
    needs = ("role",)

    def examine(self, facts: Facts) -> Finding:
        """Look whether the connection has one."""
        if facts.destination.external_id is not None:
            return self.passed(f"the one {facts.external_id_shown} was accepted.")
        return self.failed(
            "the role was assumed without any: whoever else may name it to A could use it too (confused deputy).",
            in_b(facts, "require a random External ID in the trust policy of the role (condition sts:ExternalId)."),
            in_a(facts, "make one with airflow-xacct external-id, give it to B, and set the extra external_id."),
        )


class ExternalIdRequired(Check):
    """The proof is negative: without it, STS must refuse (AWS: *The confused deputy problem*)."""

    id = "external-id-required"
    title = "Without the External ID the role is refused"
    proves = "Nobody who does not know the External ID can make A act in B's account."
    group = "safe"
    needs = ("role", "external-id")

    def examine(self, facts: Facts) -> Finding:
        """Try, where the person asked for it; else read the trust policy, where the person may."""
        remedy = in_b(
            facts,
            "add this condition to each statement of the trust policy of the role that allows A: "
            + json.dumps({"StringEquals": {"sts:ExternalId": facts.destination.external_id}})
            if facts.wishes.show_external_id
            else "add the condition StringEquals sts:ExternalId, with the External ID "
            f"{facts.external_id_shown}, to each statement of the role's trust policy that allows A.",
        )
        if facts.wishes.prove_external_id:
            answer = facts.without_external_id
            if answer.ok:
                return self.failed("STS handed out the role without it.", remedy)
            if answer.denied:
                return self.passed("STS refused the role without it.")
            return self.unseen(f"STS neither granted nor denied it ({answer.said}).")
        seen = judge_trust(facts)
        if seen is None:
            return self.unseen(
                "not asked: --prove-external-id tries it, which leaves a denied AssumeRole in the CloudTrail of A, and "
                "of B where AWS records it.",
                owner_sees=facts.owner is None,
            )
        return self.passed(seen.evidence) if seen.requires_external_id else self.failed(seen.evidence, remedy)
