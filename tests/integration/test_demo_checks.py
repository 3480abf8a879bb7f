"""Every check of the demo notices what it is there for: a bucket, a request or a refusal that is not as it must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.demo import nycflights
from airflow_xacct.demo.checks import MANIFEST, Landing, check_delivery
from airflow_xacct.demo.findings import Finding
from airflow_xacct.demo.refusals import REFUSALS, SNIPED_BUCKET, Evidence, Refusal, TaskError, judge, read_errors
from airflow_xacct.demo.sniping import lay_bait
from airflow_xacct.demo.traffic import check_traffic
from airflow_xacct.sandbox import AssumeRoleEvent, RequestRecord, Scenario

B = "222222222222"
ROLE = f"arn:aws:iam::{B}:role/DataDumpRole"
SESSION_NAME = "xacct_chained_dumps.deliver_flights.manual"
SESSION = f"arn:aws:sts::{B}:assumed-role/DataDumpRole/{SESSION_NAME}"


class Bucket:
    """B's bucket with a right delivery in it, to be spoiled."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.s3 = scenario.account_b.client("s3")
        entries, tables = [], []
        for table in nycflights.TABLES:
            with nycflights.open_table(table) as stream:
                body = stream.read()
            self.put(self.key(table), body)
            url = f"s3://{scenario.bucket}/{self.key(table)}"
            entries.append({"url": url, "mandatory": True, "meta": {"content_length": len(body)}})
            rows = body.count(b"\n") - 1
            tables.append({"table": table, "url": url, "rows": rows, "checksum_crc64nvme": checksum_of(body)})
        self.manifest: dict[str, Any] = {"entries": entries, "xacct": {"tables": tables}}
        self.put_manifest()

    def key(self, table: str) -> str:
        return f"{self.scenario.prefix}nycflights13/{table}.csv"

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.scenario.bucket, Key=key, Body=body, ChecksumAlgorithm="CRC64NVME")

    def put_manifest(self) -> None:
        self.put(self.scenario.prefix + MANIFEST, json.dumps(self.manifest).encode())

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.scenario.bucket, Key=key)

    def failed(self) -> dict[str, str]:
        """The checks that fail, with their problems."""
        findings = check_delivery(Landing(self.s3, self.scenario.bucket, self.scenario.prefix).read())
        assert len(findings) == len(nycflights.TABLES) + 3
        return {finding.name: "; ".join(finding.problems) for finding in findings if not finding.ok}


@pytest.fixture
def whole(xacct_accounts: Scenario) -> Bucket:
    """With all five tables."""
    return Bucket(xacct_accounts)


@pytest.fixture
def bucket(xacct_accounts: Scenario, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """With the four small ones: most checks have no need of 31 MB."""
    monkeypatch.setattr(nycflights, "TABLES", nycflights.TABLES[:4])
    return Bucket(xacct_accounts)


def test_a_right_delivery_passes(whole: Bucket) -> None:
    """Otherwise the tests below would prove nothing."""
    assert whole.failed() == {}


def test_a_changed_byte_is_noticed(bucket: Bucket) -> None:
    """Even with the same size, the same number of rows, and a checksum that S3 finds right."""
    body = bucket.scenario.account_b.read(bucket.scenario.bucket, bucket.key("planes"))
    bucket.put(bucket.key("planes"), body.replace(b"2004", b"2005", 1))
    failed = bucket.failed()
    assert set(failed) == {"planes"}
    assert "its bytes are not the source's" in failed["planes"]
    assert "the manifest says the checksum is" in failed["planes"]


def test_a_missing_row_is_noticed(whole: Bucket) -> None:
    """Of the number a data set is known for, and of the source."""
    body = whole.scenario.account_b.read(whole.scenario.bucket, whole.key("flights"))
    whole.put(whole.key("flights"), body[: body.rstrip(b"\n").rindex(b"\n") + 1])
    failed = whole.failed()
    assert set(failed) == {"flights", "manifest"}
    assert "336,775 rows, and the source has 336,776" in failed["flights"]
    assert "known for 336,776" in failed["flights"]


def test_a_missing_object_is_noticed(bucket: Bucket) -> None:
    """By its own check, and as a manifest that promises too much."""
    bucket.delete(bucket.key("weather"))
    failed = bucket.failed()
    assert set(failed) == {"weather", "manifest"}
    assert "NoSuchKey" in failed["weather"]
    assert "which is not there" in failed["manifest"]


def test_an_object_without_the_full_checksum_is_noticed(bucket: Bucket) -> None:
    """S3 must keep the CRC64NVME of the whole object, or a receiver has nothing to compare with."""
    body = bucket.scenario.account_b.read(bucket.scenario.bucket, bucket.key("airlines"))
    bucket.s3.put_object(
        Bucket=bucket.scenario.bucket, Key=bucket.key("airlines"), Body=body, ChecksumAlgorithm="SHA256"
    )
    failed = bucket.failed()
    assert set(failed) == {"airlines"}
    assert "S3 keeps the checksum none" in failed["airlines"]


@pytest.mark.parametrize(("key", "problem"), [("airflow/stray.csv", "in no manifest"), ("stray", "outside the prefix")])
def test_an_extra_object_is_noticed(bucket: Bucket, key: str, problem: str) -> None:
    """Below the prefix and beside it."""
    bucket.put(key, b"stray")
    failed = bucket.failed()
    assert set(failed) == {"nothing else"}
    assert problem in failed["nothing else"]


def test_an_open_upload_is_noticed(bucket: Bucket) -> None:
    """It is invisible in a listing, and is paid for."""
    bucket.s3.create_multipart_upload(Bucket=bucket.scenario.bucket, Key="airflow/half.csv")
    assert bucket.failed() == {"open uploads": "airflow/half.csv is half uploaded, and costs money until it is aborted"}


def test_no_manifest_means_nothing_was_delivered(bucket: Bucket) -> None:
    """The receiver's way begins there."""
    bucket.delete(bucket.scenario.prefix + MANIFEST)
    assert set(bucket.failed()) == {*nycflights.TABLES, "manifest", "nothing else"}


def _wrong_size(manifest: dict[str, Any]) -> None:
    manifest["entries"][0]["meta"]["content_length"] += 1


def _not_mandatory(manifest: dict[str, Any]) -> None:
    manifest["entries"][1]["mandatory"] = False


def _one_entry_fewer(manifest: dict[str, Any]) -> None:
    manifest["entries"].pop()


def _another_bucket(manifest: dict[str, Any]) -> None:
    manifest["entries"][0]["url"] = "s3://another/airlines.csv"


@pytest.mark.parametrize("spoil", [_wrong_size, _not_mandatory, _one_entry_fewer, _another_bucket])
def test_a_wrong_manifest_is_noticed(bucket: Bucket, spoil: Callable[[dict[str, Any]], None]) -> None:
    """Each part of it that Redshift, or a reader, goes by."""
    spoil(bucket.manifest)
    bucket.put_manifest()
    assert "manifest" in bucket.failed()


def test_wrong_facts_about_a_table_are_noticed(bucket: Bucket) -> None:
    """Rows that the manifest gets wrong are the table's problem."""
    bucket.manifest["xacct"]["tables"][2]["rows"] += 1
    bucket.put_manifest()
    assert bucket.failed() == {"planes": "the manifest says 3323 rows"}


def test_a_manifest_that_is_no_json_is_noticed(bucket: Bucket) -> None:
    """It is a wrong manifest, and no crash."""
    for text in (b"{", b"[]", b"\xff"):
        bucket.put(bucket.scenario.prefix + MANIFEST, text)
        assert "manifest" in bucket.failed()


def request(**changes: Any) -> RequestRecord:
    """A right write."""
    right: dict[str, Any] = {
        "method": "PUT",
        "service": "s3",
        "operation": "PutObject",
        "bucket": "acme-landing",
        "key": "airflow/nycflights13/flights.csv",
        "caller_arn": SESSION,
        "account": B,
        "expected_owner": B,
        "status": 200,
    }
    return RequestRecord(**{**right, **changes})


def event(**changes: Any) -> AssumeRoleEvent:
    """A right AssumeRole."""
    right: dict[str, Any] = {
        "time": datetime(2026, 1, 1, tzinfo=UTC),
        "source_identity_arn": "arn:aws:iam::111111111111:user/airflow-worker",
        "role_arn": ROLE,
        "session_name": SESSION_NAME,
        "external_id_given": True,
        "granted": True,
    }
    return AssumeRoleEvent(**{**right, **changes})


@pytest.mark.parametrize(
    ("requests", "events", "failed"),
    [
        ([request()], [event()], []),
        ([], [event()], ["expected owner", "right identity"]),
        ([request()], [], ["traceable"]),
        ([request(), request(expected_owner="")], [event()], ["expected owner"]),
        ([request(expected_owner="333333333333")], [event()], ["expected owner"]),
        (
            [request(), request(caller_arn="arn:aws:iam::111111111111:user/airflow-worker")],
            [event()],
            ["right identity"],
        ),
        ([request(caller_arn=SESSION.replace("DataDumpRole", "DataDumpRoleOther"))], [event()], ["right identity"]),
        ([request()], [event(external_id_given=False)], ["traceable"]),
        ([request()], [event(granted=False, error="AccessDenied")], ["traceable"]),
        ([request()], [event(session_name="airflow_xacct_default")], ["traceable"]),
    ],
)
def test_traffic_that_is_not_right_is_noticed(
    requests: list[RequestRecord], events: list[AssumeRoleEvent], failed: list[str]
) -> None:
    """Who asked, what each call carried, and under which name."""
    findings = check_traffic(requests, events, role_arn=ROLE, bucket_owner=B, dag_id="xacct_chained_dumps")
    assert [finding.name for finding in findings if not finding.ok] == failed


def evidence_for(refusal: Refusal) -> Evidence:
    """What the accounts see of a right refusal."""
    events, requests = [], []
    name = f"xacct_refusals.{refusal.task_id}.manual"
    if refusal.task_id.endswith("external_id"):
        given = refusal.task_id.startswith("wrong")
        events = [event(session_name=name, granted=False, external_id_given=given)]
    elif refusal.task_id != "forgotten":
        events = [event(session_name=name)]
        requests = [request(key=f"airflow/{refusal.task_id}.txt", status=403)]
    return Evidence(requests, events, {"a": 1}, {"a": 1}, B, bait_taken=True)


def judged(refusal: Refusal, seen: Evidence, error: str | None = None) -> Finding:
    kind = error if error is not None else refusal.error.__name__
    errors = {refusal.task_id: TaskError(kind, "it was refused", "it was refused. Do this.")} if kind else {}
    return judge(refusal, errors, seen)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.task_id)
def test_a_refusal_counts_only_for_its_own_reason(refusal: Refusal) -> None:
    """The right error and nothing stored; another error, no error, or a changed bucket is no refusal."""
    seen = evidence_for(refusal)
    right = judged(refusal, seen)
    assert right.ok, right.problems
    assert right.detail == f"{refusal.error.__name__}: it was refused"
    assert right.message == f"{refusal.error.__name__}: it was refused. Do this."
    assert not judged(refusal, seen, error="").ok
    assert not judged(refusal, seen, error="ThrottledError").ok
    assert not judged(refusal, replace(seen, state_after={"a": 2})).ok


@pytest.mark.parametrize("refusal", REFUSALS[:2], ids=lambda refusal: refusal.task_id)
def test_sts_itself_must_have_refused(refusal: Refusal) -> None:
    """Not we, before asking; nor for an External ID that was, or was not, in the call."""
    seen = evidence_for(refusal)
    (asked,) = seen.events
    assert "STS was never asked" in judged(refusal, replace(seen, events=[])).problems[0]
    assert not judged(refusal, replace(seen, events=[replace(asked, granted=True)])).ok
    other = replace(asked, external_id_given=not asked.external_id_given)
    assert not judged(refusal, replace(seen, events=[other])).ok
    assert not judged(refusal, replace(seen, requests=[request(key=f"airflow/{refusal.task_id}.txt")])).ok


@pytest.mark.parametrize("refusal", REFUSALS[2:4], ids=lambda refusal: refusal.task_id)
def test_s3_itself_must_have_refused(refusal: Refusal) -> None:
    """With a 403, to a request that named the right owner."""
    seen = evidence_for(refusal)
    (asked,) = seen.requests
    assert "S3 was never asked" in judged(refusal, replace(seen, requests=[])).problems[0]
    assert not judged(refusal, replace(seen, requests=[replace(asked, status=200)])).ok
    assert not judged(refusal, replace(seen, requests=[replace(asked, expected_owner="")])).ok


def test_another_owner_proves_nothing_without_a_bait() -> None:
    """If the role could not have written there anyway, the owner was not the reason."""
    refusal = REFUSALS[3]
    assert not judged(refusal, replace(evidence_for(refusal), bait_taken=False)).ok


def test_a_missing_connection_must_not_fall_back() -> None:
    """Neither STS nor S3 may hear of that task."""
    refusal = REFUSALS[4]
    seen = evidence_for(refusal)
    assert not judged(refusal, replace(seen, requests=[request(key="airflow/forgotten.txt")])).ok
    assert not judged(refusal, replace(seen, events=[event(session_name="xacct_refusals.forgotten.manual")])).ok


def test_the_bait_is_taken_when_nobody_names_an_owner(xacct_accounts: Scenario) -> None:
    """The stranger's bucket is a real danger: the role writes there, and the object is removed again."""
    stranger = xacct_accounts.box.accounts[2]
    assert lay_bait(xacct_accounts, stranger, SNIPED_BUCKET)
    assert stranger.objects(SNIPED_BUCKET) == {}
    assert xacct_accounts.box.requests[-1].expected_owner == ""


def test_errors_are_read_as_they_were_noted() -> None:
    """One JSON object a line, as the failure callback writes them."""
    line = json.dumps({"task_id": "forgotten", "type": "T", "what": "w", "message": "w. Do it."})
    assert read_errors([line, "\n"]) == {"forgotten": TaskError("T", "w", "w. Do it.")}
