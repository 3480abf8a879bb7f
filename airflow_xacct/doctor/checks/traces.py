"""What is left of uploads that were never finished, and who would see what was done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.checks.setting import Setting
from airflow_xacct.doctor.checks.trails import recording_trail
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding
from airflow_xacct.doctor.reasons import in_bucket_owner

__all__ = ["CloudTrail", "IncompleteUploads", "OpenUploads"]

#: A delivery keeps its uploads open until it commits; none takes a week.
OLD = timedelta(days=7)
_RULE = "add a lifecycle rule that aborts incomplete multipart uploads after 7 days."


class IncompleteUploads(Setting):
    """A worker that is killed at the wrong moment leaves an upload that nobody knows of, and that costs money."""

    id = "incomplete-uploads"
    title = "A lifecycle rule ends incomplete uploads"
    proves = "What a killed worker leaves behind goes by itself."
    action = "s3:GetLifecycleConfiguration"
    method = "get_bucket_lifecycle_configuration"
    absent = "NoSuchLifecycleConfiguration"

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """Look for a rule that covers the prefix."""
        days = [
            int(rule["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation", 0))
            for rule in told.get("Rules", [])
            if rule.get("Status") == "Enabled"
            and "AbortIncompleteMultipartUpload" in rule
            and facts.destination.prefix.startswith(_prefix_of(rule))
        ]
        if days:
            return self.passed(f"after {min(days)} day{'s' if min(days) > 1 else ''}.")
        return self.failed("no rule does, for the prefix.", in_bucket_owner(facts, _RULE))


def _prefix_of(rule: Mapping[str, Any]) -> str:
    """What a rule covers; a rule with tags or sizes covers no upload (AWS: *PutBucketLifecycleConfiguration*)."""
    chosen = rule.get("Filter", {})
    return str(chosen.get("Prefix", chosen.get("And", {}).get("Prefix", rule.get("Prefix", ""))))


class OpenUploads(Setting):
    """What there is of them now."""

    id = "open-uploads"
    title = "No old upload is open"
    proves = "Nobody pays for what no delivery will finish."
    action = "s3:ListBucketMultipartUploads"
    method = "list_multipart_uploads"

    def request(self, facts: Facts) -> dict[str, Any]:
        """Only those below the prefix."""
        return {"Prefix": facts.destination.prefix}

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """Count the old ones."""
        uploads = told.get("Uploads", [])
        limit = facts.clock() - OLD
        old = [upload for upload in uploads if _begun(upload) < limit]
        more = " or more" if told.get("IsTruncated") else ""
        if not old:
            return self.passed(f"{len(uploads)}{more} open below the prefix, none older than {OLD.days} days.")
        evidence = f"{len(old)}{more} uploads are open for more than {OLD.days} days."
        return self.failed(evidence, in_bucket_owner(facts, f"abort them, and {_RULE}"))


def _begun(upload: Mapping[str, Any]) -> datetime:
    begun: datetime = upload["Initiated"]
    return begun


class CloudTrail(Check):
    """AssumeRole is logged by itself; what was written is not (AWS: *Logging data events*)."""

    id = "cloudtrail"
    title = "CloudTrail records what is written"
    proves = "B can tell afterwards which session of A wrote which object."
    group = "safe"
    needs = ("bucket",)

    def examine(self, facts: Facts) -> Finding:
        """Read the trails of the bucket's account; a dump role never may."""
        trail = recording_trail(facts)
        if trail is None:
            return self.unseen("a dump role has nothing to do with CloudTrail.", owner_sees=facts.owner is None)
        if trail:
            return self.passed(f"the trail {trail} records S3 data events.")
        account = facts.destination.bucket_owner
        logging, _ = facts.look("s3:GetBucketLogging", "get_bucket_logging", account)
        if logging.data.get("LoggingEnabled"):
            return self.passed("no trail does; server access logging tells the sessions instead.")
        text = "record S3 data events (write) for the bucket in a trail; they are off by default."
        return self.failed(
            "no trail of the account records S3 data events of the bucket.", in_bucket_owner(facts, text)
        )
