"""The bucket: there, where it should be, and B's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.checks.identity import path_of
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding, Remedy
from airflow_xacct.doctor.reasons import in_a, in_bucket_owner
from airflow_xacct.exceptions import ConfigurationError, WrongRegionError

__all__ = ["NO_BUCKET", "Bucket", "BucketOwner", "BucketRegion", "OwnerVerdict", "S3Endpoint", "judge_owner"]

NO_BUCKET = "the connection names no bucket: each task names its own."
_NOT_FOUND, _SERVER_ERROR = 404, 500
_REGION_HEADER = "x-amz-bucket-region"


class S3Endpoint(Check):
    """S3, where it will be asked; no identity is needed for that."""

    id = "s3-endpoint"
    title = "S3 can be reached"
    proves = "Name resolution, route, TLS and proxy lead to an S3 endpoint that the deployment allows."
    needs = ("connection", "source-connection")

    def examine(self, facts: Facts) -> Finding:
        """Ask without a signature: a refusal is an answer."""
        try:
            url = facts.access.anonymous_client("s3").meta.endpoint_url
        except ConfigurationError as error:
            return self.failed(f"{error.what}.", in_a(facts, error.remedy))
        answer = facts.s3_reached
        if answer.answered:
            return self.passed(f"{path_of(facts, url)}.")
        error_ = answer.error
        what, remedy = (error_.what, error_.remedy) if error_ else ("no answer", "")
        return self.failed(f"{path_of(facts, url)}: {what}.", in_a(facts, remedy))


class Bucket(Check):
    """Some bucket of this name; whose it is comes later."""

    id = "bucket"
    title = "The bucket exists"
    proves = "The name is not mistyped, and the bucket was not deleted."
    needs = ("s3-endpoint",)

    def examine(self, facts: Facts) -> Finding:
        """S3 tells strangers which names exist (AWS: *HeadBucket*)."""
        bucket = facts.destination.bucket
        if bucket is None:
            return self.unseen(NO_BUCKET)
        answer = facts.s3_reached
        if answer.status == _NOT_FOUND:
            return self.failed(
                f"S3 knows no bucket {bucket}.",
                in_a(facts, "compare the extra bucket with what B gave you."),
                in_bucket_owner(facts, f"create {bucket}, or tell A its right name."),
            )
        if answer.status >= _SERVER_ERROR:
            return self.unseen(f"S3 answered {answer.said}.")
        return self.passed(f"{bucket}.")


class BucketRegion(Check):
    """Data goes to the region that was agreed, and nowhere else."""

    id = "bucket-region"
    title = "The bucket is in the region that is asked"
    proves = "Requests are answered, not redirected, and data is stored where it was promised to be."
    needs = ("bucket",)

    def examine(self, facts: Facts) -> Finding:
        """Compare with what S3 tells; where it does not, with whether it answers there at all."""
        asked = facts.access.region()
        told = facts.s3_reached.headers.get(_REGION_HEADER, "")
        if not told and not facts.trial.answer.ok:
            return self.depends("role", because="S3 did not tell strangers")
        if not told and not facts.may_abort.answered:
            return self.unseen(f"S3 gave no answer ({facts.may_abort.said}).")
        redirected = not told and isinstance(facts.may_abort.error, WrongRegionError)
        if redirected:
            told = facts.head.headers.get(_REGION_HEADER, "")
        if redirected or (told and told != asked):
            known = told or "the bucket's"
            text = f"set the extra region_name to {known}; if data must stay in {asked}, ask B for a bucket there."
            return self.failed(f"asked in {asked}, and it is in {told or 'another'}.", in_a(facts, text))
        return self.passed(f"{asked}." if told else f"S3 of {asked} answers for it.")


@dataclass(frozen=True, slots=True)
class OwnerVerdict:
    """Whose bucket it is, as far as it can be told.

    :param by: what it was concluded from.
    :param owner: who owns it instead; empty where that is not known.
    """

    verdict: Literal["right", "wrong", "unknown"]
    by: str
    owner: str = ""


def judge_owner(facts: Facts) -> OwnerVerdict:
    """Conclude from S3's answers, each of which was asked with the expected owner.

    S3 refuses a wrong expected owner without a reason, and gives reasons within one account (AWS: *Verifying bucket
    ownership with bucket owner condition*, *Access denied (403 Forbidden) errors in Amazon S3*). No request goes
    without an expected owner: the key of a request is told to whoever owns the bucket.
    """
    expected, role_account = facts.destination.bucket_owner, facts.role_account
    if facts.owner is not None and facts.owner.account == expected:
        looked, by = facts.look("s3:ListBucket", "head_bucket", expected)
        if looked.ok:
            return OwnerVerdict("right", f"{by} sees it.")
        if looked.denied:
            return OwnerVerdict("wrong", f"S3 refuses it even to {by}, which is of account {expected}.")
    answers = (facts.may_put, facts.may_abort)
    if any(answer.allowed for answer in answers):
        return OwnerVerdict("right", f"S3 took {expected} as the expected owner.")
    reasoned = any(answer.denied and not answer.bare for answer in answers)
    if not all(answer.denied for answer in answers) and not reasoned:
        return OwnerVerdict("unknown", f"S3 neither allowed nor denied a write ({answers[0].said}).")
    if expected == role_account:
        if reasoned:
            return OwnerVerdict("right", f"S3 gave a reason for a refusal, as it does within account {expected}.")
        by = f"S3 refuses whatever names {expected} as the owner, without the reason it gives within one account"
        return OwnerVerdict("wrong", f"{by}: most likely the bucket is somebody else's.")
    alternative = facts.owned_by_role_account
    if alternative.allowed or (alternative.denied and not alternative.bare):
        return OwnerVerdict(
            "wrong", f"it belongs to {role_account}, the role's account, not to {expected}.", role_account
        )
    return OwnerVerdict(
        "unknown", "S3 refuses without a reason, as it does across accounts: see whether it may be written."
    )


class BucketOwner(Check):
    """Bucket names are global: if B deleted it, somebody else may own the next one of that name."""

    id = "bucket-owner"
    title = "The bucket belongs to the expected account"
    proves = "The data goes to B's bucket, and to no stranger's who took the name."
    group = "safe"
    needs = ("role", "bucket", "bucket-region")

    def examine(self, facts: Facts) -> Finding:
        """Ask with the expected owner, as every request of a task does."""
        judged = judge_owner(facts)
        if judged.verdict == "right":
            return self.passed(judged.by)
        if judged.verdict == "unknown":
            return self.unseen(judged.by)
        if judged.owner:
            return self.failed(
                judged.by, in_a(facts, f"if B says so too, set the extra bucket_owner to {judged.owner}.")
            )
        expected = facts.destination.bucket_owner
        text = "ask B which account owns the bucket, by a way you trust, and set the extras bucket and bucket_owner."
        theirs = f"check that {facts.destination.bucket} is yours: a deleted bucket's name can be taken by anybody."
        return self.failed(judged.by, in_a(facts, text), Remedy("B", expected, theirs))
