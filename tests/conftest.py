"""What every test starts from: an empty Airflow home, and nothing of this machine's AWS set-up."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_xacct.sandbox import Scenario

# before anything imports Airflow or boto3: both read their configuration on import
_HOME = tempfile.mkdtemp(prefix="xacct-tests-")
for _name in [name for name in os.environ if name.startswith(("AWS_", "AIRFLOW_"))]:
    del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_CONFIG_FILE": os.path.join(_HOME, "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": os.path.join(_HOME, "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
)

#: the task's and the server's
_MASKERS = ("airflow.sdk._shared.secrets_masker", "airflow._shared.secrets_masker")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the contract of the sandbox first: what it does not refuse, no other test can prove."""
    items.sort(key=lambda item: "sandbox" not in item.path.parts)


def pytest_unconfigure() -> None:
    """Remove the Airflow home of this run."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """Each test begins as a worker's process does: Airflow masks no secret yet.

    Airflow compiles one pattern of all secrets again with each new one, so the secrets of all earlier tests would also
    take most of the time of the later ones.
    """
    yield
    for name in _MASKERS:
        if name in sys.modules:
            sys.modules[name].reset_secrets_masker()


@pytest.fixture
def worker(xacct_accounts: Scenario, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scenario]:
    """This process is A's worker in the standard case, with the connection ``xacct_default``."""
    from airflow_xacct.hooks.connections import SESSIONS

    for name, value in xacct_accounts.environment().items():
        monkeypatch.setenv(name, value)
    SESSIONS.clear()
    yield xacct_accounts
    SESSIONS.clear()
