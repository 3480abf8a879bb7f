"""The destination: one connection, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_xacct.destination.arn import KmsKey, RoleArn
from airflow_xacct.destination.bucket import BucketRef
from airflow_xacct.destination.client_config import Scalar, nested
from airflow_xacct.destination.coerce import is_absent, to_mapping
from airflow_xacct.destination.fields import FIELDS, FIELDS_BY_NAME
from airflow_xacct.destination.options import DeploymentOptions
from airflow_xacct.destination.partitions import partition_of_region
from airflow_xacct.destination.problems import Problems
from airflow_xacct.destination.readers import AUTO
from airflow_xacct.destination.unknown import explain_unknown
from airflow_xacct.exceptions import InvalidConnectionError

__all__ = ["DEFAULT_DURATION_SECONDS", "DeploymentOptions", "Destination", "parse"]

# AWS: AssumeRole, parameter DurationSeconds
DEFAULT_DURATION_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """What a connection says, in types that can hold nothing illegal. Hashable; see :func:`parse`.

    :param conn_id: the connection it was read from.
    :param role: the role to assume.
    :param external_id: None only where the connection says ``allow_missing_external_id``.
    :param region_name: the region of the bucket and other services, or None for the worker's.
    :param sts_region_name: the region of STS, or None for the worker's, then ``region_name``.
    :param source_conn_id: the connection that assumes the role, or None for the worker's own identity.
    :param bucket: the one bucket that may be written, or None if the tasks name it.
    :param prefix: empty, or ending in a slash.
    :param bucket_owner: the account that must own the bucket.
    :param duration_seconds: the wish for the life of a session, in seconds.
    :param kms_key: the key that encrypts objects, or None for the bucket's own encryption.
    :param session_name_prefix: what begins the session's name; may be empty.
    :param tags_sessions: whether sessions carry DAG, task and run as tags.
    :param extra_session_tags: further tags, as sorted pairs; empty unless ``tags_sessions``.
    :param source_identity: the source identity of sessions, or None.
    :param session_policy: ``auto``, ``off``, or a policy document as JSON text.
    :param endpoints: URLs by the boto3 name of a service, ``*`` for all others, as sorted pairs.
    :param verify: whether TLS certificates are verified, or the path of the authorities to trust.
    :param client_settings: settings of botocore's clients, as sorted pairs with dotted names.
    """

    conn_id: str
    role: RoleArn
    external_id: str | None = field(repr=False)
    bucket_owner: str
    region_name: str | None = None
    sts_region_name: str | None = None
    source_conn_id: str | None = None
    bucket: BucketRef | None = None
    prefix: str = ""
    duration_seconds: int = DEFAULT_DURATION_SECONDS
    kms_key: KmsKey | None = None
    session_name_prefix: str = ""
    tags_sessions: bool = False
    extra_session_tags: tuple[tuple[str, str], ...] = ()
    source_identity: str | None = None
    session_policy: str = AUTO
    endpoints: tuple[tuple[str, str], ...] = ()
    verify: bool | str = True
    client_settings: tuple[tuple[str, Scalar], ...] = ()

    def endpoint_for(self, service: str) -> str | None:
        """Return the URL of a service, or None for AWS's own.

        :param service: its boto3 name, such as ``sts`` or ``s3``.
        """
        endpoints = dict(self.endpoints)
        return endpoints.get(service, endpoints.get("*"))

    @property
    def endpoint_url(self) -> dict[str, str]:
        """The endpoints as a mapping."""
        return dict(self.endpoints)

    @property
    def session_tags(self) -> dict[str, str]:
        """The further tags as a mapping."""
        return dict(self.extra_session_tags)

    @property
    def kms_key_id(self) -> str | None:
        """The KMS key as S3 takes it."""
        return None if self.kms_key is None else str(self.kms_key)

    @property
    def config_kwargs(self) -> dict[str, Any]:
        """The client settings as ``botocore.config.Config`` takes them."""
        return nested(self.client_settings)

    @property
    def verify_argument(self) -> bool | str | None:
        """``verify`` as boto3 takes it: True would make it ignore ``AWS_CA_BUNDLE``, None does not."""
        return None if self.verify is True else self.verify


def parse(
    conn_id: str,
    extra: Mapping[str, Any] | str | None,
    *,
    options: DeploymentOptions | None = None,
    login: str | None = None,
    password: str | None = None,
    host: str | None = None,
    schema: str | None = None,
    port: int | None = None,
) -> Destination:
    """Read a connection.

    :param conn_id: its id, for messages.
    :param extra: its extras, or the JSON text of them. Values may all be text, as a URI holds them.
    :param options: what the deployment allows; nothing by default.
    :param login: must be absent, as must the four below: a connection of this type holds no key.
    :param port: 0 counts as absent, since the web interface sends it for a hidden field.
    :raises InvalidConnectionError: with every problem there is.
    """
    problems = Problems()
    _refuse_standard_fields(problems, login=login, password=password, host=host, schema=schema, port=port)
    given: dict[str, Any] = {}
    if not is_absent(extra):
        with problems.at("extra"):
            given = to_mapping(extra)
    explain_unknown(given, problems)
    allowed = options or DeploymentOptions()
    values = {
        item.name: item.parse(given[item.name], allowed, problems)
        for item in FIELDS
        if not is_absent(given.get(item.name))
    }
    present = {name: value for name, value in values.items() if value is not None}
    # A missing role is no second problem when the extras could not be read at all.
    if given or not problems.found:
        _check_required(set(values), present, problems)
    _check_together(conn_id, present, problems)
    if problems.found:
        raise InvalidConnectionError(conn_id, problems.found)
    return _assemble(conn_id, present)


def _assemble(conn_id: str, values: dict[str, Any]) -> Destination:
    role: RoleArn = values["role_arn"]
    tags_sessions, extra_session_tags = values.get("session_tags", (False, ()))
    return Destination(
        conn_id=conn_id,
        role=role,
        external_id=values.get("external_id"),
        region_name=values.get("region_name"),
        sts_region_name=values.get("sts_region_name"),
        source_conn_id=values.get("source_conn_id"),
        bucket=values.get("bucket"),
        prefix=values.get("prefix", ""),
        bucket_owner=values.get("bucket_owner", role.account),
        duration_seconds=values.get("duration_seconds", DEFAULT_DURATION_SECONDS),
        kms_key=values.get("kms_key_id"),
        session_name_prefix=values.get("session_name_prefix", ""),
        tags_sessions=tags_sessions,
        extra_session_tags=extra_session_tags,
        source_identity=values.get("source_identity"),
        session_policy=values.get("session_policy", AUTO),
        endpoints=values.get("endpoint_url", ()),
        verify=values.get("verify", True),
        client_settings=values.get("config_kwargs", ()),
    )


def _refuse_standard_fields(problems: Problems, **given: str | int | None) -> None:
    """Refuse the fields every connection has and this type must not use. Their values are never shown."""
    keys = (
        "it must be empty: a connection of this type holds no keys. Make an aws connection for them and name "
        "it in source_conn_id, or better, let the worker have an identity of its own."
    )
    remedies = {
        "login": keys,
        "password": keys,
        "host": "it must be empty. An endpoint goes into the extra endpoint_url.",
        "schema": "it must be empty. A bucket goes into the extra bucket.",
        "port": "it must be empty. A port belongs to the URL in the extra endpoint_url.",
    }
    for name, value in given.items():
        if value:
            problems.add(name, remedies[name])


def _check_required(given: set[str], values: dict[str, Any], problems: Problems) -> None:
    """Report what is missing; what was given and refused has been reported already."""
    if "role_arn" not in given:
        problems.add("role_arn", f"it is missing. {FIELDS_BY_NAME['role_arn'].help}")
    waived = values.get("allow_missing_external_id", False)
    if "external_id" not in given and not waived:
        problems.add(
            "external_id",
            "it is missing. Ask the role's owner which External ID its trust policy requires. For a role "
            "that is known to need none, set allow_missing_external_id to true.",
        )
    if "external_id" in given and waived:
        problems.add(
            "allow_missing_external_id",
            "it is true and there is an external_id, so it is not clear which is meant. Remove one of them.",
        )


def _check_together(conn_id: str, values: dict[str, Any], problems: Problems) -> None:
    """Check what no extra can know alone."""
    if values.get("source_conn_id") == conn_id:
        problems.add("source_conn_id", "it names this connection itself. Name the one that assumes the role.")
    role: RoleArn | None = values.get("role_arn")
    if role is None:
        return
    partitions = {
        "region_name": partition_of_region(values.get("region_name", "")),
        "sts_region_name": partition_of_region(values.get("sts_region_name", "")),
        "bucket": getattr(values.get("bucket"), "partition", None),
        "kms_key_id": getattr(values.get("kms_key_id"), "partition", None),
    }
    for name, partition in partitions.items():
        if partition is not None and partition != role.partition:
            problems.add(
                name,
                f"it belongs to the partition {partition}, the role to {role.partition}. "
                "No role reaches another partition: check both.",
            )
