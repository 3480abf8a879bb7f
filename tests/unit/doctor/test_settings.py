"""How the settings of a bucket are judged, in the forms in which S3 and CloudTrail tell them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.checks.care import (
    AccessLogging,
    BucketPolicyTls,
    DefaultEncryption,
    ObjectLock,
    ObjectOwnership,
    PublicAccess,
    Versioning,
)
from airflow_xacct.doctor.checks.setting import Setting
from airflow_xacct.doctor.checks.traces import IncompleteUploads, OpenUploads
from airflow_xacct.doctor.checks.trails import records_writes
from tests.unit.doctor.doctor_facts import make_facts

OBJECTS = "arn:aws:s3:::acme-landing/airflow/"
ABORT = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}


def policy(**changes: Any) -> dict[str, str]:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        **changes,
    }
    return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": statement})}


def lock(**retention: Any) -> dict[str, Any]:
    rule = {"Rule": {"DefaultRetention": retention}} if retention else {}
    return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", **rule}}


JUDGED: list[tuple[Setting, dict[str, Any], str]] = [
    (ObjectOwnership(), {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}, "pass"),
    (ObjectOwnership(), {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}}, "fail"),
    (ObjectOwnership(), {}, "fail"),
    (PublicAccess(), {}, "cannot_see"),
    (BucketPolicyTls(), policy(), "pass"),
    (BucketPolicyTls(), policy(Principal={"AWS": "*"}, Action=["s3:*"]), "pass"),
    (BucketPolicyTls(), policy(Condition={"NumericLessThan": {"s3:TlsVersion": 1.2}}), "pass"),
    (BucketPolicyTls(), policy(Effect="Allow"), "fail"),
    (BucketPolicyTls(), policy(Principal={"AWS": "111111111111"}), "fail"),
    (BucketPolicyTls(), policy(Action="s3:GetObject"), "fail"),
    (BucketPolicyTls(), {}, "fail"),
    (DefaultEncryption(), {}, "pass"),
    (Versioning(), {"Status": "Enabled"}, "pass"),
    (Versioning(), {"Status": "Suspended"}, "fail"),
    (ObjectLock(), {}, "pass"),
    (ObjectLock(), lock(), "pass"),
    (ObjectLock(), lock(Mode="GOVERNANCE", Days=30), "pass"),
    (AccessLogging(), {"LoggingEnabled": {"TargetBucket": "logs"}}, "pass"),
    (AccessLogging(), {}, "cannot_see"),
    (IncompleteUploads(), {"Rules": [{**ABORT, "Filter": {"Prefix": ""}}]}, "pass"),
    (IncompleteUploads(), {"Rules": [{**ABORT, "Filter": {"Prefix": "airflow/"}}]}, "pass"),
    (IncompleteUploads(), {"Rules": [{**ABORT, "Prefix": "air"}]}, "pass"),
    (IncompleteUploads(), {"Rules": [{**ABORT, "Filter": {"Prefix": "other/"}}]}, "fail"),
    (IncompleteUploads(), {"Rules": [{**ABORT, "Filter": {"Prefix": "airflow/orders/"}}]}, "fail"),
    (IncompleteUploads(), {"Rules": [{**ABORT, "Filter": {}, "Status": "Disabled"}]}, "fail"),
    (IncompleteUploads(), {"Rules": [{"Status": "Enabled", "Expiration": {"Days": 1}}]}, "fail"),
    (OpenUploads(), {"Uploads": [{"Initiated": datetime.now(UTC)}]}, "pass"),
    (OpenUploads(), {"Uploads": [{"Initiated": datetime.now(UTC) - timedelta(days=8)}]}, "fail"),
]


@pytest.mark.parametrize(("check", "told", "verdict"), JUDGED, ids=lambda value: getattr(value, "id", None))
def test_what_a_setting_means(check: Setting, told: dict[str, Any], verdict: str) -> None:
    """A failed one is B's to mend."""
    finding = check.judge(make_facts({"owner": None}), told)
    assert finding.status == verdict
    assert {remedy.owner for remedy in finding.remedies} == ({"B"} if verdict == "fail" else set())


def test_the_account_may_block_public_access_for_all_its_buckets() -> None:
    """S3 applies the stricter of both."""

    class Eyes:
        account, profile = "222222222222", "owner"

        def __init__(self, block: dict[str, bool]) -> None:
            self.block = block

        def ask(self, service: str, call: Any) -> Answer:
            assert service == "s3control"
            return Answer(data={"PublicAccessBlockConfiguration": self.block}, status=200)

    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    closed, half = dict.fromkeys(names, True), {"BlockPublicAcls": True}
    assert PublicAccess().judge(make_facts({"owner": Eyes(closed)}), {}).status == "pass"
    finding = PublicAccess().judge(make_facts({"owner": Eyes(half)}), {})
    assert finding.status == "fail"
    assert "BlockPublicAcls" not in finding.evidence


def basic(*arns: str, kind: str = "All") -> dict[str, Any]:
    return {
        "EventSelectors": [
            {"ReadWriteType": kind, "DataResources": [{"Type": "AWS::S3::Object", "Values": list(arns)}]}
        ]
    }


def advanced(*fields: dict[str, Any]) -> dict[str, Any]:
    s3 = {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}
    return {"AdvancedEventSelectors": [{"FieldSelectors": [s3, *fields]}]}


@pytest.mark.parametrize(
    ("selectors", "records"),
    [
        (basic("arn:aws:s3"), True),
        (basic("arn:aws:s3:::acme-landing/"), True),
        (basic("arn:aws:s3:::acme-landing/airflow/"), True),
        (basic("arn:aws:s3:::other/"), False),
        (basic("arn:aws:s3:::acme-landing/", kind="ReadOnly"), False),
        (advanced(), True),
        (advanced({"Field": "readOnly", "Equals": ["false"]}), True),
        (advanced({"Field": "readOnly", "Equals": ["true"]}), False),
        (advanced({"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::acme-landing/"]}), True),
        (advanced({"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::other/"]}), False),
        ({}, False),
    ],
)
def test_which_trails_record_writes(selectors: dict[str, Any], records: bool) -> None:
    """Both forms of event selectors."""
    assert records_writes(selectors, OBJECTS) is records
