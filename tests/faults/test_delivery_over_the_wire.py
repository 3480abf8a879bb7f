"""The same promises over boto3 and two accounts, with a role that may put and abort and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.config import Config

from airflow_xacct.access.context import RefusalContext
from airflow_xacct.access.refusals import translate
from airflow_xacct.delivery.boto3_store import Boto3Store
from airflow_xacct.delivery.commit import DeliveryEngine
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.delivery.settings import MIN_PART_BYTES, TransferSettings
from airflow_xacct.exceptions import ObjectExistsError, TransportError
from airflow_xacct.sandbox import (
    Scenario,
    call,
    drop_request,
    drop_response,
    error_in_200,
    status,
)
from tests.faults.fault_harness import Killed, plan_of, until_it_no_longer_fires

SMALL = {"airflow/one.csv": b"1,2,3\n"}
LARGE = {"airflow/big.bin": b"0123456789abcdef" * (MIN_PART_BYTES // 16) + b"tail"}
SEVERAL = {"airflow/d/a.csv": b"aaa", "airflow/d/b.csv": b"bb", "airflow/d/c.csv": b""}
MANIFEST = "airflow/d/manifest.json"


class Task:
    """Tries of one task that delivers into B's bucket."""

    def __init__(self, case: Scenario) -> None:
        self.case = case
        self.log = MemoryLog()
        context = RefusalContext("xacct_default", case.role_arn, case.account_b.id, case.account_b.id, None, "worker")
        self.clients: list[Any] = [
            # botocore would wait between its own retries; the engine has its own
            case.box.client(case.assume(), "s3", config=Config(retries={"total_max_attempts": 1}))
            for _ in range(2)
        ]
        self.store = Boto3Store(
            *self.clients,
            case.bucket,
            lambda error, action, key: translate(error, context=context, action=action, resource=key),
        )

    def deliver(self, objects: dict[str, bytes], *, generation: int = 0, **options: Any) -> DeliveryResult:
        """One try."""
        identity = DeliveryIdentity(
            conn_id="xacct_default",
            bucket=self.case.bucket,
            account=self.case.account_b.id,
            dag_id="dag",
            task_id="task",
            run_id="run",
            generation=generation,
            dataset="airflow/",
        )
        settings = TransferSettings(part_size_bytes=MIN_PART_BYTES, objects_in_flight=2, parts_in_flight=2)
        engine = DeliveryEngine(self.store, self.log, identity, settings, sleep=lambda seconds: None)
        return engine.deliver(plan_of(objects), manifest_key=MANIFEST, **options)

    def landed(self) -> dict[str, bytes]:
        """What B sees, without the manifest."""
        bucket = self.case.bucket
        found = {key: self.case.account_b.read(bucket, key) for key in self.case.account_b.objects(bucket)}
        found.pop(MANIFEST, None)
        return found

    def open_uploads(self) -> list[dict[str, Any]]:
        """What is unfinished."""
        return self.case.box.open_multipart_uploads(self.case.bucket)


@pytest.fixture
def task(xacct_accounts: Scenario) -> Iterator[Task]:
    """A task in a clean sandbox."""
    made = Task(xacct_accounts)
    yield made
    for client in made.clients:
        client.close()


def fresh(task: Task) -> Task:
    """The same task in an empty bucket, with an empty log."""
    task.case.box.faults.clear()
    for upload in task.open_uploads():
        task.case.account_b.client("s3").abort_multipart_upload(
            Bucket=task.case.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
    for key in task.case.account_b.objects(task.case.bucket):
        task.case.account_b.client("s3").delete_object(Bucket=task.case.bucket, Key=key)
    task.log = MemoryLog()
    return task


def assert_delivered(task: Task, objects: dict[str, bytes], result: DeliveryResult, *, leaks: int = 0) -> None:
    """B has exactly this, and nothing is left open."""
    assert task.landed() == objects
    assert (result.objects, result.bytes) == (len(objects), sum(map(len, objects.values())))
    if len(objects) > 1:
        manifest = json.loads(task.case.account_b.read(task.case.bucket, MANIFEST))
        assert [entry["url"] for entry in manifest["entries"]] == [f"s3://{task.case.bucket}/{key}" for key in objects]
    assert len(task.open_uploads()) == leaks


FAULTS = {
    "answer lost": drop_response,
    "request lost": drop_request,
    "503": status(503, "SlowDown"),
    "500": status(500, "InternalError"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("if_exists", ["error", "replace"])
def test_each_call_fails_once(task: Task, if_exists: str, operation: str, fault: str) -> None:
    """Dropped or refused once, each call of a delivery is made good within the same try."""

    def run(nth: int) -> bool:
        fresh(task)
        rule = task.case.box.faults.add(operation, action=FAULTS[fault], nth=nth)
        result = task.deliver(SEVERAL, if_exists=if_exists)
        lost_create = operation == "CreateMultipartUpload" and fault == "answer lost" and rule.fired
        assert_delivered(task, SEVERAL, result, leaks=int(bool(lost_create)))
        return bool(rule.fired)

    fired = until_it_no_longer_fires(run)
    assert fired == {"PutObject": 2 * (if_exists == "replace")}.get(operation, 4 - (if_exists == "replace"))


@pytest.mark.parametrize("carried_out", [False, True])
def test_an_error_in_a_200(task: Task, carried_out: bool) -> None:
    """Complete may say 200 and mean an error; whether it was carried out is found out."""
    task.case.box.faults.add("CompleteMultipartUpload", action=error_in_200(carried_out=carried_out), times=3)
    assert_delivered(task, SEVERAL, task.deliver(SEVERAL))


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
def test_a_large_object(task: Task, operation: str) -> None:
    """Several parts and a full-object checksum that S3 compares; faults in the middle."""
    task.case.box.faults.add(operation, action=drop_response)
    result = task.deliver(LARGE)
    assert_delivered(task, LARGE, result)
    head = task.case.account_b.client("s3").head_object(
        Bucket=task.case.bucket, Key="airflow/big.bin", ChecksumMode="ENABLED"
    )
    assert head["ChecksumCRC64NVME"] == result.checksum
    assert head["Metadata"]["xacct-token"] == result.token


def test_a_409_is_uploaded_again(task: Task) -> None:
    """ConditionalRequestConflict on Complete."""
    rule = task.case.box.faults.add(
        "CompleteMultipartUpload", action=status(409, "ConditionalRequestConflict"), key="b.csv"
    )
    assert_delivered(task, SEVERAL, task.deliver(SEVERAL))
    assert rule.fired == 1


@pytest.mark.parametrize("if_exists", ["error", "skip"])
def test_a_foreign_object_placed_in_the_middle(task: Task, if_exists: str) -> None:
    """Between the last part and Complete somebody else writes the key: it is theirs."""

    def place(request: Any) -> None:
        task.case.account_b.client("s3").put_object(Bucket=task.case.bucket, Key="airflow/d/b.csv", Body=b"theirs")

    task.case.box.faults.add("CompleteMultipartUpload", key="b.csv", action=call(place))
    if if_exists == "error":
        with pytest.raises(ObjectExistsError, match=r"airflow/d/b\.csv"):
            task.deliver(SEVERAL, if_exists=if_exists)
    else:
        assert task.deliver(SEVERAL, if_exists=if_exists).skipped_keys == ("airflow/d/b.csv",)
    assert task.landed()["airflow/d/b.csv"] == b"theirs"
    assert task.open_uploads() == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("objects", [SMALL, SEVERAL], ids=["small", "several"])
@pytest.mark.parametrize("if_exists", ["error", "replace"])
def test_a_kill_at_every_write_of_the_log(task: Task, if_exists: str, objects: dict[str, bytes], moment: str) -> None:
    """The retry delivers once, with the role's two permissions and nothing to look with."""

    def run(number: int) -> bool:
        fresh(task)
        count, dead = 0, False

        def hook(verb: str, key: str, when: str) -> None:
            nonlocal count, dead
            count += verb == "set" and when == moment
            dead = dead or (count == number and when == moment)
            if dead:
                # and since no later write is made either, nothing of this try is cleaned up
                raise Killed

        task.log.hook = hook
        with suppress(Killed):
            task.deliver(objects, if_exists=if_exists)
        task.log.hook = None
        known = "".join(task.log.values.values())
        leaks = sum(upload["UploadId"] not in known for upload in task.open_uploads())
        assert_delivered(task, objects, task.deliver(objects, if_exists=if_exists), leaks=leaks)
        return dead

    assert until_it_no_longer_fires(run) >= 3


def test_silence_leaves_a_commit_to_the_next_try(task: Task) -> None:
    """S3 does not answer any Complete: an error, and the next try goes on."""
    rule = task.case.box.faults.add("CompleteMultipartUpload", action=drop_request, times=None)
    with pytest.raises(TransportError, match="goes on from there"):
        task.deliver(SEVERAL)
    assert rule.fired > 3
    task.case.box.faults.clear()
    assert_delivered(task, SEVERAL, task.deliver(SEVERAL))


def test_a_cleared_task_delivers_new_data(task: Task) -> None:
    """Under "error" too, since the log knows what is ours."""
    task.deliver(SEVERAL)
    changed = {key: body + b"!" for key, body in SEVERAL.items()}
    assert_delivered(task, changed, task.deliver(changed, generation=1))
