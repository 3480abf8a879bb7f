"""The eyes of Account B's owner, for what the dump role must not see: a profile, and nothing it could fall back to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from airflow_xacct.destination import DeploymentOptions, Destination, check_endpoint_url
from airflow_xacct.doctor.answer import Answer, ask
from airflow_xacct.exceptions import ConfigurationError, InvalidArgumentError, RefusedError, XacctError

__all__ = ["OwnerView"]


class OwnerView:
    """Reads settings with a profile of the bucket's or the role's owner.

    :param profile: of the shared config and credentials files; the environment's own keys are not used.
    :raises InvalidArgumentError: there is no such profile, or it has no credentials.
    """

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self._session = botocore.session.Session(profile=profile)
        try:
            found = self._session.get_credentials()
        except BotoCoreError as error:
            raise InvalidArgumentError(f"{error}", where="--owner-profile") from error
        if found is None:
            raise InvalidArgumentError(
                f"the profile {profile!r} has no credentials",
                where="--owner-profile",
                remedy="Name a profile of Account B's owner in the shared config or credentials file.",
            )
        self._destination: Destination | None = None
        self._options = DeploymentOptions()
        self._clients: dict[str, Any] = {}

    def look_at(self, destination: Destination, options: DeploymentOptions, region: str | None) -> None:
        """Say which endpoints and region to use: those of the connection."""
        self._destination, self._options = destination, options
        if region:
            self._session.set_config_variable("region", region)

    @cached_property
    def account(self) -> str:
        """Whose eyes these are: 12 digits; empty where STS does not say."""
        answer = self.ask("sts", lambda client: client.get_caller_identity())
        return str(answer.data.get("Account", ""))

    def ask(self, service: str, call: Callable[[Any], Any]) -> Answer:
        """Ask one question as the owner."""
        return ask(lambda: call(self._client(service)), self._explain)

    def _explain(self, error: Exception) -> XacctError:
        return RefusedError(f"{error}", where=f"profile {self.profile!r}")

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            to = self._destination
            client = self._session.create_client(
                service,
                endpoint_url=to.endpoint_for(service) if to else None,
                verify=to.verify_argument if to else None,
                config=Config(**(to.config_kwargs if to else {})),
            )
            if problem := check_endpoint_url(client.meta.endpoint_url, self._options):
                raise ConfigurationError(problem, where=f"profile {self.profile!r}")
            self._clients[service] = client
        return self._clients[service]
