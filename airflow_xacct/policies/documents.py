"""Every document of a setup, with who creates it, where, and how."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airflow_xacct.policies import access, buckets
from airflow_xacct.policies.setup import Setup

__all__ = ["Document", "Side", "documents", "key_document", "side_a", "side_b"]

Side = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document in the form of AWS's own API.

    :param name: of its file, without the suffix.
    :param owner: who creates it, such as ``Account B (222222222222)``.
    :param title: what it is.
    :param how: the command that puts it in place, or what to do where there is none.
    :param page: the page of AWS that explains it.
    :param body: the document itself.
    """

    name: str
    owner: str
    title: str
    how: str
    page: str
    body: Any

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"{self.name}.json"

    @property
    def text(self) -> str:
        """The document as JSON in ASCII, since IAM takes no other letters, in the order of its making."""
        return json.dumps(self.body, indent=2) + "\n"


def documents(setup: Setup, sides: Sequence[Side] = ("a", "b")) -> list[Document]:
    """The documents of both sides, or of one, in the order in which they are created.

    :raises InvalidArgumentError: side B is asked for, and there is no External ID.
    """
    return [*(side_a(setup) if "a" in sides else ()), *(side_b(setup) if "b" in sides else ())]


def side_a(setup: Setup) -> list[Document]:
    """What Account A creates."""
    command = "put-role-policy --role-name EXECUTION-ROLE"
    if setup.principal and setup.trust == "principal":
        kind, name = setup.principal.split(":", 5)[5].split("/", 1)[0], setup.principal.rsplit("/", 1)[-1]
        command = f"put-{kind}-policy --{kind}-name {shlex.quote(name)}"
    name = f"AssumeRole-{setup.role.account}-{setup.role.name}"[:128]
    return [
        Document(
            "a-worker-policy",
            "Account A" + (f" ({setup.principal_account})" if setup.principal_account else ""),
            "identity policy of the workers",
            f"aws iam {command} --policy-name {shlex.quote(name)} --policy-document file://a-worker-policy.json",
            "Grant a user permissions to switch roles",
            access.worker_policy(setup),
        )
    ]


def side_b(setup: Setup) -> list[Document]:
    """What Account B creates; the bucket, and the key, may belong to others than the role."""
    return [*_role(setup), *_key(setup), *_bucket(setup)]


def key_document(setup: Setup) -> Document | None:
    """The statement to add to the key's policy: no template can add to the policy of a key that is there."""
    return next(_key(setup), None)


def _role_owner(setup: Setup) -> str:
    return f"Account B ({setup.role.account})"


def _bucket_owner(setup: Setup) -> str:
    return _role_owner(setup) if setup.one_account else f"the bucket's owner ({setup.bucket_owner})"


def _role(setup: Setup) -> Iterator[Document]:
    owner, name = _role_owner(setup), shlex.quote(setup.role.name)
    path = "" if setup.role.path == "/" else f" --path {shlex.quote(setup.role.path)}"
    seconds = access.max_session_duration_seconds(setup)
    yield Document(
        "b-role-trust",
        owner,
        f"trust policy of the role {setup.role.name}",
        f"aws iam create-role --role-name {name}{path} --max-session-duration {seconds} "
        "--assume-role-policy-document file://b-role-trust.json",
        "Access to AWS accounts owned by third parties",
        access.trust_policy(setup),
    )
    yield Document(
        "b-role-permissions",
        owner,
        f"permissions of the role {setup.role.name}",
        f"aws iam put-role-policy --role-name {name} --policy-name deliver "
        "--policy-document file://b-role-permissions.json",
        "Required permissions for Amazon S3 API operations",
        access.permission_policy(setup),
    )


def _key(setup: Setup) -> Iterator[Document]:
    if setup.kms_key is None:
        return
    owner = _role_owner(setup) if setup.key_account == setup.role.account else f"the key's owner ({setup.key_account})"
    yield Document(
        "b-key-statement",
        owner,
        "one more statement for the policy of the KMS key",
        "add it to the statements that are there; a key that lets IAM decide needs it only for a role of another "
        "account",
        "Allowing users in other accounts to use a KMS key",
        access.key_statement(setup),
    )


def _bucket(setup: Setup) -> Iterator[Document]:
    def of_bucket(name: str, title: str, command: str, page: str, body: Any, bucket: str = "") -> Document:
        return Document(
            name,
            _bucket_owner(setup),
            f"{title} of {bucket or setup.bucket}",
            f"aws s3api {command}=file://{name}.json --bucket {bucket or setup.bucket}",
            page,
            body,
        )

    yield of_bucket(
        "b-bucket-ownership",
        "owner of the objects",
        "put-bucket-ownership-controls --ownership-controls",
        "Controlling ownership of objects and disabling ACLs for your bucket",
        buckets.ownership(),
    )
    yield of_bucket(
        "b-bucket-public-access",
        "public access block",
        "put-public-access-block --public-access-block-configuration",
        "Blocking public access to your Amazon S3 storage",
        buckets.public_access_block(),
    )
    yield of_bucket(
        "b-bucket-policy",
        "bucket policy",
        "put-bucket-policy --policy",
        "Security best practices for Amazon S3",
        buckets.bucket_policy(setup),
    )
    yield of_bucket(
        "b-bucket-lifecycle",
        "lifecycle",
        "put-bucket-lifecycle-configuration --lifecycle-configuration",
        "Configuring a bucket lifecycle configuration to delete incomplete multipart uploads",
        buckets.lifecycle(setup),
    )
    if (body := buckets.encryption(setup)) is not None:
        yield of_bucket(
            "b-bucket-encryption",
            "default encryption",
            "put-bucket-encryption --server-side-encryption-configuration",
            "Setting default server-side encryption behavior for Amazon S3 buckets",
            body,
        )
    if setup.versioning:
        yield of_bucket(
            "b-bucket-versioning",
            "versioning",
            "put-bucket-versioning --versioning-configuration",
            "Retaining multiple versions of objects with S3 Versioning",
            buckets.versioning(),
        )
    if setup.log_bucket:
        yield of_bucket(
            "b-log-bucket-policy",
            "bucket policy",
            "put-bucket-policy --policy",
            "Enabling Amazon S3 server access logging",
            buckets.log_bucket_policy(setup),
            setup.log_bucket,
        )
        yield of_bucket(
            "b-bucket-logging",
            "access logging",
            "put-bucket-logging --bucket-logging-status",
            "Enabling Amazon S3 server access logging",
            buckets.logging(setup),
        )
    yield Document(
        "b-data-events",
        _bucket_owner(setup),
        f"CloudTrail data events of {setup.bucket}",
        f"aws cloudtrail put-event-selectors --trail-name {setup.trail or 'TRAIL'} "
        "--advanced-event-selectors file://b-data-events.json (it replaces the trail's selectors)",
        "Logging data events",
        buckets.data_event_selectors(setup),
    )
