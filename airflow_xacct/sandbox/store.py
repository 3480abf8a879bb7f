# ruff: noqa: SLF001 - the one place that reaches into ministack's private state; its version is pinned
"""ministack's records, read and mended in place: everything the rules know of its inside stands here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import unescape

from airflow_xacct.sandbox.emulator import Emulator
from airflow_xacct.sandbox.strict.answers import Refusal

__all__ = ["Record", "Store"]

Record = dict[str, Any]


class Store:
    """Look-ups in every account of one emulator, whoever asks."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    # -- S3 --

    def bucket_owner(self, bucket: str) -> str:
        """The account of a bucket, empty when there is none."""
        return str(self._emulator.s3._bucket_owner_account(bucket) or "")

    def bucket(self, owner: str, bucket: str) -> Record:
        """A bucket's own record."""
        found: Record = self._emulator.s3._buckets.get_scoped(owner, None, bucket)
        return found

    def bucket_policy(self, owner: str, bucket: str) -> str | None:
        """A bucket's policy."""
        policy: str | None = self._emulator.s3._bucket_policies.get_scoped(owner, None, bucket)
        return policy

    def default_encryption(self, owner: str, bucket: str) -> Mapping[str, str]:
        """The headers of a bucket's default encryption, none for S3's own."""
        self._emulator.act_as(owner)
        found: Mapping[str, str] = self._emulator.s3._bucket_default_sse_headers(bucket)
        return found

    def current(self, owner: str, bucket: str, key: str) -> Record | None:
        """The current version of an object."""
        found: Record | None = self.bucket(owner, bucket)["objects"].get(key)
        return found

    def set_full_checksum(self, owner: str, bucket: str, key: str, algorithm: str, value: str) -> None:
        """Note a full-object checksum on the current version, and in the list of versions, which holds copies."""
        current = self.current(owner, bucket, key) or {}
        versions = self._emulator.s3._object_versions.get_scoped(owner, None, (bucket, key), [])
        same = [v for v in versions if v["version_id"] == current.get("version_id")]
        for record in (current, *same):
            record["checksums"], record["checksum_type"] = {algorithm: value}, "FULL_OBJECT"

    def tags(self, owner: str, bucket: str, key: str, query: Mapping[str, list[str]]) -> dict[str, str]:
        """The tags of the version a request names."""
        self._emulator.act_as(owner)
        found: dict[str, str] = self._emulator.s3.object_tags_for_condition(bucket, key, query)
        return found

    def set_tags(self, owner: str, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Tag the current version."""
        version = (self.current(owner, bucket, key) or {}).get("version_id")
        self._emulator.s3._object_tags.set_scoped(owner, None, (bucket, key, version), dict(tags))

    def upload(self, owner: str, upload_id: str) -> Record | None:
        """An open multipart upload."""
        found: Record | None = self._emulator.s3._multipart_uploads.get_scoped(owner, None, upload_id)
        return found

    def completed(self, owner: str, upload_id: str) -> Record | None:
        """What a completed multipart upload was answered."""
        found: Record | None = self._emulator.s3._completed_multipart_uploads.get_scoped(owner, None, upload_id)
        return found

    def with_hoisted_headers(self, headers: dict[str, str], query: Mapping[str, list[str]]) -> dict[str, str]:
        """The headers of a presigned request together with those that stand in its URL."""
        return dict(self._emulator.s3._merge_hoisted_amz_headers(headers, query))

    def decoded_body(self, body: bytes, headers: dict[str, str]) -> bytes:
        """A body without its aws-chunked framing; the trailers become headers.

        :raises Refusal: it is cut short.
        """
        application = self._emulator.application
        try:
            decoded: bytes = application._decode_aws_chunked_body(body, headers)
        except application._IncompleteRequestBody:
            text = "You did not provide the number of bytes specified by the Content-Length HTTP header"
            raise Refusal(400, "IncompleteBody", text) from None
        return decoded

    # -- IAM and STS --

    def access_key(self, key_id: str) -> tuple[str, Record] | None:
        """The account and the record of an active key."""
        account = self._emulator.evaluator.find_iam_access_key_account(key_id)
        record = self._emulator.iam._access_keys.get_scoped(account, None, key_id) if account else None
        return (account, record) if account and record and record.get("Status") == "Active" else None

    def user(self, account: str, name: str) -> Record:
        """A user; empty when it was deleted."""
        return self._emulator.iam._users.get_scoped(account, None, name) or {}

    def role(self, account: str, name: str) -> Record | None:
        """A role."""
        found: Record | None = self._emulator.iam._roles.get_scoped(account, None, name)
        return found

    def user_documents(self, account: str, name: str) -> Iterator[Any]:
        """Every policy attached to a user, directly or by a group."""
        iam = self._emulator.iam
        yield from (iam._user_inline_policies.get_scoped(account, None, name) or {}).values()
        attached = list(self.user(account, name).get("AttachedPolicies", []))
        self._emulator.act_as(account)
        for group_name, group in iam._groups.items():
            if name in group.get("Users", []):
                yield from (iam._group_inline_policies.get(group_name) or {}).values()
                attached += group.get("AttachedPolicies", [])
        for arn in attached:
            yield self.managed_policy(account, arn)

    def role_documents(self, account: str, name: str) -> Iterator[Any]:
        """Every policy attached to a role."""
        role = self.role(account, name) or {}
        yield from (role.get("InlinePolicies") or {}).values()
        for arn in role.get("AttachedPolicies", []):
            yield self.managed_policy(account, arn)

    def managed_policy(self, account: str, arn: str) -> Any:
        """The default version of a managed policy, ``None`` when there is none."""
        self._emulator.act_as(account)
        return self._emulator.evaluator._resolve_managed_policy_document(arn, account)

    @property
    def sessions(self) -> dict[str, Record]:
        """The temporary credentials by their access key id."""
        found: dict[str, Record] = self._emulator.sts._sessions
        return found

    def new_credentials(self) -> tuple[str, str, str]:
        """A fresh access key id, secret and token, not yet stored."""
        sts = self._emulator.sts
        return sts._gen_session_access_key(), sts._gen_secret(), sts._gen_session_token()

    def session_policies(self, account: str, form: Mapping[str, str]) -> Record | None:
        """The session policies of an AssumeRole form, ``None`` for none.

        :raises Refusal: too long, malformed, or not there.
        """
        self._emulator.act_as(account)
        params = {name: [value] for name, value in form.items()}
        found, error = self._emulator.sts._session_policies(params, account)
        if error is not None:
            status, _, body = error
            code, message = (
                re.search(rf"<{tag}>(.*?)</{tag}>", body.decode(), re.DOTALL) for tag in ("Code", "Message")
            )
            raise Refusal(status, code[1] if code else "ValidationError", unescape(message[1]) if message else "")
        return found if any(found.values()) else None

    # -- KMS --

    def kms_key(self, account: str, region: str, name: str) -> Record | None:
        """A key by its id, ARN, alias or alias ARN."""
        self._emulator.act_as(account, region)
        found: Record | None = self._emulator.kms._resolve_key(name)
        return found

    def kms_aliases(self, account: str, region: str, key_id: str) -> list[str]:
        """The aliases of a key, such as ``alias/landing``."""
        return [
            f"alias/{alias.split('alias/', 1)[-1]}"
            for (owner, place, alias), target in self._emulator.kms._aliases._data.items()
            if (owner, place, target) == (account, region, key_id)
        ]
