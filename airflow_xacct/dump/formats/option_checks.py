"""What the options of all formats ask of their values. Every refusal names the option and what it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["Options", "check_choice", "check_flag", "check_names", "check_whole_number", "refused"]


class Options:
    """What the options of every format have in common."""

    __slots__ = ()

    @property
    def newest_need(self) -> tuple[str, int] | None:
        """What asks for a newer pyarrow than the package does, and the first major version that has it."""
        return None


def refused(what: str, where: str, remedy: str) -> InvalidArgumentError:
    """The error for an option that cannot be used."""
    return InvalidArgumentError(what, where=where, remedy=remedy)


def check_choice(value: object, known: Iterable[str], where: str) -> str:
    """The value, if it is one of those that are known.

    :raises InvalidArgumentError: it is not.
    """
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise refused(f"{value!r} is not known here", where, f"Use one of {', '.join(repr(name) for name in names)}.")
    return value


def check_flag(value: object, where: str) -> None:
    """True or false, and nothing that merely counts as such.

    :raises InvalidArgumentError: it is something else.
    """
    if not isinstance(value, bool):
        raise refused(f"{value!r} is neither True nor False", where, "Give True or False.")


def check_whole_number(value: object, least: int, where: str) -> None:
    """A number to count with.

    :raises InvalidArgumentError: it is something else, or less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise refused(
            f"{value!r} is no whole number from {least}: it must be at least {least}",
            where,
            "Leave it out for the default.",
        )


def check_names(value: object, where: str) -> tuple[str, ...]:
    """Names of columns.

    :raises InvalidArgumentError: it is a text, not a list of texts, or has one twice.
    """
    if isinstance(value, str):
        raise refused(f"it is the text {value!r}", where, f"Give a list of columns: [{value!r}].")
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise refused(f"{value!r} is no list of columns", where, "Give their names.")
    names = tuple(value)
    if not all(isinstance(name, str) and name for name in names):
        raise refused(f"{names!r} are not all names of columns", where, "Give their names.")
    if len(set(names)) < len(names):
        raise refused(f"a column comes twice in {list(names)!r}", where, "Name each once.")
    return names
