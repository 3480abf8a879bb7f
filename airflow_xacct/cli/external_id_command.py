"""``airflow-xacct external-id``: a random External ID, and why Account A makes it."""

from __future__ import annotations

import argparse
import secrets

__all__ = ["new_external_id", "register", "run"]

# 160 bits in 32 letters and digits; a double click selects all of it, and no two of its characters look alike
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_RANDOM_CHARS = 32

_WHY = """\
An External ID for one role in one other account.

Whoever assumes the role makes it: Account A, for each of its destinations
another one. If Account B chose it, somebody else could choose the same and
let A write where B wants no writing (AWS: The confused deputy problem).

It is no secret: both owners compare it, and B's role requires it in its
trust policy (AWS: How to use an external ID when granting access to your AWS
resources to a third party). Account B must not change or reuse it.

  A  the extra external_id of the connection
  B  airflow-xacct policy --external-id ...
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``external-id`` command."""
    parser = subparsers.add_parser(
        "external-id",
        help="make an External ID",
        description=(
            "Print a random External ID on the last line, after the reason why Account A makes it: "
            "id=$(airflow-xacct external-id | tail -1)"
        ),
    )
    parser.add_argument("--quiet", action="store_true", help="print the External ID only")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one; all on standard output, so that the last line is the same in a terminal and in a pipe.

    :returns: the exit status.
    """
    if not arguments.quiet:
        print(_WHY)
    print(new_external_id())
    return 0


def new_external_id() -> str:
    """A random External ID, legal for STS (AWS: *AssumeRole*, parameter ExternalId)."""
    return "xacct-" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))
