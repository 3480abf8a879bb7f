"""Role ARNs, account ids and KMS keys: what is legal, and what was probably meant when it is not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from airflow_xacct.destination.partitions import PARTITIONS, REGION, partition_names
from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["KmsKey", "RoleArn", "check_account_id"]

# AWS: AssumeRole, parameter RoleArn
ROLE_ARN_MIN_CHARS = 20
ROLE_ARN_MAX_CHARS = 2048
# AWS: Role (the data type of the IAM API), Path and RoleName
_ROLE_PATH_MAX_CHARS = 512

_PARTITION = r"aws(?:-[a-z]+){0,2}"
_ACCOUNT = re.compile(r"[0-9]{12}")
_ROLE_ARN = re.compile(
    rf"arn:(?P<partition>{_PARTITION}):iam::(?P<account>[0-9]{{12}})"
    r":role(?P<path>/(?:[\x21-\x7e]+/)?)(?P<name>[A-Za-z0-9_+=,.@\-]{1,64})"
)
_ROLE_EXAMPLE = "arn:aws:iam::222222222222:role/DataDumpRole"

_KEY_ID = r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
# AWS: CreateAlias, parameter AliasName. (The pattern of the API is wider than its text: it admits a colon.)
_ALIAS = r"alias/[A-Za-z0-9/_\-]{1,250}"
_KMS_KEY = re.compile(
    rf"(?:arn:(?P<partition>{_PARTITION}):kms:(?P<region>{REGION}):(?P<account>[0-9]{{12}}):)?"
    rf"(?:(?P<arn_key>key/)?(?P<id>{_KEY_ID})|(?P<alias>{_ALIAS}))"
)


def check_partition(name: str) -> str:
    """Return the partition unchanged if AWS has it.

    :raises InvalidArgumentError: if it has not.
    """
    # Isolated partitions are not all public, so any of their names is taken.
    if name in {partition.name for partition in PARTITIONS} or re.fullmatch(r"aws-iso(?:-[a-z])?", name):
        return name
    raise InvalidArgumentError(f"{show(name)} is not a partition of AWS", remedy=f"It is {partition_names()}.")


def check_account_id(text: str) -> str:
    """Return the account id unchanged if it is one.

    :raises InvalidArgumentError: if it is not twelve digits.
    """
    if _ACCOUNT.fullmatch(text):
        return text
    remedy = "Write the 12 digits without hyphens."
    if re.fullmatch(r"[0-9]{1,11}", text):
        remedy = "An account id has 12 digits: keep its leading zeros, in JSON by writing it in quotes."
    raise InvalidArgumentError(f"{show(text)} is not an account id", remedy=remedy)


@dataclass(frozen=True, slots=True)
class RoleArn:
    """The ARN of a role, taken apart; ``str()`` puts it together again.

    :param partition: ``aws``, ``aws-cn``, ...
    :param account: the twelve digits of the account that owns the role.
    :param path: ``/``, or the role's path with a slash at both ends.
    :param name: the role's name, without its path.
    """

    partition: str
    account: str
    path: str
    name: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role{self.path}{self.name}"

    @classmethod
    def parse(cls, text: str) -> RoleArn:
        """Take a role's ARN apart. AWS: *IAM identifiers*, *AssumeRole*.

        :raises InvalidArgumentError: if it is not the ARN of one role.
        """
        match = _ROLE_ARN.fullmatch(text)
        if match is None or not ROLE_ARN_MIN_CHARS <= len(text) <= ROLE_ARN_MAX_CHARS:
            raise InvalidArgumentError(f"{show(text)} is not the ARN of a role", remedy=_role_remedy(text))
        if len(match["path"]) > _ROLE_PATH_MAX_CHARS:
            raise InvalidArgumentError(
                f"the path of the role has {len(match['path'])} characters",
                remedy=f"A path has at most {_ROLE_PATH_MAX_CHARS}.",
            )
        return cls(check_partition(match["partition"]), match["account"], match["path"], match["name"])


def _role_remedy(text: str) -> str:
    """Say what was probably meant."""
    if ":assumed-role/" in text:
        return "This is a session of a role: give the ARN of the role itself, as IAM shows it."
    if re.search(r":(?:user|root|group|instance-profile|federated-user)(?:/|$)", text):
        return "Only a role can be assumed: ask the owner of the account for the ARN of the role."
    if len(text) > ROLE_ARN_MAX_CHARS:
        return f"A role's ARN has at most {ROLE_ARN_MAX_CHARS} characters."
    return f"Copy it from IAM in the account that owns the role; it looks like {_ROLE_EXAMPLE}."


@dataclass(frozen=True, slots=True)
class KmsKey:
    """How a KMS key was named; ``str()`` is what S3 takes.

    :param value: key id, key ARN, alias name or alias ARN, as written.
    :param kind: which of them it is.
    :param partition: of an ARN, else None.
    :param region: of an ARN, else None.
    :param account: of an ARN, else None: S3 then looks in the account of the assumed role.
    """

    value: str
    kind: Literal["id", "key_arn", "alias", "alias_arn"]
    partition: str | None = None
    region: str | None = None
    account: str | None = None

    def __str__(self) -> str:
        return self.value

    @property
    def is_alias(self) -> bool:
        """Whether an alias names the key. No policy can use an alias as its resource."""
        return self.kind in {"alias", "alias_arn"}

    @classmethod
    def parse(cls, text: str) -> KmsKey:
        """Recognise the four ways to name a key. AWS: *Key identifiers (KeyId)*.

        :raises InvalidArgumentError: if it is none of them.
        """
        match = _KMS_KEY.fullmatch(text)
        # "key/" belongs to the ARN of a key, and only there
        if match is None or (match["alias"] is None and bool(match["arn_key"]) != bool(match["partition"])):
            raise InvalidArgumentError(
                f"{show(text)} does not name a KMS key",
                remedy="Give the ARN of a key or of an alias, a key id, or alias/ and a name.",
            )
        if match["partition"] is None:
            return cls(text, "alias" if match["alias"] else "id")
        return cls(
            text,
            "alias_arn" if match["alias"] else "key_arn",
            check_partition(match["partition"]),
            match["region"],
            match["account"],
        )
