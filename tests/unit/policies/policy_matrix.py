"""Setups that the tests of this folder share."""

from __future__ import annotations

from typing import Any

from airflow_xacct.destination import parse
from airflow_xacct.policies import Setup

EXTRA = {
    "role_arn": "arn:aws:iam::222222222222:role/DataDumpRole",
    "external_id": "xacct-abc",
    "region_name": "eu-central-1",
    "bucket": "acme-landing",
    "prefix": "airflow/",
}
PRINCIPAL = "arn:aws:iam::111111111111:role/svc/AirflowExecutionRole"
KEY = "arn:aws:kms:eu-central-1:222222222222:key/1234abcd-12ab-34cd-56ef-1234567890ab"
FULL = {
    **EXTRA,
    "role_arn": "arn:aws:iam::222222222222:role/team/x/DataDumpRole",
    "prefix": 'a*b?c${d}%{e}"é/',
    "session_tags": {"team": "data"},
    "source_identity": "acme",
    "session_name_prefix": "acme-",
    "duration_seconds": 7200,
    "kms_key_id": KEY,
}
EVERYTHING: dict[str, Any] = {
    "principal": PRINCIPAL,
    "abilities": ["reads", "tags", "deletes"],
    "log_bucket": "acme-logs",
    "trail": "acme-trail",
    "versioning": True,
    "pod_identity": True,
    "writers": ["arn:aws:iam::222222222222:role/Loader"],
}
CHINA = {**EXTRA, "role_arn": "arn:aws-cn:iam::222222222222:role/DataDumpRole", "region_name": "cn-north-1"}
GOVERNMENT = {**EXTRA, "role_arn": "arn:aws-us-gov:iam::222222222222:role/D", "region_name": "us-gov-west-1"}
ORGANIZATION = {"trust": "organization", "organization": "o-a1b2c3d4e5"}

#: title -> (extras of the connection, options of Setup.of)
MATRIX: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "minimal": (EXTRA, {}),
    "everything": (FULL, EVERYTHING),
    "two owners": (
        {**FULL, "bucket_owner": "333333333333"},
        {**EVERYTHING, "principal": PRINCIPAL.replace("role", "user")},
    ),
    "existing bucket": ({**EXTRA, "kms_key_id": "alias/landing"}, {**EVERYTHING, "existing_bucket": True}),
    "account": (EXTRA, {"trust": "account", "principal": "arn:aws:iam::111111111111:role/airflow-*"}),
    "organization": ({**EXTRA, "prefix": "", "region_name": ""}, ORGANIZATION),
    "organization and principal": (EXTRA, {**ORGANIZATION, "principal": PRINCIPAL}),
    "any key": (EXTRA, {"any_kms_key": True, "log_bucket": "acme-logs"}),
    "china": (CHINA, {"any_kms_key": True, "log_bucket": "acme-logs", "trail": "acme-trail"}),
    "government": (GOVERNMENT, {"any_kms_key": True, "principal": "arn:aws-us-gov:iam::111111111111:role/R"}),
}


def setup_of(title: str) -> Setup:
    """A setup of the matrix."""
    extra, options = MATRIX[title]
    return Setup.of(parse("acme", extra), **options)


def make(extra: dict[str, Any] | None = None, **options: Any) -> Setup:
    """A setup of its own: extras of the connection, then options."""
    return Setup.of(parse("acme", {**EXTRA, **(extra or {})}), **options)
