"""``CrossAccountHook``: any AWS service of Account B, through the assumed role."""

from __future__ import annotations

import socket
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper, _ConnectionMetadata

from airflow_xacct import connection_form
from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.destination import CONN_TYPE
from airflow_xacct.exceptions import InvalidArgumentError, XacctError
from airflow_xacct.hooks.connection_test import describe_access
from airflow_xacct.hooks.connections import (
    connection_metadata,
    deployment_options,
    load_destination,
    open_access,
)

if TYPE_CHECKING:
    from botocore.config import Config

    from airflow_xacct.access.session import RoleAccess
    from airflow_xacct.destination import Destination

__all__ = ["CrossAccountHook"]


class CrossAccountMixin(AwsBaseHook):
    """What makes a hook of the Amazon provider work through the assumed role; see :class:`CrossAccountHook`."""

    conn_name_attr = "xacct_conn_id"
    default_conn_name = "xacct_default"
    conn_type = CONN_TYPE
    hook_name = "Amazon Web Services (cross-account)"

    def __init__(self, xacct_conn_id: str, *args: Any, identity: TaskIdentity | None = None, **kwargs: Any) -> None:
        if kwargs.pop("aws_conn_id", xacct_conn_id) != xacct_conn_id:
            raise InvalidArgumentError(
                "both xacct_conn_id and aws_conn_id were given",
                where=type(self).__name__,
                remedy="Give xacct_conn_id alone; an 'aws' connection can be its source_conn_id.",
            )
        kwargs["aws_conn_id"] = xacct_conn_id
        super().__init__(*args, **kwargs)
        self.xacct_conn_id = xacct_conn_id
        self._identity = identity

    @cached_property
    def destination(self) -> Destination:
        """What the connection says, validated.

        :raises ConfigurationError: no such connection, or one with problems; all of them are named.
        """
        return load_destination(self.xacct_conn_id)

    @cached_property
    def access(self) -> RoleAccess:
        """The assumed role; shared by all hooks of one task with the same connection."""
        return open_access(self.destination, identity=self._identity)

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """An ``aws``-typed view of the connection for the Amazon provider's own code; it holds no credential."""
        return AwsConnectionWrapper(
            conn=_ConnectionMetadata(
                conn_id=self.xacct_conn_id, conn_type="aws", extra=connection_metadata(self.destination)
            ),
            region_name=self._region_name,
            botocore_config=self._config,
            verify=self._verify,
        )

    @property
    def region_name(self) -> str | None:
        """The hook's region, the connection's, or the worker's."""
        return self.access.region(self._region_name)

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """A session of the assumed role: boto3's, or aiobotocore's when ``deferrable``.

        :raises AccessError: the role could not be assumed.
        """
        if deferrable:
            return self.access.aio_session(region_name or self._region_name)
        return self.access.session(region_name or self._region_name)

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """A client of ``client_type``, on an endpoint the deployment allows."""
        client: Any = super().get_client_type(region_name=region_name, config=config, deferrable=deferrable)
        if not deferrable:  # an asynchronous client knows its endpoint only once it is entered
            self.access.check_endpoint(client.meta.endpoint_url)
        return client

    def get_resource_type(self, region_name: str | None = None, config: Config | None = None) -> Any:
        """A resource of ``resource_type``, on an endpoint the deployment allows."""
        resource: Any = super().get_resource_type(region_name=region_name, config=config)
        self.access.check_endpoint(resource.meta.client.meta.endpoint_url)
        return resource

    def test_connection(self) -> tuple[bool, str]:
        """Assume the role and say who asked, who it became, and what was not looked at."""
        host = socket.gethostname()
        try:
            return True, describe_access(self.access, host=host, options=deployment_options())
        except XacctError as error:
            return False, f"Asked from host {host}. {type(error).__name__}: {error}"

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The connection form of Airflow before 3.2; later versions read the provider's metadata."""
        return connection_form.get_connection_form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Which of Airflow's standard fields the form hides."""
        return connection_form.get_ui_field_behaviour()


class CrossAccountHook(CrossAccountMixin):
    """Reach any AWS service of another account through the role of an ``aws_xacct`` connection.

    The role is assumed with its External ID, credentials refresh themselves, and each S3 call carries the expected
    bucket owner. There is no fall back: without the connection, or without the role, there is an error.

    Presigned URLs made with the hook carry no expected owner (whoever uses one would have to send the header), and
    stop working when the session they were signed with expires.

    :param xacct_conn_id: the connection.
    :param client_type: a service name of boto3, for a client; or
    :param resource_type: a service name of boto3, for a resource.
    :param region_name: instead of the connection's region.
    :param verify: instead of the connection's ``verify``.
    :param config: instead of the connection's ``config_kwargs``.
    :param identity: the task instance it works for; known by itself inside a task, but for the map index.
    :raises InvalidArgumentError: at first use, when no connection id is given.
    """
