"""All checks, in the order in which a person would make them."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.checks.bucket import Bucket, BucketOwner, BucketRegion, S3Endpoint
from airflow_xacct.doctor.checks.care import (
    AccessLogging,
    BucketPolicyTls,
    DefaultEncryption,
    ObjectLock,
    ObjectOwnership,
    PublicAccess,
    Versioning,
)
from airflow_xacct.doctor.checks.connection import Connection, SourceConnection
from airflow_xacct.doctor.checks.identity import Clock, SourceIdentity, StsEndpoint
from airflow_xacct.doctor.checks.limits import RoleDeletes, RoleOutside, RoleReads, TaskOutside
from airflow_xacct.doctor.checks.role import (
    Account,
    Duration,
    ExternalId,
    ExternalIdRequired,
    Role,
    SessionPolicy,
    SessionTags,
    SourceIdentitySet,
)
from airflow_xacct.doctor.checks.traces import CloudTrail, IncompleteUploads, OpenUploads
from airflow_xacct.doctor.checks.write import KmsKeyUse, Upload, Write
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding, Report
from airflow_xacct.exceptions import XacctError

__all__ = ["CHECKS", "examine"]

CHECKS: tuple[Check, ...] = (
    Connection(),
    SourceConnection(),
    StsEndpoint(),
    Clock(),
    SourceIdentity(),
    Role(),
    SessionTags(),
    SourceIdentitySet(),
    Account(),
    Duration(),
    SessionPolicy(),
    S3Endpoint(),
    Bucket(),
    BucketRegion(),
    BucketOwner(),
    Write(),
    Upload(),
    KmsKeyUse(),
    ExternalId(),
    ExternalIdRequired(),
    TaskOutside(),
    RoleOutside(),
    RoleReads(),
    RoleDeletes(),
    ObjectOwnership(),
    PublicAccess(),
    BucketPolicyTls(),
    DefaultEncryption(),
    Versioning(),
    ObjectLock(),
    IncompleteUploads(),
    OpenUploads(),
    AccessLogging(),
    CloudTrail(),
)


def examine(facts: Facts, checks: Sequence[Check] = CHECKS) -> Report:
    """Make every check that can be made.

    A check whose ground another one took away is not made, and says so; all others go on.
    """
    findings: dict[str, Finding] = {}
    for check in checks:
        findings[check.id] = _one(check, facts, findings)
    return Report(
        conn_id=facts.conn_id,
        account_a=facts.source_account,
        account_b=facts.role_account,
        examined_at=facts.clock().isoformat(timespec="seconds"),
        findings=tuple(findings.values()),
    )


def _one(check: Check, facts: Facts, so_far: dict[str, Finding]) -> Finding:
    missing = [so_far[name] for name in check.needs if name in so_far and so_far[name].status != "pass"]
    if missing:
        roots = dict.fromkeys(root for finding in missing for root in finding.depends_on or (finding.id,))
        return check.depends(*roots)
    try:
        return check.examine(facts)
    except XacctError as error:
        return check.unseen(str(error))
