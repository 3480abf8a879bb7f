"""What must not be possible: the reverse of every other check, and the heart of "is it safe".

A denial is the good answer. No request here could change anything if it were allowed.
"""

from __future__ import annotations

from airflow_xacct.destination.readers import OFF
from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding
from airflow_xacct.doctor.reasons import in_a, in_b
from airflow_xacct.doctor.watched import WatchedAccess

__all__ = ["RoleDeletes", "RoleOutside", "RoleReads", "TaskOutside"]

_NO_PREFIX = "the connection sets no prefix, so the whole bucket is its destination."
_NEEDS = ("role", "bucket", "bucket-owner")


def _outside(facts: Facts, access: WatchedAccess) -> tuple[list[str], list[Answer]]:
    """The keys that may be written although the prefix does not cover them, and the answers that say nothing."""
    answers = {key: facts.put_nothing(access, key) for key in facts.outside_keys}
    allowed = [key for key, answer in answers.items() if answer.allowed]
    return allowed, [answer for answer in answers.values() if not (answer.allowed or answer.denied)]


class TaskOutside(Check):
    """The promise to B, as far as A can keep it alone."""

    id = "task-outside"
    title = "A task may not write above the prefix"
    proves = "Even where the role could do more, a mistake in a DAG cannot."
    group = "safe"
    needs = (*_NEEDS, "session-policy")

    def examine(self, facts: Facts) -> Finding:
        """Ask for keys that the prefix does not cover, in a task's session."""
        if facts.destination.session_policy == OFF:
            return self.depends(RoleOutside.id, because="session policies are off")
        if not facts.outside_keys:
            return self.unseen(_NO_PREFIX)
        allowed, unclear = _outside(facts, facts.task)
        if allowed:
            text = "set the extra session_policy to auto, or narrow your own document to the prefix."
            return self.failed(f"it could write {' and '.join(allowed)}.", in_a(facts, text))
        if unclear:
            return self.unseen(f"S3 neither allowed nor denied it ({unclear[0].said}).")
        return self.passed(f"{' and '.join(facts.outside_keys)} were denied.")


class RoleOutside(Check):
    """The promise to B that does not depend on A: hostile code on A's workers has all the role has."""

    id = "role-outside"
    title = "The role itself may not write above the prefix"
    proves = "Whatever code runs on A's workers, the role reaches nothing else in the bucket."
    group = "safe"
    needs = _NEEDS

    def examine(self, facts: Facts) -> Finding:
        """Ask for keys that the prefix does not cover, without a session policy."""
        if not facts.outside_keys:
            return self.unseen(_NO_PREFIX)
        allowed, unclear = _outside(facts, facts.role)
        if allowed:
            text = f"narrow s3:PutObject in the policies of {facts.destination.role} to {facts.objects_arn}."
            return self.failed(f"it could write {' and '.join(allowed)}.", in_b(facts, text))
        if unclear:
            return self.unseen(f"S3 neither allowed nor denied it ({unclear[0].said}).")
        return self.passed(f"{' and '.join(facts.outside_keys)} were denied.")


class RoleReads(Check):
    """A delivery writes; it does not read."""

    id = "role-reads"
    title = "The role may not list or read the bucket"
    proves = "Write-only: what B keeps there stays B's, whatever runs on A's workers."
    group = "safe"
    needs = _NEEDS

    def examine(self, facts: Facts) -> Finding:
        """Ask for a listing and for an object that does not exist."""
        listed = facts.s3(facts.role, "s3:ListBucket", "list_objects_v2", {"Prefix": facts.key, "MaxKeys": 1})
        read = facts.s3(facts.role, "s3:GetObject", "get_object", {"Key": facts.key}, key=facts.key)
        may = []
        if listed.ok:
            may.append("s3:ListBucket")
        # without the right to list, S3 answers for a key that is free with the missing right to list
        if read.code == "NoSuchKey" or read.denial.action == "s3:ListBucket":
            may.append("s3:GetObject")
        if may:
            text = (
                f"remove {' and '.join(may)} from the policies of {facts.destination.role}, unless A's deliveries are "
                "meant to look at what they wrote."
            )
            return self.failed(f"it may {' and '.join(may)}.", in_b(facts, text))
        if not listed.denied or not read.denied:
            return self.unseen(f"S3 gave no clear answer ({(read if listed.denied else listed).said}).")
        if read.bare:
            return self.unseen("listing is denied; for an object that does not exist S3 does not say if reading is.")
        return self.passed("s3:ListBucket and s3:GetObject were denied.")


class RoleDeletes(Check):
    """Deleting is only asked where the question itself cannot leave a trace."""

    id = "role-deletes"
    title = "The role may not delete"
    proves = "What was delivered cannot be taken away again by A."
    group = "safe"
    needs = _NEEDS

    def examine(self, facts: Facts) -> Finding:
        """Ask IAM as the owner; else delete an object that does not exist, where that leaves no delete marker."""
        text = (
            f"remove s3:DeleteObject from the policies of {facts.destination.role}, unless A's deliveries are meant to "
            "remove their earlier objects (allow_delete)."
        )
        simulated = _simulate(facts, "s3:DeleteObject")
        if simulated is not None:
            evidence = "IAM's policy simulator, asked as the owner, says so."
            return self.failed(evidence, in_b(facts, text)) if simulated else self.passed(evidence)
        versioning, _ = facts.look("s3:GetBucketVersioning", "get_bucket_versioning", facts.destination.bucket_owner)
        if not versioning.ok or versioning.data.get("Status"):
            return self.unseen(
                "not tried: in a bucket with versions the question would leave a delete marker.",
                owner_sees=facts.owner is None,
            )
        answer = facts.s3(facts.role, "s3:DeleteObject", "delete_object", {"Key": facts.key}, key=facts.key)
        if answer.ok:
            return self.failed("it may s3:DeleteObject.", in_b(facts, text))
        return self.passed("s3:DeleteObject was denied.") if answer.denied else self.unseen(answer.said)


def _simulate(facts: Facts, action: str) -> bool | None:
    """What IAM thinks of an action below the prefix; ``None`` where nobody may ask (AWS: *SimulatePrincipalPolicy*)."""
    owner, role = facts.owner, facts.destination.role
    if owner is None or owner.account != role.account:
        return None
    answer = owner.ask(
        "iam",
        lambda client: client.simulate_principal_policy(
            PolicySourceArn=str(role),
            ActionNames=[action],
            ResourceArns=[facts.objects_arn.removesuffix("*") + "any"],
        ),
    )
    results = answer.data.get("EvaluationResults") or []
    return results[0]["EvalDecision"] == "allowed" if results else None
