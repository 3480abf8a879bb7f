"""What the tests of the delivery share: the same bucket twice, as a fake and as the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config

from airflow_xacct.access.context import RefusalContext
from airflow_xacct.access.refusals import translate
from airflow_xacct.delivery.boto3_store import Boto3Store
from airflow_xacct.sandbox import Scenario

MakeStore = Callable[..., Boto3Store]


@pytest.fixture
def boto3_store(xacct_accounts: Scenario) -> Iterator[MakeStore]:
    """Make a store on B's bucket: with the rights of its owner, or with those of the assumed role alone."""
    clients: list[Any] = []

    def explain(error: Exception, action: str, key: str) -> Exception:
        context = RefusalContext(
            conn_id="xacct_default",
            role_arn=xacct_accounts.role_arn,
            role_account=xacct_accounts.account_b.id,
            bucket_owner=xacct_accounts.account_b.id,
            external_id=xacct_accounts.external_id,
            source="the worker",
        )
        return translate(error, context=context, action=action, resource=key)

    def client(owner: bool, **config: Any) -> Any:
        account = xacct_accounts.account_b
        if owner:
            key = account.create_user(
                f"owner-{len(clients)}",
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
                },
            )
        else:
            key = xacct_accounts.assume()
        made = xacct_accounts.box.client(key, "s3", config=Config(**config))
        clients.append(made)
        return made

    def make(*, owner: bool = True, attempts: int = 1) -> Boto3Store:
        return Boto3Store(
            client(owner, retries={"total_max_attempts": attempts}),
            client(owner, retries={"total_max_attempts": 1}),
            xacct_accounts.bucket,
            explain,
        )

    yield make
    for each in clients:
        each.close()
