"""The assumed role for aiobotocore, which triggers use: the same credentials, refreshed outside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from botocore.credentials import Credentials, ReadOnlyCredentials

from airflow_xacct.access.renewal import RenewableCredentials, renew_refused_sessions
from airflow_xacct.exceptions import MissingDependencyError

try:
    from aiobotocore.credentials import AioCredentials
    from aiobotocore.session import AioSession
except ImportError as error:
    raise MissingDependencyError(
        "asynchronous clients need aiobotocore, which is not installed",
        remedy="Install it with pip install 'apache-airflow-providers-amazon[aiobotocore]'.",
    ) from error

__all__ = ["aio_session_with"]


class _SharedCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore is untyped
    """Asynchronous view of synchronous credentials: one refresh serves both."""

    def __init__(self, shared: Credentials) -> None:
        frozen = shared.get_frozen_credentials()
        super().__init__(frozen.access_key, frozen.secret_key, frozen.token, method=shared.method)
        self._shared = shared

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        if isinstance(self._shared, RenewableCredentials) and not self._shared.refresh_needed():
            return self._shared.at_hand
        # the refresh is a blocking call to STS: the loop goes on meanwhile
        return await asyncio.to_thread(self._shared.get_frozen_credentials)


class _SharedResolver:
    """What aiobotocore asks for credentials when a client is entered; there is nothing to fall back to."""

    def __init__(self, load: Callable[[], Credentials]) -> None:
        self._load = load

    async def load_credentials(self) -> AioCredentials:
        # reading a source's files and asking STS both block
        return await asyncio.to_thread(lambda: _SharedCredentials(self._load()))


def aio_session_with(
    credentials: Callable[[], Credentials], region: str | None, prepare: Callable[[Any], None]
) -> AioSession:
    """An aiobotocore session that knows these credentials and no others.

    :param credentials: gives the shared ones; called in a thread, when a client is entered.
    :param prepare: given the session's event emitter before any client is made.
    """
    session = AioSession()
    session.register_component("credential_provider", _SharedResolver(credentials))
    if region:
        session.set_config_variable("region", region)
    events = session.get_component("event_emitter")
    renew_refused_sessions(events, credentials, asynchronous=True)
    prepare(events)
    return session
