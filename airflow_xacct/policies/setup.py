"""What both owners agree on, checked as a whole before a document is made of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from airflow_xacct.access.task_identity import TaskIdentity, session_tags
from airflow_xacct.destination import Destination, KmsKey, RoleArn
from airflow_xacct.destination.bucket import BucketRef
from airflow_xacct.destination.partitions import PARTITIONS
from airflow_xacct.destination.problems import Problems
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["ABILITIES", "ANY_KMS_KEY", "POD_IDENTITY_TAG_KEYS", "PRINCIPAL_PLACEHOLDER", "Setup", "Trust"]

Trust = Literal["principal", "account", "organization"]

#: What a role may do beside writing, with the action it takes.
ABILITIES = {"reads": "s3:GetObject", "tags": "s3:PutObjectTagging", "deletes": "s3:DeleteObject"}

#: Says that the bucket's default encryption uses a KMS key that nobody names.
ANY_KMS_KEY = "any"

#: AWS: *Grant Pods access to AWS resources based on tags* (EKS Pod Identity): transitive, so they reach every role.
POD_IDENTITY_TAG_KEYS = (
    "eks-cluster-arn",
    "eks-cluster-name",
    "kubernetes-namespace",
    "kubernetes-pod-name",
    "kubernetes-pod-uid",
    "kubernetes-service-account",
)

#: Stands for the ARN nobody has told yet. IAM refuses to store it, so it can never trust the wrong one.
PRINCIPAL_PLACEHOLDER = "ARN-OF-THE-EXECUTION-ROLE-IN-ACCOUNT-A"

_PRINCIPAL = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>[0-9]{12}):(?P<kind>role|user)/"
    r"(?P<path>(?:[\x21-\x7e]+/)?)(?P<name>[A-Za-z0-9_+=,.@*?\-]{1,64})"
)
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
# AWS: *CreateTrail*, parameter Name
_TRAIL = re.compile(r"[A-Za-z0-9](?:[._-]?[A-Za-z0-9]){2,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One destination as its owners set it up; made by :meth:`of`.

    :param role: Account B's role.
    :param external_id: what its trust policy demands; None where only Account A's side is asked for.
    :param bucket: the bucket's name.
    :param prefix: empty, or ending in a slash.
    :param bucket_owner: the account of the bucket, which may be another than the role's.
    :param region: of the bucket, or None where nobody has said.
    :param principal: the ARN of A's execution role (or user), or None where nobody has said.
    :param trust: whom the role trusts: that principal, its account with a condition, or an organisation.
    :param organization: its id, for ``trust="organization"``.
    :param writers: ARNs beside the role that may write below the prefix.
    :param abilities: some of :data:`ABILITIES`.
    :param tag_keys: the session tags that reach the role, sorted; empty for none.
    :param source_identity: the source identity of its sessions, or None.
    :param session_name_prefix: what begins the sessions' names; may be empty.
    :param duration_seconds: the longest session.
    :param kms_key: the key that encrypts, :data:`ANY_KMS_KEY`, or None where KMS is not used.
    :param log_bucket: where access logs go, or None for no access logs.
    :param trail: name of a CloudTrail trail for data events, or None.
    :param versioning: whether the bucket keeps replaced objects.
    :param existing_bucket: whether the bucket is there already.
    """

    role: RoleArn
    external_id: str | None
    bucket: str
    prefix: str
    bucket_owner: str
    region: str | None
    principal: str | None = None
    trust: Trust = "principal"
    organization: str | None = None
    writers: tuple[str, ...] = ()
    abilities: frozenset[str] = frozenset()
    tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    session_name_prefix: str = ""
    duration_seconds: int = 3600
    kms_key: KmsKey | Literal["any"] | None = None
    log_bucket: str | None = None
    trail: str | None = None
    versioning: bool = False
    existing_bucket: bool = False

    @classmethod
    def of(
        cls,
        destination: Destination,
        *,
        principal: str | None = None,
        trust: Trust = "principal",
        organization: str | None = None,
        writers: Iterable[str] = (),
        abilities: Iterable[str] = (),
        pod_identity: bool = False,
        any_kms_key: bool = False,
        log_bucket: str | None = None,
        trail: str | None = None,
        versioning: bool = False,
        existing_bucket: bool = False,
    ) -> Setup:
        """Join what the connection says with what only the owners know.

        :param pod_identity: A's workers get their identity from EKS Pod Identity, whose tags are transitive.
        :raises InvalidArgumentError: with every problem there is.
        """
        setup = cls(
            role=destination.role,
            external_id=destination.external_id,
            bucket=str(destination.bucket or ""),
            prefix=destination.prefix,
            bucket_owner=destination.bucket_owner,
            region=destination.region_name,
            principal=principal,
            trust=trust,
            organization=organization,
            writers=tuple(writers),
            abilities=frozenset(abilities),
            tag_keys=_tag_keys(destination, pod_identity=pod_identity),
            source_identity=destination.source_identity,
            session_name_prefix=destination.session_name_prefix,
            duration_seconds=destination.duration_seconds,
            kms_key="any" if any_kms_key else destination.kms_key,
            log_bucket=log_bucket,
            trail=trail,
            versioning=versioning,
            existing_bucket=existing_bucket,
        )
        _check(setup, destination.bucket)
        return setup

    @property
    def partition(self) -> str:
        """The partition of every ARN, such as ``aws``."""
        return self.role.partition

    @property
    def one_account(self) -> bool:
        """Whether role and bucket belong to one account."""
        return self.role.account == self.bucket_owner

    @property
    def principal_account(self) -> str:
        """Account A, as far as its principal tells; empty otherwise."""
        match = _PRINCIPAL.fullmatch(self.principal or "")
        return match["account"] if match else ""

    @property
    def bucket_arn(self) -> str:
        """The ARN of the bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def s3_service(self) -> str:
        """S3 of the region as ``kms:ViaService`` names it (AWS: *kms:ViaService*)."""
        suffix = next((item.dns_suffixes[0] for item in PARTITIONS if item.name == self.partition), "amazonaws.com")
        return f"s3.{self.key_region}.{suffix}"

    @property
    def key_region(self) -> str | None:
        """The region of the KMS key, which is the bucket's."""
        named = self.kms_key.region if isinstance(self.kms_key, KmsKey) else None
        return named or self.region

    @property
    def key_account(self) -> str:
        """The account of the KMS key: its ARN's; the role's for a bare id or alias (AWS: *PutObject*)."""
        if isinstance(self.kms_key, KmsKey):
            return self.kms_key.account or self.role.account
        return self.bucket_owner

    @property
    def key_arn(self) -> str | None:
        """The ARN of the KMS key, where it is known: not of an alias, which may point elsewhere tomorrow."""
        if not isinstance(self.kms_key, KmsKey) or self.kms_key.is_alias:
            return None
        if self.kms_key.kind == "key_arn":
            return str(self.kms_key)
        return f"arn:{self.partition}:kms:{self.region}:{self.role.account}:key/{self.kms_key}"

    def require_external_id(self) -> None:
        """Refuse to trust anybody without an External ID (AWS: *The confused deputy problem*).

        :raises InvalidArgumentError: there is none.
        """
        if not self.external_id:
            raise InvalidArgumentError(
                "there is no External ID, and a trust policy without one leaves Account B open to a confused deputy",
                where="--external-id",
                remedy="Account A makes one with 'airflow-xacct external-id', and both owners use it.",
            )


def _tag_keys(destination: Destination, *, pod_identity: bool) -> tuple[str, ...]:
    keys: set[str] = set()
    if destination.tags_sessions:
        task = TaskIdentity("d", "t", "r", 0, 1, "l")
        keys |= {key for key, _ in session_tags(task, destination.extra_session_tags)}
    if pod_identity:
        keys |= set(POD_IDENTITY_TAG_KEYS)
    return tuple(sorted(keys))


def _check(setup: Setup, bucket: BucketRef | None) -> None:
    """Report every problem at once.

    :raises InvalidArgumentError: there are some.
    """
    problems = Problems()
    _check_bucket(bucket, problems)
    _check_trust(setup, problems)
    for writer in setup.writers:
        if not _PRINCIPAL.fullmatch(writer):
            problems.add("--writer", f"{writer!r} is not the ARN of a role or user. {_REMEDY}")
    for ability in sorted(setup.abilities - set(ABILITIES)):
        problems.add("--with", f"{ability!r} is unknown. There are {', '.join(sorted(ABILITIES))}.")
    if setup.kms_key is not None and not setup.key_region:
        problems.add("--region", "it is missing. A role may use a KMS key only through S3 of one region: name it.")
    _check_logs(setup, problems)
    if problems.found:
        raise InvalidArgumentError(
            "\n  - ".join(["what is asked for cannot be set up:", *problems.found]).removesuffix("."),
        )


_REMEDY = "IAM shows it, as in arn:aws:iam::111111111111:role/AirflowExecutionRole."


def _check_bucket(bucket: BucketRef | None, problems: Problems) -> None:
    if bucket is None:
        problems.add("--bucket", "it is missing. The connection names none, so say which bucket the role may write to.")
    elif bucket.kind != "bucket":
        problems.add(
            "--bucket",
            f"{str(bucket)!r} is an access point, and which bucket is behind it is not known. Name the bucket, and "
            "grant the same actions on the access point (AWS: Configuring IAM policies for using access points).",
        )


def _check_trust(setup: Setup, problems: Problems) -> None:
    if setup.trust not in get_args(Trust):
        problems.add("--trust", f"{setup.trust!r} is unknown. It is {', '.join(get_args(Trust))}.")
    principal = _PRINCIPAL.fullmatch(setup.principal or "")
    if setup.principal and principal is None:
        what = "is a session" if ":assumed-role/" in setup.principal else "is not the ARN of a role or user"
        problems.add("--principal", f"{setup.principal!r} {what}. {_REMEDY}")
    elif principal is not None:
        if principal["partition"] != setup.partition:
            problems.add(
                "--principal",
                f"it belongs to the partition {principal['partition']}, the role to {setup.partition}. No trust "
                "crosses partitions: check both.",
            )
        if setup.trust == "principal" and re.search(r"[*?]", setup.principal or ""):
            problems.add("--principal", "a principal has no wildcards. Use --trust account, where it is a condition.")
    if setup.trust == "account" and not setup.principal:
        problems.add("--principal", f"--trust account needs the ARN, or pattern, of who may assume. {_REMEDY}")
    if (setup.trust == "organization") != bool(setup.organization):
        problems.add("--organization", "--trust organization and the organisation's id (o-...) go together.")
    if setup.organization and not _ORGANIZATION.fullmatch(setup.organization):
        problems.add("--organization", f"{setup.organization!r} is no id of an organisation, such as o-a1b2c3d4e5.")


def _check_logs(setup: Setup, problems: Problems) -> None:
    if setup.log_bucket:
        with problems.at("--log-bucket"):
            BucketRef.parse(setup.log_bucket)
        if setup.log_bucket == setup.bucket:
            problems.add("--log-bucket", "it is the bucket itself, whose logs would log one another. Name another.")
    if setup.trail and not setup.log_bucket:
        problems.add("--trail", "a trail needs a bucket for its events. Give --log-bucket.")
    if setup.trail and not setup.region:
        problems.add("--region", "it is missing. A trail lives in a region: name the bucket's.")
    if setup.trail and not _TRAIL.fullmatch(setup.trail):
        problems.add("--trail", f"{setup.trail!r} is no name of a trail: 3 to 128 letters, digits and single . _ -")


def actions_of(abilities: Collection[str]) -> Sequence[str]:
    """The S3 actions of a role, sorted."""
    return sorted(["s3:AbortMultipartUpload", "s3:PutObject", *(ABILITIES[name] for name in abilities)])
