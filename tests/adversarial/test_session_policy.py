"""Promise 2: a task's session is worth no more than the task, whatever the role and the bucket's policy allow."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_xacct.access.policy import TaskNeeds, chain_policy, guard_policy, task_policy, with_guard
from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.destination import Destination, RoleArn, parse
from airflow_xacct.exceptions import InvalidArgumentError, OutsideDestinationError
from airflow_xacct.hooks import CrossAccountHook
from airflow_xacct.hooks.connections import load_destination, open_access
from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.sandbox import Scenario
from tests.integration.airflow_context import StateStore, TaskTry

ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
SESSION = "arn:aws:sts::222222222222:assumed-role/DataDumpRole/nyc.upload.r1"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
IDENTITY = TaskIdentity("nyc", "upload", "r1")

#: Who the bucket's policy grants everything to; ``None`` is no bucket policy.
GRANTS: dict[str, dict[str, Any] | None] = {
    "nobody": None,
    "the session": {"Principal": {"AWS": SESSION}},
    "the role": {"Principal": {"AWS": ROLE}},
    "its account": {"Principal": {"AWS": "arn:aws:iam::222222222222:root"}},
    "everybody, if it is the role": {
        "Principal": "*",
        "Condition": {"ArnEquals": {"aws:PrincipalArn": ROLE}},
    },
}


@pytest.fixture
def generous(worker: Scenario) -> Scenario:
    """The role may do anything in B, and B's bucket has objects inside and outside the prefix."""
    worker.account_b.put_role_policy("DataDumpRole", EVERYTHING)
    s3 = worker.account_b.client("s3")
    worker.account_b.create_bucket("b-payroll")
    for bucket, key in (
        (worker.bucket, "airflow/orders/theirs.csv"),
        (worker.bucket, "airflow-competitor/secret.csv"),
        (worker.bucket, "other/secret.csv"),
        ("b-payroll", "airflow/orders/secret.csv"),
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=b"secret")
    return worker


@pytest.fixture(params=list(GRANTS))
def granted(request: pytest.FixtureRequest, generous: Scenario) -> Scenario:
    """The same, under each bucket policy that could widen a session."""
    if grant := GRANTS[request.param]:
        for bucket in (generous.bucket, "b-payroll"):
            statement = {
                "Effect": "Allow",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                **grant,
            }
            policy = {"Version": "2012-10-17", "Statement": [statement]}
            generous.account_b.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    return generous


def session_client(scenario: Scenario, policy: Callable[[Destination], str]) -> Any:
    """S3 with the credentials of a task's session, as somebody who stole them would use them: without our guards."""
    destination = load_destination("xacct_default")
    frozen = (
        open_access(destination, identity=IDENTITY, policy=policy(destination)).credentials().get_frozen_credentials()
    )
    stolen = {
        "AccessKeyId": frozen.access_key,
        "SecretAccessKey": frozen.secret_key,
        "SessionToken": frozen.token,
    }
    return scenario.box.client(stolen, "s3")


def refused(call: Callable[..., Any], **params: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, caught.value


def state(scenario: Scenario) -> dict[str, dict[str, int]]:
    return {bucket: scenario.account_b.objects(bucket) for bucket in (scenario.bucket, "b-payroll")}


def test_a_stolen_session_is_worth_no_more_than_the_task(granted: Scenario) -> None:
    """It can write below the task's own prefix; it can read, list, delete, copy and configure nothing."""
    s3 = session_client(granted, lambda d: task_policy(d, TaskNeeds(("airflow/orders/",)), region="us-east-1"))
    before = state(granted)
    bucket = granted.bucket
    for key in ("airflow/other.csv", "airflow-competitor/x", "other/x", "x", "airflow/orders"):
        refused(s3.put_object, Bucket=bucket, Key=key, Body=b"x")
        refused(s3.create_multipart_upload, Bucket=bucket, Key=key)
    refused(s3.put_object, Bucket="b-payroll", Key="airflow/orders/x", Body=b"x")
    for key in ("airflow/orders/theirs.csv", "other/secret.csv"):
        refused(s3.get_object, Bucket=bucket, Key=key)
        refused(s3.head_object, Bucket=bucket, Key=key)
        refused(s3.delete_object, Bucket=bucket, Key=key)
        refused(s3.get_object_tagging, Bucket=bucket, Key=key)
        refused(s3.put_object_tagging, Bucket=bucket, Key=key, Tagging={"TagSet": []})
    refused(s3.list_objects_v2, Bucket=bucket)
    refused(s3.list_objects_v2, Bucket=bucket, Prefix="airflow/orders/")
    refused(s3.list_multipart_uploads, Bucket=bucket)
    refused(s3.copy_object, Bucket=bucket, Key="airflow/orders/copy", CopySource=f"{bucket}/other/secret.csv")
    refused(s3.copy_object, Bucket=bucket, Key="airflow/orders/copy", CopySource="b-payroll/airflow/orders/secret.csv")
    refused(s3.get_bucket_policy, Bucket=bucket)
    refused(s3.put_bucket_policy, Bucket=bucket, Policy=json.dumps(EVERYTHING))
    refused(s3.create_bucket, Bucket="new-bucket")
    assert state(granted) == before
    s3.put_object(Bucket=bucket, Key="airflow/orders/mine.csv", Body=b"mine")
    assert granted.account_b.read(bucket, "airflow/orders/mine.csv") == b"mine"


def test_other_services_are_closed(generous: Scenario) -> None:
    """The role may do anything; the session may not."""
    destination = load_destination("xacct_default")
    policy = task_policy(destination, TaskNeeds(("airflow/orders/",)))
    credentials = open_access(destination, identity=IDENTITY, policy=policy).credentials().get_frozen_credentials()
    stolen = {
        "AccessKeyId": credentials.access_key,
        "SecretAccessKey": credentials.secret_key,
        "SessionToken": credentials.token,
    }
    iam = generous.box.client(stolen, "iam")
    refused(iam.list_users)
    refused(iam.create_user, UserName="backdoor")
    sts = generous.box.client(stolen, "sts")
    refused(sts.assume_role, RoleArn=ROLE, RoleSessionName="again", ExternalId=generous.external_id)


def test_a_bucket_of_another_owner_is_closed(generous: Scenario) -> None:
    """C took over the name and lets everybody write: the session itself refuses, without our header too."""
    thief = generous.box.accounts[2]
    thief.create_bucket("sniped-bucket")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [SESSION, ROLE]},
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::sniped-bucket", "arn:aws:s3:::sniped-bucket/*"],
            }
        ],
    }
    thief.client("s3").put_bucket_policy(Bucket="sniped-bucket", Policy=json.dumps(policy))
    extra = {**generous.connection_extra, "bucket": "sniped-bucket"}
    destination = parse("xacct_default", extra, options=_options())
    for made in (task_policy(destination, TaskNeeds(("airflow/",))), guard_policy(destination)):
        access = open_access(destination, identity=IDENTITY, options=_options(), policy=made)
        frozen = access.credentials().get_frozen_credentials()
        stolen = {
            "AccessKeyId": frozen.access_key,
            "SecretAccessKey": frozen.secret_key,
            "SessionToken": frozen.token,
        }
        refused(generous.box.client(stolen, "s3").put_object, Bucket="sniped-bucket", Key="airflow/x", Body=b"x")
    assert thief.objects("sniped-bucket") == {}


def test_the_guard_keeps_hooks_inside_the_destination(granted: Scenario) -> None:
    """A hook may read, list and delete below its prefix, and touch nothing else of B."""
    s3 = session_client(granted, guard_policy)
    bucket = granted.bucket
    before = state(granted)
    for key in ("airflow-competitor/x", "other/secret.csv", "x"):
        refused(s3.put_object, Bucket=bucket, Key=key, Body=b"x")
        refused(s3.get_object, Bucket=bucket, Key=key)
        refused(s3.delete_object, Bucket=bucket, Key=key)
    refused(s3.list_objects_v2, Bucket=bucket)
    refused(s3.list_objects_v2, Bucket=bucket, Prefix="other/")
    refused(s3.list_objects_v2, Bucket=bucket, Prefix="airflow")
    refused(s3.list_objects_v2, Bucket="b-payroll", Prefix="airflow/")
    refused(s3.get_object, Bucket="b-payroll", Key="airflow/orders/secret.csv")
    refused(s3.copy_object, Bucket=bucket, Key="airflow/copy", CopySource=f"{bucket}/other/secret.csv")
    assert state(granted) == before
    assert s3.get_object(Bucket=bucket, Key="airflow/orders/theirs.csv")["Body"].read() == b"secret"
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="airflow/orders/")["Contents"]
    assert [item["Key"] for item in listed] == ["airflow/orders/theirs.csv"]
    s3.put_object(Bucket=bucket, Key="airflow/mine", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="airflow/mine")


def test_hooks_get_the_guard_and_operators_their_own(generous: Scenario) -> None:
    """What STS was really asked for."""
    CrossAccountHook("xacct_default", client_type="s3").get_conn()
    TaskTry(
        lambda: CrossAccountUploadOperator(task_id="upload", xacct_conn_id="xacct_default", data="x", key="orders/a"),
        StateStore(),
    ).run()
    hook, task = [json.loads(event.session_policy) for event in generous.box.assume_role_events]
    assert hook == json.loads(guard_policy(load_destination("xacct_default")))
    assert {
        "Effect": "Deny",
        "Action": "s3:*",
        "NotResource": f"arn:aws:s3:::{generous.bucket}/airflow/orders/a",
    } in task["Statement"]


@pytest.mark.parametrize(
    ("allowed", "tried"),
    [
        ("a*b/", "axb/k"),
        ("a?b/", "axb/k"),
        ("${aws:username}/", "airflow-worker/k"),
        ("$/", "x/k"),
        ("acme/", "acme-competitor/k"),
    ],
)
def test_wildcards_in_a_prefix_mean_themselves(generous: Scenario, allowed: str, tried: str) -> None:
    """A key is a key, not a pattern."""
    s3 = session_client(generous, lambda d: task_policy(d, TaskNeeds((f"airflow/{allowed}",))))
    refused(s3.put_object, Bucket=generous.bucket, Key=f"airflow/{tried}", Body=b"x")
    s3.put_object(Bucket=generous.bucket, Key=f"airflow/{allowed}k", Body=b"x")
    assert f"airflow/{allowed}k" in generous.account_b.objects(generous.bucket)


def test_a_step_of_a_chain_can_only_take_the_next(worker: Scenario) -> None:
    """The hub's session can assume the next role and nothing else, though the hub may do everything."""
    document = json.loads(chain_policy(RoleArn.parse(ROLE)))
    assert document["Statement"] == [
        {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"], "Resource": ROLE}
    ]


@pytest.mark.parametrize("asked", ["off", {"Statement": []}, "nonsense", 7])
def test_a_task_cannot_switch_its_policy_off(worker: Scenario, asked: Any) -> None:
    """Only the connection may say so."""
    task = TaskTry(
        lambda: CrossAccountUploadOperator(
            task_id="upload", xacct_conn_id="xacct_default", data="x", key="a", session_policy=asked
        )
    )
    with pytest.raises((OutsideDestinationError, InvalidArgumentError), match="session_policy"):
        task.run()
    assert not worker.box.requests


def test_a_connection_can(generous: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner decides, for hooks and operators."""
    extra = {**generous.connection_extra, "session_policy": "off"}
    monkeypatch.setenv("AIRFLOW_CONN_OFF", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
    for asked in (None, "off"):
        TaskTry(
            lambda asked=asked: CrossAccountUploadOperator(
                task_id="upload", xacct_conn_id="off", data="x", key="a", if_exists="replace", session_policy=asked
            )
        ).run()
    assert {event.session_policy for event in generous.box.assume_role_events} == {""}


def test_a_document_of_a_task_stays_inside(generous: Scenario) -> None:
    """Whatever it allows, the denials of the guard come with it."""
    s3 = session_client(generous, lambda d: with_guard(d, EVERYTHING))
    refused(s3.put_object, Bucket=generous.bucket, Key="other/x", Body=b"x")
    s3.put_object(Bucket=generous.bucket, Key="airflow/x", Body=b"x")


def test_a_document_of_the_connection_is_used_as_it_is(generous: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an object or as text."""
    document = {"Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}
    for name, given in (("ONE", document), ("TWO", json.dumps(document, indent=2))):
        extra = {**generous.connection_extra, "session_policy": given}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
        CrossAccountHook(name.lower(), client_type="s3").get_conn()
        assert json.loads(generous.box.assume_role_events[-1].session_policy) == document


@pytest.mark.parametrize("prefix", ["airflow/", "a" * 900 + "/", "*" * 400 + "/", "深" * 300 + "/", "a/" * 500])
def test_policies_fit_what_sts_takes(prefix: str) -> None:
    """2,048 characters of Latin-1, whatever the prefix: shorter forms are a little wider for odd letters only."""
    destination = parse("acme", {**_extra(), "prefix": prefix})
    needs = TaskNeeds((f"{prefix}x/", f"{prefix}m.json"), tags=True, deletes=True)
    for text in (guard_policy(destination), task_policy(destination, needs)):
        assert len(text) <= 2048
        assert text.isascii()
        assert json.loads(text)["Statement"]


def test_a_document_that_does_not_fit_is_an_error() -> None:
    """With the number of characters."""
    document = {"Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "x" * 2000}]}
    with pytest.raises(InvalidArgumentError, match="2048"):
        with_guard(parse("acme", _extra()), document)


def test_a_blurred_prefix_is_still_one(generous: Scenario) -> None:
    """Where letters must become wildcards, other folders stay closed."""
    prefix = "airflow/" + "深" * 290 + "/"
    s3 = session_client(generous, lambda d: task_policy(d, TaskNeeds((prefix,))))
    refused(s3.put_object, Bucket=generous.bucket, Key="airflow/other/k", Body=b"x")
    refused(s3.put_object, Bucket=generous.bucket, Key="airflow/" + "深" * 291 + "/k", Body=b"x")
    s3.put_object(Bucket=generous.bucket, Key=prefix + "k", Body=b"x")


def _extra() -> dict[str, Any]:
    return {"role_arn": ROLE, "external_id": "ext-1234", "bucket": "acme-landing"}


def _options() -> Any:
    from airflow_xacct.hooks.connections import deployment_options

    return deployment_options()
