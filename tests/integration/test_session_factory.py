"""What the Amazon provider runs, through the assumed role, with ``[aws] session_factory`` set to ours."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.aws.hooks import base_aws
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook, BaseSessionFactory
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.s3 import (
    S3CopyObjectOperator,
    S3CreateObjectOperator,
    S3ListOperator,
)
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.amazon.aws.transfers.dynamodb_to_s3 import DynamoDBToS3Operator
from airflow.providers.common.compat.sdk import TaskDeferred
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_xacct.exceptions import AssumeRoleError, ConfigurationError, InvalidConnectionError
from airflow_xacct.hooks import CrossAccountS3Hook
from airflow_xacct.hooks.session_factory import CrossAccountSessionFactory
from airflow_xacct.sandbox import Scenario, call

FACTORY = "airflow_xacct.hooks.session_factory.CrossAccountSessionFactory"
# each test has warning filters of its own, above the one our module sets for a process
pytestmark = pytest.mark.filterwarnings("ignore:AWS Connection .*conn_type='aws_xacct'.*expected connection type 'aws'")

Connect = Callable[..., str]


@pytest.fixture
def connect(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """With the factory in place, a connection to a role that may read, list, write and copy; extras can change.

    It names a bucket and no prefix: see :func:`test_below_a_prefix_a_missing_key_is_forbidden_and_not_absent`.
    """
    monkeypatch.setattr(base_aws, "SessionFactory", CrossAccountSessionFactory)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": worker.worker.user_arn},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": worker.external_id}},
    }
    allow = {"Effect": "Allow", "Action": ["s3:*", "dynamodb:Scan", "dynamodb:DescribeTable"], "Resource": "*"}
    role_arn = worker.account_b.create_role(
        "PipelineRole",
        trust={"Version": "2012-10-17", "Statement": [trust]},
        policy={"Version": "2012-10-17", "Statement": [allow]},
    )
    worker.account_a.client("iam").put_user_policy(
        UserName="airflow-worker",
        PolicyName="pipeline",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn}],
            }
        ),
    )

    def make(conn_id: str = "partner", **extras: Any) -> str:
        extra = {**worker.connection_extra, "role_arn": role_arn, "prefix": None, **extras}
        extra = {name: value for name, value in extra.items() if value is not None}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
        return conn_id

    make()
    return make


def put(worker: Scenario, key: str, body: bytes = b"x") -> None:
    worker.account_b.client("s3").put_object(Bucket=worker.bucket, Key=key, Body=body)


def callers(worker: Scenario) -> set[tuple[str, str]]:
    """Who did anything, and on which account's buckets it insisted."""
    return {(r.caller_arn, r.expected_owner) for r in worker.box.requests if r.service == "s3"}


AS_THE_ROLE = {("arn:aws:sts::222222222222:assumed-role/PipelineRole/airflow.partner", "222222222222")}


def sensor(worker: Scenario, key: str = "airflow/in/a.csv", **options: Any) -> S3KeySensor:
    return S3KeySensor(task_id="wait", bucket_name=worker.bucket, bucket_key=key, aws_conn_id="partner", **options)


def test_a_sensor_pokes_as_the_role(worker: Scenario, connect: Connect) -> None:
    """S3KeySensor in poke mode."""
    assert not sensor(worker).poke({})
    put(worker, "airflow/in/a.csv")
    assert sensor(worker).poke({})
    assert callers(worker) == AS_THE_ROLE


def test_below_a_prefix_a_missing_key_is_forbidden_and_not_absent(worker: Scenario, connect: Connect) -> None:
    """S3 says 404 only to who may list without a prefix, and the guard policy forbids just that.

    A pattern asks with a prefix and is answered; or ``session_policy`` is off.
    """
    connect(prefix="airflow/")
    with pytest.raises(ClientError, match="403"):
        sensor(worker).poke({})
    waiting = sensor(worker, "airflow/in/*.csv", wildcard_match=True)
    assert not waiting.poke({})
    put(worker, "airflow/in/a.csv")
    assert waiting.poke({})
    assert sensor(worker).poke({})
    connect(prefix="airflow/", session_policy="off")
    assert not sensor(worker, "airflow/in/b.csv").poke({})


def test_a_deferred_sensor_wakes_up_as_the_role(worker: Scenario, connect: Connect) -> None:
    """Deferred, serialised as for the triggerer, and run there until the object is there; then the task goes on."""
    waiting = sensor(worker, deferrable=True, poke_interval=0.01)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute({})
    path, kwargs = deferred.value.trigger.serialize()
    module, name = path.rsplit(".", 1)
    trigger = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))
    # the object arrives while the trigger looks for the second time
    worker.box.faults.add("HeadObject", nth=2, action=call(lambda _: put(worker, "airflow/in/a.csv")))

    async def first_event() -> Any:
        events = trigger.run()
        try:
            return await anext(events)
        finally:
            await events.aclose()

    event = asyncio.run(asyncio.wait_for(first_event(), 30))
    assert event.payload["status"] == "success"
    waiting.execute_complete({}, event.payload)
    assert len([r for r in worker.box.requests if r.operation == "HeadObject"]) == 3
    assert callers(worker) == AS_THE_ROLE


def test_the_event_loop_goes_on_while_sts_is_asked(worker: Scenario, connect: Connect) -> None:
    """A triggerer runs thousands of triggers in one loop: STS waits here until the loop has answered it."""

    async def put_object() -> None:
        loop = asyncio.get_running_loop()

        def loop_is_alive(_: Any) -> None:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=10)

        rule = worker.box.faults.add("AssumeRole", action=call(loop_is_alive), times=None)
        session = S3Hook("partner").get_session(deferrable=True)  # from the loop itself, as some triggers do
        async with session.create_client("s3", endpoint_url=worker.box.endpoint_url) as client:
            await client.put_object(Bucket=worker.bucket, Key="airflow/async", Body=b"async")
        assert rule.fired == 1

    asyncio.run(put_object())
    assert worker.account_b.read(worker.bucket, "airflow/async") == b"async"
    assert not [r for r in worker.box.requests if r.status >= 400]


def test_objects_are_listed_created_and_copied_as_the_role(worker: Scenario, connect: Connect) -> None:
    """S3ListOperator, S3CreateObjectOperator and S3CopyObjectOperator."""
    common = {"aws_conn_id": "partner"}
    S3CreateObjectOperator(
        task_id="create", s3_bucket=worker.bucket, s3_key="airflow/a.txt", data="hello", **common
    ).execute({})
    S3CopyObjectOperator(
        task_id="copy",
        source_bucket_name=worker.bucket,
        source_bucket_key="airflow/a.txt",
        dest_bucket_name=worker.bucket,
        dest_bucket_key="airflow/b.txt",
        acl_policy="bucket-owner-full-control",
        **common,
    ).execute({})
    listed = S3ListOperator(task_id="list", bucket=worker.bucket, prefix="airflow/", **common).execute({})
    assert sorted(listed) == ["airflow/a.txt", "airflow/b.txt"]
    assert worker.account_b.read(worker.bucket, "airflow/b.txt") == b"hello"
    assert callers(worker) == AS_THE_ROLE


def test_a_dynamodb_table_is_dumped_as_the_role(worker: Scenario, connect: Connect) -> None:
    """DynamoDBToS3Operator: a resource and a client of two services, one role."""
    table = worker.account_b.client("dynamodb")
    table.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(3):
        table.put_item(TableName="orders", Item={"id": {"S": f"order-{number}"}})
    DynamoDBToS3Operator(
        task_id="dump",
        dynamodb_table_name="orders",
        s3_bucket_name=worker.bucket,
        s3_key_prefix="airflow/orders/",
        source_aws_conn_id="partner",
        dest_aws_conn_id="partner",
    ).execute({})
    (key,) = worker.account_b.objects(worker.bucket)
    lines = worker.account_b.read(worker.bucket, key).decode()
    assert sorted(json.loads(line)["id"] for line in lines.splitlines()) == [f"order-{n}" for n in range(3)]
    assert {r.caller_arn for r in worker.box.requests if r.service == "dynamodb"} == {arn for arn, _ in AS_THE_ROLE}
    assert callers(worker) == AS_THE_ROLE


def test_the_guard_policy_holds_the_role_in(worker: Scenario, connect: Connect) -> None:
    """The role may do s3:* on everything; a session of this connection stays below its prefix."""
    connect(prefix="airflow/")
    create = S3CreateObjectOperator(
        task_id="create", s3_bucket=worker.bucket, s3_key="elsewhere/a", data="x", replace=True, aws_conn_id="partner"
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        create.execute({})
    worker.account_a.create_bucket("of-account-a")
    with pytest.raises(ClientError, match="AccessDenied"):
        S3Hook("partner").get_conn().put_object(Bucket="of-account-a", Key="airflow/a", Body=b"x")


@pytest.mark.parametrize("endpoints", ["one", "each"])
@pytest.mark.parametrize("kind", ["client_type", "resource_type"])
def test_endpoints_may_be_one_url_or_one_for_each_service(
    worker: Scenario, connect: Connect, endpoints: str, kind: str
) -> None:
    """The provider knows ``endpoint_url`` as a text only; ours may be an object."""
    url = worker.box.endpoint_url
    connect(endpoint_url=url if endpoints == "one" else {"sts": url, "s3": url})
    hook = AwsBaseHook("partner", **{kind: "s3"})
    made: Any = hook.get_conn()
    client = made if kind == "client_type" else made.meta.client
    client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    assert client.meta.endpoint_url == url
    assert callers(worker) == AS_THE_ROLE


def test_asynchronous_clients_know_the_endpoint_of_their_service(worker: Scenario, connect: Connect) -> None:
    """The same object of endpoints, in a trigger."""
    connect(endpoint_url={"sts": worker.box.endpoint_url, "s3": worker.box.endpoint_url})

    async def put_object() -> None:
        async with await S3Hook("partner").get_async_conn() as client:
            await client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")

    asyncio.run(put_object())
    assert callers(worker) == AS_THE_ROLE


def test_an_endpoint_of_the_environment_needs_permission(
    worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in an asynchronous client: nothing is sent to a host that nobody allowed."""
    connect(endpoint_url={"sts": worker.box.endpoint_url})
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://collector.example:8080")
    with pytest.raises(ConfigurationError, match="not allowed"):
        S3Hook("partner").get_conn().put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")

    async def put_object() -> None:
        async with await S3Hook("partner").get_async_conn() as client:
            await client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")

    with pytest.raises(ConfigurationError, match="not allowed"):
        asyncio.run(put_object())


def test_what_the_hook_sets_is_kept(worker: Scenario, connect: Connect) -> None:
    """Region, verify and configuration of a hook win over the connection's."""
    connect(verify=True, config_kwargs={"read_timeout": 11})
    assert S3Hook("partner").get_conn().meta.config.read_timeout == 11
    hook = S3Hook("partner", region_name="eu-west-1", verify="/etc/ssl/own.pem", config=Config(read_timeout=12))
    client = hook.get_conn()
    assert (client.meta.region_name, client.meta.config.read_timeout) == ("eu-west-1", 12)
    assert hook.verify == "/etc/ssl/own.pem"


def test_one_session_serves_our_hooks_and_theirs(worker: Scenario, connect: Connect) -> None:
    """One task, one connection, one AssumeRole."""
    S3Hook("partner").load_string("x", "airflow/a", worker.bucket, replace=True)
    CrossAccountS3Hook("partner").load_string("x", "airflow/b", replace=True)
    assert len(worker.box.assume_role_events) == 1


def test_every_problem_of_a_connection_is_named_and_nothing_is_sent(worker: Scenario, connect: Connect) -> None:
    """A mistake is an error, and not a session of somebody else."""
    connect(external_id=None, service_config={"s3": {}}, duration_seconds=1)
    with pytest.raises(InvalidConnectionError) as caught:
        S3Hook("partner").get_conn()
    assert {problem.split(":")[0] for problem in caught.value.problems} == {
        "external_id",
        "duration_seconds",
        "service_config",
    }
    assert not worker.box.requests


def test_keys_beside_a_role_are_refused(worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrapper hands them over, and they are still wrong."""
    connection = {"conn_type": "aws_xacct", "login": "AKIA", "password": "secret", "extra": worker.connection_extra}
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(connection))
    with pytest.raises(InvalidConnectionError, match="login"):
        S3Hook("partner").get_conn()


def test_a_refused_role_is_an_error(worker: Scenario, connect: Connect) -> None:
    """In both worlds; never the worker's own identity."""
    connect(external_id="not-the-right-one")
    with pytest.raises(AssumeRoleError):
        S3Hook("partner").get_conn()

    async def enter() -> None:
        async with await S3Hook("partner").get_async_conn():
            pytest.fail("the client was made")

    with pytest.raises(AssumeRoleError):
        asyncio.run(enter())
    assert not [r for r in worker.box.requests if r.service == "s3"]


class TestPlainConnections:
    """Connections of type ``aws``, and none, are the Amazon provider's own business."""

    @pytest.mark.parametrize("conn_id", ["plain", "with_role", "nowhere", None])
    @pytest.mark.parametrize("deferrable", [False, True])
    def test_they_behave_as_before(
        self, worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch, conn_id: str | None, deferrable: bool
    ) -> None:
        """The same credentials and the same AssumeRole, with our factory and without."""
        keys = {"login": worker.worker.access_key_id, "password": worker.worker.secret_access_key}
        assume = {
            "role_arn": worker.role_arn,
            "assume_role_kwargs": {"ExternalId": worker.external_id},
            "service_config": {"sts": {"endpoint_url": worker.box.endpoint_url}},
        }
        for name, extra in {"plain": {}, "with_role": assume}.items():
            connection = {"conn_type": "aws", "extra": {"region_name": "us-east-1", **extra}, **keys}
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))

        def seen(factory: Any) -> tuple[Any, ...]:
            monkeypatch.setattr(base_aws, "SessionFactory", factory)
            session = AwsBaseHook(conn_id, client_type="s3").get_session(deferrable=deferrable)
            found = asyncio.run(session.get_credentials()) if deferrable else session.get_credentials()
            events = [(e.session_name, e.session_policy, e.granted) for e in worker.box.assume_role_events]
            worker.box.assume_role_events.clear()
            return type(session), type(found), found.method, events

        assert seen(CrossAccountSessionFactory) == seen(BaseSessionFactory)

    def test_a_missing_connection_is_the_providers_own_fall_back(
        self, worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Documented, not ours: its hook hands no connection over, and no id that could be told from none.

        If this fails, the Amazon provider has changed, and ``docs/session-factory.md`` can say something better.
        """
        handed: list[Any] = []

        class Watching(CrossAccountSessionFactory):
            def __init__(self, conn: Any, *args: Any, **kwargs: Any) -> None:
                handed.append(conn)
                super().__init__(conn, *args, **kwargs)

        monkeypatch.setattr(base_aws, "SessionFactory", Watching)
        for conn_id in ("nowhere", None):
            assert isinstance(AwsBaseHook(conn_id, client_type="s3").get_session(), boto3.session.Session)
        missing, none = handed
        assert not missing
        assert repr(missing) == repr(none)


SCRIPT = textwrap.dedent(
    """
    import asyncio, json, sys, warnings
    warnings.simplefilter("error", UserWarning)
    # whatever is loaded first, the factory is found and the warning of the other type is gone
    exec(sys.argv[1])
    from airflow.providers.amazon.aws.hooks import base_aws
    from airflow.providers.amazon.aws.operators.s3 import S3CreateObjectOperator, S3ListOperator
    from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
    from airflow.providers.amazon.aws.triggers.s3 import S3KeyTrigger

    at = {"aws_conn_id": "partner"}
    S3CreateObjectOperator(
        task_id="create", s3_bucket="acme-landing", s3_key="airflow/a", data="x", replace=True, **at
    ).execute({})
    listed = S3ListOperator(task_id="list", bucket="acme-landing", prefix="airflow/", **at).execute({})
    poked = S3KeySensor(task_id="wait", bucket_name="acme-landing", bucket_key="airflow/a", **at).poke({})

    async def wait():
        async for event in S3KeyTrigger("acme-landing", "airflow/a", **at).run():
            return event.payload

    print(json.dumps([base_aws.SessionFactory.__name__, listed, poked, asyncio.run(wait())]))
    """
)


@pytest.mark.parametrize(
    "first",
    [
        "import airflow.providers.amazon.aws.hooks.base_aws",
        "import airflow_xacct.hooks.connections, airflow_xacct.hooks.s3",
        "from airflow_xacct.hooks.session_factory import CrossAccountSessionFactory",
    ],
    ids=["theirs", "our hooks", "the factory"],
)
def test_the_setting_alone_switches_it_on(
    worker: Scenario, connect: Connect, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of its own, as a worker is: the provider reads ``[aws] session_factory`` when it is imported."""
    monkeypatch.setenv("AIRFLOW__AWS__SESSION_FACTORY", FACTORY)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, first], capture_output=True, text=True, env=dict(os.environ), timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    name, listed, poked, event = json.loads(done.stdout.splitlines()[-1])
    assert name == "CrossAccountSessionFactory"
    assert (listed, poked, event["status"]) == (["airflow/a"], True, "success")
    assert callers(worker) == AS_THE_ROLE
