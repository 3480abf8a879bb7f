"""The optional packages of the demo, asked for before anything is imported from them."""

from __future__ import annotations

from importlib import metadata

from airflow_xacct.demo.nycflights import require_nycflights
from airflow_xacct.demo.postgres import postgres_binaries
from airflow_xacct.exceptions import MissingDependencyError
from airflow_xacct.sandbox.dependencies import require_ministack

__all__ = ["require_packages"]

_DEMO = ("pyarrow", "sqlparse", "apache-airflow-providers-sqlite")
_POSTGRES = ("apache-airflow-providers-postgres", "psycopg2-binary")


def require_packages(*, postgres: bool = False) -> None:
    """Make sure that everything is installed that the demo needs beyond the package itself.

    :param postgres: what ``--postgres`` needs as well.
    :raises MissingDependencyError: something is not; the remedy names the extra that brings all of it.
    """
    try:
        require_ministack()
    except MissingDependencyError as error:
        raise MissingDependencyError(error.what, remedy=_remedy("demo")) from error
    require_nycflights()
    _require(_DEMO, "demo")
    if postgres:
        _require(_POSTGRES, "demo-postgres")
        postgres_binaries()


def _require(packages: tuple[str, ...], extra: str) -> None:
    for package in packages:
        try:
            metadata.distribution(package)
        except metadata.PackageNotFoundError as error:
            raise MissingDependencyError(f"the package {package} is not installed", remedy=_remedy(extra)) from error


def _remedy(extra: str) -> str:
    return f"Install it with: pip install 'airflow-provider-xacct[{extra}]'"
