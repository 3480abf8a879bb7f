"""Session policies: what a task's session may do, however much the role could. Pure.

A session is bounded by the role's policies and by the session policy, but a bucket policy that names the session, or
everybody with a condition on the role, grants past a session policy that merely allows less (AWS: *Session policies*).
So everything here is said twice: as an Allow, and as a Deny of all else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_xacct.destination import BucketRef, Destination, KmsKey, RoleArn
from airflow_xacct.destination.readers import MAX_POLICY_CHARS
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["TaskNeeds", "chain_policy", "escape", "guard_policy", "task_policy", "with_guard"]

_VERSION = "2012-10-17"
_WILD = str.maketrans({"*": "${*}", "?": "${?}", "$": "${$}"})
_WRITE = ("s3:AbortMultipartUpload", "s3:PutObject")
# multipart uploads need both (AWS: *Protecting data using SSE-KMS*), and the bucket's default may be SSE-KMS
_KMS = ("kms:Decrypt", "kms:GenerateDataKey")

Statement = dict[str, Any]
Spell = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class TaskNeeds:
    """What one task will do to the bucket.

    :param keys: full keys, or prefixes ending in ``/`` (empty for the whole bucket), that it writes.
    :param tags: it sets object tags.
    :param reads: it looks at or reads what it wrote.
    :param deletes: it deletes objects of its earlier deliveries.
    """

    keys: tuple[str, ...]
    tags: bool = False
    reads: bool = False
    deletes: bool = False

    @property
    def actions(self) -> list[str]:
        """The S3 actions, sorted."""
        more = [
            *(["s3:PutObjectTagging"] if self.tags else []),
            *(["s3:GetObject"] if self.reads else []),
            *(["s3:DeleteObject"] if self.deletes else []),
        ]
        return sorted([*_WRITE, *more])


def escape(key: str) -> str:
    """A key as a policy resource means it, letter by letter.

    AWS: *IAM JSON policy elements: Resource* and *Policy variables*: ``*`` and ``?`` are wildcards, ``${`` begins a
    variable, and ``${*}``, ``${?}``, ``${$}`` are the characters themselves.
    """
    return key.translate(_WILD)


def _blur(key: str) -> str:
    """The same, shorter and a little wider: what takes several characters to write is any one character."""
    return "".join("?" if char in "*?$" or not " " < char < "\x7f" else char for char in key)


def task_policy(destination: Destination, needs: TaskNeeds, *, region: str | None = None) -> str:
    """The session policy of a task that knows what it will do.

    It allows the needed actions and the encryption that goes with them, and denies other actions, other keys, and
    buckets of another owner, so that no other policy can widen it.

    :param region: of the bucket, where it is known: through its S3 a KMS key may be used.
    :return: JSON text of at most 2,048 characters.
    :raises InvalidArgumentError: it does not fit.
    """
    actions = [*_KMS, *needs.actions]

    def statements(spell: Spell, keys: Sequence[str]) -> list[Statement]:
        resources = [_object_arn(destination, key, spell) for key in keys]
        return [
            # which resources is for the denials to say: a prefix may be long, and stands there only once
            {"Effect": "Allow", "Action": actions, "Resource": "*"},
            {"Effect": "Deny", "NotAction": actions, "Resource": "*"},
            {"Effect": "Deny", "Action": "s3:*", "NotResource": _one_or_many(resources)},
            _deny_other_owners(destination),
            _deny_other_keys(destination, region),
        ]

    common = [_common(destination, needs.keys)]
    return _first_that_fits(
        [statements(spell, keys) for keys in (needs.keys, common) for spell in (escape, _blur)], destination.conn_id
    )


def with_guard(destination: Destination, document: str | Mapping[str, Any]) -> str:
    """A document of a DAG, which may allow what it likes within the destination, and nothing outside it.

    :param document: a policy document, or its JSON text.
    :return: JSON text of at most 2,048 characters: its statements, and the denials of :func:`guard_policy`.
    :raises InvalidArgumentError: it is no policy document, or does not fit.
    """
    loaded = document
    if isinstance(document, str):
        try:
            loaded = json.loads(document)
        except ValueError:
            loaded = {}
    statements: Any = loaded.get("Statement") if isinstance(loaded, Mapping) else None
    if not statements:
        raise InvalidArgumentError(
            "session_policy is neither 'auto', 'off', nor a policy document",
            where="session_policy",
            remedy="A document is an object with a Statement.",
        )
    own: list[Statement] = [statements] if isinstance(statements, dict) else list(statements)
    return _first_that_fits([[*own, *guards] for guards in _guards(destination)], destination.conn_id)


def guard_policy(destination: Destination) -> str:
    """The session policy of hooks and foreign operators, whose deeds nobody knows beforehand.

    It allows what the role allows, and denies buckets of another owner and, where the connection names them, what is
    outside its bucket and prefix, listings included.

    :return: JSON text of at most 2,048 characters.
    :raises InvalidArgumentError: it does not fit.
    """
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return _first_that_fits([[allow, *guards] for guards in _guards(destination)], destination.conn_id)


def _guards(destination: Destination) -> list[list[Statement]]:
    """The denials of the guard, from the exact to the shortest."""
    owners = _deny_other_owners(destination)
    if destination.bucket is None:
        return [[owners]]
    result: list[list[Statement]] = []
    for spell in (escape, _blur):
        objects = _object_arn(destination, destination.prefix, spell)
        inside = {"Effect": "Deny", "Action": "s3:*", "NotResource": [_bucket_arn(destination), objects]}
        if not destination.prefix:
            result.append([owners, inside])
            continue
        listing: Statement = {"Effect": "Deny", "Action": "s3:ListBucket*", "Resource": "*"}
        # a request without a prefix lists everything, and is denied since the key is then missing
        condition = {"StringNotLike": {"s3:prefix": spell(destination.prefix) + "*"}}
        result.append([owners, inside, {**listing, "Condition": condition}])
        result.append([owners, inside, listing])
    return result


def chain_policy(next_role: RoleArn) -> str:
    """The session policy of a role that is only a step of a chain: it may assume the next role and do nothing else.

    :return: JSON text.
    """
    actions = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
    return _first_that_fits([[{"Effect": "Allow", "Action": actions, "Resource": str(next_role)}]], str(next_role))


def _deny_other_owners(destination: Destination) -> Statement:
    return {
        "Effect": "Deny",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"StringNotEquals": {"s3:ResourceAccount": _owners(destination)}},
    }


def _owners(destination: Destination) -> str | list[str]:
    """The bucket's owner; an access point may belong to another account, and is a resource of its own."""
    bucket = destination.bucket
    point_owner = bucket.account if bucket is not None else None
    return _one_or_many(sorted({destination.bucket_owner, point_owner or destination.bucket_owner}))


def _deny_other_keys(destination: Destination, region: str | None) -> Statement:
    """Keys other than the one that is named; with none named, any use but through S3 of the region."""
    key: KmsKey | None = destination.kms_key
    denied: Statement = {"Effect": "Deny", "Action": list(_KMS)}
    if key is not None and key.kind == "key_arn":
        return {**denied, "NotResource": str(key)}
    if key is not None and key.kind in ("alias", "alias_arn"):
        alias = str(key).rsplit(":", 1)[-1]
        # an alias is no resource in a policy (AWS: *Use aliases to control access to KMS keys*)
        condition: dict[str, Any] = {"ForAllValues:StringNotEquals": {"kms:ResourceAliases": alias}}
        return {**denied, "Resource": "*", "Condition": condition}
    if key is not None:
        return {**denied, "NotResource": f"arn:{destination.role.partition}:kms:*:*:key/{key}"}
    suffix = "amazonaws.com.cn" if destination.role.partition == "aws-cn" else "amazonaws.com"
    via = f"s3.{region or '*'}.{suffix}"
    return {**denied, "Resource": "*", "Condition": {"StringNotLike": {"kms:ViaService": via}}}


def _common(destination: Destination, keys: Sequence[str]) -> str:
    """The one prefix above all keys, at most as wide as the connection's."""
    first, last = min(keys), max(keys)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return max(first[: first.rfind("/", 0, same) + 1], destination.prefix, key=len)


def _object_arn(destination: Destination, key: str, spell: Spell) -> str:
    """The ARN of one object, or of all below a prefix that ends in ``/`` or is empty."""
    return _objects_of(destination) + spell(key) + ("*" if not key or key.endswith("/") else "")


def _objects_of(destination: Destination) -> str:
    bucket: BucketRef | None = destination.bucket
    if bucket is None:
        raise InvalidArgumentError(
            "no bucket is named",
            where=f"connection {destination.conn_id!r}",
            remedy="Set the extra bucket of the connection, or the argument bucket of the task.",
        )
    if bucket.kind == "access_point":
        return f"{bucket}/object/"
    if bucket.kind == "access_point_alias":
        # S3 evaluates the access point's ARN, which an alias does not tell
        return f"arn:{destination.role.partition}:s3:*:*:accesspoint/*/object/"
    return f"arn:{destination.role.partition}:s3:::{bucket}/"


def _bucket_arn(destination: Destination) -> str:
    objects = _objects_of(destination)
    return objects.removesuffix("/object/").removesuffix("/")


def _one_or_many(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _first_that_fits(candidates: Sequence[Sequence[Statement]], conn_id: str) -> str:
    """The first document that STS takes."""
    texts = [json.dumps({"Version": _VERSION, "Statement": list(one)}, separators=(",", ":")) for one in candidates]
    fitting = next((text for text in texts if len(text) <= MAX_POLICY_CHARS), None)
    if fitting is None:
        raise InvalidArgumentError(
            f"the session policy would have {min(map(len, texts))} characters, and STS takes {MAX_POLICY_CHARS}",
            where=f"connection {conn_id!r}",
            remedy="Use a shorter prefix or key.",
        )
    return fitting
