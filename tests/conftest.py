"""What every test starts from: an empty Airflow home, and nothing of this machine's AWS set-up."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
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

# the imported modules are a million objects that live to the end: as often as Python looks through them by itself, that
# takes a third of the time of all tests
gc.set_threshold(10_000, 10, 10)

#: the task's and the server's
_MASKERS = ("airflow.sdk._shared.secrets_masker", "airflow._shared.secrets_masker")

#: Files of half a minute and more: where whole files are dealt to several workers, none of them may be the last.
_LONG = {
    "test_demo.py",
    "test_dump_over_the_wire.py",
    "test_example_dags.py",
    "test_policies.py",
    "test_python_dump_dag.py",
    "test_sql_parallel.py",
}

#: The tests that are traced where coverage is measured, which is that of the core: tracing makes a test last half as
#: long again, and code is no better tested because a test of something else runs it too.
_TRACED = (
    "tests/adversarial/",
    "tests/faults/test_delivery",
    "tests/integration/test_aws_connection",
    "tests/integration/test_hooks",
    "tests/integration/test_s3hook_contract",
    "tests/integration/test_session_factory",
    "tests/integration/test_upload_operator",
    "tests/unit/access/",
    "tests/unit/delivery/",
    "tests/unit/destination/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the contract of the sandbox first: what it does not refuse, no other test can prove. Then what is long."""
    items.sort(key=lambda item: ("sandbox" not in item.path.parts, item.path.name not in _LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Trace no test but those of the core: pytest-cov's own ``no_cover`` stops nothing in the workers of xdist."""
    traced = item.nodeid.startswith(_TRACED) and item.path.name != "test_connection_fuzz.py"  # many times the others
    if traced or not item.config.pluginmanager.hasplugin("_cov"):
        return (yield)
    here, in_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(here)
        threading.settrace(in_threads)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what is there before the first test; what tests leave, it still finds."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Remove the Airflow home of this run, and let libraries see their objects go before they are unloaded."""
    gc.unfreeze()
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
