"""Sessions and clients of the assumed role, made once for each caller and destination."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

import boto3.session
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials

from airflow_xacct.access.assume import AssumedRole, AssumeRoleRequest, CredentialsListener
from airflow_xacct.access.core import core_session, plain_session
from airflow_xacct.access.guards import guard_bucket_owner, guard_region
from airflow_xacct.access.masking import tell_secrets
from airflow_xacct.access.refusals import RefusalContext, translate
from airflow_xacct.access.task_identity import TaskIdentity, role_session_name, session_tags
from airflow_xacct.destination import DeploymentOptions, Destination, check_endpoint_url
from airflow_xacct.exceptions import ConfigurationError, NoCredentialsError, XacctError

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from mypy_boto3_sts.client import STSClient

__all__ = ["CredentialsSource", "RoleAccess", "WorkerIdentity", "worker_region"]


def _now() -> datetime:
    return datetime.now(UTC)


class CredentialsSource(Protocol):
    """Whoever assumes the role: the worker itself, a connection, or an assumed role (a chain)."""

    @property
    def description(self) -> str:
        """For messages, such as ``the worker's own identity``; never a secret."""
        ...

    @property
    def cache_key(self) -> Hashable:
        """Equal only for sources that give the same identity."""
        ...

    def credentials(self) -> Credentials:
        """botocore credentials, refreshable where the source can refresh them.

        :raises NoCredentialsError: there are none.
        """
        ...


class WorkerIdentity:
    """The identity boto3 finds by itself: environment, shared files, web identity, container or instance profile."""

    description = "the worker's own identity"

    @property
    def cache_key(self) -> Hashable:
        # whatever selects an identity in botocore's default chain comes from these variables or from fixed places
        return (
            "worker",
            *sorted((key, hash(value)) for key, value in os.environ.items() if key.startswith("AWS_")),
        )

    def credentials(self) -> Credentials:
        """Ask botocore's default chain.

        :raises NoCredentialsError: it found nothing.
        """
        found = plain_session().get_credentials()
        if found is None:
            raise NoCredentialsError(
                "the worker has no AWS identity to assume the role with",
                where="looked in the environment, shared config and credentials files, web identity, container and "
                "instance profile",
                remedy="Give the worker a role (instance profile, IRSA, task role), or name an 'aws' connection in the "
                "extra source_conn_id.",
            )
        return found


def worker_region() -> str | None:
    """The region of this worker: botocore's setting, or ``AWS_REGION``, which AWS's runtimes set and boto3 ignores."""
    # nothing is asked of AWS with it, so it needs none of the handlers
    session = botocore.session.Session(include_builtin_handlers=False)
    region: str | None = session.get_config_variable("region")
    return region or os.environ.get("AWS_REGION") or None


@dataclass(frozen=True, slots=True)
class _ClientKey:
    service: str
    region: str | None
    config: tuple[tuple[str, str], ...]


@dataclass(eq=False)
class RoleAccess:
    """The role of one destination, assumed for one caller; sessions and clients are made once and shared.

    :param destination: what the connection says.
    :param source: whoever assumes.
    :param identity: the task instance it is done for.
    :param options: which endpoints the deployment allows.
    :param policy: session policy document as JSON text; empty for none.
    :param clock: the time now, with its zone.
    :param on_credentials: told of each new (secret access key, session token).
    """

    destination: Destination
    source: CredentialsSource
    identity: TaskIdentity
    options: DeploymentOptions
    policy: str = ""
    clock: Callable[[], datetime] = _now
    on_credentials: CredentialsListener | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._clients: dict[_ClientKey, Any] = {}
        self._sessions: dict[str | None, boto3.session.Session] = {}
        self._credentials: Credentials | None = None
        self.role = AssumedRole(
            self.request,
            self._make_sts_client,
            clock=self.clock,
            on_credentials=self.on_credentials,
            explain=lambda error: self.explain(error, action="sts:AssumeRole", resource=str(self.destination.role)),
        )

    @property
    def request(self) -> AssumeRoleRequest:
        """What STS is asked for."""
        to = self.destination
        return AssumeRoleRequest(
            role_arn=str(to.role),
            session_name=role_session_name(self.identity, conn_id=to.conn_id, prefix=to.session_name_prefix),
            external_id=to.external_id,
            duration_seconds=to.duration_seconds,
            source_identity=to.source_identity or "",
            policy=self.policy,
            tags=session_tags(self.identity, to.extra_session_tags) if to.tags_sessions else (),
        )

    @property
    def cache_key(self) -> Hashable:
        """Everything that shapes the session: every hop, the caller, region and endpoints."""
        return (self.source.cache_key, self.destination, self.identity, self.options, self.request)

    @property
    def description(self) -> str:
        """For messages: the role and the connection that names it."""
        return f"role {self.destination.role} of connection {self.destination.conn_id!r}"

    @property
    def session_arn(self) -> str:
        """The ARN CloudTrail shows for this session; the role is assumed if it was not yet."""
        self.credentials()
        return self.role.session_arn

    def source_arn(self) -> str:
        """Ask STS who the source is (GetCallerIdentity needs no permission).

        :raises AccessError: there is no such identity.
        """
        try:
            return str(self._make_sts_client().get_caller_identity()["Arn"])
        except XacctError:
            raise
        except Exception as error:
            raise self.explain(error, action="sts:GetCallerIdentity") from error

    def credentials(self) -> Credentials:
        """Credentials of the assumed role, which refresh themselves.

        :raises AccessError: STS refused, or there is no identity to ask with.
        :raises TransportError: STS could not be reached.
        """
        with self._lock:
            if self._credentials is None:
                self._credentials = self.role.credentials()
            return self._credentials

    def explain(self, error: Exception, *, action: str = "", resource: str = "") -> XacctError:
        """Translate what AWS or botocore raised on behalf of this role; see :mod:`airflow_xacct.access.refusals`."""
        to = self.destination
        return translate(
            error,
            action=action,
            resource=resource,
            context=RefusalContext(
                conn_id=to.conn_id,
                role_arn=str(to.role),
                role_account=to.role.account,
                bucket_owner=to.bucket_owner,
                external_id=to.external_id,
                source=self.source.description,
            ),
        )

    def region(self, region_name: str | None = None) -> str | None:
        """The region of clients: the caller's, the connection's, the worker's."""
        return region_name or self.destination.region_name or worker_region()

    def sts_region(self) -> str | None:
        """The region of STS: the connection's, the worker's, the bucket's."""
        return self.destination.sts_region_name or worker_region() or self.destination.region_name

    def session(self, region_name: str | None = None) -> boto3.session.Session:
        """A boto3 session of the assumed role, whose S3 calls carry the expected owner."""
        return boto3.session.Session(
            botocore_session=core_session(self.credentials(), self.region(region_name), self._guard)
        )

    def aio_session(self, region_name: str | None = None) -> AioSession:
        """The same for aiobotocore: one state of credentials for both, assumed and refreshed outside the event loop.

        Making the session asks nobody; the role is assumed when its first client is entered.
        """
        from airflow_xacct.access.aio import aio_session_with  # aiobotocore is optional

        return aio_session_with(self.credentials, self.region(region_name), self._guard)

    def client(self, service: str, *, region_name: str | None = None, **config: Any) -> Any:
        """A boto3 client, made once for each service, region and configuration.

        :param config: settings of ``botocore.config.Config`` beside the connection's own.
        :raises ConfigurationError: the endpoint, wherever it was configured, is not allowed.
        """
        region = self.region(region_name)
        key = _ClientKey(service, region, tuple(sorted((name, repr(value)) for name, value in config.items())))
        with self._lock:
            if key not in self._clients:
                try:
                    if region not in self._sessions:  # a session costs far more than a client made from it
                        self._sessions[region] = self.session(region)
                    make_client: Any = self._sessions[region].client  # stubs want each service's name
                    client = make_client(
                        service,
                        endpoint_url=self.destination.endpoint_for(service) or None,
                        verify=self.destination.verify_argument,
                        config=self._config(config),
                    )
                except XacctError:
                    raise
                except Exception as error:
                    raise self.explain(error, resource=service) from error
                self.check_endpoint(client.meta.endpoint_url)
                self._clients[key] = client
            return self._clients[key]

    def check_endpoint(self, url: str) -> None:
        """Refuse an endpoint the deployment does not allow, also one from the environment or a shared config file.

        :raises ConfigurationError: with the setting that would allow it.
        """
        if problem := check_endpoint_url(url, self.options):
            raise ConfigurationError(
                f"the endpoint {url} is not allowed: {problem}",
                where=f"connection {self.destination.conn_id!r}",
                remedy="It came from the extra endpoint_url, from AWS_ENDPOINT_URL* or from a shared config file.",
            )

    def _guard(self, events: Any) -> None:
        to = self.destination
        if to.region_name:
            guard_region(events)
        guard_bucket_owner(events, bucket_owner=to.bucket_owner, bucket=str(to.bucket or ""))
        # whoever makes clients of the session: one of the environment or of a shared file shows itself only here
        events.register("before-endpoint-resolution", self._check_custom_endpoint, unique_id="airflow-xacct-endpoint")

    def _check_custom_endpoint(self, builtins: Mapping[str, Any], **_: Any) -> None:
        if url := builtins.get("SDK::Endpoint"):
            self.check_endpoint(url)

    def _config(self, overrides: Mapping[str, Any]) -> Config:
        return Config(**{**self.destination.config_kwargs, **overrides})

    def _make_sts_client(self) -> STSClient:
        """An STS client of the source, on a regional endpoint only (AWS: *Manage AWS STS in an AWS Region*)."""
        to = self.destination
        region = self.sts_region()
        if region is None:
            raise ConfigurationError(
                "no region for STS",
                where=f"connection {to.conn_id!r}",
                remedy="Set the extra region_name or sts_region_name, or AWS_DEFAULT_REGION on the worker.",
            )
        source = self.source.credentials()
        session = core_session(source, region)
        tell_secrets(session.get_component("event_emitter"), source, self.on_credentials)
        session.set_config_variable("sts_regional_endpoints", "regional")
        client: Any = session.create_client(
            "sts", endpoint_url=to.endpoint_for("sts") or None, verify=to.verify_argument, config=self._config({})
        )
        self.check_endpoint(client.meta.endpoint_url)
        return cast("STSClient", client)
