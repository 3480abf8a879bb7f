"""Secret keys and tokens are searched for in everything that is written, in success and failure, at log level DEBUG.

"Secret" is each secret access key and session token the sandbox handed out, and the worker's own.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from airflow.providers.amazon.aws.hooks import base_aws
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk._shared.secrets_masker import _secrets_masker, redact
from botocore.config import Config

from airflow_xacct.exceptions import XacctError
from airflow_xacct.hooks import CrossAccountHook, CrossAccountS3Hook
from airflow_xacct.hooks.session_factory import CrossAccountSessionFactory
from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.sandbox import Scenario, status
from airflow_xacct.sandbox.store import Store
from tests.integration.airflow_context import StateStore, TaskTry

pytestmark = pytest.mark.filterwarnings("ignore:AWS Connection .*conn_type='aws_xacct'.*expected connection type 'aws'")


#: The sandbox's own secrets are of lower-case letters, and so not recognised by their looks.
AS_AWS_MAKES_THEM = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY1EXAMPLEK9"


class Written:
    """Everything that was written, for the search."""

    def __init__(self, worker: Scenario) -> None:
        self.worker = worker
        self.plain = io.StringIO()
        self.things: list[tuple[str, str]] = []

    def add(self, what: str, thing: Any) -> None:
        """Keep something that leaves the process, or may: as text, and as its bytes."""
        text = thing.decode("latin-1") if isinstance(thing, bytes) else str(thing)
        self.things.append((what, text))

    def add_error(self, error: BaseException) -> None:
        """An error in all its forms, its causes and their pickles included."""
        cause: BaseException | None = error
        while cause is not None:
            self.add("repr of error", repr(cause))
            self.add("attributes of error", vars(cause))
            if isinstance(cause, XacctError):
                self.add("pickle of error", pickle.dumps(cause))
            cause = cause.__cause__ or cause.__context__
        self.add("traceback", "".join(traceback.format_exception(error)))

    @property
    def secrets(self) -> set[str]:
        """Every secret there is, as it may be spelt."""
        found = {self.worker.worker.secret_access_key, AS_AWS_MAKES_THEM}
        for session in Store(self.worker.box._emulator).sessions.values():
            found |= {session["SecretAccessKey"], session["SessionToken"]}
        return found | {quote(secret, safe="") for secret in found}

    def check(self) -> None:
        """Search all of it."""
        secrets = self.secrets
        for what, text in [("log", self.plain.getvalue()), *self.things]:
            for secret in secrets:
                place = text.find(secret)
                assert place < 0, f"{what}: ...{text[max(0, place - 200) : place]}"


@pytest.fixture
def written(worker: Scenario, capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """All loggers at DEBUG, unmasked: what must not be there must not be there for anybody."""
    everything = Written(worker)
    handler = logging.StreamHandler(everything.plain)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield everything
        printed = capsys.readouterr()
        everything.add("stdout", printed.out)
        everything.add("stderr", printed.err)
        everything.check()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def masked(secret: str) -> bool:
    """Whether Airflow was told of it."""
    return re.escape(secret) in _secrets_masker().patterns


def look_at(written: Written, hook: CrossAccountHook) -> None:
    """Whatever a debugger, an error reporter or ``self.log.info("%s", hook)`` would show."""
    access = hook.access
    source: Any = access.source
    for thing in (hook, access, access.role, access.destination, source, access.credentials(), access.request):
        written.add("repr", repr(thing))
    for thing in (access, access.role, source):
        written.add("vars", getattr(thing, "__dict__", ""))
    written.add("cache key", repr(access.cache_key))
    written.add("metadata for the provider", repr(hook.conn_config))
    written.add("session", repr(hook.get_session()))


def test_hooks(worker: Scenario, written: Written) -> None:
    """Clients, resources, asynchronous clients, S3Hook's methods, test_connection, a refresh."""
    hook = CrossAccountHook("xacct_default", client_type="s3")
    hook.get_conn().put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    CrossAccountS3Hook("xacct_default").load_string("x", "airflow/b", replace=True)
    CrossAccountHook("xacct_default", resource_type="s3").get_conn().Object(worker.bucket, "airflow/c").put(Body=b"x")

    async def put() -> None:
        async with await CrossAccountHook("xacct_default", client_type="s3").get_async_conn() as client:
            await client.put_object(Bucket=worker.bucket, Key="airflow/d", Body=b"x")

    asyncio.run(put())
    worker.box.expire_sessions()
    asyncio.run(put())
    written.add("test_connection", CrossAccountHook("xacct_default").test_connection())
    look_at(written, hook)
    log = written.plain.getvalue()  # botocore's own DEBUG messages are among it
    assert "<SecretAccessKey>***</SecretAccessKey>" in log
    assert re.search("X-Amz-Security-Token': b?'\\*\\*\\*'", log)


def test_the_search_would_find_one(worker: Scenario, written: Written) -> None:
    """Without us, botocore writes both into the log: the search looks in the right place."""
    worker.assume()
    with pytest.raises(AssertionError, match="log: "):
        written.check()
    written.plain.truncate(0)
    written.plain.seek(0)


def test_every_generation_is_told_to_airflow(worker: Scenario, written: Written) -> None:
    """The first, those after a refresh, and those after a revocation; the access key id is for CloudTrail."""
    hook = CrossAccountHook("xacct_default", client_type="s3")
    client, credentials = hook.get_conn(), hook.access.credentials()
    keys = []
    for end in (lambda: None, worker.box.expire_sessions, lambda: worker.box.revoke_sessions(worker.role_arn)):
        end()
        client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
        frozen = credentials.get_frozen_credentials()
        assert masked(frozen.secret_key)
        assert masked(frozen.token)
        assert not masked(frozen.access_key)
        assert frozen.secret_key not in redact(f"a text with {frozen.secret_key}")
        keys.append(frozen.access_key)
    assert len(set(keys)) == 3
    assert not masked(worker.external_id)  # no secret, and often a word that would vanish from every message


def test_presigned_urls_in_logs(worker: Scenario, written: Written) -> None:
    """A URL holds the token, with its ``+`` and ``/`` spelt otherwise; whoever asked for the URL gets it whole."""
    hook = CrossAccountS3Hook("xacct_default", config=Config(signature_version="s3v4"))
    url = hook.generate_presigned_url("put_object", {"Bucket": worker.bucket, "Key": "airflow/a"})
    token = hook.access.credentials().get_frozen_credentials().token
    assert quote(token, safe="") in str(url)
    assert quote(token, safe="") not in redact(f"made {url}")


def upload(worker: Scenario, **options: Any) -> TaskTry:
    arguments = {"task_id": "upload", "xacct_conn_id": "xacct_default", "data": b"payload", "key": "a.txt", **options}
    return TaskTry(lambda: CrossAccountUploadOperator(**arguments), StateStore())


def rendered(make: Callable[[], Any]) -> str:
    """What the "Rendered Template" view shows."""
    operator = make()
    return repr({name: getattr(operator, name) for name in operator.template_fields})


def keep_task(written: Written, task: TaskTry) -> None:
    """XComs, asset events, the commit log, the rendered fields, and every object with its metadata."""
    written.add("xcom", task.xcoms)
    written.add("asset events", task.events)
    written.add("rendered", rendered(task.make))
    assert task.store is not None
    written.add("commit log", vars(task.store.log))
    worker = written.worker
    s3 = worker.account_b.client("s3")
    for key in worker.account_b.objects(worker.bucket):
        written.add(f"object {key}", worker.account_b.read(worker.bucket, key))
        written.add(f"metadata of {key}", s3.head_object(Bucket=worker.bucket, Key=key))


def test_an_operator_that_delivers(worker: Scenario, written: Written) -> None:
    """With a manifest."""
    task = upload(worker, manifest=True)
    written.add("return value", task.run())
    keep_task(written, task)
    assert len(worker.account_b.objects(worker.bucket)) == 2


@pytest.mark.parametrize(
    "fault",
    [
        ("CompleteMultipartUpload", status(403, "AccessDenied")),
        ("AssumeRole", status(403, "AccessDenied")),
        ("AssumeRole", status(400, "PackedPolicyTooLarge")),
        ("CreateMultipartUpload", status(400, "ExpiredToken")),
    ],
    ids=lambda fault: fault[0],
)
def test_an_operator_that_fails(worker: Scenario, written: Written, fault: tuple[str, Any]) -> None:
    """At every door, with the error in all its forms."""
    operation, action = fault
    worker.box.faults.add(operation, action=action, times=None)
    task = upload(worker, manifest=True, data=b"x" * 6_000_000)
    with pytest.raises(XacctError) as caught:
        task.run()
    written.add_error(caught.value)
    keep_task(written, task)


@pytest.mark.parametrize("kind", ["source", "itself", "chain"])
def test_other_sources(worker: Scenario, written: Written, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Keys in an ``aws`` connection, and the temporary ones of a hop, which sign AssumeRole."""
    key = worker.worker
    pair = {"login": key.access_key_id, "password": key.secret_access_key}
    extra = {**worker.connection_extra, "source_conn_id": "source"}
    source: dict[str, Any] = {"conn_type": "aws", "extra": {"region_name": "us-east-1"}, **pair}
    ours: dict[str, Any] = {"conn_type": "aws_xacct", "extra": extra}
    if kind == "itself":
        services = {name: {"endpoint_url": worker.box.endpoint_url} for name in ("s3", "sts")}
        assume = {"ExternalId": worker.external_id}
        role = {"role_arn": worker.role_arn, "assume_role_kwargs": assume, "region_name": "us-east-1"}
        ours = {"conn_type": "aws", "extra": {**role, "service_config": services}, **pair}
    if kind == "chain":
        hop = {"Effect": "Allow", "Principal": {"AWS": key.user_arn}, "Action": "sts:AssumeRole"}
        may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
        hub = worker.account_a.create_role(
            "Hub",
            trust={"Version": "2012-10-17", "Statement": [hop]},
            policy={"Version": "2012-10-17", "Statement": [may]},
        )
        worker.account_b.client("iam").update_assume_role_policy(
            RoleName="DataDumpRole",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{**hop, "Principal": {"AWS": hub}}]}),
        )
        worker.account_a.client("iam").put_user_policy(
            UserName="airflow-worker",
            PolicyName="hub",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}),
        )
        source = {
            "conn_type": "aws_xacct",
            "extra": {**worker.connection_extra, "role_arn": hub, "bucket": None, "prefix": None},
        }
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE", json.dumps(source))
    monkeypatch.setenv("AIRFLOW_CONN_OURS", json.dumps(ours))
    hook = CrossAccountHook("ours", client_type="s3")
    hook.get_conn().put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    written.add("test_connection", hook.test_connection())
    look_at(written, hook)


def test_a_worker_with_temporary_credentials(
    worker: Scenario, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an instance, task or pod role gives them: their token goes with AssumeRole, and is nobody else's to know."""
    trust = {"Effect": "Allow", "Principal": {"AWS": worker.worker.user_arn}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    node = worker.account_a.create_role(
        "Node",
        trust={"Version": "2012-10-17", "Statement": [trust]},
        policy={"Version": "2012-10-17", "Statement": [may]},
    )
    worker.account_a.client("iam").put_user_policy(
        UserName="airflow-worker",
        PolicyName="node",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}),
    )
    worker.account_b.client("iam").update_assume_role_policy(
        RoleName="DataDumpRole",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{**trust, "Principal": {"AWS": node}}]}),
    )
    given = worker.assume(RoleArn=node, ExternalId=None)
    written.plain.truncate(0)  # the machine's own business, which we did not log
    written.plain.seek(0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])
    hook = CrossAccountHook("xacct_default", client_type="s3")
    hook.get_conn().put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    written.add("test_connection", hook.test_connection())
    look_at(written, hook)
    assert masked(given["SessionToken"])


def test_through_the_session_factory(worker: Scenario, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor of the Amazon provider."""
    monkeypatch.setattr(base_aws, "SessionFactory", CrossAccountSessionFactory)
    worker.account_b.put_role_policy(
        "DataDumpRole",
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]},
    )
    worker.account_b.client("s3").put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    sensor = S3KeySensor(task_id="wait", bucket_name=worker.bucket, bucket_key="airflow/a", aws_conn_id="xacct_default")
    assert sensor.poke({})
    written.add("sensor", vars(sensor))
    written.add("hook", vars(sensor.hook))


def test_a_problem_with_a_connection(worker: Scenario, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in the wrong field is not repeated to whoever reads the error."""
    secret = AS_AWS_MAKES_THEM
    for field in ("login", "password", "host", "schema"):
        connection = {"conn_type": "aws_xacct", "extra": worker.connection_extra, field: secret}
        monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(connection))
        with pytest.raises(XacctError) as caught:
            CrossAccountHook("wrong", client_type="s3").get_conn()
        written.add_error(caught.value)
    for extra in (
        {"role_arn": secret},
        {"external_id": f"{secret} "},
        {secret: "x"},
        {"session_tags": {"k": [secret]}},
    ):
        connection = {"conn_type": "aws_xacct", "extra": {**worker.connection_extra, **extra}}
        monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(connection))
        try:
            CrossAccountHook("wrong").destination  # noqa: B018
        except XacctError as error:
            written.add_error(error)
