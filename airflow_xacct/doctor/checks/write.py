"""What the connection is for: objects below the prefix."""

from __future__ import annotations

from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.checks.bucket import BucketOwner, judge_owner
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding, Remedy
from airflow_xacct.doctor.probe import UploadTrial, try_upload
from airflow_xacct.doctor.reasons import in_a, in_b, in_bucket_owner, refusal_of_s3, why

__all__ = ["KmsKeyUse", "Upload", "Write"]

_TRY_AGAIN = "Then let A examine again."
_NO_WRITE = "not tried (--no-write)."


class Write(Check):
    """Both rights a delivery needs, asked in a way that leaves nothing."""

    id = "write"
    title = "May put and abort below the prefix"
    proves = "The role, the bucket's policy and every policy above them allow what a delivery needs."
    needs = ("role", "bucket", "bucket-region")

    def examine(self, facts: Facts) -> Finding:
        """Ask about an upload that does not exist, as a task would."""
        if judge_owner(facts).verdict == "wrong":
            return self.depends(BucketOwner.id)
        wanted = {"s3:PutObject": facts.may_put, "s3:AbortMultipartUpload": facts.may_abort}
        denied = {action: answer for action, answer in wanted.items() if answer.denied}
        if not denied:
            unclear = [answer for answer in wanted.values() if not answer.allowed]
            if unclear:
                return self.unseen(f"S3 neither allowed nor denied it ({unclear[0].said}).")
            return self.passed(f"{' and '.join(wanted)} on {facts.objects_arn}.")
        # both for one reason are one fault; each for its own are two
        by_reason: dict[str, list[str]] = {}
        for action, answer in denied.items():
            by_reason.setdefault(why(answer), []).append(action)
        remedies: list[Remedy] = []
        sentences = []
        for reason, actions in by_reason.items():
            names = " and ".join(actions)
            remedies += refusal_of_s3(facts, denied[actions[0]], names, facts.objects_arn)
            verb = "are" if len(actions) > 1 else "is"
            sentences.append(f"{names} {verb} denied, {reason or 'and S3 does not say why'}")
            if len(actions) == len(wanted) and "identity-based" in reason:
                hint = f"or, if B gave you another prefix than {facts.destination.prefix!r}, mend the extra prefix."
                remedies.append(in_a(facts, hint))
        return self.failed(f"{'; '.join(sentences)}.", *remedies)


class Upload(Check):
    """The rights are there; now the bytes, with encryption, checksum and whatever conditions the bucket policy has."""

    id = "upload"
    title = "An upload is begun, takes bytes and is removed"
    proves = "Encryption, checksums and the conditions of the bucket's policy let a real delivery through."
    needs = ("write",)

    def examine(self, facts: Facts) -> Finding:
        """Begin, send, remove."""
        if not facts.wishes.write:
            return self.unseen(_NO_WRITE)
        trial = _trial(facts)
        if trial.refused_by_kms is not None:
            return self.depends(KmsKeyUse.id)
        refused = trial.refused
        if refused is None:
            return self.passed("it never became an object, and nothing is left of it.")
        if not trial.create.ok and not trial.create.answered:
            evidence = f"S3 gave no answer ({refused.said}); an upload of {facts.key} may be open."
            return self.failed(evidence, in_bucket_owner(facts, f"abort it, if there is one. {_TRY_AGAIN}"))
        if trial.left:
            text = (
                f"abort the upload {trial.left} of {facts.key} in {facts.destination.bucket}: it could not be removed."
            )
            return self.failed(f"S3 took it and does not remove it ({refused.said}).", in_bucket_owner(facts, text))
        if refused.denied:
            evidence = f"the rights are there, and the upload is denied ({why(refused) or refused.said})."
            return self.failed(evidence, *refusal_of_s3(facts, refused, "s3:PutObject", facts.objects_arn))
        text = (refused.error.remedy if refused.error else "") or "these are S3's own words."
        return self.failed(f"S3 refused it ({refused.said}).", in_bucket_owner(facts, text))


class KmsKeyUse(Check):
    """Multipart uploads need two rights on the key, and both the key's policy and the role's must give them."""

    id = "kms"
    title = "The encryption key lets the role write"
    proves = "kms:GenerateDataKey and kms:Decrypt are allowed where the bucket or the connection names a KMS key."
    needs = ("write",)

    def examine(self, facts: Facts) -> Finding:
        """Conclude from the upload that was tried."""
        if not facts.wishes.write:
            return self.unseen(_NO_WRITE)
        trial = _trial(facts)
        refused = trial.refused_by_kms
        if refused is None:
            if trial.refused is not None:
                return self.depends(Upload.id)
            return self.passed(f"encrypted with {trial.encryption or 'its default'}; it took the bytes.")
        if refused.code.startswith("KMS."):
            return self.failed(f"the KMS key cannot be used ({refused.said}).", *_broken_key(facts, refused))
        action = refused.denial.action
        reason = why(refused)
        return self.failed(
            f"{action} is denied{f', {reason}' if reason else ', and AWS does not say why'}.",
            *refusal_of_s3(facts, refused, action, refused.denial.resource),
        )


def _broken_key(facts: Facts, refused: Answer) -> tuple[Remedy, ...]:
    text = (refused.error.remedy if refused.error else "") or "the key must be enabled, and in the bucket's region."
    if facts.destination.kms_key is not None:
        return in_a(facts, f"compare the extra kms_key_id with B's key. {text}"), in_b(facts, text)
    return (in_bucket_owner(facts, text),)


def _trial(facts: Facts) -> UploadTrial:
    """One trial for all checks of one examination."""
    return facts.once("upload", lambda: try_upload(facts))
