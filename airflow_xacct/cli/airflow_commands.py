"""``airflow xacct``: the same commands inside Airflow's own command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

from airflow_xacct.cli.main import build_parser, run

__all__ = ["get_cli_commands"]


class _CopiedArg(Arg):
    """An argument of ours, handed to Airflow's parser as it is."""

    def __init__(self, action: argparse.Action) -> None:
        super().__init__(flags=tuple(action.option_strings) or (action.dest,))  # type: ignore[no-untyped-call]
        self._action = action

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        parser._add_action(self._action)  # noqa: SLF001 - the only way to add a ready action


def get_cli_commands() -> list[GroupCommand]:
    """The group ``xacct``, with one command for each of ``airflow-xacct``'s."""
    commands = [
        ActionCommand(
            name=name,
            help=parser.description or name,
            func=_exit_with(parser.get_default("func")),
            args=[
                _CopiedArg(action)
                for action in parser._actions  # noqa: SLF001 - argparse has no public list of arguments
                if "--help" not in action.option_strings
            ],
        )
        for name, parser in _commands().items()
    ]
    return [GroupCommand(name="xacct", help="Deliver data into another AWS account", subcommands=commands)]


def _commands() -> dict[str, argparse.ArgumentParser]:
    for action in build_parser()._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def _exit_with(command: Callable[[argparse.Namespace], int]) -> Callable[[Any], None]:
    def wrapped(args: argparse.Namespace) -> None:
        raise SystemExit(run(command, args))

    return wrapped
