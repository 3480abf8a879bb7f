"""The product's own way in, with an eye on what STS answers, and clients that have no identity at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.utils import get_environ_proxies

from airflow_xacct.access.core import core_session
from airflow_xacct.access.session import RoleAccess
from airflow_xacct.doctor.answer import Answer, ask
from airflow_xacct.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_xacct.destination import Destination

__all__ = ["WatchedAccess", "environment_proxies", "impatient", "watch"]

#: A person waits: where the connection does not say otherwise, ask twice and not for minutes.
_PATIENCE: dict[str, int] = {"connect_timeout": 5, "read_timeout": 20}
_ATTEMPTS: dict[str, int] = {"retries.total_max_attempts": 2}


def impatient(destination: Destination) -> Destination:
    """The destination with short time-outs and few attempts, as far as it does not set them itself."""
    own = dict(destination.client_settings)
    attempts = {} if any(name.startswith("retries.") for name in own) else _ATTEMPTS
    return replace(destination, client_settings=tuple(sorted({**_PATIENCE, **attempts, **own}.items())))


class _Recorder:
    """An STS client that remembers its last AssumeRole."""

    def __init__(self, client: Any, access: WatchedAccess) -> None:
        self._client = client
        self._access = access

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def assume_role(self, **params: Any) -> Any:
        answer = self._client.assume_role(**params)
        self._access.assumed = answer
        return answer


class WatchedAccess(RoleAccess):
    """The access that tasks use, which also keeps what STS told it."""

    assumed: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        #: Clients that do not depend on tags and policies; shared by all variants of one access.
        self.shared: dict[str, Any] = {}

    def _make_sts_client(self) -> Any:
        return _Recorder(self.sts_client(), self)

    def sts_client(self) -> Any:
        """An STS client of the source.

        :raises NoCredentialsError: there is no such identity.
        """
        if "source" not in self.shared:
            self.shared["source"] = super()._make_sts_client()
        return self.shared["source"]

    def identity_answer(self) -> Answer:
        """Ask STS who the source is."""
        return ask(
            lambda: self.sts_client().get_caller_identity(),
            lambda error: self.explain(error, action="sts:GetCallerIdentity"),
        )

    def assume_answer(self) -> Answer:
        """Assume the role as a task does."""

        def assume() -> Any:
            self.credentials()
            return self.assumed

        return ask(assume, lambda error: self.explain(error, action="sts:AssumeRole"))

    def assume_without_external_id(self) -> Answer:
        """Ask for the role as whoever does not know the External ID would; the credentials, if any, are forgotten."""
        params = self.request.to_params(duration_seconds=900)
        params.pop("ExternalId", None)
        return ask(
            lambda: self.sts_client().assume_role(**params),
            lambda error: self.explain(error, action="sts:AssumeRole", resource=str(self.destination.role)),
        )

    def anonymous_client(self, service: str) -> Any:
        """A client that signs nothing, on the endpoint that the connection and the environment choose.

        :raises ConfigurationError: there is no region, or the endpoint is not allowed.
        """
        if service not in self.shared:
            self.shared[service] = self._make_anonymous_client(service)
        return self.shared[service]

    def _make_anonymous_client(self, service: str) -> Any:
        region = self.sts_region() if service == "sts" else self.region()
        if region is None:
            raise ConfigurationError(
                f"no region for {service}",
                where=f"connection {self.destination.conn_id!r}",
                remedy="Set the extra region_name, or AWS_DEFAULT_REGION on the worker.",
            )
        session = core_session(Credentials("", ""), region)
        session.set_config_variable("sts_regional_endpoints", "regional")
        client: Any = session.create_client(
            service,
            endpoint_url=self.destination.endpoint_for(service) or None,
            verify=self.destination.verify_argument,
            config=Config(**self.destination.config_kwargs).merge(Config(signature_version=UNSIGNED)),
        )
        self.check_endpoint(client.meta.endpoint_url)
        return client


def watch(access: RoleAccess, destination: Destination, policy: str) -> WatchedAccess:
    """The same access, watched, for a variant of its destination and a session policy."""
    watched = WatchedAccess(
        destination,
        access.source,
        access.identity,
        access.options,
        policy,
        clock=access.clock,
        on_credentials=access.on_credentials,
    )
    if isinstance(access, WatchedAccess):
        watched.shared = access.shared
    return watched


def environment_proxies(url: str) -> dict[str, str]:
    """The proxies the environment names for an endpoint, without their passwords."""
    found: dict[str, str] = get_environ_proxies(url)
    return {scheme: proxy.rsplit("@", 1)[-1] for scheme, proxy in found.items()}
