"""The accounts of a sandbox, and what is set up in them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

__all__ = ["AccessKey", "Account"]

PolicyDocument = Mapping[str, Any]


# nothing of this machine's own set-up: its profile, its files and its proxy know other places
_OWN_SETTINGS = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


@cache
def _loader() -> Any:
    """The service models, read once for all clients: a test makes many."""
    return botocore.session.Session(session_vars=_OWN_SETTINGS).get_component("data_loader")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A long-lived key of a user. Its secret is worth nothing outside the sandbox, and stays out of ``repr``."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    user_arn: str = ""


class Account:
    """One AWS account. Its own clients are the sandbox's hands: they may do everything in it and are not counted.

    :param account_id: twelve digits.
    :param endpoint_url: where the sandbox listens.
    :param secret: what makes the account id a valid key.
    """

    def __init__(self, account_id: str, endpoint_url: str, region: str, secret: str) -> None:
        self.id = account_id
        self._endpoint_url = endpoint_url
        self._region = region
        self._secret = secret
        self._clients: dict[tuple[str, str], Any] = {}

    def __repr__(self) -> str:
        return f"Account({self.id})"

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client with every right in this account; made once for each service and region."""
        region = region or self._region
        if (service, region) not in self._clients:
            self._clients[service, region] = self.client_for(AccessKey(self.id, self._secret), service, region=region)
        return self._clients[service, region]

    def client_for(
        self,
        key: AccessKey | Mapping[str, Any],
        service: str,
        *,
        region: str | None = None,
        config: Config | None = None,
    ) -> Any:
        """A boto3 client with somebody's rights.

        :param key: a user's key, or the ``Credentials`` that AssumeRole answered.
        """
        if isinstance(key, AccessKey):
            key_id, secret, token = key.access_key_id, key.secret_access_key, None
        else:
            key_id, secret, token = key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"]
        core = botocore.session.Session(session_vars=_OWN_SETTINGS)
        core.register_component("data_loader", _loader())
        session: Any = boto3.session.Session(key_id, secret, token, region or self._region, core)
        direct = Config(proxies={})
        return session.client(
            service, endpoint_url=self._endpoint_url, config=direct.merge(config) if config else direct
        )

    def close(self) -> None:
        """Close the connections of this account's clients."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def create_user(self, name: str, policy: PolicyDocument | None = None) -> AccessKey:
        """Create a user with one inline policy and one access key."""
        iam = self.client("iam")
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName="sandbox", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return AccessKey(key["AccessKeyId"], key["SecretAccessKey"], arn)

    def create_role(
        self,
        name: str,
        *,
        trust: PolicyDocument,
        policy: PolicyDocument | None = None,
        max_session_duration: int = 3600,
        path: str = "/",
    ) -> str:
        """Create a role with one inline policy; return its ARN.

        :param trust: the trust policy.
        :param max_session_duration: seconds, 3600 to 43200.
        """
        iam = self.client("iam")
        role = iam.create_role(
            RoleName=name,
            Path=path,
            AssumeRolePolicyDocument=json.dumps(trust),
            MaxSessionDuration=max_session_duration,
        )["Role"]
        if policy is not None:
            self.put_role_policy(name, policy)
        return str(role["Arn"])

    def put_role_policy(self, name: str, policy: PolicyDocument) -> None:
        """Replace the inline policy of a role."""
        self.client("iam").put_role_policy(RoleName=name, PolicyName="sandbox", PolicyDocument=json.dumps(policy))

    def create_dump_role(
        self,
        name: str,
        *,
        trusted: str | Sequence[str],
        bucket: str,
        prefix: str = "",
        external_id: str | None = None,
        actions: Sequence[str] = ("s3:PutObject", "s3:AbortMultipartUpload"),
        max_session_duration: int = 3600,
    ) -> str:
        """Create the role that lets another account dump below a prefix; return its ARN.

        :param trusted: the ARN or account id, or several, that may assume it.
        :param external_id: required of them; ``None`` requires none, which leaves B open to a confused deputy.
        :param prefix: ends in "/", or is empty for the whole bucket.
        """
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"AWS": trusted if isinstance(trusted, str) else list(trusted)},
            "Action": "sts:AssumeRole",
        }
        if external_id is not None:
            statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        permissions = {
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": f"arn:aws:s3:::{bucket}/{prefix}*",
        }
        return self.create_role(
            name,
            trust={"Version": "2012-10-17", "Statement": [statement]},
            policy={"Version": "2012-10-17", "Statement": [permissions]},
            max_session_duration=max_session_duration,
        )

    def create_bucket(
        self,
        name: str,
        *,
        region: str | None = None,
        versioned: bool = False,
        policy: PolicyDocument | None = None,
        kms_key_id: str = "",
    ) -> str:
        """Create a bucket; return its name.

        :param policy: the bucket policy.
        :param kms_key_id: the key of the bucket's default encryption; empty for S3's own.
        """
        region = region or self._region
        s3 = self.client("s3", region)
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **where)
        if versioned:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if policy is not None:
            s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
        if kms_key_id:
            rule = {
                "ApplyServerSideEncryptionByDefault": {
                    "SSEAlgorithm": "aws:kms",
                    "KMSMasterKeyID": kms_key_id,
                }
            }
            s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
        return name

    def create_key(self, *, policy: PolicyDocument | None = None, alias: str = "") -> str:
        """Create a KMS key; return its ARN. Without a policy its whole account may grant its use."""
        kms = self.client("kms")
        default = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{self.id}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                }
            ],
        }
        key = kms.create_key(Policy=json.dumps(policy or default))["KeyMetadata"]
        if alias:
            kms.create_alias(AliasName=f"alias/{alias}", TargetKeyId=key["KeyId"])
        return str(key["Arn"])

    def objects(self, bucket: str, prefix: str = "") -> dict[str, int]:
        """The keys in a bucket with their sizes in bytes."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def read(self, bucket: str, key: str) -> bytes:
        """The bytes of an object."""
        answer = self.client("s3").get_object(Bucket=bucket, Key=key)
        with answer["Body"] as body:
            return bytes(body.read())
