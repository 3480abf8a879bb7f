"""Fixtures for tests of your own DAGs; the plugin is registered as ``airflow_xacct_sandbox``.

Nothing heavy is imported before a fixture is used, since pytest loads every installed plugin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_xacct.sandbox import Sandbox, Scenario

__all__ = ["xacct_accounts", "xacct_sandbox"]

_ACCOUNTS = 4


@pytest.fixture(scope="session")
def xacct_sandbox() -> Iterator[Sandbox]:
    """A running sandbox of four accounts, shared by the whole session.

    It is handed out only after it has refused a wrong External ID and a missing one: an emulator that allows
    everything would make every test pass.
    """
    from airflow_xacct.sandbox import Sandbox

    with Sandbox(accounts=_ACCOUNTS) as box:
        _assert_refusals(box)
        yield box


@pytest.fixture
def xacct_accounts(xacct_sandbox: Sandbox) -> Iterator[Scenario]:
    """The standard case in a clean sandbox; its environment is not exported, see ``Scenario.environment``."""
    xacct_sandbox.reset()
    yield xacct_sandbox.scenario()
    xacct_sandbox.reset()


def _assert_refusals(box: Sandbox) -> None:
    from botocore.exceptions import ClientError

    scenario = box.scenario()
    for external_id in ("not-the-right-one", None):
        with pytest.raises(ClientError, match=r"AccessDenied.*sts:AssumeRole"):
            scenario.assume(ExternalId=external_id)
    scenario.assume()
    box.reset()
