"""``airflow-xacct``: the command line; each command lives in a module of its own."""

from __future__ import annotations

import argparse
import errno
import sys
import tempfile
from collections.abc import Callable, Sequence

from airflow_xacct import __version__
from airflow_xacct.cli import (
    audit_command,
    commit_logs_command,
    demo_command,
    doctor_command,
    external_id_command,
    plan_command,
    policy_command,
    sandbox_command,
    verify_command,
)
from airflow_xacct.exceptions import XacctError

__all__ = ["build_parser", "main", "run"]

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

COMMANDS = (
    demo_command,
    plan_command,
    doctor_command,
    policy_command,
    external_id_command,
    verify_command,
    audit_command,
    commit_logs_command,
    sandbox_command,
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; ``airflow xacct`` takes the same ones."""
    parser = argparse.ArgumentParser(
        prog="airflow-xacct", description="Deliver data into another AWS account from Apache Airflow."
    )
    parser.add_argument("--version", action="version", version=f"airflow-xacct {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    :param argv: the arguments after the program's name; by default the process's own.
    :return: 0 when it did what was asked, 1 when it did not, 2 for arguments it does not know, 130 after Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    return run(args.func, args)


def run(command: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Carry out one command; an error of ours becomes a message and an exit status."""
    try:
        return command(args)
    except XacctError as error:
        print(f"airflow-xacct: {error}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"airflow-xacct: {_explained(error)}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _explained(error: OSError) -> XacctError:
    """A full disk, a folder that may not be written: what a person can mend, without a traceback."""
    if error.errno == errno.ENOSPC:
        remedy = "Free some space there, or set TMPDIR to a folder on a larger disk."
    else:
        remedy = "Check the path and who may use it."
    where = str(error.filename or tempfile.gettempdir())
    return XacctError((error.strerror or str(error)).lower(), where=where, remedy=remedy)


if __name__ == "__main__":
    sys.exit(main())
