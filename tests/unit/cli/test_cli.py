"""The command line: both spellings, exit statuses, and errors as messages."""

from __future__ import annotations

import argparse
import errno
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from airflow_xacct import __version__
from airflow_xacct.cli import main as cli
from airflow_xacct.exceptions import ConfigurationError

DOCS = Path(__file__).parents[3] / "docs"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """As every program."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"airflow-xacct {__version__}\n"


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["demo", "--nonsense"]])
def test_unknown_arguments_exit_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """argparse says what it wanted."""
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_an_error_of_ours_is_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for what a person can mend."""

    def fail(_: argparse.Namespace) -> int:
        raise ConfigurationError("it failed", where="here", remedy="Do this.")

    assert cli.run(fail, argparse.Namespace()) == 1
    assert capsys.readouterr().err == "airflow-xacct: it failed (here). Do this.\n"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "no space left on device (/data/x). Free"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), "permission denied (/data/x). Check"),
        (OSError(errno.ENOSPC, "No space left on device"), f"({tempfile.gettempdir()}). Free"),
    ],
)
def test_a_full_disk_is_a_message(error: OSError, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place and what to do."""

    def fail(_: argparse.Namespace) -> int:
        raise error

    assert cli.run(fail, argparse.Namespace()) == 1
    assert text in capsys.readouterr().err


def test_ctrl_c_is_no_traceback() -> None:
    """The status that shells expect."""

    def interrupt(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    assert cli.run(interrupt, argparse.Namespace()) == 130


def test_airflows_own_command_line_has_the_same_commands() -> None:
    """``airflow xacct`` takes each command with its options."""
    from airflow_xacct.cli.airflow_commands import get_cli_commands

    (group,) = get_cli_commands()
    assert group.name == "xacct"
    assert {command.name for command in group.subcommands} == {
        "audit",
        "commit-logs",
        "demo",
        "doctor",
        "external-id",
        "plan",
        "policy",
        "sandbox",
        "verify",
    }
    parser = argparse.ArgumentParser()
    demo = next(command for command in group.subcommands if command.name == "demo")
    for argument in demo.args:
        argument.add_to_parser(parser)
    assert parser.parse_args(["--keep", "folder"]).keep


def test_airflow_lists_the_provider_without_a_warning_of_ours() -> None:
    """``airflow providers list`` and ``airflow xacct --help``, in a process of their own."""
    airflow = Path(sys.executable).with_name("airflow")
    listed = subprocess.run(
        [airflow, "providers", "list", "--output", "plain"], capture_output=True, text=True, check=True
    )
    assert "airflow-provider-xacct" in listed.stdout
    assert "xacct" not in listed.stderr
    helped = subprocess.run([airflow, "xacct", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in helped.stdout
    assert "sandbox" in helped.stdout


def test_every_command_and_option_is_documented() -> None:
    """Each command has a page, and each of its options stands on it."""
    for action in cli.build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                page = (DOCS / f"{name}.md").read_text()
                for option in parser._actions:
                    for flag in option.option_strings:
                        assert flag in ("-h", "--help") or flag in page, f"{flag} is not in docs/{name}.md"
