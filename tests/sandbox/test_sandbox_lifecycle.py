"""The sandbox begins and ends without a trace, and asks for what it needs in words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import airflow_xacct.sandbox
from airflow_xacct.exceptions import ConfigurationError, InvalidArgumentError, MissingDependencyError
from airflow_xacct.sandbox import Sandbox, Scenario
from airflow_xacct.sandbox import dependencies as sandbox_dependencies
from tests.sandbox.sandbox_helpers import keys, refused

# the shared sandbox of this process is open, and there can be one: these run in processes of their own
PRELUDE = "from airflow_xacct.sandbox import Sandbox\n"


def run(code: str, **environment: str) -> str:
    """Run a program that must succeed and print nothing to stderr; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_it_leaves_nothing_behind_and_can_be_opened_again() -> None:
    """No thread, no listener, no environment, no logging set-up, and no resource of the one before."""
    out = run(
        """
        import logging, os, socket, threading
        before = dict(os.environ)
        root = logging.getLogger()
        ports = []
        for _ in range(2):
            with Sandbox() as box:
                scenario = box.scenario()
                scenario.account_b.client("s3").put_object(Bucket=scenario.bucket, Key="a", Body=b"x")
                ports.append(int(box.endpoint_url.rpartition(":")[2]))
                assert [t.name for t in threading.enumerate()][1:] == ["xacct-sandbox"], threading.enumerate()
            assert threading.enumerate() == [threading.main_thread()]
            assert dict(os.environ) == before
            assert (root.handlers, root.level) == ([], logging.WARNING)
        for port in ports:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                continue
            raise SystemExit("still listening")
        with Sandbox() as box:
            print(box.account_b.client("s3").list_buckets()["Buckets"])
            print(box.account_b.client("iam").list_roles()["Roles"])
        """
    )
    assert out.split() == ["[]", "[]"]


def test_this_machines_own_settings_are_of_no_account(tmp_path: Path) -> None:
    """A profile, a configuration, an endpoint and a proxy lead elsewhere; the sandbox's clients stay with it."""
    settings = tmp_path / "config"
    settings.write_text("[default]\nregion = eu-west-3\ns3 =\n  addressing_style = virtual\n")
    out = run(
        """
        with Sandbox() as box:
            scenario = box.scenario()
            s3 = box.client(scenario.assume(), "s3")
            s3.put_object(Bucket=scenario.bucket, Key="airflow/a", Body=b"x")
            print(s3.meta.region_name, box.account_b.objects(scenario.bucket))
            s3.close()
        """,
        AWS_PROFILE="no-such-profile",
        AWS_CONFIG_FILE=str(settings),
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        HTTP_PROXY="http://127.0.0.1:9",
        http_proxy="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE",
        AWS_SESSION_TOKEN="stale",
    )
    assert out.strip() == "us-east-1 {'airflow/a': 1}"


def test_it_listens_on_loopback_alone(case: Scenario) -> None:
    """127.0.0.1, and one port of its own."""
    port = int(case.box.endpoint_url.rpartition(":")[2])
    if not Path("/proc/net/tcp").exists():
        pytest.skip("only Linux tells its listeners in /proc/net/tcp")
    with open("/proc/net/tcp", encoding="ascii") as table:
        local = [line.split()[1] for line in table if line.split()[3] == "0A"]
    assert [address for address in local if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_ministack_does_not_talk_into_the_programs_log() -> None:
    """Its loggers have names such as "s3"; a program that logs everything hears nothing of them."""
    run(
        """
        import logging
        logging.basicConfig(level=logging.DEBUG)
        for name in ("botocore", "urllib3", "boto3", "asyncio"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with Sandbox() as box:
            scenario = box.scenario()
            scenario.assume()
            box.account_b.client("dynamodb").list_tables()
            box.reset()
        """
    )


def test_it_starts_in_less_than_two_seconds() -> None:
    """Of processor time, import of ministack included: other work on this machine does not count."""
    out = run(
        """
        import boto3, time
        begin = time.process_time()
        with Sandbox() as box:
            box.account_b.client("sts").get_caller_identity()
            print(time.process_time() - begin)
        """
    )
    assert float(out) < 2


def test_a_second_one_is_an_error(box: Sandbox) -> None:
    """The emulator's state is global; the first one is not disturbed."""
    with pytest.raises(ConfigurationError, match="another sandbox is open in this process"), Sandbox():
        pass
    assert box.account_b.client("sts").get_caller_identity()["Account"] == box.account_b.id


@pytest.mark.parametrize("accounts", [0, 1, 10])
def test_the_number_of_accounts_has_limits(accounts: int) -> None:
    """Two at least: that is the point."""
    with pytest.raises(InvalidArgumentError, match="2 to 9 accounts"):
        Sandbox(accounts)


def test_a_closed_one_says_so() -> None:
    """Instead of a lost connection."""
    closed = Sandbox()
    for use in (lambda: closed.endpoint_url, lambda: closed.account_a, lambda: closed.requests):
        with pytest.raises(ConfigurationError, match="the sandbox is not open"):
            use()
    closed.close()


def test_a_failure_releases_the_emulator() -> None:
    """One inside the block, and a port that is taken; afterwards another sandbox opens."""
    run(
        """
        import socket
        try:
            with Sandbox() as box:
                raise KeyError("mine")
        except KeyError:
            pass
        taken = socket.create_server(("127.0.0.1", 0))
        try:
            with Sandbox(port=taken.getsockname()[1]):
                raise SystemExit("opened")
        except OSError:
            pass
        taken.close()
        with Sandbox():
            pass
        """
    )


def test_the_clock_decides_when_sessions_end() -> None:
    """An injected one, without waiting."""
    out = run(
        """
        from botocore.exceptions import ClientError
        now = [1_900_000_000.0]
        with Sandbox(clock=lambda: now[0]) as box:
            scenario = box.scenario()
            credentials = scenario.assume(DurationSeconds=900)
            print(int(credentials["Expiration"].timestamp() - now[0]))
            s3 = box.client(credentials, "s3")
            now[0] += 899
            s3.put_object(Bucket=scenario.bucket, Key="airflow/a", Body=b"x")
            now[0] += 1
            try:
                s3.put_object(Bucket=scenario.bucket, Key="airflow/b", Body=b"x")
            except ClientError as error:
                print(error.response["Error"]["Code"])
            s3.close()
        """
    )
    assert out.split() == ["900", "ExpiredToken"]


def test_reset_forgets_everything_but_the_address(case: Scenario) -> None:
    """As between two tests."""
    box, address = case.box, case.box.endpoint_url
    case.assume()
    box.reset()
    assert (list(box.requests), list(box.assume_role_events), box.endpoint_url) == ([], [], address)
    assert box.account_b.client("s3").list_buckets()["Buckets"] == []


def test_the_standard_case_is_what_it_says(case: Scenario) -> None:
    """Names, rights and what to export."""
    assert (case.bucket, case.prefix) == ("acme-landing", "airflow/")
    assert case.role_arn == "arn:aws:iam::222222222222:role/DataDumpRole"
    assert case.worker.user_arn == "arn:aws:iam::111111111111:user/airflow-worker"
    assert case.worker.secret_access_key not in repr(case)
    environment = case.environment()
    assert json.loads(environment["AIRFLOW_CONN_XACCT_DEFAULT"]) == {
        "conn_type": "aws_xacct",
        "extra": case.connection_extra,
    }
    assert environment["AIRFLOW__XACCT__ALLOWED_ENDPOINT_HOSTS"] == "127.0.0.1"
    worker = case.worker_client("s3")
    with refused("AccessDenied"):
        worker.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x")
    worker.close()


def test_more_partners_can_be_added(case: Scenario) -> None:
    """Each with its own account, bucket, role and External ID, which opens no other role."""
    partner = case.add_partner("xacct_c")
    assert partner.account.id == "333333333333"
    assert partner.bucket == "xacct-c-landing"
    assert case.assume(partner)["AccessKeyId"]
    with refused("AccessDenied"):
        case.assume(partner, ExternalId=case.external_id)
    assert "AIRFLOW_CONN_XACCT_C" in case.environment()
    case.add_partner("xacct_d")
    with pytest.raises(InvalidArgumentError, match="every account of the sandbox is in use"):
        case.add_partner("xacct_e")
    assert keys(case) == set()


class TestDependencies:
    """The optional packages."""

    def test_an_absent_ministack_is_told_with_its_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On the first use of a name, not on import of the package."""

        def absent(name: str) -> str:
            raise sandbox_dependencies.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(sandbox_dependencies.metadata, "version", absent)
        with pytest.raises(MissingDependencyError, match=r"pip install 'airflow-provider-xacct\[sandbox\]'"):
            airflow_xacct.sandbox.Sandbox  # noqa: B018

    def test_another_version_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The strict layer knows one version from inside."""
        monkeypatch.setattr(sandbox_dependencies.metadata, "version", lambda name: "9.9.9")
        with pytest.raises(MissingDependencyError, match=r"needs ministack 1\.5\.33, and 9\.9\.9 is installed"):
            airflow_xacct.sandbox.Sandbox  # noqa: B018

    def test_the_public_names_are_sorted_and_there(self) -> None:
        """And no others are promised."""
        names = airflow_xacct.sandbox.__all__
        assert names == sorted(names)
        assert dir(airflow_xacct.sandbox) == names
        for name in names:
            assert getattr(airflow_xacct.sandbox, name)
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            airflow_xacct.sandbox.nothing  # noqa: B018

    def test_the_plugin_costs_nothing(self) -> None:
        """pytest loads it wherever the package is installed."""
        out = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, airflow_xacct.sandbox.pytest_plugin\n"
                "heavy = 'ministack', 'boto3', 'botocore', 'airflow', 'awscrt', 'h11'\n"
                "print([name for name in heavy if name in sys.modules])",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert out.strip() == "[]"


def test_the_fixtures_work_in_a_project_of_their_own(tmp_path: Path) -> None:
    """As a user would write it; each test starts clean."""
    (tmp_path / "test_mine.py").write_text(
        textwrap.dedent(
            """
            import pytest

            @pytest.mark.parametrize("turn", [1, 2])
            def test_delivery(xacct_accounts, turn):
                s3 = xacct_accounts.box.client(xacct_accounts.assume(), "s3")
                s3.put_object(Bucket=xacct_accounts.bucket, Key=f"airflow/{turn}", Body=b"x")
                s3.close()
                assert xacct_accounts.account_b.objects(xacct_accounts.bucket) == {f"airflow/{turn}": 1}
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def command(*arguments: str) -> subprocess.Popen[str]:
    """Start ``airflow-xacct sandbox``."""
    code = (
        "import argparse, sys\n"
        "from airflow_xacct.cli.sandbox_command import register\n"
        "parser = argparse.ArgumentParser()\n"
        "register(parser.add_subparsers())\n"
        "arguments = parser.parse_args(['sandbox', *sys.argv[1:]])\n"
        "sys.exit(arguments.func(arguments))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "40"},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_interrupted(number: signal.Signals) -> None:
    """One line of JSON, a working sandbox behind it, and exit status 0."""
    import boto3

    with command("--json", "--accounts", "3") as process:
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.readline())
        a = told["account_a"]
        sts = boto3.client(
            "sts",
            endpoint_url=told["endpoint_url"],
            region_name=told["region"],
            aws_access_key_id=a["access_key_id"],
            aws_secret_access_key=a["secret_access_key"],
        )
        assert sts.get_caller_identity()["Arn"] == a["user_arn"]
        sts.close()
        assert set(told["partners"]) == {"xacct_default", "xacct_partner_c"}
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_the_command_prints_lines_that_can_be_copied() -> None:
    """However narrow the terminal: a shell reads back what was meant."""
    with command() as process:
        assert process.stdout is not None
        lines = []
        while not (line := process.stdout.readline()).startswith("Ctrl-C"):
            assert line, "it ended early"
            lines.append(line)
        process.terminate()
        assert process.wait(20) == 0
    exports = "".join(line for line in lines if line.startswith(("export ", "unset ")))
    shown = subprocess.run(
        ["sh", "-c", exports + f"{sys.executable} -c 'import os; print(os.environ[\"AIRFLOW_CONN_XACCT_DEFAULT\"])'"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(shown)["extra"]["role_arn"] == "arn:aws:iam::222222222222:role/DataDumpRole"
    assert any("secret key" in line for line in lines)


def test_the_command_tells_what_it_cannot_do() -> None:
    """Exit status 1 and a sentence."""
    with command("--accounts", "1") as process:
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert "a sandbox has 2 to 9 accounts, not 1" in process.stderr.read()


def test_time_is_not_wasted(case: Scenario, role_s3: Any) -> None:
    """A hundred small puts in a few seconds: other suites make thousands."""
    begin = time.monotonic()
    for number in range(100):
        role_s3.put_object(Bucket=case.bucket, Key=f"airflow/{number}", Body=b"x")
    assert time.monotonic() - begin < 10
    assert len(keys(case)) == 100
