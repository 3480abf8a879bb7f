"""The page about the sandbox says what is so: its programs run, its names exist."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_xacct.sandbox
from airflow_xacct.cli import sandbox_command
from airflow_xacct.sandbox import Sandbox, Scenario
from airflow_xacct.sandbox.dependencies import MINISTACK_VERSION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", [n for n, code in enumerate(PROGRAMS) if "def test_" not in code])
def test_each_program_runs(number: int) -> None:
    """As it stands on the page."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAMS[number]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [n for n, code in enumerate(PROGRAMS) if "def test_" in code])
def test_each_test_passes(number: int, tmp_path: Path) -> None:
    """In a project of its own, with nothing but the plugin."""
    (tmp_path / "test_page.py").write_text(PROGRAMS[number])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_every_option_of_the_command_is_there() -> None:
    """And no other."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    sandbox_command.register(subparsers)
    options = re.findall(r"--[a-z]+", subparsers.choices["sandbox"].format_help())
    table = PAGE.split("## On the command line")[1].split("## In a program")[0]
    assert set(re.findall(r"`(--[a-z]+)`", table)) == set(options) - {"--help"}


def test_every_public_name_of_sandbox_and_scenario_is_there() -> None:
    """Methods and properties."""
    for kind in (Sandbox, Scenario):
        names = [name for name in vars(kind) if not name.startswith("_") and name not in ("open", "close", "box")]
        missing = [name for name in names if not re.search(rf"`[^`]*\b{name}\b[^`]*`|\.{name}\b", PAGE)]
        assert missing == [], kind.__name__


def test_every_action_of_the_faults_is_there() -> None:
    """In the table."""
    for name in ("call", "deny", "drop_request", "drop_response", "error_in_200", "status"):
        assert name in airflow_xacct.sandbox.__all__
        assert re.search(rf"\| `{name}\b", PAGE), name


def test_the_pinned_version_is_the_projects() -> None:
    """One fact, held in step."""
    for name in ("pyproject.toml", "constraints.txt"):
        assert f"ministack=={MINISTACK_VERSION}" in (ROOT / name).read_text(encoding="utf-8"), name
