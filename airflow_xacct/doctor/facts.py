"""What the checks conclude from: each question is asked once, when the first check wants its answer.

No question leaves anything behind. Whether a write is allowed is asked with the number of an upload that does not
exist: S3 looks at the rights first and at the upload then, so 404 NoSuchUpload means yes. The one upload that is really
begun is begun only when it is known that it can be removed.
"""

from __future__ import annotations

import secrets
from functools import cached_property
from typing import Any

from airflow_xacct.destination.paths import MAX_KEY_BYTES
from airflow_xacct.doctor.answer import Answer, ask
from airflow_xacct.doctor.role_facts import RoleFacts
from airflow_xacct.doctor.watched import WatchedAccess

__all__ = ["Facts"]

_PROBE_NAME = "xacct-doctor-"
# S3 answers NoSuchUpload to whatever is no upload of this key
_NO_UPLOAD = "xacct-doctor-asks-about-no-upload"


class Facts(RoleFacts):
    """Everything that is known about one connection: its role, and the bucket as S3 tells it."""

    @cached_property
    def _token(self) -> str:
        # nobody else's key: neither an object nor another doctor's
        return secrets.token_hex(4)

    @property
    def bucket_arn(self) -> str:
        """The ARN of the bucket, or of the access point."""
        bucket = str(self.destination.bucket)
        return bucket if bucket.startswith("arn:") else f"arn:{self.destination.role.partition}:s3:::{bucket}"

    @property
    def objects_arn(self) -> str:
        """The ARN of what may be written, with its wildcard."""
        joint = "/object/" if ":accesspoint/" in self.bucket_arn else "/"
        return f"{self.bucket_arn}{joint}{self.destination.prefix}*"

    @property
    def key(self) -> str:
        """The key of the probe, below the prefix; no object ever has it."""
        prefix = self.destination.prefix
        return prefix + f"{_PROBE_NAME}{self._token}"[: MAX_KEY_BYTES - len(prefix.encode())]

    @property
    def outside_keys(self) -> tuple[str, ...]:
        """Keys that the prefix does not cover: at the top of the bucket, and beside the prefix with its letters."""
        prefix = self.destination.prefix
        if not prefix:
            return ()
        beside = f"{prefix.removesuffix('/')}-{_PROBE_NAME}{self._token}"
        top = f"{_PROBE_NAME}{self._token}"
        return (top, beside) if len(beside.encode()) <= MAX_KEY_BYTES else (top,)

    @cached_property
    def s3_reached(self) -> Answer:
        """What S3 says to a stranger who asks for the bucket: there, elsewhere, or nowhere."""
        bucket = str(self.destination.bucket or "xacct-doctor-asks-for-no-bucket")
        return ask(lambda: self.access.anonymous_client("s3").head_bucket(Bucket=bucket), self.access.explain)

    @cached_property
    def head(self) -> Answer:
        """HeadBucket as the role: its region, where S3 tells it."""
        return self.s3(self.role, "s3:ListBucket", "head_bucket", {})

    @cached_property
    def may_put(self) -> Answer:
        """Whether the task's session may put below the prefix."""
        return self.put_nothing(self.writer, self.key)

    @cached_property
    def may_abort(self) -> Answer:
        """Whether the task's session may abort uploads below the prefix."""
        return self.abort_nothing(self.writer)

    @cached_property
    def owned_by_role_account(self) -> Answer:
        """The same, if the role's own account is expected to own the bucket."""
        return self.abort_nothing(self.role, ExpectedBucketOwner=self.role_account)

    def put_nothing(self, access: WatchedAccess, key: str) -> Answer:
        """Send a part of an upload that does not exist: 404 where it would be allowed."""
        part = {"Key": key, "UploadId": _NO_UPLOAD, "PartNumber": 1, "Body": b""}
        return self.s3(access, "s3:PutObject", "upload_part", part, key=key)

    def abort_nothing(self, access: WatchedAccess, **more: str) -> Answer:
        """Abort an upload that does not exist: 404 where it would be allowed."""
        request = {"Key": self.key, "UploadId": _NO_UPLOAD, **more}
        return self.s3(access, "s3:AbortMultipartUpload", "abort_multipart_upload", request, key=self.key)

    def s3(
        self,
        access: WatchedAccess,
        action: str,
        method: str,
        request: dict[str, Any],
        *,
        key: str = "",
        once: bool = False,
    ) -> Answer:
        """One S3 request about the bucket.

        :param once: send it once, since a repetition would do it again.
        """
        settings: dict[str, Any] = {"retries": {"total_max_attempts": 1, "mode": "standard"}} if once else {}
        resource = f"{self.bucket_arn}/{key}" if key else self.bucket_arn
        return ask(
            lambda: getattr(access.client("s3", **settings), method)(Bucket=str(self.destination.bucket), **request),
            lambda error: access.explain(error, action=action, resource=resource),
        )

    def look(self, action: str, method: str, account: str, **request: Any) -> tuple[Answer, str]:
        """Read a setting of the bucket, as its owner where the person has those eyes, else as the role.

        :param account: whose eyes are needed.
        :return: the answer, and who looked, in words.
        """
        owner = self.owner
        if owner is None or owner.account != account:
            return self.once(method, lambda: self.s3(self.role, action, method, request)), "the role"
        bucket = str(self.destination.bucket)

        def call(client: Any) -> Any:
            return getattr(client, method)(Bucket=bucket, ExpectedBucketOwner=account, **request)

        return self.once(method, lambda: owner.ask("s3", call)), f"profile {owner.profile!r}"
