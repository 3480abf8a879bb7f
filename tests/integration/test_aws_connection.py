"""An ``aws`` connection with a role and an External ID, used as it is: nothing is entered twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from airflow_xacct.destination import DeploymentOptions, Destination
from airflow_xacct.destination.aws_connection import identity_problems, parse_aws_connection, without_role
from airflow_xacct.exceptions import InvalidConnectionError, NoCredentialsError
from airflow_xacct.hooks import CrossAccountHook, CrossAccountS3Hook
from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.sandbox import Scenario
from tests.integration.airflow_context import TaskTry

ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
ASSUME = {"ExternalId": "ext-1234"}
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def parsed(extra: dict[str, Any] | str | None = None, **rest: Any) -> Destination:
    if extra is None or isinstance(extra, dict):
        extra = {"role_arn": ROLE, "assume_role_kwargs": ASSUME, **(extra or {})}
    return parse_aws_connection("old", extra, options=DeploymentOptions(("sandbox.test",)), **rest)


def problems(extra: dict[str, Any] | str, **rest: Any) -> list[str]:
    with pytest.raises(InvalidConnectionError) as caught:
        parsed(extra if isinstance(extra, str) else json.dumps(extra), **rest)
    return list(caught.value.problems)


class TestTranslation:
    """Pure: what each extra becomes."""

    def test_a_role_and_an_external_id_are_enough(self) -> None:
        """The worker itself assumes."""
        to = parsed()
        assert (str(to.role), to.external_id, to.source_conn_id, to.bucket_owner) == (
            ROLE,
            "ext-1234",
            None,
            "222222222222",
        )

    def test_everything_with_an_equal(self) -> None:
        """The whole of it, as JSON."""
        to = parsed(
            {
                "assume_role_kwargs": {
                    **ASSUME,
                    "DurationSeconds": 7200,
                    "RoleSessionName": "acme-airflow",
                    "SourceIdentity": "acme",
                    "Tags": [{"Key": "team", "Value": "data"}],
                    "Policy": '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
                },
                "assume_role_method": "assume_role",
                "region_name": "eu-central-1",
                "verify": "/etc/ssl/partner.pem",
                "config_kwargs": {"retries": {"max_attempts": 3}},
                "service_config": {
                    "s3": {"bucket_name": "acme-landing", "endpoint_url": "https://sandbox.test:1"},
                    "sts": {"endpoint_url": "https://sandbox.test:2"},
                },
                "endpoint_url": "https://sandbox.test:3",
            }
        )
        assert to.duration_seconds == 7200
        assert to.session_name_prefix == "acme-airflow."
        assert to.source_identity == "acme"
        assert (to.tags_sessions, to.session_tags) == (True, {"team": "data"})
        assert json.loads(to.session_policy)["Statement"]
        assert (to.region_name, to.verify, str(to.bucket)) == ("eu-central-1", "/etc/ssl/partner.pem", "acme-landing")
        assert to.config_kwargs == {"retries": {"max_attempts": 3}}
        assert to.endpoint_url == {
            "s3": "https://sandbox.test:1",
            "sts": "https://sandbox.test:2",
            "*": "https://sandbox.test:3",
        }

    def test_the_endpoint_of_all_services_is_not_that_of_sts(self) -> None:
        """As with the Amazon provider: many such connections name one of S3 there."""
        to = parsed({"endpoint_url": "https://sandbox.test"})
        assert (to.endpoint_for("s3"), to.endpoint_for("sts")) == ("https://sandbox.test", "")

    def test_a_long_session_name_keeps_its_beginning(self) -> None:
        """32 characters of ours, the dot included; DAG, task and run follow."""
        to = parsed({"assume_role_kwargs": {**ASSUME, "RoleSessionName": "x" * 64}})
        assert to.session_name_prefix == "x" * 31 + "."

    def test_texts_are_read_as_json(self) -> None:
        """As a URI holds them."""
        extra = {"role_arn": ROLE, "assume_role_kwargs": json.dumps({**ASSUME, "DurationSeconds": "900"})}
        assert parsed(json.dumps(extra)).duration_seconds == 900
        assert parsed({"session_kwargs": '{"region_name": "eu-west-1"}'}).region_name == "eu-west-1"

    def test_null_and_empty_are_absent(self) -> None:
        """As a form stores what was left blank."""
        extra = {"region_name": None, "endpoint_url": "", "profile_name": None, "no_such_extra": None}
        assert parsed(extra) == parsed()

    @pytest.mark.parametrize(
        ("extra", "keys", "source"),
        [
            ({}, {}, None),
            ({"session_kwargs": {"region_name": "eu-west-1", "aws_access_key_id": None}}, {}, None),
            ({}, {"login": "AKIA1", "password": SECRET}, "old"),
            ({"aws_access_key_id": "AKIA1", "aws_secret_access_key": SECRET}, {}, "old"),
            ({"session_kwargs": {"aws_access_key_id": "AKIA1", "aws_secret_access_key": SECRET}}, {}, "old"),
            ({"profile_name": "partner"}, {}, "old"),
        ],
    )
    def test_who_assumes(self, extra: dict[str, Any], keys: dict[str, str], source: str | None) -> None:
        """What the connection names itself, or else the worker."""
        assert parsed(extra, **keys).source_conn_id == source

    def test_the_source_is_the_connection_without_its_role(self) -> None:
        """Everything else stays."""
        extra = {
            "role_arn": ROLE,
            "assume_role_kwargs": ASSUME,
            "assume_role_method": "assume_role",
            "profile_name": "p",
        }
        assert without_role(extra) == {"profile_name": "p"}


class TestProblems:
    """What we do not allow is named, all of it at once, by the name the connection gives it."""

    def test_each_is_named(self) -> None:
        """One error for a connection full of them."""
        found = problems(
            {
                "role_arn": "arn:aws:iam::222222222222:user/nobody",
                "assume_role_method": "assume_role_with_saml",
                "assume_role_with_saml": {"principal_arn": "x"},
                "assume_role_kwargs": {
                    **ASSUME,
                    "DurationSeconds": 60,
                    "PolicyArns": [],
                    "TransitiveTagKeys": ["team"],
                    "Tags": "team",
                    "Surprise": 1,
                },
                "verify": False,
                "config_kwargs": {"signature_version": "unsigned"},
                "service_config": {"s3": {"endpoint_url": "https://elsewhere.test"}, "athena": {"x": 1}},
                "endpoint_url": "http://elsewhere.test",
                "session_kwargs": {"profile_name": "p"},
                "s3_config_file": "/x",
            }
        )
        named = {problem.split(":")[0] for problem in found}
        assert named == {
            "role_arn",
            "assume_role_method",
            "assume_role_with_saml",
            "assume_role_kwargs.DurationSeconds",
            "assume_role_kwargs.PolicyArns",
            "assume_role_kwargs.TransitiveTagKeys",
            "assume_role_kwargs.Tags",
            "assume_role_kwargs.Surprise",
            "verify",
            "config_kwargs",
            "service_config.s3.endpoint_url",
            "service_config.athena.x",
            "endpoint_url",
            "session_kwargs.profile_name",
            "s3_config_file",
        }

    @pytest.mark.parametrize(
        "extra",
        [
            {"assume_role_method": "assume_role_with_web_identity"},
            {"assume_role_with_web_identity_federation": "google"},
        ],
    )
    def test_web_identity_sends_no_external_id(self, extra: dict[str, Any]) -> None:
        """The remedy says how to have both."""
        (problem,) = problems({"role_arn": ROLE, "assume_role_kwargs": ASSUME, **extra})
        assert "source_conn_id" in problem

    @pytest.mark.parametrize(
        ("extra", "lacks"),
        [
            ("", "the extra role_arn and an External ID"),
            ({"region_name": "eu-west-1"}, "the extra role_arn and an External ID"),
            ({"role_arn": ROLE}, "an External ID"),
            ({"role_arn": ROLE, "assume_role_kwargs": {"ExternalId": ""}}, "an External ID"),
            ({"assume_role_kwargs": ASSUME}, "the extra role_arn. Add"),
        ],
    )
    def test_a_plain_connection_is_refused(self, extra: Any, lacks: str) -> None:
        """One sentence, with both ways out."""
        (problem,) = problems(extra)
        assert f"lacks {lacks}" in problem
        assert "'aws_xacct'" in problem

    @pytest.mark.parametrize(
        ("extra", "keys"),
        [
            ({}, {"login": "AKIA1"}),
            ({}, {"password": SECRET}),
            ({"aws_access_key_id": "AKIA1"}, {}),
            ({"aws_secret_access_key": SECRET}, {}),
            ({"session_kwargs": {"aws_access_key_id": "AKIA1"}}, {}),
            ({"aws_session_token": "token"}, {}),
        ],
    )
    def test_half_an_identity_is_refused(self, extra: dict[str, Any], keys: dict[str, str]) -> None:
        """The Amazon provider would pass it over, and ask with the worker's own identity."""
        (problem,) = problems({"role_arn": ROLE, "assume_role_kwargs": ASSUME, **extra}, **keys)
        assert SECRET not in problem
        assert identity_problems(extra, **keys)

    @pytest.mark.parametrize("name", [SECRET, "AKIAIOSFODNN7EXAMPLE", "a b"])
    def test_what_looks_like_a_secret_is_not_shown(self, name: str) -> None:
        """Pasted as a name."""
        for extra in ({name: "x"}, {"assume_role_kwargs": {**ASSUME, name: 1}}, {"service_config": {"s3": {name: 1}}}):
            (problem,) = problems({"role_arn": ROLE, "assume_role_kwargs": ASSUME, **extra})
            assert name not in problem

    @pytest.mark.parametrize("extra", ["[]", "{", '{"a": 1, "a": 2}'])
    def test_extras_that_are_no_object(self, extra: str) -> None:
        """Said once, and nothing beside it."""
        (problem,) = problems(extra)
        assert problem.startswith("extra: ")


Connect = Callable[..., str]


@pytest.fixture
def connect(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """An ``aws`` connection ``old`` such as the Amazon provider uses."""

    def make(*, login: str = "", password: str = "", **extras: Any) -> str:
        extra = {
            "role_arn": worker.role_arn,
            "assume_role_kwargs": {"ExternalId": worker.external_id},
            "region_name": worker.box.region,
            "service_config": {
                "sts": {"endpoint_url": worker.box.endpoint_url},
                "s3": {"endpoint_url": worker.box.endpoint_url, "bucket_name": worker.bucket},
            },
            **extras,
        }
        connection = {"conn_type": "aws", "login": login, "password": password, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_OLD", json.dumps(connection))
        return "old"

    return make


def write(conn_id: str) -> None:
    CrossAccountS3Hook(conn_id).load_string("x", "airflow/a", replace=True)


def assumed_by(worker: Scenario) -> list[str]:
    return [event.source_identity_arn for event in worker.box.assume_role_events if event.granted]


def test_the_same_connection_serves_both_providers(worker: Scenario, connect: Connect) -> None:
    """Theirs without an expected owner, ours with."""
    S3Hook(connect()).load_string("x", "airflow/theirs", replace=True)
    CrossAccountS3Hook("old").load_string("x", "airflow/ours", replace=True)
    puts = [request for request in worker.box.requests if request.operation == "PutObject"]
    assert [request.expected_owner for request in puts] == ["", "222222222222"]
    names = [event.session_name for event in worker.box.assume_role_events]
    assert names == ["airflow_old", "airflow.old"]


def test_an_operator_of_ours_works_with_it(worker: Scenario, connect: Connect) -> None:
    """The bucket is the connection's default one."""
    conn_id = connect()
    upload = TaskTry(
        lambda: CrossAccountUploadOperator(task_id="upload", xacct_conn_id=conn_id, data="hello", key="airflow/a.txt")
    )
    delivery = upload.run()
    assert delivery["objects"] == 1
    assert worker.account_b.read(worker.bucket, "airflow/a.txt") == b"hello"


def test_the_hook_for_any_service_works_with_it(worker: Scenario, connect: Connect) -> None:
    """STS says who we are; its endpoint is the one of the connection."""
    hook = CrossAccountHook(connect(), client_type="sts")
    assert hook.get_conn().get_caller_identity()["Account"] == worker.account_b.id
    good, text = hook.test_connection()
    assert good, text


@pytest.mark.parametrize("place", ["login", "extra", "session_kwargs"])
def test_its_keys_assume_the_role(
    worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """And the worker's own identity, another user here, does not."""
    key = worker.worker
    other = worker.account_a.create_user("somebody-else")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", other.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", other.secret_access_key)
    pair = {"aws_access_key_id": key.access_key_id, "aws_secret_access_key": key.secret_access_key}
    given: dict[str, Any] = {
        "login": {"login": key.access_key_id, "password": key.secret_access_key},
        "extra": pair,
        "session_kwargs": {"session_kwargs": pair},
    }[place]
    write(connect(**given))
    assert assumed_by(worker) == [key.user_arn]
    assert key.secret_access_key not in repr(CrossAccountHook("old").access.source)


@pytest.fixture
def profiles(worker: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared credentials file with the worker's key as ``[partner]``, and an empty profile."""
    path = tmp_path / "credentials"
    path.write_text(
        f"[partner]\naws_access_key_id = {worker.worker.access_key_id}\n"
        f"aws_secret_access_key = {worker.worker.secret_access_key}\n[empty]\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))


def test_its_profile_assumes_the_role(
    worker: Scenario, connect: Connect, profiles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with no identity of its own."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    write(connect(profile_name="partner"))
    assert assumed_by(worker) == [worker.worker.user_arn]


@pytest.mark.parametrize("profile", ["empty", "no-such-profile"])
@pytest.mark.parametrize("role", ["itself", "source"])
def test_a_profile_that_does_not_work_is_an_error(
    worker: Scenario, connect: Connect, profiles: None, monkeypatch: pytest.MonkeyPatch, profile: str, role: str
) -> None:
    """The worker has working keys in its environment and a role of its machine: neither is asked."""

    class Machine:
        METHOD = "iam-role"
        CANONICAL_NAME = "Ec2InstanceMetadata"

        def load(self) -> Credentials:
            return Credentials(worker.worker.access_key_id, worker.worker.secret_access_key, method=self.METHOD)

    monkeypatch.setattr("botocore.credentials.InstanceMetadataProvider", lambda **_: Machine())
    if role == "itself":
        conn_id = connect(profile_name=profile)
    else:
        source = {"conn_type": "aws", "extra": {"profile_name": profile}}
        monkeypatch.setenv("AIRFLOW_CONN_SOURCE", json.dumps(source))
        ours = {"conn_type": "aws_xacct", "extra": {**worker.connection_extra, "source_conn_id": "source"}}
        monkeypatch.setenv("AIRFLOW_CONN_OURS", json.dumps(ours))
        conn_id = "ours"
    with pytest.raises(NoCredentialsError, match="gives no AWS credentials"):
        write(conn_id)
    assert not worker.box.requests


def test_keys_that_do_not_work_are_an_error(worker: Scenario, connect: Connect) -> None:
    """STS does not know them; the worker's own, which work, are not tried."""
    with pytest.raises(NoCredentialsError, match="connection 'old' itself"):
        write(connect(login="AKIAIOSFODNN7EXAMPLE", password=SECRET))
    assert not assumed_by(worker)


def test_half_a_key_of_a_source_connection_is_an_error(
    worker: Scenario, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for an ``aws`` connection that another names as its source."""
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE", json.dumps({"conn_type": "aws", "login": "AKIA1"}))
    ours = {"conn_type": "aws_xacct", "extra": {**worker.connection_extra, "source_conn_id": "source"}}
    monkeypatch.setenv("AIRFLOW_CONN_OURS", json.dumps(ours))
    with pytest.raises(InvalidConnectionError, match="login and password"):
        write("ours")
    assert not worker.box.requests


def test_its_default_bucket_is_the_only_one(worker: Scenario, connect: Connect) -> None:
    """The guard policy, which the Amazon provider does not send, holds the session in it."""
    worker.account_b.create_bucket("acme-other")
    worker.account_b.put_role_policy(
        "DataDumpRole",
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]},
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        CrossAccountS3Hook(connect()).load_string("x", "airflow/a", "acme-other", replace=True)
    write("old")
    assert "acme-landing" in worker.box.assume_role_events[-1].session_policy
