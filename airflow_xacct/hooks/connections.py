"""From a connection id to the way into its destination: Airflow's edge of :mod:`airflow_xacct.access`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_xacct.access.cache import SessionCache
from airflow_xacct.access.masking import spellings
from airflow_xacct.access.policy import chain_policy, guard_policy
from airflow_xacct.access.session import CredentialsSource, RoleAccess, WorkerIdentity
from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.access.undisturbed import SUPERVISOR
from airflow_xacct.destination import CONN_TYPE, DeploymentOptions, Destination, parse
from airflow_xacct.destination.aws_connection import parse_aws_connection
from airflow_xacct.destination.readers import AUTO, OFF
from airflow_xacct.exceptions import (
    InvalidArgumentError,
    InvalidConnectionError,
    RoleChainError,
)
from airflow_xacct.hooks.aws_source import AwsConnectionIdentity, get_connection

try:  # the public place since Airflow 3.1
    from airflow.sdk.log import mask_secret
except ImportError:  # Airflow 2.11 and 3.0 have it elsewhere
    from airflow.providers.common.compat.sdk import mask_secret

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

__all__ = [
    "SESSIONS",
    "connection_metadata",
    "connection_policy",
    "deployment_options",
    "load_destination",
    "open_access",
]

log = logging.getLogger(__name__)

#: AWS sets no limit; each hop costs a call and caps the session at an hour, and no set-up we know needs more.
MAX_CHAIN_HOPS = 5

#: The sessions of this process.
SESSIONS = SessionCache()


def deployment_options() -> DeploymentOptions:
    """What the deployment allows beyond the defaults: section ``[xacct]`` of Airflow's configuration."""
    return DeploymentOptions.from_settings(
        allowed_endpoint_hosts=conf.get("xacct", "allowed_endpoint_hosts", fallback="") or "",
        allow_insecure=conf.getboolean("xacct", "allow_insecure", fallback=False),
        allow_proxies=conf.getboolean("xacct", "allow_proxies", fallback=False),
    )


def load_destination(conn_id: str | None, *, options: DeploymentOptions | None = None) -> Destination:
    """Read and validate a connection of type ``aws_xacct``.

    :raises InvalidArgumentError: no connection id was given.
    :raises ConnectionNotFoundError: there is no such connection.
    :raises InvalidConnectionError: with every problem of the connection.
    """
    if not conn_id:
        raise InvalidArgumentError(
            "no connection was named",
            where="xacct_conn_id",
            remedy="Name a connection of type 'aws_xacct': there is no default, and the worker's own identity is never "
            "used in its place.",
        )
    connection = get_connection(conn_id, role="the connection")
    return _destination_of(conn_id, connection, options or deployment_options())


def open_access(
    destination: Destination,
    *,
    identity: TaskIdentity | None = None,
    options: DeploymentOptions | None = None,
    policy: str | None = None,
) -> RoleAccess:
    """The role of a destination for one caller, from the cache where it was assumed before.

    :param identity: the task instance; read from Airflow's environment variables when left out.
    :param policy: the session policy, as JSON text; ``None`` for the one that the connection asks for.
    :raises ConnectionNotFoundError: the source connection does not exist.
    :raises RoleChainError: source connections form a cycle or a chain that is too deep.
    """
    options = options or deployment_options()
    identity = identity if identity is not None else TaskIdentity.from_environ(os.environ)
    if policy is None:
        policy = connection_policy(destination)
    return _open(destination, identity, options, policy, chain=(destination.conn_id,))


def connection_policy(destination: Destination) -> str:
    """The session policy of whoever uses the connection without saying what for."""
    if destination.session_policy == AUTO:
        return guard_policy(destination)
    return "" if destination.session_policy == OFF else destination.session_policy


def _open(
    destination: Destination,
    identity: TaskIdentity,
    options: DeploymentOptions,
    policy: str,
    chain: Sequence[str],
) -> RoleAccess:
    source = _source_of(destination, identity, options, chain)
    return SESSIONS.share(RoleAccess(destination, source, identity, options, policy, on_credentials=_mask_credentials))


def _source_of(
    destination: Destination, identity: TaskIdentity, options: DeploymentOptions, chain: Sequence[str]
) -> CredentialsSource:
    """Whoever assumes the role of this destination."""
    source_id = destination.source_conn_id
    if not source_id:
        return WorkerIdentity()
    path = " -> ".join([*chain, source_id])
    if source_id == destination.conn_id:  # an aws connection with a role: its keys or profile assume it
        connection = get_connection(source_id, role="the connection")
        return AwsConnectionIdentity.of(source_id, connection, with_role=False)
    if source_id in chain:
        raise RoleChainError(
            f"source connections form a cycle: {path}",
            where=f"connection {destination.conn_id!r}, extra source_conn_id",
            remedy="One of them must be an 'aws' connection, or have no source_conn_id.",
        )
    if len(chain) >= MAX_CHAIN_HOPS:
        raise RoleChainError(
            f"the role chain is longer than {MAX_CHAIN_HOPS} roles: {path}",
            where=f"connection {destination.conn_id!r}, extra source_conn_id",
            remedy="Let one role trust an earlier one directly.",
        )
    connection = get_connection(source_id, role=f"the source connection of {destination.conn_id!r}")
    if connection.conn_type == CONN_TYPE:
        hop = _destination_of(source_id, connection, options)
        policy = "" if hop.session_policy == OFF else chain_policy(destination.role)
        access = _open(hop, identity, options, policy, [*chain, source_id])
        _check_source_identity(destination, access)
        return access
    if connection.conn_type == "aws":
        return AwsConnectionIdentity.of(source_id, connection)
    raise InvalidConnectionError(
        destination.conn_id,
        [
            f"source_conn_id: connection {source_id!r} is of type {connection.conn_type!r}. "
            f"Name one of type 'aws' or {CONN_TYPE!r}."
        ],
    )


def _check_source_identity(destination: Destination, source: RoleAccess) -> None:
    """A source identity stays through a chain, and STS refuses another one (AWS: *AssumeRole*, SourceIdentity).

    :raises InvalidConnectionError: the destination asks for another one than an earlier role has.
    """
    while True:
        earlier = source.destination.source_identity
        if destination.source_identity and earlier and earlier != destination.source_identity:
            raise InvalidConnectionError(
                destination.conn_id,
                [
                    f"source_identity: it is {destination.source_identity!r}, and {earlier!r} in connection "
                    f"{source.destination.conn_id!r}, from which the role is assumed. It cannot change in a chain: "
                    "leave it out here, and it is inherited."
                ],
            )
        if not isinstance(source.source, RoleAccess):
            return
        source = source.source


def _destination_of(conn_id: str, connection: Connection, options: DeploymentOptions) -> Destination:
    if connection.conn_type == "aws":
        return parse_aws_connection(
            conn_id, connection.extra, options=options, login=connection.login, password=connection.password
        )
    if connection.conn_type != CONN_TYPE:
        raise InvalidConnectionError(
            conn_id,
            [
                f"the connection is of type {connection.conn_type!r}; choose {CONN_TYPE!r} ('Amazon Web Services "
                "(cross-account)')"
            ],
        )
    return parse(
        conn_id,
        connection.extra,
        options=options,
        login=connection.login,
        password=connection.password,
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
    )


def _mask_credentials(secret_access_key: str, session_token: str) -> None:
    """Hide temporary secrets in logs; not the access key id, which CloudTrail joins on."""
    for secret in (secret_access_key, *spellings(session_token)):
        if secret:
            with SUPERVISOR:
                mask_secret(secret)


def connection_metadata(destination: Destination) -> dict[str, Any]:
    """What the Amazon provider may know of the destination: endpoints, region and bucket, nothing of the role."""
    services: dict[str, dict[str, Any]] = {
        service: {"endpoint_url": url} for service, url in destination.endpoints if url and service != "*"
    }
    if destination.bucket:
        services.setdefault("s3", {})["bucket_name"] = str(destination.bucket)
    extra: dict[str, Any] = {
        "region_name": destination.region_name,
        "endpoint_url": destination.endpoint_for("*"),
        "verify": destination.verify_argument,
        "service_config": services,
        "config_kwargs": destination.config_kwargs,
    }
    return {key: value for key, value in extra.items() if value not in (None, {})}
