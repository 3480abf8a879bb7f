"""Every check of the demo notices what it is there for: a bucket, a request or a refusal that is not as it must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.manifest import Manifest, ManifestEntry
from airflow_xacct.demo import nycflights
from airflow_xacct.demo.checks import check_delivery
from airflow_xacct.demo.findings import Finding
from airflow_xacct.demo.receiver import Receiver
from airflow_xacct.demo.refusals import REFUSALS, SNIPED_BUCKET, Evidence, Refusal, TaskError, judge, read_errors
from airflow_xacct.demo.sniping import lay_bait
from airflow_xacct.demo.source import Source
from airflow_xacct.demo.traffic import check_order, check_traffic
from airflow_xacct.demo.watch import arrived, object_rows
from airflow_xacct.sandbox import AssumeRoleEvent, RequestRecord, Scenario

B = "222222222222"
ROLE = f"arn:aws:iam::{B}:role/DataDumpRole"
SESSION_NAME = "xacct_chained_dumps.dump_flights.manual"
SESSION = f"arn:aws:sts::{B}:assumed-role/DataDumpRole/{SESSION_NAME}"


class Bucket:
    """B's bucket with a right delivery in it, to be spoiled: of the flights, one in a hundred."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.s3 = scenario.account_b.client("s3")
        self.receiver = Receiver(scenario)
        self.tables = {name: nycflights.read_table(name) for name in nycflights.TABLES}
        months = self.tables["flights"]["month"].value_counts().to_pylist()
        self.source = Source(
            "a test",
            "",
            {name: table.num_rows for name, table in self.tables.items()},
            {item["values"]: item["counts"] for item in months},
        )
        self.manifests: dict[str, dict[str, Any]] = {}
        for name, table in self.tables.items():
            self.deliver(name, table)

    def deliver(self, name: str, table: pa.Table) -> None:
        """Put a table as the DAG does."""
        objects: dict[str, pa.Table] = {"": table}
        if name == "flights":
            months = range(1, 13)
            objects = {f"month={month}/": table.filter(pc.equal(table["month"], month)) for month in months}
        entries = []
        for folder, rows in objects.items():
            key = self.key(name, folder)
            body = parquet(rows)
            self.put(key, body)
            entries.append(self.entry(key, body, rows.num_rows))
        self.put_manifest(name, entries)

    def entry(self, key: str, body: bytes, rows: int) -> ManifestEntry:
        url = f"s3://{self.scenario.bucket}/{key}"
        return ManifestEntry(url=url, size_bytes=len(body), checksum_crc64nvme=checksum_of(body), rows=rows)

    def key(self, name: str, folder: str = "") -> str:
        return f"{self.scenario.prefix}nycflights13/{name}/{folder}part-00000.parquet"

    def put(self, key: str, body: bytes, algorithm: str = "CRC64NVME") -> None:
        self.s3.put_object(Bucket=self.scenario.bucket, Key=key, Body=body, ChecksumAlgorithm=algorithm)

    def put_manifest(self, name: str, entries: list[ManifestEntry]) -> None:
        manifest = Manifest(
            state="complete",
            token="t",
            dag_id="xacct_chained_dumps",
            task_id=f"dump_{name}",
            run_id="manual",
            map_index=-1,
            generation=0,
            session_arn=SESSION,
            created_at="2026-01-01T00:00:00+00:00",
            entries=tuple(entries),
        )
        body = manifest.render()
        self.manifests[name] = json.loads(body)
        self.put(self.receiver.manifest_key(name), body)

    def spoil(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Put a manifest that says something else."""
        change(self.manifests[name])
        self.put(self.receiver.manifest_key(name), json.dumps(self.manifests[name]).encode())

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.scenario.bucket, Key=key)

    def failed(self) -> dict[str, str]:
        """The checks that fail, with their problems."""
        findings = check_delivery(self.receiver, self.source)
        assert len(findings) == len(nycflights.TABLES) + 4
        return {finding.name: "; ".join(finding.problems) for finding in findings if not finding.ok}


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    """The source, read once."""
    read = {name: nycflights.read_table(name) for name in nycflights.TABLES}
    flights = read["flights"]
    return {**read, "flights": flights.take(list(range(0, flights.num_rows, 100)))}


@pytest.fixture
def bucket(xacct_accounts: Scenario, tables: dict[str, pa.Table], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """With a right delivery."""
    monkeypatch.setattr(nycflights, "read_table", tables.__getitem__)
    monkeypatch.setattr(nycflights, "FLIGHTS", tables["flights"].num_rows)
    return Bucket(xacct_accounts)


def test_a_right_delivery_passes(bucket: Bucket) -> None:
    """Otherwise the tests below would prove nothing; in any order of rows, and with narrower numbers."""
    assert bucket.failed() == {}
    weather = bucket.tables["weather"].sort_by([("temp", "descending")])
    narrow = pa.schema([pa.field(f.name, pa.int32() if f.type == pa.int64() else f.type) for f in weather.schema])
    bucket.deliver("weather", weather.cast(narrow))
    assert bucket.failed() == {}


def _changed(table: pa.Table, column: str, value: object) -> pa.Table:
    values = table[column].to_pylist()
    values[7] = value
    index = table.schema.get_field_index(column)
    return table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("planes", "year", 1903), ("planes", "speed", 0), ("weather", "temp", 38.999999999999), ("airports", "tzone", "")],
)
def test_a_changed_value_is_noticed(bucket: Bucket, table: str, column: str, value: object) -> None:
    """One of a column, a NULL that became something, the last digit: with a manifest that is true of it."""
    bucket.deliver(table, _changed(bucket.tables[table], column, value))
    assert bucket.failed() == {table: f"other values than in the source: {column}"}


def test_a_changed_byte_is_noticed(bucket: Bucket) -> None:
    """Of the same size, with a checksum that S3 finds right: the manifest says another."""
    body = parquet(bucket.tables["planes"])
    assert b"BOEING" in body
    bucket.put(bucket.key("planes"), body.replace(b"BOEING", b"GOEINB", 1))
    failed = bucket.failed()
    assert "manifests" in failed
    assert "checksum" in failed["manifests"]


def test_a_missing_row_is_noticed(bucket: Bucket) -> None:
    """By the database's count, the data set's, and the month's."""
    bucket.deliver("flights", bucket.tables["flights"].slice(1))
    failed = bucket.failed()
    assert set(failed) == {"flights", "partitions"}
    assert "and the database has" in failed["flights"]
    assert "known for" in failed["flights"]


def test_a_doubled_object_is_noticed(bucket: Bucket) -> None:
    """What is there twice is read twice, whatever the manifest says."""
    bucket.put(bucket.key("planes").replace("00000", "00001"), parquet(bucket.tables["planes"]))
    assert set(bucket.failed()) == {"planes", "manifests", "nothing else"}


def test_a_missing_object_is_noticed(bucket: Bucket) -> None:
    """By the manifest that promises too much, and by the rows."""
    bucket.delete(bucket.key("flights", "month=3/"))
    failed = bucket.failed()
    assert set(failed) == {"flights", "manifests", "partitions"}
    assert "it is not there" in failed["manifests"]
    assert "month=3 has 0 rows" in failed["partitions"]


def test_an_object_without_the_full_checksum_is_noticed(bucket: Bucket) -> None:
    """S3 must keep the CRC64NVME of the whole object, or a receiver has nothing to compare with."""
    bucket.put(bucket.key("airlines"), parquet(bucket.tables["airlines"]), "SHA256")
    failed = bucket.failed()
    assert set(failed) == {"manifests"}
    assert "keeps no CRC64NVME" in failed["manifests"]


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
    bucket.delete(bucket.receiver.manifest_key("planes"))
    failed = bucket.failed()
    assert set(failed) == {"planes", "manifests", "nothing else"}
    assert "there is no manifest" in failed["manifests"]
    assert bucket.receiver.manifest("planes") is None


def _wrong_size(manifest: dict[str, Any]) -> None:
    manifest["entries"][0]["meta"]["content_length"] += 1


def _not_mandatory(manifest: dict[str, Any]) -> None:
    manifest["entries"][0]["mandatory"] = False


def _one_entry_fewer(manifest: dict[str, Any]) -> None:
    manifest["entries"].pop()


def _another_bucket(manifest: dict[str, Any]) -> None:
    manifest["entries"][0]["url"] = manifest["xacct"]["objects"][0]["url"] = "s3://another/airlines.parquet"


def _wrong_rows(manifest: dict[str, Any]) -> None:
    manifest["xacct"]["objects"][0]["rows"] += 1
    manifest["xacct"]["totals"]["rows"] += 1


@pytest.mark.parametrize("spoil", [_wrong_size, _not_mandatory, _one_entry_fewer, _another_bucket, _wrong_rows])
def test_a_wrong_manifest_is_noticed(bucket: Bucket, spoil: Callable[[dict[str, Any]], None]) -> None:
    """Each part of it that Redshift, or a reader, goes by."""
    bucket.spoil("flights", spoil)
    assert "manifests" in bucket.failed()


def test_a_manifest_that_is_no_json_is_noticed(bucket: Bucket) -> None:
    """It is a wrong manifest, and no crash."""
    for text in (b"{", b"[]", b"\xff"):
        bucket.put(bucket.receiver.manifest_key("weather"), text)
        assert "manifests" in bucket.failed()
        assert bucket.receiver.manifest("weather") is None


def test_an_object_that_is_no_parquet_is_noticed(bucket: Bucket) -> None:
    """It is a wrong object, and no crash."""
    for table in ("planes", "flights"):
        bucket.put(bucket.key(table, "month=1/" if table == "flights" else ""), b"PAR1 nothing PAR1")
    assert {"planes", "flights", "manifests", "partitions"} <= set(bucket.failed())


def test_a_row_in_the_wrong_partition_is_noticed(bucket: Bucket) -> None:
    """With counts that are right: two months that were taken for each other."""
    flights = bucket.tables["flights"]
    for folder, month in (("month=1/", 2), ("month=2/", 1)):
        bucket.put(bucket.key("flights", folder), parquet(flights.filter(pc.equal(flights["month"], month))))
    assert "month=1 holds 2" in bucket.failed()["partitions"]


def test_a_column_that_is_only_in_the_path_is_noticed(bucket: Bucket) -> None:
    """The column of a partition stays in the file unless the task says otherwise, and this one does not."""
    flights = bucket.tables["flights"].filter(pc.equal(bucket.tables["flights"]["month"], 1))
    bucket.put(bucket.key("flights", "month=1/"), parquet(flights.drop_columns(["month"])))
    assert "partitions" in bucket.failed()


def test_the_reader_may_only_read(bucket: Bucket) -> None:
    """What B reads with could not have written what it reads."""
    client = bucket.scenario.box.client(bucket.receiver._key, "s3")
    try:
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.put_object(Bucket=bucket.scenario.bucket, Key="airflow/x", Body=b"x")
    finally:
        client.close()


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


def write(table: str, name: str, **changes: Any) -> RequestRecord:
    return request(key=f"airflow/nycflights13/{table}/{name}", **changes)


PLANES = [write("planes", "part-00000.parquet"), write("planes", "_manifest.json")]
FLIGHTS = [write("flights", "month=1/part-00000.parquet"), write("flights", "_manifest.json")]


@pytest.mark.parametrize(
    ("requests", "problem"),
    [
        ([*PLANES, *FLIGHTS], ""),
        ([*FLIGHTS, *PLANES], "flights began before"),
        ([PLANES[0], FLIGHTS[0], PLANES[1], FLIGHTS[1]], "flights began before"),
        ([PLANES[1], PLANES[0], *FLIGHTS], "the last write of planes was PutObject"),
        ([PLANES[0], replace(PLANES[1], status=403), *FLIGHTS], "the last write of planes was PutObject"),
        (PLANES, "no write of flights"),
        ([*PLANES, replace(FLIGHTS[0], method="GET"), FLIGHTS[1]], ""),
    ],
)
def test_a_table_that_did_not_wait_is_noticed(requests: list[RequestRecord], problem: str) -> None:
    """It begins when the manifest of the one before is written, and not earlier."""
    finding = check_order(requests, ["planes", "flights"])
    assert finding.ok is (not problem)
    assert problem in "; ".join(finding.problems)


def test_what_has_arrived_is_counted_by_object() -> None:
    """Rows of a month when its bytes were taken; neither the manifest, nor what was refused, nor another table."""
    source = Source("a test", "", {"planes": 3, "flights": 30}, {1: 10, 12: 20})
    first, last = "month=1/part-00000.parquet", "month=12/part-00000.parquet"
    requests = [
        write("flights", first, operation="CreateMultipartUpload", method="POST"),
        write("flights", first, operation="UploadPart", body_size_bytes=100),
        write("flights", first, operation="UploadPart", body_size_bytes=100),  # sent again
        write("flights", last, operation="UploadPart", status=503, body_size_bytes=100),
        write("flights", "_manifest.json", body_size_bytes=7),
        write("planes", "part-00000.parquet", body_size_bytes=9),
    ]
    assert arrived(requests, object_rows(source, "flights")) == (10, 100)
    requests.append(write("flights", last, operation="UploadPart", body_size_bytes=50))
    assert arrived(requests, object_rows(source, "flights")) == (30, 150)
    assert arrived(requests, object_rows(source, "planes")) == (3, 9)


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
