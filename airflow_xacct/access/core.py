"""botocore sessions that know one set of credentials: there is nothing to fall back to."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import boto3
import botocore.session
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials
from botocore.loaders import Loader, create_loader

from airflow_xacct.access.renewal import renew_refused_sessions

__all__ = ["core_session"]


class _FixedProvider(CredentialProvider):
    METHOD = "xacct-fixed"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._fixed = credentials

    def load(self) -> Credentials:
        return self._fixed


@lru_cache(maxsize=4)
def _loader_of(data_path: str | None) -> Loader:
    loader = create_loader(data_path)
    loader.search_paths.append(os.path.join(os.path.dirname(boto3.__file__), "data"))
    return loader


def _loader(data_path: str | None) -> Loader:
    """What reads botocore's models, and keeps them: megabytes of JSON, which each session would parse anew.

    :param data_path: of the configuration (``AWS_DATA_PATH``).
    """
    loader = _loader_of(data_path)
    # each boto3 session that is made of ours adds its folder once more
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)
    return loader


def core_session(
    credentials: Credentials, region: str | None, prepare: Callable[[Any], None] | None = None
) -> botocore.session.Session:
    """A botocore session that knows these credentials and no others.

    :param prepare: given the session's event emitter before any client is made.
    """
    session = botocore.session.Session()
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    session.register_component("credential_provider", CredentialResolver([_FixedProvider(credentials)]))
    if region:
        session.set_config_variable("region", region)
    events = session.get_component("event_emitter")
    renew_refused_sessions(events, lambda: credentials)
    if prepare is not None:
        prepare(events)
    return session
