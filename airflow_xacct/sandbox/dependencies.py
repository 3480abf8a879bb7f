"""The optional packages of the sandbox, asked for by name before anything is imported from them."""

from __future__ import annotations

from importlib import metadata

from airflow_xacct.exceptions import MissingDependencyError

__all__ = ["MINISTACK_VERSION", "require_ministack"]

# the strict layer reaches into ministack's internals, and its contract tests passed with this version only
MINISTACK_VERSION = "1.5.33"

_REMEDY = "Install it with: pip install 'airflow-provider-xacct[sandbox]'"


def require_ministack() -> None:
    """Make sure that the emulator is there, in the version the sandbox was tested with.

    :raises MissingDependencyError: it is absent, or it is another version.
    """
    try:
        found = metadata.version("ministack")
    except metadata.PackageNotFoundError:
        raise MissingDependencyError(
            f"the sandbox needs ministack {MINISTACK_VERSION}, which is not installed", remedy=_REMEDY
        ) from None
    if found != MINISTACK_VERSION:
        raise MissingDependencyError(
            f"the sandbox needs ministack {MINISTACK_VERSION}, and {found} is installed", remedy=_REMEDY
        )
