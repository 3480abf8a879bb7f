"""Sessions whose handlers are copies: the same ones, once, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.credentials import Credentials
from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import EventAliaser

from airflow_xacct.access.core import _builtin_handlers, core_session, plain_session


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    _builtin_handlers.cache_clear()
    yield
    _builtin_handlers.cache_clear()


def handlers_of(session: botocore.session.Session, event: str) -> list[Any]:
    """In the order in which they are called."""
    aliaser: Any = session.get_component("event_emitter")
    emitter: Any = aliaser._emitter
    found: list[Any] = list(emitter._handlers.prefix_search(EventAliaser(emitter)._alias_event_name(event)))
    return found


@pytest.mark.parametrize("which", ["first of the process", "a later one"])
def test_the_handlers_are_botocores(which: str) -> None:
    if which == "a later one":
        plain_session()
    ours, botocores = plain_session(), botocore.session.Session()
    events = {str(spec[0]) for spec in BUILTIN_HANDLERS}
    assert len(events) > 100
    for event in events:
        assert handlers_of(ours, event) == handlers_of(botocores, event), event
    assert any(handlers_of(ours, event) for event in events)


def test_a_handler_of_one_session_is_not_the_others() -> None:
    one, other = plain_session(), plain_session()
    one.get_component("event_emitter").register("before-sign.s3", lambda **_: None, unique_id="mine")
    assert len(handlers_of(one, "before-sign.s3")) == len(handlers_of(other, "before-sign.s3")) + 1
    assert handlers_of(plain_session(), "before-sign.s3") == handlers_of(other, "before-sign.s3")


def test_what_a_plugin_does_to_sessions_is_done_once_to_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """``botocore.register_initializer``."""
    seen: list[botocore.session.Session] = []

    def initializer(session: botocore.session.Session) -> None:
        seen.append(session)
        session.register("before-sign.s3", lambda **_: None)

    bare = len(handlers_of(botocore.session.Session(), "before-sign.s3"))
    monkeypatch.setattr(botocore, "_INITIALIZERS", [initializer])
    for _ in range(2):
        session = plain_session()
        assert seen.count(session) == 1
        assert len(handlers_of(session, "before-sign.s3")) == bare + 1


def test_a_core_session_knows_one_set_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    mine = Credentials("AKIAMINE", "mine")
    session = core_session(mine, "eu-central-1")
    assert session.get_credentials() is mine
    assert session.get_config_variable("region") == "eu-central-1"
