"""The hook of a database connection, whatever its provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowException

from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError
from airflow_xacct.hooks.aws_source import get_connection

if TYPE_CHECKING:
    from airflow_xacct.dump.sources.sql.session import Hook

__all__ = ["database_hook"]


def database_hook(sql_conn_id: str | None) -> Hook:
    """The hook that Airflow has for a connection.

    :raises InvalidArgumentError: no connection was named, or it is not of a database.
    :raises ConnectionNotFoundError: there is no such connection.
    :raises MissingDependencyError: the provider of its type is not installed.
    """
    if not sql_conn_id:
        raise InvalidArgumentError(
            "no database connection was named", where="sql_conn_id", remedy="Name the connection to read from."
        )
    connection = get_connection(sql_conn_id, role="the database connection")
    try:
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
    except (AirflowException, ImportError) as error:
        raise MissingDependencyError(
            f"there is no hook for the connection type {connection.conn_type!r}",
            where=f"connection {sql_conn_id!r}",
            remedy=f"Install the provider of {connection.conn_type!r}, such as "
            f"apache-airflow-providers-{connection.conn_type}.",
        ) from error
    if not callable(getattr(hook, "get_conn", None)) or not callable(getattr(hook, "get_records", None)):
        raise InvalidArgumentError(
            f"the connection type {connection.conn_type!r} is not of a database",
            where=f"connection {sql_conn_id!r}",
            remedy="Name a connection whose hook is a DbApiHook, such as 'postgres', 'mysql' or 'sqlite'.",
        )
    found: Hook = hook
    return found
