"""The standard case that demo, docs, fixtures and examples share: A's worker dumps into B's bucket."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_xacct.exceptions import InvalidArgumentError
from airflow_xacct.sandbox.accounts import AccessKey, Account

if TYPE_CHECKING:
    from airflow_xacct.sandbox.sandbox import Sandbox

__all__ = ["Partner", "Scenario", "two_accounts"]

ROLE_NAME = "DataDumpRole"
BUCKET = "acme-landing"
PREFIX = "airflow/"
CONN_ID = "xacct_default"


@dataclass(frozen=True, slots=True)
class Partner:
    """One account that receives data: its bucket, its role, and the External ID it demands."""

    account: Account
    bucket: str
    prefix: str
    role_name: str
    role_arn: str
    external_id: str
    region: str
    endpoint_url: str

    @property
    def connection_extra(self) -> dict[str, Any]:
        """The extras of an ``aws_xacct`` connection to this partner."""
        return {
            "role_arn": self.role_arn,
            "external_id": self.external_id,
            "region_name": self.region,
            "bucket": self.bucket,
            "prefix": self.prefix,
            "endpoint_url": self.endpoint_url,
        }

    @property
    def connection_json(self) -> str:
        """The connection as ``AIRFLOW_CONN_*`` takes it."""
        return json.dumps({"conn_type": "aws_xacct", "extra": self.connection_extra})


@dataclass(slots=True)
class Scenario:
    """A's worker, and the partners it may dump to; the first is Account B.

    ``worker`` is a user that may do nothing but assume the partners' roles.
    """

    box: Sandbox
    worker: AccessKey
    partners: dict[str, Partner] = field(default_factory=dict)

    @property
    def partner(self) -> Partner:
        """Account B."""
        return self.partners[CONN_ID]

    @property
    def account_a(self) -> Account:
        """Where Airflow runs."""
        return self.box.account_a

    @property
    def account_b(self) -> Account:
        """Where the data goes."""
        return self.partner.account

    @property
    def bucket(self) -> str:
        """B's bucket."""
        return self.partner.bucket

    @property
    def prefix(self) -> str:
        """The prefix A may write below, with its final "/"."""
        return self.partner.prefix

    @property
    def role_arn(self) -> str:
        """B's role."""
        return self.partner.role_arn

    @property
    def external_id(self) -> str:
        """What B's trust policy demands."""
        return self.partner.external_id

    @property
    def connection_extra(self) -> dict[str, Any]:
        """The extras of an ``aws_xacct`` connection to B."""
        return self.partner.connection_extra

    def environment(self) -> dict[str, str]:
        """The variables that make this process, or another, A's worker with a connection for each partner."""
        return {
            "AWS_ACCESS_KEY_ID": self.worker.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.worker.secret_access_key,
            "AWS_DEFAULT_REGION": self.box.region,
            "AIRFLOW__XACCT__ALLOWED_ENDPOINT_HOSTS": "127.0.0.1",
            **{
                f"AIRFLOW_CONN_{conn_id.upper()}": partner.connection_json for conn_id, partner in self.partners.items()
            },
        }

    def worker_client(self, service: str, **options: Any) -> Any:
        """A boto3 client with the worker's own rights."""
        return self.box.client(self.worker, service, **options)

    def assume(self, partner: Partner | None = None, **parameters: Any) -> dict[str, Any]:
        """Assume a partner's role as the worker; return the ``Credentials``.

        :param parameters: of AssumeRole, over the right ones; ``ExternalId=None`` leaves it out.
        """
        partner = partner or self.partner
        asked = {
            "RoleArn": partner.role_arn,
            "RoleSessionName": "sandbox",
            "ExternalId": partner.external_id,
            **parameters,
        }
        sts = self.worker_client("sts")
        try:
            answer = sts.assume_role(**{name: value for name, value in asked.items() if value is not None})
        finally:
            sts.close()
        credentials: dict[str, Any] = answer["Credentials"]
        return credentials

    def add_partner(
        self,
        conn_id: str,
        *,
        account: Account | None = None,
        bucket: str = "",
        prefix: str = PREFIX,
        external_id: str | None = None,
        max_session_duration: int = 3600,
    ) -> Partner:
        """Set up one more account to dump to, under the connection id ``conn_id``.

        :param account: the next unused account of the sandbox by default.
        :param bucket: ``<conn_id>-landing`` by default.
        :raises InvalidArgumentError: the sandbox has no further account.
        """
        account = account or self._unused_account()
        name = bucket or f"{conn_id.replace('_', '-').lower()}-landing"
        account.create_bucket(name)
        given = external_id or f"xacct-{secrets.token_hex(12)}"
        role_arn = account.create_dump_role(
            ROLE_NAME,
            trusted=self.worker.user_arn,
            external_id=given,
            bucket=name,
            prefix=prefix,
            max_session_duration=max_session_duration,
        )
        partner = Partner(
            account=account,
            bucket=name,
            prefix=prefix,
            role_name=ROLE_NAME,
            role_arn=role_arn,
            external_id=given,
            region=self.box.region,
            endpoint_url=self.box.endpoint_url,
        )
        self.partners[conn_id] = partner
        self._allow_assume()
        return partner

    def _unused_account(self) -> Account:
        used = {self.account_a.id, *(partner.account.id for partner in self.partners.values())}
        for account in self.box.accounts:
            if account.id not in used:
                return account
        raise InvalidArgumentError(
            "every account of the sandbox is in use", remedy="Make the sandbox with more: Sandbox(accounts=4)."
        )

    def _allow_assume(self) -> None:
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Resource": [partner.role_arn for partner in self.partners.values()],
                }
            ],
        }
        name = self.worker.user_arn.rsplit("/", 1)[-1]
        self.account_a.client("iam").put_user_policy(
            UserName=name, PolicyName="sandbox", PolicyDocument=json.dumps(policy)
        )


def two_accounts(box: Sandbox, *, external_id: str | None = None, worker: str = "airflow-worker") -> Scenario:
    """Set up the standard case in an empty sandbox.

    In Account A a user ``airflow-worker`` that may only assume B's role. In Account B the bucket ``acme-landing`` and
    the role ``DataDumpRole``, which trusts that user, demands an External ID, and allows ``s3:PutObject`` and
    ``s3:AbortMultipartUpload`` below ``airflow/``.

    :param external_id: a random one by default.
    """
    scenario = Scenario(box, box.account_a.create_user(worker))
    scenario.add_partner(CONN_ID, account=box.account_b, bucket=BUCKET, external_id=external_id)
    return scenario
