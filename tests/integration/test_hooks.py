"""The hooks against two accounts: the right identity or nothing, the right bucket, and S3Hook in full."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.exceptions import ClientError

from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.exceptions import (
    AssumeRoleError,
    ConfigurationError,
    ConnectionNotFoundError,
    EndpointUnreachableError,
    InvalidArgumentError,
    InvalidConnectionError,
    NoCredentialsError,
    RoleChainError,
)
from airflow_xacct.hooks import CrossAccountHook, CrossAccountS3Hook
from airflow_xacct.sandbox import Scenario

Connect = Callable[..., str]


@pytest.fixture
def connect(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Make a connection like the standard one, with some extras changed; ``None`` takes one out."""

    def make(conn_id: str = "changed", **extras: Any) -> str:
        extra = {k: v for k, v in {**worker.connection_extra, **extras}.items() if v is not None}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
        return conn_id

    return make


def s3(conn_id: str = "xacct_default", **kwargs: Any) -> Any:
    return CrossAccountHook(conn_id, client_type="s3", **kwargs).get_conn()


def test_a_client_writes_as_the_role(worker: Scenario) -> None:
    """What B sees is its own role's session, with the expected owner on the request."""
    s3().put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"hello")
    assert worker.account_b.read(worker.bucket, "airflow/a") == b"hello"
    request = worker.box.requests[-1]
    assert request.caller_arn == "arn:aws:sts::222222222222:assumed-role/DataDumpRole/airflow.xacct_default"
    assert request.expected_owner == worker.account_b.id


def test_a_resource_writes_as_the_role(worker: Scenario) -> None:
    """A boto3 resource is guarded like a client."""
    CrossAccountHook("xacct_default", resource_type="s3").get_conn().Bucket(worker.bucket).put_object(
        Key="airflow/b", Body=b"x"
    )
    assert worker.account_b.objects(worker.bucket) == {"airflow/b": 1}
    assert worker.box.requests[-1].expected_owner == worker.account_b.id


def test_another_service_works_too(worker: Scenario) -> None:
    """The hook is for any AWS service; here STS, which says who we are."""
    identity = CrossAccountHook("xacct_default", client_type="sts").get_conn().get_caller_identity()
    assert identity["Account"] == worker.account_b.id


def test_an_asynchronous_client_writes_as_the_role(worker: Scenario) -> None:
    """Triggers use aiobotocore; the same credentials serve it, and the owner is expected there too."""

    async def put() -> None:
        client = await CrossAccountHook("xacct_default", client_type="s3").get_async_conn()
        async with client as s3_client:
            await s3_client.put_object(Bucket=worker.bucket, Key="airflow/async", Body=b"async")

    asyncio.run(put())
    assert worker.account_b.read(worker.bucket, "airflow/async") == b"async"
    assert worker.box.requests[-1].expected_owner == worker.account_b.id
    assert len(worker.box.assume_role_events) == 1


def test_s3hooks_own_methods_work(worker: Scenario, tmp_path: Any) -> None:
    """What is written for S3Hook works, through s3transfer and multipart uploads too, owner included."""
    hook = CrossAccountS3Hook("xacct_default", transfer_config_args={"multipart_threshold": 5 * 1024**2})
    assert isinstance(hook, S3Hook)
    big = tmp_path / "big.bin"
    big.write_bytes(b"0123456789abcdef" * 1024 * 512)
    hook.load_file(str(big), key="airflow/big", replace=True)  # the bucket is the connection's
    hook.load_string("text", key="airflow/text", bucket_name=worker.bucket, replace=True)
    assert worker.account_b.read(worker.bucket, "airflow/big") == big.read_bytes()
    assert worker.account_b.read(worker.bucket, "airflow/text") == b"text"
    s3_requests = [request for request in worker.box.requests if request.service == "s3"]
    assert {request.operation for request in s3_requests} >= {"UploadPart", "CompleteMultipartUpload", "PutObject"}
    assert {request.expected_owner for request in s3_requests} == {worker.account_b.id}


def test_a_read_needs_what_the_role_does_not_have(worker: Scenario) -> None:
    """S3Hook looks before it writes: a write-only role refuses that, with boto3's own error."""
    with pytest.raises(ClientError, match="403"):
        CrossAccountS3Hook("xacct_default").load_string("text", key="airflow/text")


def test_sessions_are_shared_by_hooks_and_not_by_tasks(worker: Scenario) -> None:
    """One AssumeRole serves all hooks of a task; another task gets its own, under its own name."""
    one, two = (TaskIdentity("nyc", task, "r1") for task in ("flights", "planes"))
    for identity in (one, one, two):
        s3(identity=identity).put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    assert [event.session_name for event in worker.box.assume_role_events] == ["nyc.flights.r1", "nyc.planes.r1"]


def test_a_changed_connection_is_a_new_session(worker: Scenario, connect: Connect) -> None:
    """Nothing of an old connection is used after it changed."""
    s3(connect(session_name_prefix="one-"))
    s3(connect(session_name_prefix="two-"))
    names = [event.session_name for event in worker.box.assume_role_events]
    assert names == ["one-airflow.changed", "two-airflow.changed"]


def test_another_worker_identity_is_a_new_session(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """What shapes the session includes who asks."""
    s3()
    other = worker.account_a.create_user("other-worker")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", other.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", other.secret_access_key)
    with pytest.raises(AssumeRoleError, match="other-worker"):
        s3()


def test_a_missing_connection_is_an_error_and_nothing_is_sent(worker: Scenario) -> None:
    """The Amazon provider would go on with the worker's own identity."""
    with pytest.raises(ConnectionNotFoundError, match="'nowhere'"):
        s3("nowhere")
    with pytest.raises(ConnectionNotFoundError):
        CrossAccountS3Hook("nowhere").load_string("x", key="airflow/x", bucket_name=worker.bucket, replace=True)
    assert not worker.box.requests


@pytest.mark.parametrize("conn_id", ["", None])
def test_a_hook_without_a_connection_is_an_error(worker: Scenario, conn_id: Any) -> None:
    """There is no default that could mean the worker's own identity."""
    with pytest.raises(InvalidArgumentError, match="no connection was named"):
        s3(conn_id)
    assert not worker.box.requests


def test_aws_conn_id_beside_ours_is_refused(worker: Scenario) -> None:
    """Two connections for one identity leave open which one is meant."""
    with pytest.raises(InvalidArgumentError):
        CrossAccountS3Hook("xacct_default", aws_conn_id="aws_default")


def test_a_missing_source_connection_is_an_error(worker: Scenario, connect: Connect) -> None:
    """Never the worker's identity instead of the source that was named."""
    with pytest.raises(ConnectionNotFoundError, match="'gone'"):
        s3(connect(source_conn_id="gone"))
    assert not worker.box.requests


def test_a_connection_of_another_type_is_refused(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """An aws connection has no External ID that we could know of."""
    monkeypatch.setenv("AIRFLOW_CONN_PLAIN", "aws://")
    monkeypatch.setenv("AIRFLOW_CONN_DB", "postgres://u:p@h/d")
    with pytest.raises(InvalidConnectionError, match="of type 'aws'"):
        s3("plain")
    with pytest.raises(InvalidConnectionError, match="of type 'postgres'") as caught:
        s3("db")
    assert ":p@" not in str(caught.value)


def test_an_aws_connection_can_be_the_source(
    worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Static keys in an aws connection assume the role, and the worker's own identity is not used."""
    keys = {"login": worker.worker.access_key_id, "password": worker.worker.secret_access_key}
    extra = {"region_name": "us-east-1"}
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE", json.dumps({"conn_type": "aws", "extra": extra, **keys}))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3(connect(source_conn_id="source")).put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    assert worker.box.assume_role_events[-1].source_identity_arn == worker.worker.user_arn


def test_a_source_of_a_wrong_type_is_refused(
    worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database is nobody in AWS."""
    monkeypatch.setenv("AIRFLOW_CONN_DB", "postgres://u:p@h/d")
    with pytest.raises(InvalidConnectionError, match="source_conn_id"):
        s3(connect(source_conn_id="db"))


def test_a_chain_of_roles(worker: Scenario, connect: Connect) -> None:
    """A worker assumes a hub role in its own account, and the hub role assumes B's."""
    hub_arn = worker.account_a.create_role(
        "Hub",
        trust=_trust(worker.worker.user_arn, "hub-external-id"),
        policy=_allow("sts:AssumeRole", "*"),
    )
    worker.account_a.client("iam").put_user_policy(
        UserName="airflow-worker", PolicyName="hub", PolicyDocument=json.dumps(_allow("sts:AssumeRole", hub_arn))
    )
    role_b = worker.account_b.create_role(
        "ChainedDumpRole",
        trust=_trust(hub_arn, worker.external_id),
        policy=_allow("s3:PutObject", f"arn:aws:s3:::{worker.bucket}/airflow/*"),
        max_session_duration=43200,
    )
    connect("hub", role_arn=hub_arn, external_id="hub-external-id", bucket=None, prefix=None)
    conn_id = connect("via_hub", role_arn=role_b, source_conn_id="hub", duration_seconds=43200)
    s3(conn_id).put_object(Bucket=worker.bucket, Key="airflow/chained", Body=b"x")
    assert worker.account_b.objects(worker.bucket) == {"airflow/chained": 1}
    events = list(worker.box.assume_role_events)
    assert [(event.role_arn, event.granted) for event in events] == [(hub_arn, True), (role_b, False), (role_b, True)]
    assert [event.duration_seconds for event in events] == [3600, 43200, 3600]  # a chain is capped at an hour


def test_session_tags_are_sent_where_the_connection_says_so(worker: Scenario, connect: Connect) -> None:
    """Opt-in, since both sides must allow sts:TagSession; without that the error names it."""
    identity = TaskIdentity("nyc", "flights", "r1", try_number=1)
    conn_id = connect(session_tags={"team": "data"})
    with pytest.raises(AssumeRoleError, match="Allow sts:TagSession"):
        s3(conn_id, identity=identity)
    trust = _trust(worker.worker.user_arn, worker.external_id)
    trust["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:TagSession"]
    worker.account_b.client("iam").update_assume_role_policy(RoleName="DataDumpRole", PolicyDocument=json.dumps(trust))
    worker.account_a.client("iam").put_user_policy(
        UserName="airflow-worker", PolicyName="tags", PolicyDocument=json.dumps(_allow("sts:TagSession", "*"))
    )
    s3(conn_id, identity=identity)
    assert worker.box.assume_role_events[-1].tags == {
        "dag_id": "nyc", "task_id": "flights", "run_id": "r1", "map_index": "-1", "try_number": "1", "team": "data"
    }  # fmt: skip
    s3(identity=identity)
    assert worker.box.assume_role_events[-1].tags == {}


def test_a_source_identity_cannot_change_in_a_chain(worker: Scenario, connect: Connect) -> None:
    """Found before STS is asked; the same one, or none, is inherited."""
    connect("first", source_identity="alice")
    connect("second", source_conn_id="first")
    for name in ("second", "first"):
        connect("third", source_conn_id=name, source_identity="bob")
        with pytest.raises(InvalidConnectionError, match=r"'bob', and 'alice' in connection 'first'"):
            s3("third")
    assert not worker.box.requests


def test_a_cycle_of_sources_is_named(worker: Scenario, connect: Connect) -> None:
    """a -> b -> a would never end."""
    connect("a", source_conn_id="b")
    connect("b", source_conn_id="a")
    with pytest.raises(RoleChainError, match="a -> b -> a"):
        s3("a")


def test_a_chain_that_is_too_deep_is_named(worker: Scenario, connect: Connect) -> None:
    """Each hop costs a call."""
    for number in range(6):
        connect(f"c{number}", source_conn_id=f"c{number + 1}")
    with pytest.raises(RoleChainError, match="c0 -> c1 -> c2 -> c3 -> c4 -> c5"):
        s3("c0")


@pytest.mark.parametrize("external_id", ["not-the-right-one", None])
def test_a_wrong_or_missing_external_id_is_refused(worker: Scenario, connect: Connect, external_id: str | None) -> None:
    """The door itself; the error shows four characters and both accounts."""
    extras: dict[str, Any] = {"external_id": external_id}
    if external_id is None:
        extras["allow_missing_external_id"] = True
    with pytest.raises(AssumeRoleError) as caught:
        s3(connect(**extras))
    assert "222222222222" in str(caught.value)
    assert "not-the-right" not in str(caught.value)
    assert not any(request.service == "s3" for request in worker.box.requests)


def test_a_missing_external_id_is_logged_where_it_is_allowed(
    worker: Scenario, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The way out is explicit, and leaves a trace in each log."""
    worker.account_b.client("iam").update_assume_role_policy(
        RoleName="DataDumpRole", PolicyDocument=json.dumps(_trust(worker.worker.user_arn, None))
    )
    with caplog.at_level(logging.WARNING, logger="airflow_xacct"):
        s3(connect(external_id=None, allow_missing_external_id=True)).put_object(
            Bucket=worker.bucket, Key="airflow/a", Body=b"x"
        )
    assert any("confused deputy" in record.getMessage() for record in caplog.records)


def test_a_worker_without_identity_is_told_so(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no profile, no instance role."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(NoCredentialsError, match="source_conn_id"):
        s3()


def test_an_endpoint_of_the_environment_needs_permission(
    worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_ENDPOINT_URL could point at anybody; the External ID would go there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://collector.example:8080")
    with pytest.raises(ConfigurationError, match="not allowed"):
        s3(connect(endpoint_url=None))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://collector.example:8080")
    sts_only = {"sts": worker.box.endpoint_url}
    with pytest.raises(ConfigurationError, match="not allowed"):
        s3(connect("sts_only", endpoint_url=sts_only))
    with pytest.raises(ConfigurationError, match="not allowed"):
        CrossAccountHook("sts_only", resource_type="s3").get_conn()


def test_an_endpoint_that_is_down_is_told_so(worker: Scenario, connect: Connect) -> None:
    """Nothing listens on port 1."""
    down = connect(endpoint_url="http://127.0.0.1:1", config_kwargs={"retries": {"total_max_attempts": 1}})
    with pytest.raises(EndpointUnreachableError, match="sts:AssumeRole got no answer"):
        s3(down)


def test_the_session_lives_on_when_it_expires(worker: Scenario) -> None:
    """Expired credentials are refreshed before the next request, by botocore's own clock."""
    client = s3()
    client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    credentials = CrossAccountHook("xacct_default").access.credentials()
    credentials._expiry_time = credentials._time_fetcher()
    client.put_object(Bucket=worker.bucket, Key="airflow/b", Body=b"x")
    assert len(worker.box.assume_role_events) == 2


def test_the_connection_test_says_who_asked_and_who_it_became(worker: Scenario) -> None:
    """Sentences for a person, with what was not looked at."""
    good, text = CrossAccountHook("xacct_default").test_connection()
    assert good
    for part in (
        worker.worker.user_arn,
        "arn:aws:sts::222222222222:assumed-role/DataDumpRole/",
        "account 222222222222",
        worker.external_id[-4:],
        "Not checked",
        "workers may be another identity",
    ):
        assert part in text
    assert worker.external_id not in text


def test_the_connection_test_answers_with_the_error(worker: Scenario, connect: Connect) -> None:
    """A refusal comes back as text, not as an exception, from the host that asked."""
    good, text = CrossAccountHook(connect(external_id="wrong-external-id")).test_connection()
    assert not good
    assert text.startswith("Asked from host ")
    assert "AssumeRoleError" in text
    good, text = CrossAccountHook("nowhere").test_connection()
    assert not good
    assert "ConnectionNotFoundError" in text


def test_no_secret_reaches_a_log(worker: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    """At the lowest level, botocore's own included."""
    with caplog.at_level(logging.DEBUG):
        hook = CrossAccountHook("xacct_default", client_type="s3")
        hook.get_conn()
        frozen = hook.access.credentials().get_frozen_credentials()
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith(("airflow_xacct", "airflow")))
    assert frozen.access_key.startswith("ASIA")
    for secret in (frozen.secret_key, frozen.token, worker.worker.secret_access_key):
        assert secret not in ours
        assert secret not in repr(hook.access)
        assert secret not in repr(vars(hook.access))


def _trust(principal: str, external_id: str | None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    if external_id:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _allow(action: str, resource: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
