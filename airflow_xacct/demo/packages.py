"""The optional packages of the demo, asked for before anything is imported from them."""

from __future__ import annotations

from airflow_xacct.demo.nycflights import require_nycflights
from airflow_xacct.exceptions import MissingDependencyError
from airflow_xacct.sandbox.dependencies import require_ministack

__all__ = ["require_packages"]


def require_packages() -> None:
    """Make sure that the sandbox's emulator and the data set are installed.

    :raises MissingDependencyError: one is not; the remedy names the extra that brings both.
    """
    try:
        require_ministack()
    except MissingDependencyError as error:
        raise MissingDependencyError(
            error.what, remedy="Install it with: pip install 'airflow-provider-xacct[demo]'"
        ) from error
    require_nycflights()
