"""The KMS calls S3 makes for a caller when an object is encrypted with a KMS key.

AWS: *Using server-side encryption with AWS KMS keys (SSE-KMS)*, "Permissions"; *Protecting data using server-side
encryption*: a multipart upload needs ``kms:GenerateDataKey`` to begin, and ``kms:Decrypt`` too for its parts.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_xacct.sandbox.store import Record, Store
from airflow_xacct.sandbox.strict.answers import Refusal
from airflow_xacct.sandbox.strict.decisions import decide, denial
from airflow_xacct.sandbox.strict.principals import Caller
from airflow_xacct.sandbox.strict.s3_actions import global_context
from airflow_xacct.sandbox.wire import Request

__all__ = ["KmsRules"]

_ALGORITHM = "x-amz-server-side-encryption"
_KEY_ID = "x-amz-server-side-encryption-aws-kms-key-id"
_MANAGED_KEY = "alias/aws/s3"
_CREATING = frozenset({"CopyObject", "CreateMultipartUpload", "PutObject"})
_WRITE = ("kms:GenerateDataKey",)
_WRITE_PART = ("kms:GenerateDataKey", "kms:Decrypt")
_ACTIONS = {
    "CompleteMultipartUpload": _WRITE_PART,
    "CopyObject": _WRITE,
    "CreateMultipartUpload": _WRITE,
    "GetObject": ("kms:Decrypt",),
    "PutObject": _WRITE,
    "UploadPart": _WRITE_PART,
    "UploadPartCopy": _WRITE_PART,
}


class KmsRules:
    """Decides over the key of each encrypted read and write."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, request: Request, caller: Caller, owner: str, stored: Mapping[str, str] | None) -> None:
        """Refuse what the key's policy, the caller's policies or its session policy do not allow.

        :param stored: the encryption headers of the upload or object in question, where there is one.
        :raises Refusal: in the words of KMS.
        """
        actions = _ACTIONS.get(request.operation, ())
        if not actions:
            return
        if stored is None:
            given = request.headers if request.headers.get(_ALGORITHM) else None
            stored = given or self._store.default_encryption(owner, request.bucket)
        if not stored.get(_ALGORITHM, "").startswith("aws:kms"):
            return
        name = stored.get(_KEY_ID, "")
        if not name or name.endswith(_MANAGED_KEY):
            # the policy of the AWS managed key lets S3 use it for every principal of its own account
            if request.headers.get(_ALGORITHM) and request.operation in _CREATING:
                request.headers[_KEY_ID] = f"arn:aws:kms:{request.signed_region}:{owner}:{_MANAGED_KEY}"
            return
        key = self._key(name, request.signed_region, caller.account or owner)
        for action in actions:
            self._decide(request, caller, action, key)

    def _key(self, name: str, region: str, account: str) -> Record:
        """A key by its id, ARN, alias or alias ARN; the first and the third mean the caller's own account."""
        if name.startswith("arn:"):
            region, account = name.split(":")[3:5]
        key = self._store.kms_key(account, region, name)
        if key is None:
            raise Refusal(400, "KMS.NotFoundException", f"Key '{name}' does not exist")
        if key.get("KeyState", "Enabled") != "Enabled":
            raise Refusal(400, "KMS.DisabledException", f"{key['Arn']} is disabled.")
        return key

    def _decide(self, request: Request, caller: Caller, action: str, key: Record) -> None:
        arn = str(key["Arn"])
        region, owner = arn.split(":")[3:5]
        context = {
            **global_context(request, owner),
            "aws:viaawsservice": "true",
            "kms:calleraccount": caller.account,
            "kms:viaservice": f"s3.{region}.amazonaws.com",
            "kms:encryptioncontext:aws:s3:arn": f"arn:aws:s3:::{request.bucket}/{request.key}",
            "kms:encryptioncontextkeys": ["aws:s3:arn"],
            "kms:resourcealiases": self._store.kms_aliases(owner, region, key["KeyId"]),
        }
        policy = key.get("Policy") or None
        verdict = decide(caller, action, arn, context, owner=owner, policy=policy, policy_required=True)
        if verdict.allowed:
            return
        if caller.account == owner:
            raise denial(verdict, caller, action, arn, owner=owner, quoted=False)
        text = (
            f"User: {caller.arn} is not authorized to perform: {action} on this resource because the resource does "
            "not exist in this Region, no resource-based policies allow access, or a resource-based policy "
            "explicitly denies access"
        )
        raise Refusal(403, "AccessDenied", text)
