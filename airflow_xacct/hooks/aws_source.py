"""An ``aws`` connection of the Amazon provider as the identity that assumes a role."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook, BaseSessionFactory
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper, _ConnectionMetadata
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from botocore.exceptions import BotoCoreError

from airflow_xacct.access.undisturbed import SUPERVISOR
from airflow_xacct.destination.aws_connection import identity_problems, names_profile, without_role
from airflow_xacct.exceptions import ConnectionNotFoundError, InvalidConnectionError, NoCredentialsError

if TYPE_CHECKING:
    import boto3.session
    from airflow.providers.common.compat.sdk import Connection
    from botocore.credentials import Credentials

__all__ = ["AwsConnectionIdentity", "get_connection"]

#: How botocore names the identities of a machine: an instance profile, a task or pod role.
_MACHINE_METHODS = frozenset({"iam-role", "container-role"})


@dataclass(frozen=True)
class AwsConnectionIdentity:
    """An ``aws`` connection as the source: every method of the Amazon provider, and none of its fallbacks.

    :param names_profile: whether it is to be a profile of the shared config files.
    :param with_role: whether the role that the connection names is part of the identity, or is what is assumed.
    """

    conn_id: str
    fingerprint: str
    names_profile: bool = False
    with_role: bool = True

    @classmethod
    def of(cls, conn_id: str, connection: Connection, *, with_role: bool = True) -> AwsConnectionIdentity:
        """Identify the connection by its content, so that a changed one gets a session of its own.

        :raises InvalidConnectionError: it holds half of a pair of keys.
        """
        extra = connection.extra_dejson
        if problems := identity_problems(extra, login=connection.login, password=connection.password):
            raise InvalidConnectionError(conn_id, problems)
        content = repr((connection.login, connection.password, connection.host, connection.schema, connection.extra))
        return cls(conn_id, hashlib.sha256(content.encode()).hexdigest(), names_profile(extra), with_role)

    @property
    def description(self) -> str:
        return f"source connection {self.conn_id!r}" if self.with_role else f"connection {self.conn_id!r} itself"

    @property
    def cache_key(self) -> Hashable:
        return ("aws", self.conn_id, self.fingerprint, self.with_role)

    def credentials(self) -> Credentials:
        """Let the Amazon provider find the credentials.

        :raises NoCredentialsError: it found none, or those of the machine instead of the profile's.
        """
        remedy = "Give it keys, a profile or a role, or leave them all out to use the worker's identity."
        try:
            if self.with_role:
                session = AwsBaseHook(aws_conn_id=self.conn_id, client_type="sts").get_session()
            else:
                session = self._session_without_role()
            found: Credentials | None = session.get_credentials()
        except BotoCoreError as error:  # no such profile, or a profile that cannot be used
            raise NoCredentialsError(
                f"the {self.description} gives no AWS credentials ({error})", remedy=remedy
            ) from error
        # botocore passes from a profile without credentials to the machine's own
        if found is None or (self.names_profile and found.method in _MACHINE_METHODS):
            raise NoCredentialsError(f"the {self.description} gives no AWS credentials", remedy=remedy)
        return found

    def _session_without_role(self) -> boto3.session.Session:
        connection = get_connection(self.conn_id, role="the connection")
        own = _ConnectionMetadata(
            conn_id=self.conn_id,
            conn_type="aws",
            login=connection.login,
            password=connection.password,
            extra=without_role(connection.extra_dejson),
        )
        return BaseSessionFactory(conn=AwsConnectionWrapper(conn=own)).create_session()


def get_connection(conn_id: str, *, role: str) -> Connection:
    """Read a connection.

    :param role: what it is to us, for the message.
    :raises ConnectionNotFoundError: there is no such connection.
    """
    try:
        with SUPERVISOR:
            return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise ConnectionNotFoundError(
            f"{role} does not exist: {conn_id!r}",
            where="Airflow's connections, AIRFLOW_CONN_* and the secrets backend",
            remedy=f"Create it under Admin > Connections, or set AIRFLOW_CONN_{conn_id.upper()}; nothing was sent with "
            "another identity.",
        ) from error
