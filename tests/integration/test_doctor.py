"""The doctor against two accounts: silent about what is healthy, and it names every fault and its owner."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.cli import doctor_command
from airflow_xacct.doctor import CHECKS, Doors, Facts, OwnerView, Report, Wishes, examine
from airflow_xacct.hooks.connections import deployment_options, load_destination, open_access
from airflow_xacct.sandbox import Scenario, deny, drop_response, status

ROLE, USER, A, B, C = "DataDumpRole", "airflow-worker", "111111111111", "222222222222", "333333333333"
WRITE = ("s3:PutObject", "s3:AbortMultipartUpload")
KMS = ("kms:GenerateDataKey", "kms:Decrypt")
BELOW = "arn:aws:s3:::acme-landing/airflow/*"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: Any, resources: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


@dataclass
class Ward:
    """One set-up: two accounts, and hands to break them with."""

    scenario: Scenario
    patch: pytest.MonkeyPatch
    wishes: dict[str, Any] = field(default_factory=dict)
    clock_ahead: timedelta = timedelta()

    def connect(self, conn_id: str = "sick", **extras: Any) -> None:
        """A connection like the standard one, with some extras changed; ``None`` takes one out."""
        extra = {k: v for k, v in {**self.scenario.connection_extra, **extras}.items() if v is not None}
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "aws_xacct", "extra": extra}))

    def trust(
        self, principal: str | None = None, external_id: str | None = "", actions: Any = "sts:AssumeRole"
    ) -> None:
        """Replace the trust policy of B's role; ``external_id=None`` requires none."""
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"AWS": principal or self.scenario.worker.user_arn},
            "Action": actions,
        }
        if external_id is not None:
            wanted = external_id or self.scenario.external_id
            statement["Condition"] = {"StringEquals": {"sts:ExternalId": wanted}}
        self.scenario.account_b.client("iam").update_assume_role_policy(
            RoleName=ROLE, PolicyDocument=json.dumps(document(statement))
        )

    def role_may(self, *statements: dict[str, Any]) -> None:
        self.scenario.account_b.put_role_policy(ROLE, document(*statements))

    def worker_may(self, actions: Any, resources: Any = "*") -> None:
        self.scenario.account_a.client("iam").put_user_policy(
            UserName=USER, PolicyName="more", PolicyDocument=json.dumps(document(allow(actions, resources)))
        )

    def encrypt(self, *, key_policy: dict[str, Any] | None = None, role: bool = True) -> str:
        """B's bucket encrypts with a KMS key by default; return the key's ARN."""
        key = self.scenario.account_b.create_key(policy=key_policy)
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
        self.scenario.account_b.client("s3").put_bucket_encryption(
            Bucket=self.scenario.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
        )
        if role:
            self.role_may(allow(list(WRITE), BELOW), allow(list(KMS), key))
        return key

    def foreign_bucket(self, name: str, *, admits: bool) -> None:
        """A bucket of a third account, whose policy may admit B's role; B's role may write there."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": self.scenario.role_arn},
            "Action": list(WRITE),
            "Resource": f"arn:aws:s3:::{name}/airflow/*",
        }
        self.scenario.box.accounts[2].create_bucket(name, policy=document(statement) if admits else None)
        self.role_may(allow(list(WRITE), [BELOW, f"arn:aws:s3:::{name}/airflow/*"]))

    @property
    def doors(self) -> Doors:
        return Doors(load_destination, lambda to: open_access(to, policy=""), deployment_options())

    def examine(self, conn_id: str, owner: OwnerView | None = None) -> Report:
        def clock() -> datetime:
            return datetime.now(UTC) + self.clock_ahead

        return examine(Facts(conn_id, self.doors, Wishes(**self.wishes), owner, clock))


@pytest.fixture
def ward(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    """The standard case; afterwards nothing may be left in any bucket, and no request may have gone astray."""
    yield Ward(worker, monkeypatch)
    box = worker.box
    for account in box.accounts:
        for bucket in account.client("s3").list_buckets().get("Buckets", []):
            assert account.objects(bucket["Name"]) == {}
            assert box.open_multipart_uploads(bucket["Name"]) == []
    asked = [request for request in box.requests if request.service == "s3"]
    assert all(
        request.expected_owner or (request.operation == "HeadBucket" and not request.account) for request in asked
    )


def failures(report: Report) -> dict[str, set[tuple[str, str]]]:
    """The failed checks with the owners who must act."""
    return {
        finding.id: {(remedy.owner, remedy.account) for remedy in finding.remedies}
        for finding in report.of_status("fail")
    }


# healthy set-ups


def plain(ward: Ward) -> None:
    ward.connect()


def proven(ward: Ward) -> None:
    ward.wishes["prove_external_id"] = True
    ward.connect()


def kms_by_default(ward: Ward) -> None:
    ward.encrypt()
    ward.connect()


def kms_by_name(ward: Ward) -> None:
    key = ward.scenario.account_b.create_key()
    ward.role_may(allow(list(WRITE), BELOW), allow(list(KMS), key))
    ward.connect(kms_key_id=key)


def chain(ward: Ward) -> None:
    hub = ward.scenario.account_a.create_role(
        "Hub",
        trust=document(
            {
                "Effect": "Allow",
                "Principal": {"AWS": ward.scenario.worker.user_arn},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "hub-external-id"}},
            }
        ),
        policy=document(allow("sts:AssumeRole", "*")),
    )
    ward.worker_may("sts:AssumeRole", hub)
    ward.trust(hub)
    ward.connect("hub", role_arn=hub, external_id="hub-external-id", bucket=None, prefix=None)
    ward.connect(source_conn_id="hub")


def source_connection(ward: Ward) -> None:
    key = ward.scenario.worker
    source = {"conn_type": "aws", "login": key.access_key_id, "password": key.secret_access_key}
    ward.patch.setenv("AIRFLOW_CONN_SOURCE", json.dumps({**source, "extra": {"region_name": "us-east-1"}}))
    ward.patch.delenv("AWS_ACCESS_KEY_ID")
    ward.patch.delenv("AWS_SECRET_ACCESS_KEY")
    ward.connect(source_conn_id="source")


def bucket_of_another_account(ward: Ward) -> None:
    ward.foreign_bucket("partner-landing", admits=True)
    ward.connect(bucket="partner-landing", bucket_owner=C)


def tags_and_source_identity(ward: Ward) -> None:
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    ward.trust(actions=actions)
    ward.worker_may(actions[1:])
    ward.connect(session_tags={"team": "data"}, source_identity="acme-airflow-prod")


def no_prefix(ward: Ward) -> None:
    ward.role_may(allow(list(WRITE), "arn:aws:s3:::acme-landing/*"))
    ward.connect(prefix=None)


def no_session_policy(ward: Ward) -> None:
    ward.connect(session_policy="off")


def no_bucket(ward: Ward) -> None:
    ward.connect(bucket=None, prefix=None)


def without_writing(ward: Ward) -> None:
    ward.wishes["write"] = False
    ward.connect()


def long_prefix(ward: Ward) -> None:
    prefix = "a" * 1020 + "/"
    ward.role_may(allow(list(WRITE), f"arn:aws:s3:::acme-landing/{prefix}*"))
    ward.connect(prefix=prefix)


HEALTHY = [
    plain, proven, kms_by_default, kms_by_name, chain, source_connection, bucket_of_another_account,
    tags_and_source_identity, no_prefix, no_session_policy, no_bucket, without_writing, long_prefix,
]  # fmt: skip


@pytest.mark.parametrize("set_up", HEALTHY, ids=lambda set_up: set_up.__name__)
def test_what_is_healthy_raises_no_alarm(ward: Ward, set_up: Callable[[Ward], None]) -> None:
    """Nothing fails, and what was looked at passes."""
    set_up(ward)
    report = ward.examine("sick")
    assert failures(report) == {}
    assert report.ok
    seen = {finding.id for finding in report.of_status("pass")}
    assert {"connection", "role", "external-id"} <= seen
    if set_up not in (no_bucket, without_writing):
        assert {"write", "upload", "kms", "bucket-owner"} <= seen
    if set_up not in (no_bucket, no_prefix):
        assert "role-outside" in seen
    assert ("external-id-required" in seen) is (set_up is proven)
    begun = [request for request in ward.scenario.box.requests if request.operation == "CreateMultipartUpload"]
    assert len(begun) == (set_up not in (no_bucket, without_writing))


# one fault each


def wrong_external_id(ward: Ward) -> None:
    ward.connect(external_id="not-the-right-one")


def missing_external_id(ward: Ward) -> None:
    ward.connect(external_id=None, allow_missing_external_id=True)


def role_gone(ward: Ward) -> None:
    iam = ward.scenario.account_b.client("iam")
    iam.delete_role_policy(RoleName=ROLE, PolicyName="sandbox")
    iam.delete_role(RoleName=ROLE)
    ward.connect()


def trust_names_somebody_else(ward: Ward) -> None:
    ward.trust("arn:aws:iam::111111111111:user/somebody-else")
    ward.connect()


def worker_may_not_assume(ward: Ward) -> None:
    ward.scenario.account_a.client("iam").delete_user_policy(UserName=USER, PolicyName="sandbox")
    ward.connect()


def tags_not_allowed(ward: Ward) -> None:
    ward.connect(session_tags={"team": "data"})


def source_identity_not_allowed(ward: Ward) -> None:
    ward.connect(source_identity="acme-airflow-prod")


def bucket_missing(ward: Ward) -> None:
    ward.connect(bucket="acme-landnig")


def bucket_sniped(ward: Ward) -> None:
    ward.foreign_bucket("acme-archive", admits=True)
    ward.connect(bucket="acme-archive")


def bucket_owner_wrong(ward: Ward) -> None:
    ward.connect(bucket_owner=C)


def foreign_bucket_does_not_admit(ward: Ward) -> None:
    ward.foreign_bucket("partner-landing", admits=False)
    ward.connect(bucket="partner-landing", bucket_owner=C)


def region_wrong(ward: Ward) -> None:
    ward.connect(region_name="eu-central-1")


def prefix_wrong(ward: Ward) -> None:
    ward.connect(prefix="elsewhere/")


def role_may_not_put(ward: Ward) -> None:
    ward.role_may(allow("s3:AbortMultipartUpload", BELOW))
    ward.connect()


def role_may_not_abort(ward: Ward) -> None:
    ward.role_may(allow("s3:PutObject", BELOW))
    ward.connect()


def key_policy_denies(ward: Ward) -> None:
    root = {"AWS": f"arn:aws:iam::{B}:root"}
    role = {"AWS": ward.scenario.role_arn}
    ward.encrypt(
        key_policy=document(
            {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"},
            {"Effect": "Deny", "Principal": role, "Action": list(KMS), "Resource": "*"},
        )
    )
    ward.connect()


def role_may_not_use_key(ward: Ward) -> None:
    ward.encrypt(role=False)
    ward.connect()


def role_may_not_decrypt(ward: Ward) -> None:
    key = ward.encrypt(role=False)
    ward.role_may(allow(list(WRITE), BELOW), allow("kms:GenerateDataKey", key))
    ward.connect()


def key_of_another_account_does_not_admit(ward: Ward) -> None:
    key = ward.scenario.box.accounts[2].create_key()
    ward.role_may(allow(list(WRITE), BELOW), allow(list(KMS), key))
    ward.connect(kms_key_id=key)


def key_disabled(ward: Ward) -> None:
    ward.scenario.account_b.client("kms").disable_key(KeyId=ward.encrypt())
    ward.connect()


def bucket_policy_denies(ward: Ward) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": BELOW}
    ward.scenario.account_b.client("s3").put_bucket_policy(
        Bucket=ward.scenario.bucket, Policy=json.dumps(document(statement))
    )
    ward.connect()


def role_writes_everywhere(ward: Ward) -> None:
    ward.role_may(allow(list(WRITE), "arn:aws:s3:::acme-landing/*"))
    ward.connect()


def role_writes_beside(ward: Ward) -> None:
    ward.role_may(allow(list(WRITE), "arn:aws:s3:::acme-landing/airflow*"))
    ward.connect()


def role_reads(ward: Ward) -> None:
    ward.role_may(allow([*WRITE, "s3:GetObject"], BELOW))
    ward.connect()


def role_lists(ward: Ward) -> None:
    ward.role_may(allow(list(WRITE), BELOW), allow("s3:ListBucket", "arn:aws:s3:::acme-landing"))
    ward.connect()


def role_deletes_without_versions(ward: Ward) -> None:
    ward.role_may(
        allow([*WRITE, "s3:DeleteObject"], BELOW), allow("s3:GetBucketVersioning", "arn:aws:s3:::acme-landing")
    )
    ward.connect()


def external_id_not_required(ward: Ward) -> None:
    ward.trust(external_id=None)
    ward.wishes["prove_external_id"] = True
    ward.connect()


def no_external_id_anywhere(ward: Ward) -> None:
    ward.trust(external_id=None)
    ward.connect(external_id=None, allow_missing_external_id=True)


def endpoint_not_allowed(ward: Ward) -> None:
    ward.connect(endpoint_url="http://minio.internal:9000")


def endpoint_of_the_environment_not_allowed(ward: Ward) -> None:
    ward.patch.setenv("AWS_ENDPOINT_URL_S3", "http://collector.example:8080")
    ward.connect(endpoint_url={"sts": ward.scenario.box.endpoint_url})


def sts_down(ward: Ward) -> None:
    ward.connect(endpoint_url={"sts": "http://127.0.0.1:1", "*": ward.scenario.box.endpoint_url})


def s3_down(ward: Ward) -> None:
    ward.connect(endpoint_url={"s3": "http://127.0.0.1:1", "*": ward.scenario.box.endpoint_url})


def clock_wrong(ward: Ward) -> None:
    ward.clock_ahead = timedelta(minutes=-20)
    ward.connect()


def worker_without_identity(ward: Ward) -> None:
    ward.patch.delenv("AWS_ACCESS_KEY_ID")
    ward.patch.delenv("AWS_SECRET_ACCESS_KEY")
    ward.connect()


def worker_key_unknown(ward: Ward) -> None:
    ward.patch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWNUNKNOWN12")
    ward.connect()


def worker_session_expired(ward: Ward) -> None:
    hub = ward.scenario.account_a.create_role(
        "Hub", trust=document({"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"})
    )
    ward.worker_may("sts:AssumeRole", hub)
    sts = ward.scenario.worker_client("sts")
    found = sts.assume_role(RoleArn=hub, RoleSessionName="worker")["Credentials"]
    sts.close()
    ward.patch.setenv("AWS_ACCESS_KEY_ID", found["AccessKeyId"])
    ward.patch.setenv("AWS_SECRET_ACCESS_KEY", found["SecretAccessKey"])
    ward.patch.setenv("AWS_SESSION_TOKEN", found["SessionToken"])
    ward.scenario.box.expire_sessions()
    ward.connect()


def duration_too_long(ward: Ward) -> None:
    ward.connect(duration_seconds=43200)


def source_connection_missing(ward: Ward) -> None:
    ward.connect(source_conn_id="gone")


def source_connections_in_a_cycle(ward: Ward) -> None:
    ward.connect("hub", source_conn_id="sick")
    ward.connect(source_conn_id="hub")


def source_connection_of_another_type(ward: Ward) -> None:
    ward.patch.setenv("AIRFLOW_CONN_DB", "postgres://u:p@h/d")
    ward.connect(source_conn_id="db")


def connection_missing(ward: Ward) -> None:
    del ward


def connection_with_problems(ward: Ward) -> None:
    ward.connect(external_id=None, bucket_name="b", duration_seconds=60)


def session_policy_too_long(ward: Ward) -> None:
    ward.connect(session_policy=document(allow("s3:PutObject", "x" * 2048)))


def session_policy_and_tags_too_large(ward: Ward) -> None:
    ward.trust(actions=["sts:AssumeRole", "sts:TagSession"])
    ward.worker_may("sts:TagSession")
    ward.connect(session_tags={f"tag{number}": "x" * 250 for number in range(14)})


def tags_too_large(ward: Ward) -> None:
    ward.trust(actions=["sts:AssumeRole", "sts:TagSession"])
    ward.worker_may("sts:TagSession")
    ward.connect(session_tags={f"tag{number}": "x" * 250 for number in range(20)})


def session_policy_malformed(ward: Ward) -> None:
    ward.connect(session_policy={"Statement": [{"Effect": "Perhaps"}]})


def denied_by(kind: str) -> Callable[[Ward], None]:
    def set_up(ward: Ward) -> None:
        ward.scenario.box.faults.add("UploadPart", action=deny("s3:PutObject", f"no {kind} allows"), times=None)
        ward.connect()

    set_up.__name__ = "denied_by_" + kind.replace(" ", "_")
    return set_up


def role_denied_by(kind: str) -> Callable[[Ward], None]:
    def set_up(ward: Ward) -> None:
        ward.scenario.box.faults.add("AssumeRole", action=deny("sts:AssumeRole", f"no {kind} allows"), times=None)
        ward.connect()

    set_up.__name__ = "role_denied_by_" + kind.replace(" ", "_")
    return set_up


BOTH, ONLY_A, ONLY_B, NOBODY_KNOWN = {("A", A), ("B", B)}, {("A", A)}, {("B", B)}, {("A", "")}

FAULTS: list[tuple[Callable[[Ward], None], str, set[tuple[str, str]]]] = [
    (wrong_external_id, "role", BOTH),
    (missing_external_id, "role", BOTH),
    (role_gone, "role", BOTH),
    (trust_names_somebody_else, "role", BOTH),
    (worker_may_not_assume, "role", BOTH),
    (tags_not_allowed, "session-tags", BOTH),
    (source_identity_not_allowed, "set-source-identity", BOTH),
    (bucket_missing, "bucket", BOTH),
    (bucket_sniped, "bucket-owner", BOTH),
    (bucket_owner_wrong, "bucket-owner", ONLY_A),
    (foreign_bucket_does_not_admit, "write", {("B", C), ("B", B)}),
    (region_wrong, "bucket-region", ONLY_A),
    (prefix_wrong, "write", BOTH),
    (role_may_not_put, "write", ONLY_B),
    (role_may_not_abort, "write", ONLY_B),
    (key_policy_denies, "kms", ONLY_B),
    (role_may_not_use_key, "kms", ONLY_B),
    (role_may_not_decrypt, "kms", ONLY_B),
    (key_disabled, "kms", ONLY_B),
    (key_of_another_account_does_not_admit, "kms", ONLY_B),
    (bucket_policy_denies, "write", ONLY_B),
    (role_writes_everywhere, "role-outside", ONLY_B),
    (role_writes_beside, "role-outside", ONLY_B),
    (role_reads, "role-reads", ONLY_B),
    (role_lists, "role-reads", ONLY_B),
    (external_id_not_required, "external-id-required", ONLY_B),
    (no_external_id_anywhere, "external-id", BOTH),
    (endpoint_not_allowed, "connection", NOBODY_KNOWN),
    (endpoint_of_the_environment_not_allowed, "s3-endpoint", ONLY_A),
    (sts_down, "sts-endpoint", NOBODY_KNOWN),
    (s3_down, "s3-endpoint", ONLY_A),
    (clock_wrong, "clock", ONLY_A),
    (worker_without_identity, "source-identity", NOBODY_KNOWN),
    (worker_key_unknown, "source-identity", NOBODY_KNOWN),
    (worker_session_expired, "source-identity", NOBODY_KNOWN),
    (duration_too_long, "duration", BOTH),
    (source_connection_missing, "source-connection", NOBODY_KNOWN),
    (source_connections_in_a_cycle, "source-connection", NOBODY_KNOWN),
    (source_connection_of_another_type, "source-connection", NOBODY_KNOWN),
    (connection_missing, "connection", NOBODY_KNOWN),
    (connection_with_problems, "connection", NOBODY_KNOWN),
    (session_policy_too_long, "connection", NOBODY_KNOWN),
    (session_policy_malformed, "session-policy", ONLY_A),
    (session_policy_and_tags_too_large, "session-policy", ONLY_A),
    (tags_too_large, "session-tags", ONLY_A),
    (denied_by("identity-based policy"), "write", ONLY_B),
    (denied_by("session policy"), "write", ONLY_A),
    (denied_by("permissions boundary"), "write", ONLY_B),
    (denied_by("VPC endpoint policy"), "write", ONLY_A),
    (denied_by("service control policy"), "write", ONLY_B),
    (denied_by("resource control policy"), "write", ONLY_B),
    (denied_by("resource-based policy"), "write", ONLY_B),
    (role_denied_by("identity-based policy"), "role", ONLY_A),
    (role_denied_by("role trust policy"), "role", ONLY_B),
    (role_denied_by("service control policy"), "role", ONLY_A),
    (role_denied_by("resource control policy"), "role", ONLY_B),
    (role_denied_by("permissions boundary"), "role", ONLY_A),
    (role_denied_by("VPC endpoint policy"), "role", ONLY_A),
]


@pytest.mark.parametrize(("set_up", "check", "owners"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_each_fault_is_named_alone(
    ward: Ward, set_up: Callable[[Ward], None], check: str, owners: set[tuple[str, str]]
) -> None:
    """The check that is meant fails, its remedy goes to whoever can act, and nothing else fails."""
    set_up(ward)
    report = ward.examine("sick")
    assert failures(report) == {check: owners}
    assert not report.ok


def both(*set_ups: Callable[[Ward], None]) -> Callable[[Ward], None]:
    def set_up(ward: Ward) -> None:
        for one in set_ups:
            one(ward)

    set_up.__name__ = "_and_".join(one.__name__ for one in set_ups)
    return set_up


def reads_and_writes_everywhere(ward: Ward) -> None:
    ward.role_may(allow([*WRITE, "s3:GetObject"], "arn:aws:s3:::acme-landing/*"))
    ward.connect()


def tags_and_source_identity_not_allowed(ward: Ward) -> None:
    ward.connect(session_tags={"team": "data"}, source_identity="acme-airflow-prod")


def tags_not_allowed_and_long_duration(ward: Ward) -> None:
    ward.connect(session_tags={"team": "data"}, duration_seconds=7200)


def wide_policy_of_a_wide_role(ward: Ward) -> None:
    ward.role_may(allow(list(WRITE), "arn:aws:s3:::acme-landing/*"))
    ward.connect(session_policy={"Version": "2012-10-17", "Statement": [allow("*", "*")]})


def both_endpoints_down(ward: Ward) -> None:
    ward.connect(endpoint_url="http://127.0.0.1:1")


TWO_FAULTS: list[tuple[Callable[[Ward], None], set[str]]] = [
    (both(clock_wrong, wrong_external_id), {"clock", "role"}),
    (both(role_may_not_use_key, duration_too_long), {"kms", "duration"}),
    (both(role_may_not_abort, external_id_not_required), {"write", "external-id-required"}),
    (both(trust_names_somebody_else, bucket_missing), {"bucket", "role"}),
    (both(external_id_not_required, region_wrong), {"external-id-required", "bucket-region"}),
    (both(role_gone, s3_down), {"role", "s3-endpoint"}),
    (both(key_policy_denies, no_external_id_anywhere), {"external-id", "kms"}),
    (role_deletes_without_versions, {"role-deletes", "versioning"}),
    (reads_and_writes_everywhere, {"role-reads", "role-outside"}),
    (tags_and_source_identity_not_allowed, {"session-tags", "set-source-identity"}),
    (tags_not_allowed_and_long_duration, {"session-tags", "duration"}),
    (wide_policy_of_a_wide_role, {"role-outside", "task-outside"}),
    (both_endpoints_down, {"sts-endpoint", "s3-endpoint"}),
]


@pytest.mark.parametrize(("set_up", "checks"), TWO_FAULTS, ids=[fault[0].__name__ for fault in TWO_FAULTS])
def test_two_faults_are_both_named(ward: Ward, set_up: Callable[[Ward], None], checks: set[str]) -> None:
    """The first does not hide the second, unless nothing can be known behind it."""
    set_up(ward)
    assert set(failures(ward.examine("sick"))) == checks


@pytest.mark.parametrize(
    ("operation", "fault", "unseen"),
    [
        ("UploadPart", status(503, "SlowDown"), {"write", "task-outside", "role-outside"}),
        ("UploadPart", status(403, "SignatureDoesNotMatch"), {"write", "task-outside", "role-outside"}),
        ("ListObjectsV2", status(500, "InternalError"), {"role-reads"}),
        ("AssumeRole", status(503, "Throttling"), {"external-id-required"}),
    ],
    ids=["slow", "signature", "listing", "sts"],
)
def test_what_aws_does_not_decide_is_neither_green_nor_red(
    ward: Ward, operation: str, fault: Any, unseen: set[str]
) -> None:
    """A busy S3 proves nothing, in either direction."""
    proven(ward)
    # the first two sessions are granted; the third is the one without an External ID
    ward.scenario.box.faults.add(operation, action=fault, times=None, nth=3 if operation == "AssumeRole" else 1)
    report = ward.examine("sick")
    assert failures(report) == {}
    assert unseen <= {finding.id for finding in report.of_status("cannot_see")}


def test_an_upload_that_cannot_be_removed_is_told(ward: Ward) -> None:
    """S3 said that it may be aborted, and then does not: the finding names the upload, for B to remove."""
    plain(ward)
    failing = status(500, "InternalError")
    ward.scenario.box.faults.add("AbortMultipartUpload", action=failing, nth=2, times=None)
    report = ward.examine("sick")
    assert failures(report) == {"upload": ONLY_B}
    (left,) = ward.scenario.box.open_multipart_uploads(ward.scenario.bucket)
    (finding,) = report.of_status("fail")
    assert left["UploadId"] in finding.remedies[0].text
    s3 = ward.scenario.account_b.client("s3")
    s3.abort_multipart_upload(Bucket=ward.scenario.bucket, Key=left["Key"], UploadId=left["UploadId"])


def test_an_upload_whose_answer_was_lost_is_told(ward: Ward) -> None:
    """It was begun, and nobody knows its number: it is not begun a second time."""
    plain(ward)
    ward.scenario.box.faults.add("CreateMultipartUpload", action=drop_response)
    report = ward.examine("sick")
    assert failures(report) == {"upload": ONLY_B}
    (left,) = ward.scenario.box.open_multipart_uploads(ward.scenario.bucket)
    assert left["Key"] in report.of_status("fail")[0].evidence
    s3 = ward.scenario.account_b.client("s3")
    s3.abort_multipart_upload(Bucket=ward.scenario.bucket, Key=left["Key"], UploadId=left["UploadId"])


# with the owner's eyes


@pytest.fixture
def owner(ward: Ward, tmp_path: Path) -> OwnerView:
    """A profile of B's owner, who may read everything in B."""
    key = ward.scenario.account_b.create_user("owner", document(allow(["s3:*", "iam:*", "cloudtrail:*"], "*")))
    profile = f"[owner]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"
    (tmp_path / "credentials").write_text(profile)
    ward.patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return OwnerView("owner")


def keep_well(ward: Ward) -> None:
    """What AWS recommends for the bucket, as far as the sandbox has it."""
    s3, bucket = ward.scenario.account_b.client("s3"), ward.scenario.bucket
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    rule = {
        "ID": "uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    ward.scenario.account_b.create_bucket("acme-logs")
    logging = {"LoggingEnabled": {"TargetBucket": "acme-logs", "TargetPrefix": "landing/"}}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=logging)
    trail = ward.scenario.account_b.client("cloudtrail")
    trail.create_trail(Name="data", S3BucketName="acme-logs")
    selector = {
        "ReadWriteType": "WriteOnly",
        "DataResources": [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{bucket}/"]}],
    }
    trail.put_event_selectors(TrailName="data", EventSelectors=[selector])


def test_the_owner_sees_how_the_bucket_is_kept(ward: Ward, owner: OwnerView) -> None:
    """All of it passes where it is as AWS recommends; TLS is what the sandbox does not have."""
    plain(ward)
    keep_well(ward)
    report = ward.examine("sick", owner)
    assert failures(report) == {}
    assert {finding.id for finding in report.of_status("cannot_see")} == {"tls-only"}


def test_the_owner_sees_what_is_missing(ward: Ward, owner: OwnerView) -> None:
    """A bucket with nothing but its defaults; each remedy is B's."""
    plain(ward)
    found = failures(ward.examine("sick", owner))
    assert {"versioning", "incomplete-uploads", "access-logging", "cloudtrail"} <= set(found)
    assert all(owners == ONLY_B for owners in found.values())


OWNERS_REASONS: list[tuple[Callable[[Ward], None], set[tuple[str, str]], str]] = [
    (wrong_external_id, BOTH, "asks for another External ID"),
    (role_gone, ONLY_B, "There is no role DataDumpRole"),
    (trust_names_somebody_else, ONLY_B, "does not name arn:aws:iam::111111111111:user/airflow-worker"),
    (worker_may_not_assume, ONLY_A, "requires our External ID"),
]


@pytest.mark.parametrize(
    ("set_up", "owners", "text"), OWNERS_REASONS, ids=[each[0].__name__ for each in OWNERS_REASONS]
)
def test_the_owner_sees_why_the_role_is_refused(
    ward: Ward, owner: OwnerView, set_up: Callable[[Ward], None], owners: set[tuple[str, str]], text: str
) -> None:
    """STS gives one answer to all of them; the trust policy tells them apart."""
    set_up(ward)
    keep_well(ward)
    report = ward.examine("sick", owner)
    assert failures(report) == {"role": owners}
    (finding,) = report.of_status("fail")
    assert text in finding.evidence


def test_the_owner_sees_that_the_external_id_is_required(ward: Ward, owner: OwnerView) -> None:
    """Reading the trust policy is a proof too, and leaves no denied event."""
    plain(ward)
    report = ward.examine("sick", owner)
    assert "external-id-required" in {finding.id for finding in report.of_status("pass")}
    assert all(event.granted for event in ward.scenario.box.assume_role_events)
    ward.trust(external_id=None)
    assert failures(ward.examine("sick", owner))["external-id-required"] == ONLY_B


def test_the_owner_sees_that_the_role_deletes(ward: Ward, owner: OwnerView) -> None:
    """IAM is asked, not S3."""
    keep_well(ward)
    ward.role_may(allow([*WRITE, "s3:DeleteObject"], BELOW))
    plain(ward)
    assert failures(ward.examine("sick", owner)) == {"role-deletes": ONLY_B}


def test_the_owner_sees_old_uploads(ward: Ward, owner: OwnerView) -> None:
    """What a killed worker left, a month later."""
    keep_well(ward)
    plain(ward)
    s3 = ward.scenario.account_b.client("s3")
    upload = s3.create_multipart_upload(Bucket=ward.scenario.bucket, Key="airflow/left")
    facts_later = Facts("sick", ward.doors, owner=owner, clock=lambda: datetime.now(UTC) + timedelta(days=30))
    report = examine(facts_later, [check for check in CHECKS if check.id == "open-uploads"])
    assert failures(report) == {"open-uploads": ONLY_B}
    s3.abort_multipart_upload(Bucket=ward.scenario.bucket, Key="airflow/left", UploadId=upload["UploadId"])


def test_eyes_of_another_account_see_nothing(ward: Ward, tmp_path: Path) -> None:
    """A profile of A is not B's owner: what the role cannot see stays unseen."""
    plain(ward)
    key = ward.scenario.account_a.create_user("admin", document(allow("*", "*")))
    profile = f"[a]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"
    (tmp_path / "credentials").write_text(profile)
    ward.patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    unseen = {finding.id for finding in ward.examine("sick", OwnerView("a")).of_status("cannot_see")}
    assert {"versioning", "cloudtrail", "external-id-required"} <= unseen


# the command


def command(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    doctor_command.register(parser.add_subparsers())
    arguments = parser.parse_args(["doctor", *argv])
    exit_status: int = arguments.func(arguments)
    return exit_status


def test_the_text_fits_80_columns_and_names_who_acts(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """Into a pipe: no colours, wrapped, failures with their remedies, a summary at the end."""
    prefix_wrong(ward)
    assert command("sick") == 1
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "✘ May put and abort below the prefix (write):" in text
    assert "→ Account B (222222222222): allow s3:PutObject and" in text
    assert "1 failed" in text
    assert "Failed: write." in " ".join(text.split())
    assert "? An upload is begun, takes bytes and is removed: cannot see, depends on write." in " ".join(text.split())


def test_colours_can_be_forced(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """For a log viewer that shows them."""
    plain(ward)
    assert command("sick", "--color", "always") == 0
    assert "\x1b[" in capsys.readouterr().out


def test_the_json_is_complete_and_clean(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output holds the document alone, with every check and the documented fields."""
    wrong_external_id(ward)
    assert command("sick", "--json", "--prove-external-id") == 1
    captured = capsys.readouterr()
    assert "denied AssumeRole" in captured.err
    report = json.loads(captured.out)
    assert {name: report[name] for name in ("schema_version", "connection", "account_a", "account_b", "ok")} == {
        "schema_version": 1,
        "connection": "sick",
        "account_a": A,
        "account_b": B,
        "ok": False,
    }
    assert [finding["id"] for finding in report["findings"]] == [check.id for check in CHECKS]
    assert sum(report["summary"].values()) == len(CHECKS)
    by_id = {finding["id"]: finding for finding in report["findings"]}
    assert by_id["upload"]["depends_on"] == ["role"]
    assert {remedy["account"] for remedy in by_id["role"]["remedies"]} == {A, B}


@pytest.mark.parametrize("show", [False, True])
def test_what_may_be_shown_of_the_external_id(ward: Ward, capsys: pytest.CaptureFixture[str], show: bool) -> None:
    """Four characters by default, all of it on request; a secret never."""
    wrong_external_id(ward)
    command("sick", "--json", *(["--show-external-id"] if show else []))
    text = capsys.readouterr().out
    assert ("not-the-right-one" in text) is show
    assert "-one" in text
    assert ward.scenario.worker.secret_access_key not in text


def test_a_profile_that_does_not_exist_is_a_usage_error(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a finding about the connection."""
    plain(ward)
    assert command("sick", "--owner-profile", "nobody") == 2
    assert "--owner-profile" in capsys.readouterr().err


def test_a_missing_connection_is_a_finding(worker: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    """The doctor's own answer, not a traceback; nothing is asked."""
    assert command("nowhere") == 1
    assert "AIRFLOW_CONN_NOWHERE" in capsys.readouterr().out
    assert not worker.box.requests
