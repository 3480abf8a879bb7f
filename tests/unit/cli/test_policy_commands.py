"""``airflow-xacct policy`` and ``airflow-xacct external-id``, as a person runs them."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.cli import external_id_command, policy_command
from airflow_xacct.cli import main as cli
from airflow_xacct.destination import parse

DOCS = Path(__file__).parents[3] / "docs"
ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
PRINCIPAL = "arn:aws:iam::111111111111:role/AirflowExecutionRole"
OPTIONS = ("--role-arn", ROLE, "--external-id", "xacct-abc", "--bucket", "acme-landing")


def run(*argv: str) -> int:
    """Run one of the two commands, with errors as messages."""
    parser = argparse.ArgumentParser(prog="airflow-xacct")
    subparsers = parser.add_subparsers(required=True)
    policy_command.register(subparsers)
    external_id_command.register(subparsers)
    args = parser.parse_args(argv)
    return cli.run(args.func, args)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Export a connection."""

    def make(conn_id: str, conn_type: str = "aws_xacct", **extra: Any) -> str:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": conn_type, "extra": extra}))
        return conn_id

    return make


def printed(text: str) -> dict[str, Any]:
    """The documents of a printout by the first line of their headings."""
    found = {}
    for part in re.split(r"\n\n(?=# )", text):
        heading, *lines = part.splitlines()
        found[heading] = json.loads("\n".join(line for line in lines if not line.startswith("#")))
    return found


def documents(capsys: pytest.CaptureFixture[str], directory: Path, *argv: str) -> dict[str, Any]:
    """The documents of one run by the names of their files."""
    assert run("policy", *argv, "--output", str(directory)) == 0
    capsys.readouterr()
    return {path.name: json.loads(path.read_text()) for path in directory.glob("*.json")}


def test_the_last_line_is_the_external_id(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason comes first, and what is printed is legal for the connection, and another each time."""
    ids = set()
    for _ in range(20):
        assert run("external-id") == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        assert any("confused deputy" in line for line in lines)
        destination = parse("acme", {"role_arn": ROLE, "external_id": lines[-1]})
        assert destination.external_id == lines[-1]
        assert re.fullmatch(r"xacct-[a-km-np-z2-9]{32}", lines[-1])
        ids.add(lines[-1])
    assert len(ids) == 20


def test_quiet_prints_the_external_id_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts."""
    assert run("external-id", "--quiet") == 0
    assert re.fullmatch(r"xacct-\S+\n", capsys.readouterr().out)


def test_a_shell_takes_the_last_line() -> None:
    """``id=$(airflow-xacct external-id | tail -1)``, in a process that loads nothing heavy."""
    script = (
        "import sys; from types import SimpleNamespace as N; from airflow_xacct.cli import external_id_command as c; "
        "c.run(N(quiet=False)); assert not {'airflow', 'boto3'} & set(sys.modules)"
    )
    done = subprocess.run(
        ["sh", "-c", f'id=$({sys.executable} -c "{script}" | tail -1); echo "[$id]"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"\[xacct-[a-z2-9]{32}\]\n", done.stdout)
    assert done.stderr == ""


def test_options_alone_need_no_airflow() -> None:
    """Account B's owner has none."""
    argv = ["policy", *OPTIONS, "--principal", PRINCIPAL]
    script = (
        "import argparse, sys; from airflow_xacct.cli import policy_command as c; p = argparse.ArgumentParser(); "
        f"c.register(p.add_subparsers()); a = p.parse_args({argv!r}); a.func(a); "
        "assert not {'airflow', 'boto3'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "trust policy of the role DataDumpRole" in done.stdout


def test_each_document_has_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    """Who creates it, how, and which page explains it; headings fit into 80 columns."""
    assert run("policy", *OPTIONS, "--principal", PRINCIPAL, "--log-bucket", "acme-logs") == 0
    out, err = capsys.readouterr()
    found = printed(out)
    assert next(iter(found)) == "# Account A (111111111111): identity policy of the workers"
    assert "# Account B (222222222222): trust policy of the role DataDumpRole" in found
    assert len(found) == 10
    assert all(len(line) <= 80 for line in out.splitlines() if line.startswith("#"))
    assert "--kms-key" in err
    assert "without --prefix" in err


@pytest.mark.parametrize(("side", "expected"), [("a", {"a"}), ("b", {"b"}), ("both", {"a", "b"})])
def test_one_side_or_both(side: str, expected: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each owner can be given what is theirs."""
    found = documents(capsys, tmp_path, *OPTIONS, "--side", side)
    assert {name[0] for name in found} == expected


def test_files_are_written_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printout says which file is for whom; a second run writes the same bytes."""
    argv = ("policy", *OPTIONS, "--principal", PRINCIPAL, "--format", "terraform", "--output", str(tmp_path / "new"))
    assert run(*argv) == 0
    first = (tmp_path / "new" / "account-b" / "main.tf").read_bytes()
    out = capsys.readouterr().out
    assert out.startswith(f"In {tmp_path / 'new'}, where")
    assert "\naccount-a/main.tf\n" in out
    assert "Account B (222222222222): the role and its bucket" in out
    assert run(*argv) == 0
    assert (tmp_path / "new" / "account-b" / "main.tf").read_bytes() == first


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What and where."""
    (tmp_path / "file").write_text("x")
    assert run("policy", *OPTIONS, "--output", str(tmp_path / "file")) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_connection_says_it_all(connect: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every extra that matters reaches the documents."""
    connect(
        "acme",
        role_arn=ROLE,
        external_id="xacct-abc",
        bucket="acme-landing",
        prefix="airflow",
        region_name="eu-central-1",
        bucket_owner="333333333333",
        kms_key_id="alias/landing",
        session_tags={"team": "data"},
        source_identity="acme",
        session_name_prefix="acme-",
        duration_seconds=7200,
    )
    found = documents(capsys, tmp_path, "acme", "--principal", PRINCIPAL, "--session-tags")
    trust = json.dumps(found["b-role-trust.json"])
    for value in ("xacct-abc", "team", "dag_id", '"sts:SourceIdentity": "acme"', '"acme-*"', PRINCIPAL):
        assert value in trust
    permissions = json.dumps(found["b-role-permissions.json"])
    for value in ("acme-landing/airflow/*", "333333333333", "alias/landing", "s3.eu-central-1"):
        assert value in permissions


def test_options_change_what_a_connection_says(
    connect: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What-if, without touching the connection."""
    connect("acme", role_arn=ROLE, external_id="xacct-abc", bucket="acme-landing", prefix="airflow")
    found = documents(capsys, tmp_path, "acme", "--prefix", "other", "--external-id", "xacct-new")
    assert "acme-landing/other/*" in json.dumps(found["b-role-permissions.json"])
    assert "xacct-new" in json.dumps(found["b-role-trust.json"])


def test_a_chain_is_trusted_by_its_last_role(connect: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """B trusts the role in between, with the source identity and the tags it may bring."""
    gate = "arn:aws:iam::444444444444:role/Gate"
    connect("acme", role_arn=ROLE, external_id="xacct-abc", bucket="acme-landing", source_conn_id="gate")
    connect("gate", role_arn=gate, external_id="x1", source_identity="acme", session_tags=True, source_conn_id="keys")
    connect("keys", "aws")
    trust = documents(capsys, tmp_path, "acme")["b-role-trust.json"]
    assert [item["Action"] for item in trust["Statement"]] == [
        *("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    ]
    assert {item["Principal"]["AWS"] for item in trust["Statement"]} == {gate}


def test_who_assumes_may_be_unknown(connect: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """An aws connection does not tell its ARN: a placeholder that IAM refuses stands for it, and it is said."""
    connect("acme", role_arn=ROLE, external_id="xacct-abc", bucket="acme-landing", source_conn_id="keys")
    connect("keys", "aws")
    assert run("policy", "acme") == 0
    out, err = capsys.readouterr()
    assert '"AWS": "ARN-OF-THE-EXECUTION-ROLE-IN-ACCOUNT-A"' in out
    assert "--principal" in err


def test_a_long_trust_policy_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """IAM's quota is B's to raise."""
    options = (*OPTIONS, "--principal", PRINCIPAL)
    assert run("policy", *options, "--external-id", "x" * 1224, "--session-tags", "--pod-identity") == 0
    assert "IAM takes 2048" not in capsys.readouterr().err
    assert run("policy", *options, "--external-id", "x" * 1224, "--source-identity", "y" * 64, "--pod-identity",
               "--session-tags", "--session-name-prefix", "z" * 32, "--trust", "account") == 0  # fmt: skip
    assert "IAM takes 2048 unless" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((), "neither a connection nor a role is named"),
        (("--role-arn", ROLE, "--bucket", "acme-landing"), "there is no External ID"),
        (("--role-arn", ROLE, "--external-id", "xacct-abc"), "--bucket: it is missing"),
        ((*OPTIONS, "--region", "global"), "--region: 'global' is not one region"),
        ((*OPTIONS, "--kms-key", "landing"), "--kms-key: 'landing' does not name a KMS key"),
        ((*OPTIONS, "--kms-key", "any"), "--region: it is missing"),
        ((*OPTIONS, "--with", "lists"), "'lists' is unknown"),
        (("no_such_connection",), "does not exist"),
    ],
)
def test_what_cannot_be_is_a_message(argv: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the option's name, and nothing on standard output."""
    assert run("policy", *argv) == 1
    out, err = capsys.readouterr()
    assert told in err
    assert out == ""


def test_any_key_needs_no_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bucket's default encryption may use whichever."""
    found = documents(capsys, tmp_path, *OPTIONS, "--region", "eu-central-1", "--kms-key", "any")
    assert "b-key-statement.json" in found


@pytest.mark.parametrize("command", ["policy", "external-id"])
def test_every_option_is_documented(command: str) -> None:
    """The page of a command names each of them."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    {"policy": policy_command, "external-id": external_id_command}[command].register(subparsers)
    page = (DOCS / f"{command}.md").read_text()
    for action in subparsers.choices[command]._actions:
        for flag in action.option_strings:
            assert flag in ("-h", "--help") or re.search(rf"{flag}\b", page)
