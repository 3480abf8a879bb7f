"""``airflow-xacct verify`` against two accounts: real deliveries, tampered buckets, hostile manifests."""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from airflow_xacct.cli import verify_command
from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.operators import CrossAccountSqlDumpOperator, CrossAccountUploadOperator
from airflow_xacct.sandbox import Scenario, call, deny, status
from airflow_xacct.sandbox.accounts import AccessKey
from tests.integration.airflow_context import StateStore, TaskTry

GET = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::acme-landing/*"}
LIST = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::acme-landing"}
ROOT = "airflow/orders/"
MANIFEST = f"s3://acme-landing/{ROOT}_manifest.json"
FILES = {"a.csv": b"id,name\n1,a\n", "b.csv": b"id,name\n2,b\n3,c\n", "deep/c.bin": b"\x00" * 3000}

Verify = Callable[..., tuple[int, Any]]


@pytest.fixture
def receiver(worker: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """This process is B's receiver from now on, by its profile; what it may is read and list."""
    become(worker, tmp_path, monkeypatch, GET, LIST)
    return worker


def become(case: Scenario, folder: Path, monkeypatch: pytest.MonkeyPatch, *statements: dict[str, Any]) -> AccessKey:
    """Make the profile ``receiver``, a user of B with these rights."""
    name = f"receiver-{len(statements)}"
    key = case.account_b.create_user(name, {"Version": "2012-10-17", "Statement": list(statements)})
    path = folder / "credentials"
    path.write_text(
        f"[receiver]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return key


@pytest.fixture
def deliver(worker: Scenario, tmp_path: Path) -> Callable[..., Any]:
    """Let a task of A deliver files below ``airflow/orders/``."""

    def run(files: dict[str, bytes] | None = None, **arguments: Any) -> Any:
        source = tmp_path / "source"
        for name, body in (FILES if files is None else files).items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(body)
        given = {"source": str(source), "key": "orders/", "manifest": True, **arguments}
        return TaskTry(
            lambda: CrossAccountUploadOperator(task_id="upload", xacct_conn_id="xacct_default", **given), StateStore()
        ).run()

    return run


@pytest.fixture
def verify(worker: Scenario, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Run the command; returns the exit status and the report, or what it printed without ``--json``."""

    def run(*options: str, manifest: str = MANIFEST, text: bool = False, profile: str = "receiver") -> tuple[int, Any]:
        capsys.readouterr()
        parser = argparse.ArgumentParser()
        verify_command.register(parser.add_subparsers())
        given = [manifest, "--profile", profile, "--endpoint-url", worker.box.endpoint_url, *options]
        arguments = parser.parse_args(["verify", *given, *([] if text else ["--json"])])
        exit_status: int = arguments.func(arguments)
        told = capsys.readouterr()
        if text or (exit_status == 2 and not told.out):
            return exit_status, told.out + told.err
        assert told.err == ""
        return exit_status, json.loads(told.out)

    return run


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite database behind the connection ``source_db``."""
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER, name TEXT)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?)", [(1, 'a "quoted"\nline'), (2, None), (3, '\r\n,\n"')]
        )
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE_DB", json.dumps({"conn_type": "sqlite", "host": str(path)}))


def put(case: Scenario, name: str, body: bytes, **options: Any) -> None:
    case.account_b.client("s3").put_object(Bucket=case.bucket, Key=ROOT + name, Body=body, **options)


def remove(case: Scenario, name: str) -> None:
    case.account_b.client("s3").delete_object(Bucket=case.bucket, Key=ROOT + name)


def manifest_of(case: Scenario) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(case.account_b.read(case.bucket, f"{ROOT}_manifest.json"))
    return found


def rewrite(case: Scenario, document: Any) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    put(case, "_manifest.json", body)


def name_rows(case: Scenario, rows: dict[str, int | None]) -> None:
    """Write row counts into the manifest, as a dump does."""
    document = manifest_of(case)
    for entry in document["xacct"]["objects"]:
        entry["rows"] = rows[entry["url"].removeprefix(f"s3://acme-landing/{ROOT}")]
    counts = [entry["rows"] for entry in document["xacct"]["objects"]]
    document["xacct"]["totals"]["rows"] = None if None in counts else sum(counts)
    rewrite(case, document)


def problems(report: dict[str, Any]) -> dict[str, list[str]]:
    """Name of the object -> what is wrong with it."""
    return {one["url"].rsplit("/", 1)[-1]: one["problems"] for one in report["objects"] if one["problems"]}


def requests_of(case: Scenario, operation: str) -> list[Any]:
    return [request for request in case.box.requests if request.operation == operation]


def test_a_delivery_is_what_it_says(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """Every object, its size and S3's checksum, without reading a byte of data; each call carries the owner."""
    deliver()
    receiver.box.requests.clear()
    exit_status, report = verify()
    assert exit_status == 0
    assert (report["verdict"], report["state"], report["schema_version"]) == ("true", "complete", 1)
    assert report["summary"] == {
        "true": 3, "false": 0, "unseen": 0, "objects": 3, "rows": None, "size_bytes": sum(map(len, FILES.values())),
    }  # fmt: skip
    assert report["delivery"]["dag_id"] == "nyc"
    assert report["extra"] == {"count": 0, "keys": [], "complete": True, "why_not": "", "older_versions": 0}
    assert report["expected_owner"] == receiver.account_b.id
    assert report["looked_as"].endswith(":user/receiver-2")
    asked = [request for request in receiver.box.requests if request.operation != "GetCallerIdentity"]
    assert {request.expected_owner for request in asked} == {receiver.account_b.id}
    assert [request.key for request in asked if request.operation == "GetObject"] == [f"{ROOT}_manifest.json"]


def test_every_byte_is_read_on_request(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """The checksum is computed anew and equals what S3 and the manifest have."""
    deliver()
    exit_status, report = verify("--recompute")
    assert exit_status == 0
    for one in report["objects"]:
        body = FILES[one["url"].removeprefix(f"s3://acme-landing/{ROOT}")]
        expected = checksum_of(body)
        assert one["recomputed_checksum"] == one["stored_checksum"] == one["checksum_crc64nvme"] == expected
        assert one["size_bytes"] == one["stored_size_bytes"] == len(body)


@pytest.mark.parametrize("options", [[], ["--recompute"]])
def test_a_tampered_bucket_is_seen(receiver: Scenario, deliver: Any, verify: Verify, options: list[str]) -> None:
    """A byte changed within the same size, a truncated object, one that is gone, one too many."""
    deliver({**FILES, "d.csv": b"untouched"})
    put(receiver, "a.csv", FILES["a.csv"].replace(b"1", b"2"), ChecksumAlgorithm="CRC64NVME")
    put(receiver, "b.csv", FILES["b.csv"][:-1], ChecksumAlgorithm="CRC64NVME")
    remove(receiver, "deep/c.bin")
    put(receiver, "foreign.csv", b"x")
    exit_status, report = verify(*options)
    assert (exit_status, report["verdict"]) == (1, "false")
    found = problems(report)
    assert found.keys() == {"a.csv", "b.csv", "c.bin"}
    assert found["a.csv"][0].startswith("S3 keeps the checksum ")
    assert found["b.csv"][0] == "it has 15 bytes, and the manifest says 16"
    assert found["c.bin"] == ["it is not there"]
    assert report["extra"]["keys"] == [f"{ROOT}foreign.csv"]


def test_only_strict_objects_to_what_nobody_named(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """A marker of ours is not counted, and neither is the manifest."""
    deliver()
    put(receiver, "_SUCCESS", b"")
    assert verify("--strict")[0] == 0
    put(receiver, "other.csv", b"x")
    assert verify()[0] == 0
    exit_status, report = verify("--strict")
    assert (exit_status, report["problems"]) == (1, ["the manifest does not name 1 object below its prefix"])


def test_bytes_that_s3_has_no_such_checksum_of(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """Stored anew with another algorithm: never true on a guess, and true once the bytes were read."""
    deliver()
    put(receiver, "a.csv", FILES["a.csv"], ChecksumAlgorithm="SHA256")
    exit_status, report = verify()
    assert (exit_status, report["verdict"]) == (2, "unseen")
    (one,) = [one for one in report["objects"] if one["unseen"]]
    assert "only SHA256" in one["unseen"][0]
    assert "--recompute" in one["unseen"][0]
    assert verify("--recompute")[0] == 0
    put(receiver, "a.csv", FILES["a.csv"].replace(b"1", b"2"), ChecksumAlgorithm="SHA256")
    exit_status, report = verify("--recompute")
    assert exit_status == 1
    assert problems(report)["a.csv"][0].startswith("its bytes have the checksum ")


def test_a_delivery_under_way_is_not_there_yet(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """A tombstone stands in the manifest's place while its objects are replaced."""
    deliver()
    document = manifest_of(receiver)
    document["entries"], document["xacct"]["objects"], document["xacct"]["state"] = [], [], "replacing"
    document["xacct"]["totals"] = {"objects": 0, "size_bytes": 0, "rows": None}
    rewrite(receiver, document)
    exit_status, report = verify()
    assert (exit_status, report["state"], len(report["problems"])) == (1, "replacing", 1)
    assert "under way" in report["problems"][0]
    assert "it is being replaced" in verify(text=True)[1]


def test_a_delivery_that_is_being_replaced_is_seen_as_such(
    receiver: Scenario, deliver: Any, verify: Verify, tmp_path: Path
) -> None:
    """What a reader finds in the middle of a real commit, in place of the manifest."""
    deliver()
    copy = tmp_path / "copy.json"
    receiver.box.faults.add(
        "CompleteMultipartUpload",
        action=call(
            lambda request: copy.write_bytes(receiver.account_b.read(receiver.bucket, f"{ROOT}_manifest.json"))
        ),
    )
    deliver({"a.csv": b"other"}, if_exists="replace")
    assert verify("--strict")[0] == 0
    exit_status, report = verify("--bucket", "acme-landing", "--prefix", ROOT, manifest=str(copy))
    assert (exit_status, report["state"]) == (1, "replacing")


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("layout", ["in_place", "versioned"])
def test_a_dump_with_fewer_objects_than_before(
    receiver: Scenario, verify: Verify, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """Emptied objects, schema and marker are taken for what they are; an emptied one that holds rows is a failure."""
    store = StateStore()

    def dump(sql: str, **run: Any) -> None:
        TaskTry(
            lambda: CrossAccountSqlDumpOperator(
                task_id="dump", sql=sql, sql_conn_id="source_db", xacct_conn_id="xacct_default", key="orders/",
                max_rows_per_object=1, layout=layout, schema_file=True, success_file=True,
            ),
            store, task="dump",
        ).run(**run)  # fmt: skip

    dump("SELECT * FROM orders ORDER BY id")
    dump("SELECT * FROM orders WHERE id = 1", clear_number=1)
    exit_status, report = verify("--recompute", "--strict")
    assert (exit_status, report["verdict"], report["problems"]) == (0, "true", [])
    assert (report["summary"]["objects"], report["summary"]["rows"]) == (1, 1)
    assert {one["url"].rsplit("/", 1)[-1]: (one["role"], one["counted_rows"]) for one in report["objects"]} == {
        "part-00000.csv": ("data", 1),
        "_schema.json": ("auxiliary", None),
        **({f"part-0000{n}.csv": ("emptied", 0) for n in (1, 2)} if layout == "in_place" else {}),
    }
    assert report["extra"]["count"] == 0
    assert report["extra"]["older_versions"] == (4 if layout == "versioned" else 0)
    told = verify("--recompute", text=True)[1]
    assert "The delivery is what its manifest says: 1 object," in told
    assert ("it holds no row" in told) == (layout == "in_place")
    if layout == "in_place":
        remove(receiver, "part-00002.csv")
        assert verify()[0] == 0, "gone is as good as empty"
        body = b"id,name\n9,stale\n"
        put(receiver, "part-00001.csv", body, ChecksumAlgorithm="CRC64NVME")
        assert "bytes, and the manifest says 8" in problems(verify()[1])["part-00001.csv"][0]
        # and where the manifest is made to fit, the rows still are too many
        document = manifest_of(receiver)
        document["xacct"]["emptied"][0] |= {"size_bytes": len(body), "checksum_crc64nvme": checksum_of(body)}
        rewrite(receiver, document)
        assert problems(verify("--recompute")[1])["part-00001.csv"] == ["it has 1 rows, and the manifest says 0"]


def test_without_a_manifest_nothing_was_delivered(receiver: Scenario, verify: Verify) -> None:
    """A receiver that may list learns that it is missing; of a bucket that is missing too."""
    exit_status, report = verify()
    assert (exit_status, report["state"]) == (1, "absent")
    exit_status, told = verify(manifest="s3://no-such-bucket/_manifest.json")
    assert (exit_status, told.count("\n")) == (2, 1)
    assert "the bucket does not exist" in told
    assert "airflow_xacct" not in told


def test_a_bucket_of_another_region_is_found(receiver: Scenario, verify: Verify) -> None:
    """S3 says where it is; the receiver need not know."""
    receiver.account_b.create_bucket("acme-landing-eu", region="eu-west-1")
    arn = "arn:aws:s3:::acme-landing-eu"
    policy = {"Version": "2012-10-17", "Statement": [{**GET, "Resource": f"{arn}/*"}, {**LIST, "Resource": arn}]}
    receiver.account_b.client("iam").put_user_policy(
        UserName="receiver-2", PolicyName="more", PolicyDocument=json.dumps(policy)
    )
    for options in ([], ["--region", "eu-west-1"], ["--region", "ap-south-1"]):
        exit_status, report = verify(*options, manifest="s3://acme-landing-eu/_manifest.json")
        assert (exit_status, report["state"]) == (1, "absent"), report


def test_a_manifest_that_changes_meanwhile_is_of_no_one_delivery(
    receiver: Scenario, deliver: Any, verify: Verify
) -> None:
    """What was looked at may be half of each."""
    deliver()
    same = receiver.account_b.read(receiver.bucket, f"{ROOT}_manifest.json")
    receiver.box.faults.add("ListObjectsV2", action=call(lambda request: rewrite(receiver, same + b"\n")))
    exit_status, report = verify()
    assert exit_status == 1
    assert "changed meanwhile" in report["problems"][0]


HOSTILE = {
    "another bucket": "s3://acme-secrets/airflow/orders/a.csv",
    "another tenant": "s3://acme-landing/payroll/a.csv",
    "a sibling with the same beginning": "s3://acme-landing/airflow/orders-of-others/a.csv",
    "the folder above": "s3://acme-landing/airflow/a.csv",
    "climbing": f"s3://acme-landing/{ROOT}../../payroll/a.csv",
    "climbing, encoded": f"s3://acme-landing/{ROOT}%2e%2e/%2e%2e/payroll/a.csv",
    "climbing, encoded twice": f"s3://acme-landing/{ROOT}%252e%252e%252fpayroll/a.csv",
    "a backslash": f"s3://acme-landing/{ROOT}..\\payroll",
    "an access point": "s3://arn:aws:s3:us-east-1:111111111111:accesspoint/evil/airflow/orders/a.csv",
    "a host": "https://evil.example/airflow/orders/a.csv",
    "instance metadata": "http://169.254.169.254/latest/meta-data/",
    "no key": "s3://acme-landing/",
    "a folder": f"s3://acme-landing/{ROOT}",
    "a line end": f"s3://acme-landing/{ROOT}a\r\nHost: evil",
    "a surrogate": f"s3://acme-landing/{ROOT}\ud800",
    "a long key": f"s3://acme-landing/{ROOT}{'a' * 100_000}",
    "upper case": f"S3://acme-landing/{ROOT}a.csv",
    "an empty segment": f"s3://acme-landing/{ROOT}/a.csv",
}


@pytest.mark.parametrize("url", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_manifest_reads_nothing_elsewhere(receiver: Scenario, deliver: Any, verify: Verify, url: str) -> None:
    """The entry is named as wrong, the others are looked at, and no request leaves the place."""
    deliver()
    document = manifest_of(receiver)
    document["entries"][0]["url"] = document["xacct"]["objects"][0]["url"] = url
    rewrite(receiver, document)
    for options in ([], ["--recompute"]):
        receiver.box.requests.clear()
        exit_status, report = verify(*options)
        assert (exit_status, report["summary"]["false"]) == (1, 1)
        assert report["objects"][0]["problems"]
        assert len(report["objects"][0]["url"]) < 1300
        assert report["objects"][0]["stored_size_bytes"] is None
        asked = {(r.bucket, r.key) for r in receiver.box.requests if r.operation in ("HeadObject", "GetObject")}
        names = ("_manifest.json", *list(FILES)[1:])
        assert asked == {("acme-landing", ROOT + name) for name in names}
    assert verify(text=True)[0] == 1


def test_a_prefix_can_be_given_when_objects_lie_elsewhere(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """By the receiver, and never by the manifest."""
    deliver(manifest_key="manifests/orders.json")
    uri = "s3://acme-landing/airflow/manifests/orders.json"
    exit_status, report = verify(manifest=uri)
    assert (exit_status, report["summary"]["false"]) == (1, 3)
    assert verify("--prefix", "airflow", manifest=uri)[0] == 0
    assert verify("--prefix", ROOT, manifest=uri)[0] == 0
    assert verify("--prefix", "", manifest=uri)[0] == 0


def test_a_local_copy_of_the_manifest_counts(receiver: Scenario, deliver: Any, verify: Verify, tmp_path: Path) -> None:
    """Whoever may write the bucket cannot change what A sent by another way."""
    deliver()
    copy = tmp_path / "copy.json"
    copy.write_bytes(receiver.account_b.read(receiver.bucket, f"{ROOT}_manifest.json"))
    remove(receiver, "_manifest.json")
    options = ["--bucket", "acme-landing", "--prefix", ROOT]
    assert verify(*options, manifest=str(copy))[0] == 0
    assert "does not exist" in str(verify("--bucket", "no-such-one", "--prefix", ROOT, manifest=str(copy))[1])
    for wrong in ([], ["--bucket", "acme-landing"]):
        assert "--prefix" in verify(*wrong, manifest=str(copy))[1]
    assert "cannot be read" in verify(*options, manifest=str(tmp_path / "none"))[1]


def test_rows_are_counted_as_the_name_says(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """CSV and JSON Lines, plain, gzip and zstd, several members and frames; Parquet from its footer."""
    csv = b'id,text\n1,"a\nb ""c"""\n2,\n'
    lines = b'{"id": 1}\n{"id": 2}\n{"id": 3}'
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": list(range(1000))}), sink, row_group_size=10)
    pack = zstandard.ZstdCompressor().compress
    files = {
        "a.csv": csv,
        "b.csv.gz": gzip.compress(csv[:8]) + gzip.compress(csv[8:]),
        "c.csv.zst": pack(csv[:8]) + pack(csv[8:]),
        "d.jsonl": lines,
        "e.jsonl.gz": gzip.compress(lines),
        "f.ndjson.zst": pack(lines),
        "g.parquet": sink.getvalue().to_pybytes(),
        "h.bin": b"\n",
    }
    rows: dict[str, int | None] = dict(zip(files, (2, 2, 3, 3, 3, 3, 1000, 7), strict=True))
    deliver(files)
    name_rows(receiver, rows)
    exit_status, report = verify("--recompute")
    assert exit_status == 0, report
    assert report["summary"]["rows"] == sum(count for count in rows.values() if count)
    assert [one["counted_rows"] for one in report["objects"]] == [2, 2, 3, 3, 3, 3, 1000, None]
    assert "not counted" in report["objects"][-1]["notes"][0]
    name_rows(receiver, dict.fromkeys(files, 5))
    exit_status, report = verify("--recompute")
    assert exit_status == 1
    assert [text for texts in problems(report).values() for text in texts] == [
        *["it has 3 rows, a header included, and the manifest says 5"] * 3,
        *["it has 3 rows, and the manifest says 5"] * 3,
        "it has 1,000 rows, and the manifest says 5",
    ]
    assert verify()[0] == 0  # nothing was read, so nothing was counted


@pytest.mark.parametrize(
    ("form", "compression"),
    [*((form, packed) for form in ("csv", "jsonl") for packed in ("none", "gzip", "zstd")), ("parquet", "zstd")],
)
def test_rows_of_a_real_dump_are_what_its_manifest_says(
    receiver: Scenario, verify: Verify, database: None, form: str, compression: str
) -> None:
    """What the pipeline counted while it wrote is what the receiver counts, empty object and header included."""
    for key, where in (("orders/", ""), ("none/", "WHERE 1 = 0")):
        TaskTry(
            lambda key=key, where=where: CrossAccountSqlDumpOperator(  # type: ignore[misc]
                task_id="dump",
                sql=f"SELECT * FROM orders {where}",
                sql_conn_id="source_db",
                xacct_conn_id="xacct_default",
                key=key,
                format=form,
                compression=compression,
                max_rows_per_object=2,
            ),
            StateStore(),
            task="dump",
        ).run()
        exit_status, report = verify(
            "--recompute", "--strict", manifest=f"s3://acme-landing/airflow/{key}_manifest.json"
        )
        assert exit_status == 0, report
        counted = [one["counted_rows"] for one in report["objects"]]
        assert sum(counted) == report["summary"]["rows"] == (0 if where else 3)


def test_bytes_that_are_not_what_their_name_says(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """A broken archive is a finding, and its checksum is computed all the same."""
    files = {
        "a.csv.gz": b"no gzip",
        "b.csv.gz": gzip.compress(b"1\n" * 1000)[:-9],
        "c.csv.zst": b"no zstd at all",
        "d.parquet": b"PAR1 nothing PAR1",
        "e.parquet": b"",
        "f.csv": b'"open\n',
        "g.parquet": b"PAR1" + b"\xff" * 20 + (20).to_bytes(4, "little") + b"PAR1",
    }
    deliver(files)
    name_rows(receiver, dict.fromkeys(files, 1))
    exit_status, report = verify("--recompute")
    assert exit_status == 1
    assert problems(report).keys() == files.keys()
    assert all("its name says" in texts[0] for texts in problems(report).values())
    assert all(one["recomputed_checksum"] == one["checksum_crc64nvme"] for one in report["objects"])


def test_a_line_that_breaks_is_taken_up_again(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """From where it broke, so that terabytes need no perfect line; throttling is waited for by the client."""
    deliver({"big.bin": bytes(range(256)) * 20_000})
    receiver.box.faults.add("GetObject", action=status(500, "InternalError"), key="big.bin")
    assert verify("--recompute")[0] == 0
    assert len(requests_of(receiver, "GetObject")) >= 2


def test_an_object_that_changes_under_the_reader_is_not_judged(
    receiver: Scenario, deliver: Any, verify: Verify
) -> None:
    """Between the look at it and its bytes."""
    deliver()
    receiver.box.faults.add(
        "GetObject", action=call(lambda request: put(receiver, "a.csv", b"other bytes!")), key="a.csv"
    )
    exit_status, report = verify("--recompute")
    assert exit_status == 2
    (one,) = [one for one in report["objects"] if one["verdict"] == "unseen"]
    assert "it changed while it was looked at" in one["unseen"][0]


def test_no_permission_to_read_names_the_action(
    receiver: Scenario, deliver: Any, verify: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest, and nothing about a role or a connection, which the receiver does not have."""
    deliver()
    become(receiver, tmp_path, monkeypatch, LIST, LIST, LIST)
    exit_status, told = verify()
    assert exit_status == 2
    assert told.startswith("airflow-xacct: s3:GetObject was denied to arn:aws:iam::222222222222:user/receiver-3")
    assert MANIFEST in told
    assert "Allow s3:GetObject" in told
    assert "connection" not in told
    assert "role" not in told


def test_without_the_right_to_list_objects_are_checked_all_the_same(
    receiver: Scenario, deliver: Any, verify: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else is there stays unknown; a missing object cannot be told from one that may not be read."""
    deliver()
    become(receiver, tmp_path, monkeypatch, GET)
    exit_status, report = verify()
    assert exit_status == 0
    assert "s3:ListBucket was denied" in report["extra"]["why_not"]
    exit_status, report = verify("--strict")
    assert (exit_status, report["verdict"]) == (2, "unseen")
    remove(receiver, "a.csv")
    exit_status, report = verify()
    assert (exit_status, report["summary"]["unseen"]) == (2, 1)
    assert "was denied" in report["objects"][0]["unseen"][0]
    assert "s3:ListBucket" in report["objects"][0]["unseen"][0]


def test_a_denied_key_is_named_with_its_action(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """A HEAD is refused without a word; the words come from asking once more."""
    deliver()
    receiver.box.faults.add("HeadObject", action=status(403, "AccessDenied"), key="a.csv")
    receiver.box.faults.add("GetObject", action=deny("kms:Decrypt", "no identity-based policy allows"), key="a.csv")
    exit_status, report = verify()
    assert exit_status == 2
    assert "kms:Decrypt was denied" in report["objects"][0]["unseen"][0]
    assert "by an identity-based policy" in report["objects"][0]["unseen"][0]


def test_the_bucket_must_be_of_the_expected_account(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """A bucket that somebody else owns now is not read; with the right account STS is not asked."""
    deliver()
    exit_status, told = verify("--expected-owner", receiver.account_a.id)
    assert exit_status == 2
    assert f"account {receiver.account_a.id} does not own" in " ".join(told.split())
    receiver.box.requests.clear()
    assert verify("--expected-owner", receiver.account_b.id)[0] == 0
    assert "GetCallerIdentity" not in {request.operation for request in receiver.box.requests}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--expected-owner", "B"], "'B' is not the id of an account (--expected-owner)"),
        (["--profile", "nobody"], "profile 'nobody' cannot be used"),
        (["--jobs", "0"], "--jobs"),
        (["--endpoint-url", "ftp://127.0.0.1"], "https://"),
        (["--endpoint-url", "http://s3.eu-central-1.amazonaws.com"], "must be https"),
        (["--endpoint-url", "nonsense"], "URL"),
        (["--prefix", "a/../b"], "'a/../b'"),
        (["--bucket", "acme-landing"], "leave it out"),
        (["--endpoint-url", "http://127.0.0.1:9"], "s got no answer"),
    ],
)
def test_wrong_arguments_are_messages(
    receiver: Scenario, verify: Verify, options: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the argument and what to do."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    exit_status, told = verify(*options)
    assert exit_status == 2
    assert text.removeprefix("s got") in told
    assert "Traceback" not in told


@pytest.mark.parametrize("manifest", ["s3://acme-landing", "s3://acme-landing/", "s3://acme-landing/a/../b", "s3:///x"])
def test_a_uri_that_is_none_is_a_message(receiver: Scenario, verify: Verify, manifest: str) -> None:
    """Nothing is asked for."""
    exit_status, told = verify(manifest=manifest)
    assert exit_status == 2
    assert "_manifest.json" in told


def test_credentials_that_aws_does_not_know(
    worker: Scenario, verify: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none at all."""
    path = tmp_path / "credentials"
    path.write_text("[receiver]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    exit_status, told = verify()
    assert exit_status == 2
    assert "AWS does not know the credentials of profile 'receiver'" in told
    path.write_text("[receiver]\n")
    assert "there are none" in verify()[1]


def test_a_person_reads_one_table(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """80 columns when piped, no escape, the problems below their object, foreign text made harmless."""
    deliver({**FILES, "a very long name of a file that nobody would choose by hand, " * 3 + ".csv": b"x"})
    put(receiver, "b.csv", b"")
    put(receiver, "\x1b[2Jevil.csv", b"")
    exit_status, told = verify(text=True)
    assert exit_status == 1
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in told.splitlines())
    assert "it has 0 bytes, and the manifest says 16" in " ".join(told.split())
    assert "Not named by the manifest: 1 object" in told
    assert told.splitlines()[-1].startswith("The delivery is not what its manifest says: 1 wrong of 4 objects")
    remove(receiver, "b.csv")
    put(receiver, "b.csv", FILES["b.csv"], ChecksumAlgorithm="CRC64NVME")
    exit_status, told = verify("--recompute", text=True)
    assert exit_status == 0
    assert "every byte read." in told


def test_many_objects_are_looked_at(receiver: Scenario, deliver: Any, verify: Verify) -> None:
    """A few requests at a time, all of them counted, and a table that stays short."""
    deliver({f"part-{number:03}.csv": b"x" for number in range(60)})
    exit_status, told = verify("--jobs", "4", text=True)
    assert exit_status == 0
    assert "and 40 objects more that are as the manifest says" in told
    assert len(told.splitlines()) < 40


def test_the_receiver_needs_no_airflow(receiver: Scenario, deliver: Any) -> None:
    """In a process of its own: neither Airflow nor pyarrow nor the sandbox is imported."""
    deliver()
    script = (
        "import sys\nfrom airflow_xacct.cli.main import build_parser\nimport argparse\n"
        "from airflow_xacct.cli import verify_command\np = argparse.ArgumentParser()\n"
        "verify_command.register(p.add_subparsers())\na = p.parse_args(sys.argv[1:])\nstatus = a.func(a)\n"
        "loaded = {n.split('.')[0] for n in sys.modules}\n"
        "assert not loaded & {'airflow', 'pyarrow', 'ministack'}, loaded\nsys.exit(status)\n"
    )
    options = ["verify", MANIFEST, "--profile", "receiver", "--endpoint-url", receiver.box.endpoint_url]
    done = subprocess.run([sys.executable, "-c", script, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "The delivery is what its manifest says: 3 objects" in done.stdout
    assert done.stderr == ""


def test_what_the_page_for_receivers_shows_reads_a_delivery(
    receiver: Scenario, deliver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyarrow straight from the bucket; DuckDB over a copy of it, since its S3 extension is not in its package."""
    files = {}
    for number in range(2):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"id": [2 * number, 2 * number + 1]}), sink)
        files[f"part-0000{number}.parquet"] = sink.getvalue().to_pybytes()
    deliver(files, partitions={"ds": "2013-01-01"})
    page = (Path(__file__).parents[2] / "docs" / "receiving.md").read_text()
    key = become(receiver, tmp_path, monkeypatch, GET, LIST, LIST, LIST, LIST)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret_access_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", receiver.box.endpoint_url)
    (python,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    # pyarrow does not take an endpoint from the environment
    place = f'region="us-east-1", endpoint_override="{receiver.box.endpoint_url}"'
    exec(python.replace('region="eu-central-1"', place), names)  # noqa: S102
    names["s3"].close()
    assert sorted(names["table"].column("id").to_pylist()) == [0, 1, 2, 3]
    assert set(names["table"].column("ds").to_pylist()) == {"2013-01-01"}
    for name in receiver.account_b.objects(receiver.bucket):
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        body = receiver.account_b.read(receiver.bucket, name)
        path.write_bytes(body.replace(b"s3://acme-landing", str(tmp_path / "copy").encode()))
    (sql,) = (block for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "SET VARIABLE" in block)
    _, setting, query = (statement for statement in sql.split(";\n") if statement.strip())
    with duckdb.connect() as connection:
        connection.execute(setting.replace("s3://acme-landing", str(tmp_path / "copy")))
        assert connection.execute(query).fetchall() == [(4,)]
