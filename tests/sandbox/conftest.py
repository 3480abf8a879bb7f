"""What the contract tests of the sandbox start from: the standard case, and clients that ask once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.config import Config

from airflow_xacct.sandbox import AccessKey, Sandbox, Scenario
from tests.sandbox.sandbox_helpers import ClientFor

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def case(xacct_accounts: Scenario) -> Scenario:
    """The standard case in a clean sandbox."""
    return xacct_accounts


@pytest.fixture
def box(case: Scenario) -> Sandbox:
    """The sandbox of the case."""
    return case.box


@pytest.fixture
def client(box: Sandbox) -> Iterator[ClientFor]:
    """Make a client for a key or for credentials; it never retries and is closed after the test."""
    made: list[Any] = []

    def make(key: AccessKey | Mapping[str, Any], service: str = "s3", **options: Any) -> Any:
        options.setdefault("config", ONCE)
        made.append(box.client(key, service, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def role_s3(case: Scenario, client: ClientFor) -> Any:
    """S3 as B's role, assumed by A's worker."""
    return client(case.assume())


@pytest.fixture
def assume(case: Scenario, client: ClientFor) -> Callable[..., Any]:
    """AssumeRole as the worker, sent whatever botocore thinks of its parameters; returns the whole answer."""

    def call(**parameters: Any) -> Any:
        asked = {"RoleArn": case.role_arn, "RoleSessionName": "sandbox", "ExternalId": case.external_id, **parameters}
        unchecked = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        sts = client(case.worker, "sts", config=unchecked)
        return sts.assume_role(**{name: value for name, value in asked.items() if value is not None})

    return call
