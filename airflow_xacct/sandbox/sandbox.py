"""Two or more AWS accounts on this machine, in this process."""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from airflow_xacct.exceptions import ConfigurationError, InvalidArgumentError
from airflow_xacct.sandbox.accounts import AccessKey, Account
from airflow_xacct.sandbox.emulator import Emulator
from airflow_xacct.sandbox.faults import Faults
from airflow_xacct.sandbox.records import AssumeRoleEvent, RequestRecord
from airflow_xacct.sandbox.scenario import Scenario, two_accounts
from airflow_xacct.sandbox.server import LoopbackServer
from airflow_xacct.sandbox.store import Store
from airflow_xacct.sandbox.strict.gate import Gate
from airflow_xacct.sandbox.strict.principals import EXPIRES_AT

__all__ = ["Sandbox"]

_MAX_ACCOUNTS = 9


class Sandbox:
    """AWS accounts on loopback that refuse what AWS refuses; a context manager.

    ::

        with Sandbox() as box:
            scenario = box.scenario()
            ...

    Everything lives in memory and is gone when the block ends. One may be open per process at a time.

    :param accounts: how many accounts, 2 to 9; the first is Account A, the second Account B.
    :param region: of the accounts' clients and buckets.
    :param clock: seconds since the epoch, for the expiry of sessions; the machine's own by default.
    :param port: to listen on; 0 for a free one. The address is always 127.0.0.1.
    :param verbose: keep the emulator's log messages.
    """

    def __init__(
        self,
        accounts: int = 2,
        region: str = "us-east-1",
        clock: Callable[[], float] | None = None,
        *,
        port: int = 0,
        verbose: bool = False,
    ) -> None:
        if not 1 < accounts <= _MAX_ACCOUNTS:
            raise InvalidArgumentError(f"a sandbox has 2 to {_MAX_ACCOUNTS} accounts, not {accounts}")
        self.region = region
        self.faults = Faults()
        self._count = accounts
        self._clock = clock or time.time
        self._port = port
        self._emulator = Emulator(verbose=verbose)
        self._secret = secrets.token_urlsafe(32)
        self._server: LoopbackServer | None = None
        self._gate: Gate | None = None
        self._accounts: list[Account] = []

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self) -> None:
        """Begin to serve; returns once requests are answered.

        :raises ConfigurationError: another sandbox of this process is open.
        """
        self._emulator.open()
        try:
            self._gate = Gate(self._emulator, self.faults, self._secret, self._clock)
            self._server = LoopbackServer(self._gate.handle, refuse_early=self._gate.refuse_early, port=self._port)
            self._server.start()
        except BaseException:
            self.close()
            raise
        self._accounts = [
            Account(str(number) * 12, self.endpoint_url, self.region, self._secret)
            for number in range(1, self._count + 1)
        ]

    def close(self) -> None:
        """Stop serving and forget everything; harmless when it is closed already."""
        for account in self._accounts:
            account.close()
        self._accounts = []
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._gate is not None:
            self._gate = None
            self._emulator.close()

    def reset(self) -> None:
        """Forget every resource, fault, request and event; the server stays up and the address stays."""
        self._emulator.reset()
        self.faults.clear()
        self.requests.clear()
        self.assume_role_events.clear()

    @property
    def endpoint_url(self) -> str:
        """The one URL of all services, such as ``http://127.0.0.1:40123``."""
        if self._server is None:
            raise _closed()
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def accounts(self) -> list[Account]:
        """All accounts, A first."""
        return list(self._accounts)

    @property
    def account_a(self) -> Account:
        """Account A, where Airflow runs."""
        return self._account(0)

    @property
    def account_b(self) -> Account:
        """Account B, where the data goes."""
        return self._account(1)

    def _account(self, index: int) -> Account:
        if not self._accounts:
            raise _closed()
        return self._accounts[index]

    @property
    def requests(self) -> deque[RequestRecord]:
        """The requests that reached the server, oldest first, at most 10,000; without the sandbox's own."""
        if self._gate is None:
            raise _closed()
        return self._gate.requests

    @property
    def assume_role_events(self) -> deque[AssumeRoleEvent]:
        """Every AssumeRole call, granted or not, oldest first, at most 10,000."""
        if self._gate is None:
            raise _closed()
        return self._gate.assume_role_events

    def client(
        self, key: AccessKey | Mapping[str, Any], service: str, *, region: str | None = None, config: Any = None
    ) -> Any:
        """A boto3 client with the rights of a user's key or of AssumeRole's ``Credentials``."""
        return self.account_a.client_for(key, service, region=region, config=config)

    def expire_sessions(self) -> None:
        """Move the expiry of all temporary credentials into the past."""
        for session in list(Store(self._emulator).sessions.values()):
            session[EXPIRES_AT] = 0.0

    def revoke_sessions(self, role_arn: str) -> None:
        """Do what "Revoke active sessions" does in IAM's console: the tokens handed out so far are denied everything.

        Sessions assumed later work (AWS: *Revoke IAM role temporary security credentials*).
        """
        account_id, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
        for session in list(Store(self._emulator).sessions.values()):
            if session["Arn"].startswith(f"arn:aws:sts::{account_id}:assumed-role/{name}/"):
                # times in policies are whole seconds: a session of this very second must count as older
                session["IssuedAt"] = 0.0
        moment = datetime.fromtimestamp(self._clock() - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        statement = {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"DateLessThan": {"aws:TokenIssueTime": moment}},
        }
        owner = next(account for account in self._accounts if account.id == account_id)
        owner.client("iam").put_role_policy(
            RoleName=name,
            PolicyName="AWSRevokeOlderSessions",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    def open_multipart_uploads(self, bucket: str) -> list[dict[str, Any]]:
        """The unfinished multipart uploads of a bucket, as its owner's ListMultipartUploads tells them."""
        pages = self._owner(bucket).client("s3").get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        return [upload for page in pages for upload in page.get("Uploads", [])]

    def _owner(self, bucket: str) -> Account:
        owner = Store(self._emulator).bucket_owner(bucket)
        for account in self._accounts:
            if account.id == owner:
                return account
        raise InvalidArgumentError(f"there is no bucket {bucket!r} in the sandbox")

    def scenario(self, *, external_id: str | None = None) -> Scenario:
        """Set up the standard case: see :func:`airflow_xacct.sandbox.two_accounts`."""
        return two_accounts(self, external_id=external_id)


def _closed() -> ConfigurationError:
    return ConfigurationError("the sandbox is not open", remedy="Use it as a context manager: with Sandbox() as box.")
