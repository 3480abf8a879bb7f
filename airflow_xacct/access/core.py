"""botocore sessions that know one set of credentials: there is nothing to fall back to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials

from airflow_xacct.access.renewal import renew_refused_sessions

__all__ = ["core_session"]


class _FixedProvider(CredentialProvider):
    METHOD = "xacct-fixed"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._fixed = credentials

    def load(self) -> Credentials:
        return self._fixed


def core_session(
    credentials: Credentials, region: str | None, prepare: Callable[[Any], None] | None = None
) -> botocore.session.Session:
    """A botocore session that knows these credentials and no others.

    :param prepare: given the session's event emitter before any client is made.
    """
    session = botocore.session.Session()
    session.register_component("credential_provider", CredentialResolver([_FixedProvider(credentials)]))
    if region:
        session.set_config_variable("region", region)
    events = session.get_component("event_emitter")
    renew_refused_sessions(events, lambda: credentials)
    if prepare is not None:
        prepare(events)
    return session
