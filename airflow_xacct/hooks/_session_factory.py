"""The class behind :mod:`airflow_xacct.hooks.session_factory`."""

from __future__ import annotations

import warnings
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

from airflow_xacct.destination import CONN_TYPE, DeploymentOptions, Destination, parse

__all__ = ["CrossAccountSessionFactory"]

# The provider warns of each connection of another type than "aws" before a factory is asked; with this factory in
# place the warning is wrong, so exactly that one is left out.
warnings.filterwarnings(
    "ignore",
    message=rf"AWS Connection \(conn_id=.*, conn_type='{CONN_TYPE}'\) expected connection type 'aws'",
    category=UserWarning,
)


class CrossAccountSessionFactory(BaseSessionFactory):
    """Gives hooks of the Amazon provider a session of the assumed role when their connection is an ``aws_xacct`` one.

    So every operator, sensor and trigger of the Amazon provider works with such a connection, and its session is the
    one that :class:`~airflow_xacct.hooks.CrossAccountHook` would use: the same guard policy, expected owner, session
    name and refresh. Any other connection, and none, is left to the Amazon provider as it is.
    """

    def create_session(self, deferrable: bool = False) -> Any:
        """A session of boto3, or of aiobotocore when ``deferrable``.

        :raises InvalidConnectionError: with every problem of the connection.
        :raises AccessError: the role could not be assumed; an asynchronous session says so when it is used.
        """
        if getattr(self._conn, "conn_type", None) != CONN_TYPE:
            return super().create_session(deferrable=deferrable)
        # the provider loads this module while it loads its own, for which ours may be waiting in turn
        from airflow_xacct.hooks.connections import connection_metadata, deployment_options, open_access

        options = deployment_options()
        destination = _destination_of(self.conn, options)
        if isinstance(self._conn, AwsConnectionWrapper):
            _show(self._conn, connection_metadata(destination))
        access = open_access(destination, options=options)
        region = self._region_name or self.conn.region_name
        return access.aio_session(region) if deferrable else access.session(region)


def _destination_of(connection: AwsConnectionWrapper, options: DeploymentOptions) -> Destination:
    """The validated connection, from what the hook has read of it: it is not asked for twice."""
    return parse(
        str(connection.conn_id),
        connection.extra_config,
        options=options,
        login=connection.login,
        password=connection.password,
        schema=connection.schema,
    )


def _show(connection: AwsConnectionWrapper, metadata: dict[str, Any]) -> None:
    """Let the hook, which asks its connection for the endpoint after the session, see our extras as its own.

    Ours may be an object with a URL for each service, and texts where the connection was written as a URI.
    """
    connection.endpoint_url = metadata.get("endpoint_url")
    connection.service_config = {
        service: {"endpoint_url": settings["endpoint_url"]}
        for service, settings in metadata.get("service_config", {}).items()
        if "endpoint_url" in settings  # a default bucket now would be one that only some calls see
    }
    if connection.verify == connection.extra_config.get("verify"):
        connection.verify = metadata.get("verify")
