"""``airflow-xacct audit`` against two accounts: who assumed the role, what landed, and what stands out."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_xacct.audit import history
from airflow_xacct.cli import audit_command
from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.sandbox import AccessKey, Scenario
from tests.integration.airflow_context import StateStore, TaskTry

DAG, TASK, RUN = "nyc", "upload", "manual__2013-01-01"
NAME = f"{DAG}.{TASK}.{RUN}"
LOOKUP = {"Effect": "Allow", "Action": "cloudtrail:LookupEvents", "Resource": "*"}
READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}


def grant(case: Scenario, *statements: dict[str, Any]) -> None:
    """Give A's worker more than the right to assume the role."""
    case.account_a.client("iam").put_user_policy(
        UserName="airflow-worker",
        PolicyName="audit",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}),
    )


@pytest.fixture
def audited(worker: Scenario) -> Scenario:
    """A's worker may read the event history of A."""
    grant(worker, LOOKUP)
    return worker


@pytest.fixture
def profile_b(worker: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A profile of an auditor in B, who may read B's event history and bucket."""
    key = worker.account_b.create_user("auditor", {"Version": "2012-10-17", "Statement": [LOOKUP, READ]})
    return write_profile(tmp_path, monkeypatch, key)


def write_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: AccessKey) -> str:
    path = tmp_path / "credentials"
    path.write_text(
        f"[auditor]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return "auditor"


@pytest.fixture
def deliver(worker: Scenario, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Let a task deliver; returns what it returned."""

    def run(*, task: str = TASK, run_id: str = RUN, files: int = 2) -> dict[str, Any]:
        source = tmp_path / f"{task}-source"
        source.mkdir(exist_ok=True)
        for number in range(files):
            (source / f"part-{number}.csv").write_bytes(b"id\n1\n")
        key = f"{task}/{run_id}/"
        made = TaskTry(
            lambda: CrossAccountUploadOperator(
                task_id=task, xacct_conn_id="xacct_default", source=f"{source}/*.csv", key=key
            ),
            StateStore(),
            task=task,
        )
        result: dict[str, Any] = made.run(run_id=run_id)
        return result

    return run


Audit = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str]) -> Audit:
    """Run the command with ``--json``; returns the exit status and the report."""

    def run(*options: str, **given: Any) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        status = run_command(*options, "--json", **given)
        return status, json.loads(capsys.readouterr().out)

    return run


def run_command(*options: str, sleep: Callable[[float], None] = lambda seconds: None) -> int:
    """The command as ``airflow-xacct`` calls it; nobody waits for CloudTrail's pace."""
    parser = argparse.ArgumentParser()
    audit_command.register(parser.add_subparsers())
    arguments = parser.parse_args(["audit", *options])
    status: int = arguments.func(arguments, sleep=sleep)
    return status


def verdicts(report: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(session["verdict"], session["session_name"]) for session in report["sessions"]]


def test_a_delivery_is_joined_with_the_session_that_made_it(
    audited: Scenario, profile_b: str, deliver: Callable[..., Any], audit: Audit
) -> None:
    """As B, with the manifest read from B's own bucket: DAG, task and run are exact."""
    landed = deliver()
    status, report = audit("xacct_default", "--profile", profile_b, "--manifest", landed["manifest_uri"])
    assert status == 0
    assert (report["as"], report["account"], report["clean"]) == ("b", audited.account_b.id, True)
    [session] = report["sessions"]
    assert session["verdict"] == "known"
    assert session["session_name"] == NAME
    assert session["task"] == {
        "dag_id": DAG, "task_id": TASK, "run_id": RUN, "map_index": -1, "known_by": "delivery",
    }  # fmt: skip
    assert session["external_id"] == "ours"
    assert session["external_id_last_four"] == audited.external_id[-4:]
    assert session["caller"] == {
        "arn": None,
        "account": audited.account_a.id,
        "principal_id": session["caller"]["principal_id"],
    }
    [delivery] = session["deliveries"]
    assert (delivery["uri"], delivery["objects"], delivery["size_bytes"]) == (landed["manifest_uri"], 2, 10)


def test_as_a_the_caller_is_checked(audited: Scenario, deliver: Callable[..., Any], audit: Audit) -> None:
    """The worker's own identity looks, and is whom it expects to see."""
    deliver()
    status, report = audit("xacct_default")
    assert (status, report["as"]) == (0, "a")
    assert report["expected_callers"] == [audited.worker.user_arn]
    [session] = report["sessions"]
    assert session["caller"]["arn"] == audited.worker.user_arn
    assert session["task"]["known_by"] == "name"
    assert session["shared_event_ids"]


def test_both_accounts_see_the_same_call(
    audited: Scenario, profile_b: str, deliver: Callable[..., Any], audit: Audit
) -> None:
    """The shared event id joins the two histories."""
    deliver()
    _, as_a = audit("xacct_default")
    _, as_b = audit("xacct_default", "--profile", profile_b, "--as", "b")
    assert as_a["sessions"][0]["shared_event_ids"] == as_b["sessions"][0]["shared_event_ids"]
    assert as_a["sessions"][0]["event_ids"] != as_b["sessions"][0]["event_ids"]


def test_a_stolen_key_stands_out(audited: Scenario, deliver: Callable[..., Any], audit: Audit, profile_b: str) -> None:
    """Whoever assumes the role by hand does not name sessions as our tasks do; B sees it too."""
    deliver()
    audited.assume(RoleSessionName="botocore-session-1700000000")
    for options in (["xacct_default"], ["xacct_default", "--profile", profile_b]):
        status, report = audit(*options)
        assert status == 1
        assert verdicts(report) == [("known", NAME), ("unknown", "botocore-session-1700000000")]
        assert report["sessions"][1]["reasons"] == ["its name is not one that this connection gives"]
        assert report["sessions"][1]["access_key_ids"]


def test_another_caller_stands_out_whatever_name_it_takes(audited: Scenario, audit: Audit, profile_b: str) -> None:
    """The trust policy names the account, so another user of A gets in under a task's name."""
    account_a, account_b = audited.account_a, audited.account_b
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": account_a.id},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": audited.external_id}},
            }
        ],
    }
    account_b.client("iam").update_assume_role_policy(RoleName="DataDumpRole", PolicyDocument=json.dumps(trust))
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}
    intern = account_a.create_user("intern", allowed)
    assume_as(audited, intern, RoleSessionName=NAME)
    status, report = audit("xacct_default")
    assert status == 1
    [session] = report["sessions"]
    assert session["reasons"] == ["another caller than expected"]
    assert session["caller"]["arn"] == intern.user_arn
    # B knows unique ids only, which it can be told
    worker_id = account_a.client("iam").get_user(UserName="airflow-worker")["User"]["UserId"]
    assert audit("xacct_default", "--profile", profile_b)[0] == 0
    assert audit("xacct_default", "--profile", profile_b, "--caller", worker_id)[0] == 1
    assert audit("xacct_default", "--caller", intern.user_arn)[0] == 0


def assume_as(case: Scenario, key: AccessKey, **parameters: Any) -> dict[str, Any]:
    sts = case.box.client(key, "sts", region=parameters.pop("region", None))
    try:
        asked = {"RoleArn": case.role_arn, "ExternalId": case.external_id, "RoleSessionName": "s", **parameters}
        answer: dict[str, Any] = sts.assume_role(**{k: v for k, v in asked.items() if v is not None})["Credentials"]
        return answer
    finally:
        sts.close()


@pytest.mark.parametrize(
    ("sent", "reason"), [("somebody-elses-1234", "ends in 1234"), (None, "no External ID was sent")]
)
def test_a_role_that_takes_any_external_id_is_seen(
    audited: Scenario, audit: Audit, sent: str | None, reason: str
) -> None:
    """A trust policy without the condition lets a confused deputy in; the whole ID of another is not shown."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": audited.worker.user_arn}, "Action": "sts:AssumeRole"}],
    }
    audited.account_b.client("iam").update_assume_role_policy(RoleName="DataDumpRole", PolicyDocument=json.dumps(trust))
    audited.assume(RoleSessionName=NAME, ExternalId=sent)
    status, report = audit("xacct_default")
    assert status == 1
    assert reason in report["sessions"][0]["reasons"][0]
    assert "somebody" not in json.dumps(report)


def test_denied_attempts_are_seen_in_the_callers_account(audited: Scenario, audit: Audit, profile_b: str) -> None:
    """With AWS's words; across accounts B's history does not have them, which is said."""
    with contextlib.suppress(ClientError):
        audited.assume(ExternalId="wrong")
    status, report = audit("xacct_default")
    assert status == 1
    [session] = report["sessions"]
    assert (session["verdict"], session["session_name"]) == ("denied", None)
    assert session["external_id"] == "not recorded"
    assert session["error"]["code"] == "AccessDenied"
    assert audit("xacct_default", "--profile", profile_b)[0] == 0
    assert audit("xacct_default", "--granted-only")[1]["sessions"] == []


def test_a_mistake_in_the_call_is_no_denial(audited: Scenario, audit: Audit) -> None:
    """Our own wish for a longer session is refused once in every chain."""
    with contextlib.suppress(ClientError):
        audited.assume(DurationSeconds=43200, RoleSessionName=NAME)
    status, report = audit("xacct_default")
    assert (status, verdicts(report)) == (0, [("failed", NAME)])


def test_only_one_dag_task_or_run_when_asked(audited: Scenario, audit: Audit, deliver: Callable[..., Any]) -> None:
    """By names that can be theirs; unknown sessions are shown all the same."""
    deliver()
    deliver(task="other")
    deliver(run_id="manual__2013-01-02")
    audited.assume(RoleSessionName="rogue")
    rogue = ("unknown", "rogue")
    for options, names in (
        (["--task", "other"], [f"{DAG}.other.{RUN}"]),
        (["--run", "manual__2013-01-02"], [f"{DAG}.{TASK}.manual__2013-01-02"]),
        (["--dag", "another"], []),
        (["--dag", DAG, "--task", TASK, "--run", RUN], [NAME]),
    ):
        _, report = audit("xacct_default", *options)
        assert verdicts(report) == [*(("known", name) for name in names), rogue]
    assert report["sessions"][0]["task"]["known_by"] == "arguments"


def test_more_calls_than_a_page_holds(audited: Scenario, audit: Audit) -> None:
    """All of them are found, at two requests per second, and a session's refreshes are one line."""
    for _ in range(101):
        audited.assume(RoleSessionName=NAME)
    waits: list[float] = []
    _, report = audit("xacct_default", sleep=waits.append)
    [session] = report["sessions"]
    assert session["times_assumed"] == 101
    assert report["lookups"] == 3
    assert len(waits) == 2
    assert all(0 < wait <= history.SECONDS_BETWEEN_LOOKUPS for wait in waits)


def test_only_the_regions_that_were_searched_are_told_of(audited: Scenario, audit: Audit) -> None:
    """A call through another region's STS is found there, and nowhere else."""
    assume_as(audited, audited.worker, RoleSessionName=NAME, region="eu-west-1")
    assert audit("xacct_default")[1]["sessions"] == []
    _, report = audit("xacct_default", "--regions", "us-east-1,eu-west-1")
    assert verdicts(report) == [("known", NAME)]
    assert report["sessions"][0]["regions"] == ["eu-west-1"]
    _, everywhere = audit("xacct_default", "--regions", "all")
    assert verdicts(everywhere) == [("known", NAME)]
    assert len(everywhere["regions"]) > 15


def test_a_time_range_limits_what_is_read(audited: Scenario, audit: Audit) -> None:
    """A day in UTC, or from one moment to another."""
    audited.assume(RoleSessionName=NAME)
    now = datetime.now(UTC)
    assert len(audit("xacct_default", "--since", (now - timedelta(hours=1)).isoformat())[1]["sessions"]) == 1
    assert audit("xacct_default", "--day", f"{now - timedelta(days=2):%Y-%m-%d}")[1]["sessions"] == []


def test_in_a_chain_the_hub_role_is_the_expected_caller(
    audited: Scenario, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first link of the chain looks; what it assumed on the way is what B's role is assumed by."""
    from airflow_xacct.hooks.connections import load_destination, open_access

    hub_arn = chain(audited, monkeypatch)
    open_access(load_destination("through_hub")).credentials()
    status, report = audit("through_hub")
    assert status == 0
    assert report["expected_callers"] == [hub_arn]
    [session] = report["sessions"]
    assert session["session_name"] == "airflow.through_hub"
    assert ":assumed-role/Hub/" in session["caller"]["arn"]
    # the worker itself is not whom the chain lets through
    audited.assume(RoleSessionName=NAME)
    status, report = audit("through_hub")
    assert status == 1
    assert report["sessions"][1]["reasons"] == ["another caller than expected"]


def chain(case: Scenario, monkeypatch: pytest.MonkeyPatch) -> str:
    """B's role also trusts a hub role of A, which the worker assumes."""

    def trust(principals: list[str], external_id: str) -> dict[str, Any]:
        condition = {"StringEquals": {"sts:ExternalId": external_id}}
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": principals},
            "Action": "sts:AssumeRole",
            "Condition": condition,
        }
        return {"Version": "2012-10-17", "Statement": [statement]}

    into_b = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": case.role_arn}
    hub = case.account_a.create_role(
        "Hub", trust=trust([case.worker.user_arn], "hub-id"), policy={"Version": "2012-10-17", "Statement": [into_b]}
    )
    case.account_b.client("iam").update_assume_role_policy(
        RoleName="DataDumpRole", PolicyDocument=json.dumps(trust([hub, case.worker.user_arn], case.external_id))
    )
    grant(case, LOOKUP, {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": hub})
    common = {"endpoint_url": case.box.endpoint_url, "region_name": case.box.region}
    for name, extra in (
        ("HUB", {"role_arn": hub, "external_id": "hub-id", **common}),
        ("THROUGH_HUB", {**case.connection_extra, "source_conn_id": "hub"}),
    ):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
    return hub


def test_session_tags_are_exact(audited: Scenario, audit: Audit) -> None:
    """They say DAG, task and run where the name is cut; tags that name another task than the name stand out."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": audited.worker.user_arn},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {"StringEquals": {"sts:ExternalId": audited.external_id}},
            }
        ],
    }
    audited.account_b.client("iam").update_assume_role_policy(RoleName="DataDumpRole", PolicyDocument=json.dumps(trust))
    grant(audited, LOOKUP, {"Effect": "Allow", "Action": "sts:TagSession", "Resource": "*"})
    tags = [
        {"Key": k, "Value": v} for k, v in (("dag_id", DAG), ("task_id", TASK), ("run_id", RUN), ("map_index", "-1"))
    ]
    audited.assume(RoleSessionName=NAME, Tags=tags)
    audited.assume(RoleSessionName="nyc.another.manual__1", Tags=tags)
    _, report = audit("xacct_default")
    first, second = report["sessions"]
    assert (first["verdict"], first["task"]["known_by"], first["session_tags"]["dag_id"]) == ("known", "tags", DAG)
    assert second["reasons"] == ["its session tags name another task than its name"]


def test_without_the_permission_the_error_says_who_must_allow_what(
    worker: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2: nothing was looked at."""
    assert run_command("xacct_default") == 2
    message = capsys.readouterr().err
    assert "cloudtrail:LookupEvents was denied to arn:aws:iam::111111111111:user/airflow-worker" in message
    assert "In account 111111111111: allow cloudtrail:LookupEvents" in message


def test_as_b_with_credentials_of_a_is_refused(audited: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    """A's history is not to be taken for B's."""
    assert run_command("xacct_default", "--as", "b") == 2
    assert "is of account 111111111111, and the role is of account 222222222222" in capsys.readouterr().err


def test_account_b_needs_no_airflow_connection(
    audited: Scenario, profile_b: str, deliver: Callable[..., Any], audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Role and External ID are enough; the endpoint is the environment's."""
    landed = deliver()
    monkeypatch.setenv("AWS_ENDPOINT_URL", audited.box.endpoint_url)
    monkeypatch.delenv("AIRFLOW_CONN_XACCT_DEFAULT")
    options = ["--role-arn", audited.role_arn, "--external-id", audited.external_id, "--profile", profile_b]
    options += ["--bucket", audited.bucket, "--prefix", audited.prefix, "--caller", audited.account_a.id]
    status, report = audit(*options, "--manifest", landed["manifest_uri"])
    assert (status, verdicts(report)) == (0, [("known", NAME)])
    assert report["sessions"][0]["deliveries"][0]["objects"] == 2
    assert audit(*options, "--external-id", "another-customers-id")[0] == 1


def test_a_manifest_that_may_not_be_read_is_no_reason_to_stop(
    audited: Scenario, deliver: Callable[..., Any], audit: Audit
) -> None:
    """A has no right to read in B's bucket; what cannot be seen is not green."""
    landed = deliver()
    status, report = audit("xacct_default", "--manifest", landed["manifest_uri"])
    assert status == 1
    [misfit] = report["misfit_manifests"]
    assert "s3:GetObject is denied" in misfit["problems"][0]
    assert verdicts(report) == [("known", NAME)]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "no manifest"),
        (b"\xff\x00garbage", "no manifest"),
        (b"[" * 100_000, "no manifest"),
        (b'{"xacct": {"objects": 7}}', "no manifest"),
        (b"[]", "no manifest"),
    ],
)
def test_garbage_in_place_of_a_manifest_is_told(
    audited: Scenario, audit: Audit, profile_b: str, body: bytes, problem: str
) -> None:
    """And nothing breaks."""
    audited.account_b.client("s3").put_object(Bucket=audited.bucket, Key="airflow/_manifest.json", Body=body)
    uri = f"s3://{audited.bucket}/airflow/_manifest.json"
    status, report = audit("xacct_default", "--profile", profile_b, "--manifest", uri)
    assert status == 1
    assert problem in report["misfit_manifests"][0]["problems"][0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"session_arn": "arn:aws:sts::222222222222:assumed-role/DataDumpRole/rogue"}, "which is not what a session"),
        (
            {"session_arn": "arn:aws:sts::333333333333:assumed-role/DataDumpRole/nyc.upload.manual__2013-01-01"},
            "another role",
        ),
        ({"session_arn": ["x"]}, "no manifest of ours"),
        ({"dag_id": None}, "no manifest of ours"),
        ({"created_at": "yesterday"}, "no manifest of ours"),
        ({"map_index": "0"}, "no manifest of ours"),
        ({"objects": [{"url": "s3://another/x", "size_bytes": 1, "checksum_crc64nvme": ""}]}, "lies outside"),
        (
            {"objects": [{"url": "s3://acme-landing/airflow/x", "size_bytes": 10**400, "checksum_crc64nvme": ""}]},
            "no manifest",
        ),
        (
            {"objects": [{"url": "s3://acme-landing/airflow/x", "size_bytes": "1", "checksum_crc64nvme": ""}]},
            "no manifest",
        ),
    ],
)
def test_a_forged_manifest_does_not_make_a_rogue_session_known(
    audited: Scenario, audit: Audit, profile_b: str, deliver: Callable[..., Any], change: dict[str, Any], problem: str
) -> None:
    """Whoever may write below the prefix can write a manifest there: it is believed only as far as it fits."""
    landed = deliver()
    audited.assume(RoleSessionName="rogue")
    key = landed["manifest_uri"].split("/", 3)[3]
    forged = json.loads(audited.account_b.read(audited.bucket, key))
    forged["xacct"].update(change)
    forged["entries"] = [{"url": entry["url"]} for entry in forged["xacct"]["objects"]]
    forged_key = "airflow/forged.json"
    audited.account_b.client("s3").put_object(Bucket=audited.bucket, Key=forged_key, Body=json.dumps(forged).encode())
    uri = f"s3://{audited.bucket}/{forged_key}"
    status, report = audit("xacct_default", "--profile", profile_b, "--manifest", uri)
    assert status == 1
    assert verdicts(report) == [("known", NAME), ("unknown", "rogue")]
    assert problem in report["misfit_manifests"][0]["problems"][0]
    assert report["sessions"][0]["deliveries"] == []
    assert run_command("xacct_default", "--profile", profile_b, "--manifest", uri) == 1


def test_a_manifest_of_another_bucket_is_not_asked_for_as_ours(
    audited: Scenario, audit: Audit, profile_b: str, deliver: Callable[..., Any]
) -> None:
    """A copy of a real manifest in a bucket of C: another owner, so it is not even read."""
    landed = deliver()
    stranger = audited.add_partner("xacct_c")
    body = audited.account_b.read(audited.bucket, landed["manifest_uri"].split("/", 3)[3])
    stranger.account.client("s3").put_object(Bucket=stranger.bucket, Key="airflow/m.json", Body=body)
    grant_all = {
        "Effect": "Allow",
        "Principal": {"AWS": audited.account_b.id},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{stranger.bucket}/*",
    }
    stranger.account.client("s3").put_bucket_policy(
        Bucket=stranger.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [grant_all]})
    )
    _, report = audit("xacct_default", "--profile", profile_b, "--manifest", f"s3://{stranger.bucket}/airflow/m.json")
    assert "222222222222 does not own the bucket" in report["misfit_manifests"][0]["problems"][0]
    assert report["sessions"][0]["deliveries"] == []


def test_a_delivery_whose_session_must_have_been_seen_and_was_not(
    audited: Scenario, audit: Audit, deliver: Callable[..., Any], tmp_path: Path
) -> None:
    """It claims a session of this time range that nobody assumed in the regions searched."""
    landed = deliver()
    body = json.loads(audited.account_b.read(audited.bucket, landed["manifest_uri"].split("/", 3)[3]))
    body["xacct"] |= {"task_id": "ghost", "session_arn": body["xacct"]["session_arn"].replace(TASK, "ghost")}
    copy = tmp_path / "manifest.json"
    copy.write_text(json.dumps(body))
    since = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    status, report = audit("xacct_default", "--since", since, "--manifest", str(copy))
    assert status == 1
    assert report["deliveries_without_session"][0]["task_id"] == "ghost"
    since = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    status, report = audit("xacct_default", "--since", since, "--manifest", str(copy))
    assert (status, len(report["unmatched_deliveries"])) == (0, 1)


def test_the_report_fits_eighty_columns_and_says_its_limits(
    audited: Scenario,
    deliver: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """For a person, also when it is piped; nothing secret is in it."""
    landed = deliver()
    copy = tmp_path / "manifest.json"
    copy.write_bytes(audited.account_b.read(audited.bucket, landed["manifest_uri"].split("/", 3)[3]))
    stolen = audited.assume(RoleSessionName="rogue")
    with contextlib.suppress(ClientError):
        audited.assume(ExternalId="wrong-id-of-another")
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    assert run_command("xacct_default", "--manifest", str(copy)) == 1
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    for word in ("nyc / upload", "2 objects", "10 B", "Unknown sessions (1)", "Denied (1)", "90 days", "15 minutes"):
        assert word in text
    for secret in (stolen["SecretAccessKey"], stolen["SessionToken"], audited.external_id, "wrong-id"):
        assert secret not in text


def test_deliveries_are_found_in_airflows_asset_events(
    audited: Scenario, deliver: Callable[..., Any], audit: Audit, asset_events: Callable[..., None]
) -> None:
    """The task itself told Airflow what landed: A needs no right to read in B's bucket."""
    landed = deliver()
    asset_events({"xacct_conn_id": "xacct_default", **landed}, DAG, TASK, RUN)
    asset_events({"xacct_conn_id": "xacct_default", **landed}, DAG, TASK, RUN)  # of an outlet, of the same delivery
    asset_events({"xacct_conn_id": "another", **landed}, DAG, "another", RUN)
    asset_events({}, DAG, "plain", RUN)
    status, report = audit("xacct_default", "--deliveries")
    assert status == 0
    [session] = report["sessions"]
    assert session["task"]["known_by"] == "delivery"
    [delivery] = session["deliveries"]
    assert (delivery["evidence"], delivery["objects"], delivery["uri"]) == ("asset event", 2, landed["manifest_uri"])


@pytest.mark.usefixtures("no_asset_events")
def test_without_airflows_database_the_error_says_so(audited: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is audited in the belief that nothing landed."""
    assert run_command("xacct_default", "--deliveries") == 2
    assert "Airflow's asset events cannot be read" in capsys.readouterr().err


@pytest.fixture
def no_asset_events() -> Any:
    """Airflow's table of them, which is not in its database, whatever another test left there."""
    from airflow import settings
    from airflow.models.asset import AssetEvent

    table: Any = AssetEvent.__table__
    table.drop(settings.engine, checkfirst=True)
    return table


@pytest.fixture
def asset_events(no_asset_events: Any) -> Iterator[Callable[..., None]]:
    """Airflow's table of asset events."""
    from airflow import settings
    from airflow.utils.session import create_session

    table = no_asset_events
    table.create(settings.engine)

    def add(extra: dict[str, Any], dag_id: str, task_id: str, run_id: str) -> None:
        with create_session() as session:
            values = {"extra": extra, "source_dag_id": dag_id, "source_task_id": task_id, "source_run_id": run_id}
            session.execute(
                table.insert().values(asset_id=1, source_map_index=-1, timestamp=datetime.now(UTC), **values)
            )

    yield add
    table.drop(settings.engine)
