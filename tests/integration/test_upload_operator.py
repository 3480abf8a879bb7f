"""The upload operator against two accounts: what lands, what B sees, and what stays away."""

from __future__ import annotations

import functools
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from airflow.providers.common.compat.sdk import Asset, ObjectStoragePath

from airflow_xacct.delivery.settings import TransferSettings
from airflow_xacct.exceptions import (
    AccessDeniedError,
    AssumeRoleError,
    BucketNotFoundError,
    ConnectionNotFoundError,
    EndpointUnreachableError,
    InvalidArgumentError,
    ObjectExistsError,
    OutsideDestinationError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnreadableError,
    ThrottledError,
    TransportError,
    WrongRegionError,
    XacctError,
)
from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.sandbox import Scenario, call, deny, status
from tests.integration.airflow_context import StateStore, TaskTry

MIB = 1024**2
Upload = Callable[..., TaskTry]


@pytest.fixture
def upload(worker: Scenario) -> Upload:
    """Make a task that uploads; by default with a log, as on Airflow 3.3."""

    def make(*, log: bool = True, task: str = "upload", **arguments: Any) -> TaskTry:
        given = {"xacct_conn_id": "xacct_default", **arguments}
        return TaskTry(
            lambda: CrossAccountUploadOperator(task_id=task, **given), StateStore() if log else None, task=task
        )

    return make


@pytest.fixture
def change(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A connection like the standard one with some extras changed."""

    def make(**extras: Any) -> str:
        extra = {**worker.connection_extra, **extras}
        monkeypatch.setenv("AIRFLOW_CONN_CHANGED", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
        return "changed"

    return make


def landed(worker: Scenario) -> dict[str, bytes]:
    """Every object in B's bucket, as B reads it."""
    return {key: worker.account_b.read(worker.bucket, key) for key in worker.account_b.objects(worker.bucket)}


def assert_nothing_landed(worker: Scenario) -> None:
    assert landed(worker) == {}
    assert worker.box.open_multipart_uploads(worker.bucket) == []


def test_a_file_lands(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """Bytes, type, metadata, one asset event, a link, and a small result."""
    source = tmp_path / "orders.csv"
    source.write_bytes(b"id,name\n1,a\n")
    task = upload(source=str(source), key="orders/{{ ds }}.csv", metadata={"team": "data"})
    task.make().render_template_fields({"ds": "2013-01-01"})  # templates are Airflow's; here: the rendered value
    task = upload(source=str(source), key="orders/2013-01-01.csv", metadata={"team": "data"})
    result = task.run()
    assert landed(worker) == {"airflow/orders/2013-01-01.csv": b"id,name\n1,a\n"}
    head = worker.account_b.client("s3").head_object(
        Bucket=worker.bucket, Key="airflow/orders/2013-01-01.csv", ChecksumMode="ENABLED"
    )
    assert head["ContentType"] == "text/csv"
    assert head["Metadata"]["team"] == "data"
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert result["uri"] == "s3://acme-landing/airflow/orders/2013-01-01.csv"
    assert (result["objects"], result["bytes"], result["checksum"]) == (1, 12, head["ChecksumCRC64NVME"])
    assert json.loads(json.dumps(result)) == result
    assert task.xcoms["xacct_s3_console"].endswith(
        "/s3/buckets/acme-landing?region=us-east-1&prefix=airflow%2Forders%2F"
    )


def test_the_asset_is_the_dataset_and_the_summary_its_extra(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """One asset for all days; outlets the user declared get the same extra."""
    (tmp_path / "a.csv").write_text("a")
    declared = Asset(uri="s3://acme-landing/mine", name="mine")

    def make() -> CrossAccountUploadOperator:
        operator = CrossAccountUploadOperator(
            task_id="upload",
            xacct_conn_id="xacct_default",
            source=str(tmp_path / "a.csv"),
            key="orders/{{ ds }}/",
            outlets=[declared],
        )
        operator.key = "orders/2013-01-01/"  # as rendered
        return operator

    task = TaskTry(make, StateStore())
    result = task.run()
    assert task.events is not None
    (alias,) = [key for key in task.events if "alias" in type(key).__name__.lower()]
    (event,) = task.events[alias].asset_alias_events
    assert event.source_alias_name == "xacct:xacct_default"
    assert event.dest_asset_key.uri == "s3://acme-landing/airflow/orders"
    assert event.extra["key"] == "airflow/orders/2013-01-01/"
    assert event.extra["objects"] == result["objects"] == 1
    assert task.events[declared].extra["uri"] == result["uri"]


def test_a_directory_lands_whole_with_a_manifest(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """Redshift's form, everything of ours under one key, and it was written last."""
    for name in ("a.csv", "deep/b.csv", "deep/er/c.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    result = upload(source=str(tmp_path), key="tree/", partitions={"ds": "2013-01-01"}).run()
    root = "airflow/tree/ds=2013-01-01/"
    objects = landed(worker)
    manifest = json.loads(objects.pop(root + "_manifest.json"))
    assert objects == {root + name: name.encode() for name in ("a.csv", "deep/b.csv", "deep/er/c.json")}
    assert {entry["url"]: entry["meta"]["content_length"] for entry in manifest["entries"]} == {
        f"s3://{worker.bucket}/{key}": len(body) for key, body in objects.items()
    }
    assert all(entry["mandatory"] is True for entry in manifest["entries"])
    assert set(manifest) == {"entries", "xacct"}
    assert "assumed-role/DataDumpRole/nyc.upload.manual__2013-01-01" in json.dumps(manifest["xacct"])
    assert result["manifest_uri"] == f"s3://{worker.bucket}/{root}_manifest.json"
    completes = [r.key for r in worker.box.requests if r.operation in ("CompleteMultipartUpload", "PutObject")]
    assert completes[-1] == root + "_manifest.json"


def test_a_glob_lands(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """Only what matches."""
    for name in ("a.csv", "b.csv", "c.txt"):
        (tmp_path / name).write_text(name)
    upload(source=str(tmp_path / "*.csv"), key="g/", manifest=False).run()
    assert landed(worker) == {"airflow/g/a.csv": b"a.csv", "airflow/g/b.csv": b"b.csv"}


def test_text_and_bytes_land(worker: Scenario, upload: Upload) -> None:
    """Also none at all: an empty object is an object."""
    upload(data="grüße", key="t.txt").run()
    upload(data=b"\x00\xff", key="b.bin").run()
    upload(data="", key="empty.txt").run()
    assert landed(worker) == {
        "airflow/t.txt": "grüße".encode(),
        "airflow/b.bin": b"\x00\xff",
        "airflow/empty.txt": b"",
    }


def test_object_storage_lands(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """An ObjectStoragePath, as an object and as text with its scheme."""
    (tmp_path / "a.csv").write_text("a")
    upload(source=ObjectStoragePath(f"file://{tmp_path}/a.csv"), key="one.csv").run()
    upload(source=f"file://{tmp_path}/a.csv", key="two.csv").run()
    assert landed(worker) == {"airflow/one.csv": b"a", "airflow/two.csv": b"a"}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed_objects_open_with_what_readers_have(
    worker: Scenario, upload: Upload, tmp_path: Path, compression: str
) -> None:
    """The suffix, the type, and the bytes."""
    text = b"0123456789" * 200_000
    (tmp_path / "a.csv").write_bytes(text)
    upload(source=str(tmp_path / "a.csv"), key="c/", compression=compression).run()
    ((key, body),) = landed(worker).items()
    assert key.endswith({"gzip": "a.csv.gz", "zstd": "a.csv.zst"}[compression])
    opened = (
        gzip.decompress(body)
        if compression == "gzip"
        else zstandard.ZstdDecompressor().decompressobj().decompress(body)
    )
    assert opened == text


def test_a_large_file_lands_in_parts(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """Several parts, one checksum over the whole object, computed by S3 as by us."""
    source = tmp_path / "big.bin"
    source.write_bytes(os.urandom(20 * MIB + 17))
    result = upload(source=str(source), key="big.bin").run()
    assert worker.account_b.read(worker.bucket, "airflow/big.bin") == source.read_bytes()
    head = worker.account_b.client("s3").head_object(
        Bucket=worker.bucket, Key="airflow/big.bin", ChecksumMode="ENABLED"
    )
    assert head["ChecksumCRC64NVME"] == result["checksum"]
    parts = [r for r in worker.box.requests if r.operation == "UploadPart"]
    assert len(parts) == 3
    assert {r.expected_owner for r in worker.box.requests if r.service == "s3"} == {worker.account_b.id}


def test_many_small_files_land(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """Two hundred of them, one delivery."""
    for number in range(200):
        (tmp_path / f"{number:03}.txt").write_text(str(number))
    result = upload(source=str(tmp_path), key="many/").run()
    objects = landed(worker)
    assert result["objects"] == 200
    assert len(objects) == 201
    assert objects["airflow/many/123.txt"] == b"123"


def test_a_role_that_may_only_put_and_abort_is_enough(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """Nothing on the write path reads, lists or heads."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    for mode in ("error", "replace", "skip"):
        upload(source=str(tmp_path), key=f"{mode}/", if_exists=mode).run()
    operations = {r.operation for r in worker.box.requests if r.service == "s3"}
    assert operations <= {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}


def test_if_exists_error_is_decided_by_s3(worker: Scenario, upload: Upload) -> None:
    """A foreign object stays as it is, the error names it, and nothing of ours stays open."""
    worker.account_b.client("s3").put_object(Bucket=worker.bucket, Key="airflow/a.txt", Body=b"foreign")
    with pytest.raises(ObjectExistsError, match=r"a\.txt"):
        upload(data="ours", key="a.txt").run()
    assert landed(worker) == {"airflow/a.txt": b"foreign"}
    assert worker.box.open_multipart_uploads(worker.bucket) == []


def test_if_exists_replace_and_skip(worker: Scenario, upload: Upload) -> None:
    """One takes the key, the other leaves it."""
    worker.account_b.client("s3").put_object(Bucket=worker.bucket, Key="airflow/a.txt", Body=b"foreign")
    result = upload(data="ours", key="a.txt", if_exists="skip").run()
    assert (result["objects"], result["skipped"]) == (0, 1)
    assert landed(worker) == {"airflow/a.txt": b"foreign"}
    upload(data="ours", key="a.txt", if_exists="replace").run()
    assert landed(worker) == {"airflow/a.txt": b"ours"}
    assert worker.box.open_multipart_uploads(worker.bucket) == []


def test_another_try_of_the_same_run_is_no_conflict(worker: Scenario, upload: Upload) -> None:
    """The task succeeded in S3 and its worker died before Airflow knew."""
    task = upload(data="ours", key="a.txt")
    first = task.run(try_number=1)
    assert task.run(try_number=2) == first
    assert landed(worker) == {"airflow/a.txt": b"ours"}


def test_another_run_is_a_conflict(worker: Scenario, upload: Upload) -> None:
    """What another run wrote is not ours to overwrite under "error"."""
    upload(data="one", key="a.txt").run(run_id="run1")
    with pytest.raises(ObjectExistsError):
        upload(data="two", key="a.txt").run(run_id="run2")
    assert landed(worker) == {"airflow/a.txt": b"one"}


def test_a_cleared_task_delivers_the_new_data(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """Somebody corrected the file and cleared the task: the new bytes are there, once, also under "error"."""
    source = tmp_path / "a.txt"
    source.write_text("old")
    task = upload(source=str(source), key="a.txt")
    task.run()
    source.write_text("new!")
    task.run(clear_number=1)
    assert landed(worker) == {"airflow/a.txt": b"new!"}


def test_the_log_is_kept_for_a_while(worker: Scenario, upload: Upload) -> None:
    """Retention is set with each value, not left to a default of the deployment."""
    task = upload(data="x", key="a.txt")
    task.run()
    assert task.store is not None
    assert task.store.retentions
    assert None not in task.store.retentions


def test_without_a_log_it_works_too(worker: Scenario, upload: Upload) -> None:
    """Airflow before 3.3 has no state store."""
    upload(log=False, data="x", key="a.txt").run()
    assert landed(worker) == {"airflow/a.txt": b"x"}


def test_without_a_log_own_objects_are_recognised_where_the_role_may_read(worker: Scenario, upload: Upload) -> None:
    """A second try of the same run is no conflict; another run still is."""
    worker.account_b.put_role_policy(
        "DataDumpRole",
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
                    "Resource": f"arn:aws:s3:::{worker.bucket}/airflow/*",
                }
            ],
        },
    )
    task = upload(log=False, data="ours", key="a.txt")
    task.run(try_number=1)
    task.run(try_number=2)
    with pytest.raises(ObjectExistsError):
        task.run(run_id="another")
    assert landed(worker) == {"airflow/a.txt": b"ours"}


def test_without_a_log_and_without_reading_it_is_said(worker: Scenario, upload: Upload) -> None:
    """What cannot be known is an error that says how to find out."""
    task = upload(log=False, data="ours", key="a.txt")
    task.run(try_number=1)
    with pytest.raises(ObjectExistsError, match="With s3:GetObject, or with commit_log = variable"):
        task.run(try_number=2)


def test_tags_and_storage_class(worker: Scenario, upload: Upload) -> None:
    """Tags need a right of their own, and the refusal says so."""
    with pytest.raises(AccessDeniedError, match="PutObjectTagging"):
        upload(data="x", key="a.txt", tags={"team": "data"}).run()
    assert_nothing_landed(worker)
    worker.account_b.put_role_policy(
        "DataDumpRole",
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"],
                    "Resource": f"arn:aws:s3:::{worker.bucket}/airflow/*",
                }
            ],
        },
    )
    upload(data="x", key="a.txt", tags={"team": "data & more"}, storage_class="STANDARD_IA").run()
    s3 = worker.account_b.client("s3")
    tags = s3.get_object_tagging(Bucket=worker.bucket, Key="airflow/a.txt")["TagSet"]
    assert tags == [{"Key": "team", "Value": "data & more"}]
    assert s3.head_object(Bucket=worker.bucket, Key="airflow/a.txt")["StorageClass"] == "STANDARD_IA"


# What goes wrong: a clear error, and nothing written


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"source": "/nowhere/a.csv", "key": "a"}, SourceNotFoundError, "/nowhere/a.csv"),
        ({"source": "/nowhere/*.csv", "key": "a/"}, SourceNotFoundError, r"\*\.csv"),
        ({"data": "x", "key": "../a"}, OutsideDestinationError, "segment"),
        ({"data": "x", "key": "/a"}, OutsideDestinationError, "slash"),
        ({"data": "x", "key": "%2e%2e%2fa"}, (OutsideDestinationError, InvalidArgumentError), "%2e"),
        ({"data": "x", "key": "a", "prefix": "../acme-competitor/"}, OutsideDestinationError, "segment"),
        ({"data": "x", "key": "a", "bucket": "another-bucket"}, OutsideDestinationError, "another-bucket"),
        ({"data": "x", "key": "a", "xacct_conn_id": "nowhere"}, ConnectionNotFoundError, "nowhere"),
        ({"key": "a"}, InvalidArgumentError, "no source"),
    ],
)
def test_mistakes_in_the_dag(worker: Scenario, upload: Upload, arguments: Any, error: Any, text: str) -> None:
    """Found before anything is sent to the bucket."""
    with pytest.raises(error, match=text):
        upload(**arguments).run()
    assert not [r for r in worker.box.requests if r.service == "s3"]


def test_unreadable_files_are_all_named(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """One error for all of them, before the first byte."""
    (tmp_path / "good.csv").write_text("x")
    for name in ("one", "two"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(SourceUnreadableError, match=r"(?s)one.*two"):
        upload(source=str(tmp_path), key="x/").run()
    assert not [r for r in worker.box.requests if r.service == "s3"]


def test_a_file_that_changes_while_it_is_read(worker: Scenario, upload: Upload, tmp_path: Path) -> None:
    """A mix of two states is never delivered, and nothing stays open."""
    source = tmp_path / "growing.bin"
    source.write_bytes(b"x" * 80 * MIB)  # more than is in flight at once

    def grow(_: Any) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    worker.box.faults.add("UploadPart", action=call(grow))
    with pytest.raises(SourceChangedError, match=r"growing\.bin"):
        upload(source=str(source), key="a.bin").run()
    assert_nothing_landed(worker)


def test_a_wrong_bucket(worker: Scenario, upload: Upload, change: Any) -> None:
    """It does not exist."""
    worker.account_b.put_role_policy(
        "DataDumpRole",
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]},
    )
    with pytest.raises(BucketNotFoundError, match="does not exist"):
        upload(xacct_conn_id=change(bucket="no-such-bucket-here"), data="x", key="a").run()


def test_a_bucket_that_changed_hands(worker: Scenario, upload: Upload, change: Any) -> None:
    """The name is taken by account C, which would take everything: not a byte is stored there."""
    thief = worker.box.accounts[2]
    thief.create_bucket(
        "sniped-bucket",
        policy={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
                    "Action": "s3:*",
                    "Resource": ["arn:aws:s3:::sniped-bucket", "arn:aws:s3:::sniped-bucket/*"],
                }
            ],
        },
    )
    worker.account_b.put_role_policy(
        "DataDumpRole",
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]},
    )
    conn_id = change(bucket="sniped-bucket")
    for mode in ("error", "replace"):
        with pytest.raises(AccessDeniedError, match="does not own the bucket"):
            upload(xacct_conn_id=conn_id, data="secret", key="a", if_exists=mode).run()
    assert thief.objects("sniped-bucket") == {}
    assert worker.box.open_multipart_uploads("sniped-bucket") == []


def test_another_prefix_than_the_role_allows(worker: Scenario, upload: Upload, change: Any) -> None:
    """The role's own policy is B's second lock."""
    with pytest.raises(AccessDeniedError, match=r"s3:PutObject was denied") as caught:
        upload(xacct_conn_id=change(prefix="elsewhere/"), data="x", key="a").run()
    assert "elsewhere/a" in str(caught.value)
    assert caught.value.policy_kind == "identity-based policy"
    assert_nothing_landed(worker)


def test_a_wrong_external_id(worker: Scenario, upload: Upload, change: Any) -> None:
    """The door stays shut."""
    with pytest.raises(AssumeRoleError, match="sts:ExternalId"):
        upload(xacct_conn_id=change(external_id="not-the-right-one"), data="x", key="a").run()
    assert_nothing_landed(worker)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"])
def test_access_denied_on_each_action(worker: Scenario, upload: Upload, tmp_path: Path, operation: str) -> None:
    """Whichever call is refused, the error names action and object, and nothing stays."""
    (tmp_path / "a").write_bytes(b"a" * 100)
    mode = "replace" if operation == "PutObject" else "error"
    rule = worker.box.faults.add(operation, action=deny("s3:PutObject"), times=None)
    with pytest.raises(AccessDeniedError, match="s3:PutObject was denied"):
        upload(source=str(tmp_path / "a"), key="a", if_exists=mode).run()
    assert rule.fired
    worker.box.faults.clear()
    assert_nothing_landed(worker)


def test_a_denied_abort_is_named_and_does_not_hide_the_cause(
    worker: Scenario, upload: Upload, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be removed is named."""
    worker.box.faults.add("UploadPart", action=deny("s3:PutObject"), times=None)
    worker.box.faults.add("AbortMultipartUpload", action=deny(), times=None)
    with pytest.raises(AccessDeniedError, match="s3:PutObject was denied") as caught:
        upload(data="x", key="a.txt").run()
    said = caplog.text + str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "airflow/a.txt" in said
    assert "abort" in said.lower()


def test_throttling_is_waited_for_and_then_named(worker: Scenario, upload: Upload, change: Any) -> None:
    """A few 503 are nothing; only 503 is an error of its own."""
    worker.box.faults.add("CreateMultipartUpload", action=status(503, "SlowDown"), times=2)
    upload(data="x", key="a.txt").run()
    assert landed(worker) == {"airflow/a.txt": b"x"}


def test_another_region_than_the_buckets(worker: Scenario, upload: Upload, change: Any) -> None:
    """The error says where the bucket is, or that it is elsewhere."""
    with pytest.raises(WrongRegionError, match="region_name"):
        upload(xacct_conn_id=change(region_name="eu-west-1"), data="x", key="a").run()
    assert_nothing_landed(worker)


def test_no_network(worker: Scenario, upload: Upload, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing answers: an error of ours, with what to check."""
    settings = functools.partial(TransferSettings, backoff_seconds=0)
    monkeypatch.setattr("airflow_xacct.operators._delivery.TransferSettings", settings)
    conn_id = change(
        endpoint_url={"sts": worker.box.endpoint_url, "s3": "http://127.0.0.1:1"},
        config_kwargs={"retries": {"total_max_attempts": 1}},
    )
    with pytest.raises(TransportError):
        upload(xacct_conn_id=conn_id, data="x", key="a").run()


def test_every_error_is_ours(worker: Scenario) -> None:
    """The names above are all of one tree."""
    for kind in (AccessDeniedError, EndpointUnreachableError, ThrottledError, SourceChangedError):
        assert issubclass(kind, XacctError)
