"""botocore sessions that know one set of credentials: there is nothing to fall back to."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials
from botocore.handlers import BUILTIN_HANDLERS, REGISTER_FIRST, REGISTER_LAST
from botocore.hooks import EventAliaser, HierarchicalEmitter

from airflow_xacct.access.models import model_loader
from airflow_xacct.access.renewal import renew_refused_sessions

__all__ = ["core_session", "plain_session"]


class _FixedProvider(CredentialProvider):
    METHOD = "xacct-fixed"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._fixed = credentials

    def load(self) -> Credentials:
        return self._fixed


@lru_cache(maxsize=1)
def _builtin_handlers() -> HierarchicalEmitter:
    """botocore's own event handlers, some hundreds."""
    emitter = HierarchicalEmitter()
    events = EventAliaser(emitter)
    for event, handler, *place in BUILTIN_HANDLERS:
        if REGISTER_FIRST in place:
            events.register_first(event, handler)
        elif REGISTER_LAST in place:
            events.register_last(event, handler)
        else:
            events.register(event, handler)
    return emitter


def plain_session() -> botocore.session.Session:
    """A session as botocore makes it, in less time: its handlers are copied, as for each client, not registered."""
    return botocore.session.Session(event_hooks=copy(_builtin_handlers()), include_builtin_handlers=False)


def core_session(
    credentials: Credentials, region: str | None, prepare: Callable[[Any], None] | None = None
) -> botocore.session.Session:
    """A botocore session that knows these credentials and no others.

    :param prepare: given the session's event emitter before any client is made.
    """
    session = plain_session()
    session.register_component("data_loader", model_loader(session.get_config_variable("data_path")))
    session.register_component("credential_provider", CredentialResolver([_FixedProvider(credentials)]))
    if region:
        session.set_config_variable("region", region)
    events = session.get_component("event_emitter")
    renew_refused_sessions(events, lambda: credentials)
    if prepare is not None:
        prepare(events)
    return session
