"""How the bucket is kept: AWS's recommendations for what somebody else writes into.

AWS: *Security best practices for Amazon S3*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_xacct.doctor.checks.setting import Setting
from airflow_xacct.doctor.checks.trails import recording_trail
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding
from airflow_xacct.doctor.reasons import in_bucket_owner

__all__ = [
    "AccessLogging",
    "BucketPolicyTls",
    "DefaultEncryption",
    "ObjectLock",
    "ObjectOwnership",
    "PublicAccess",
    "Versioning",
]

_ENFORCED = "BucketOwnerEnforced"
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class ObjectOwnership(Setting):
    """ACLs are a second set of rights, which the writer of an object sets."""

    id = "object-ownership"
    title = "ACLs are disabled"
    proves = "Every object belongs to the bucket's owner, and policies alone decide about it."
    action = "s3:GetBucketOwnershipControls"
    method = "get_bucket_ownership_controls"
    absent = "OwnershipControlsNotFoundError"

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """Look for the enforced form."""
        rules = told.get("OwnershipControls", {}).get("Rules", [])
        mode = str(rules[0].get("ObjectOwnership", "")) if rules else "ObjectWriter"
        if mode == _ENFORCED:
            return self.passed(f"{_ENFORCED}.")
        foreign = (
            "" if facts.role_account == facts.destination.bucket_owner else f", so objects are {facts.role_account}'s"
        )
        text = f"set the object ownership of the bucket to {_ENFORCED}."
        return self.failed(f"{mode}{foreign}.", in_bucket_owner(facts, text))


class PublicAccess(Setting):
    """No policy and no ACL can open the bucket to everybody."""

    id = "public-access"
    title = "Public access is blocked"
    proves = "A mistake in a policy cannot publish what was delivered."
    action = "s3:GetBucketPublicAccessBlock"
    method = "get_public_access_block"
    absent = "NoSuchPublicAccessBlockConfiguration"

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """All four."""
        block = told.get("PublicAccessBlockConfiguration", {})
        off = [name for name in _BLOCKS if not block.get(name)]
        if not off:
            return self.passed("all four settings are on.")
        account = _account_block(facts)
        if account is None:
            return self.unseen(f"off on the bucket: {', '.join(off)}; the account's own settings were not seen.")
        off = [name for name in off if not account.get(name)]
        if not off:
            return self.passed("the account's settings block it.")
        text = "switch all four settings of Block Public Access on."
        return self.failed(f"off on bucket and account: {', '.join(off)}.", in_bucket_owner(facts, text))


def _account_block(facts: Facts) -> Mapping[str, Any] | None:
    """What the account blocks for all its buckets; ``None`` where nobody may look."""
    owner, account = facts.owner, facts.destination.bucket_owner
    if owner is None or owner.account != account:
        return None
    answer = owner.ask("s3control", lambda client: client.get_public_access_block(AccountId=account))
    if answer.code == PublicAccess.absent:
        return {}
    told: Mapping[str, Any] | None = answer.data.get("PublicAccessBlockConfiguration")
    return told


class BucketPolicyTls(Setting):
    """The bucket takes no request that others on the way could read."""

    id = "tls-only"
    title = "The bucket policy refuses requests without TLS"
    proves = "Nobody can read or change data on its way, whoever's client asks."
    action = "s3:GetBucketPolicy"
    method = "get_bucket_policy"
    absent = "NoSuchBucketPolicy"

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """Look for the Deny that AWS recommends."""
        url = str(facts.access.anonymous_client("s3").meta.endpoint_url)
        if url.startswith("http://"):
            return self.unseen(f"{url} has no TLS at all, so such a policy would refuse everything.")
        statements = json.loads(told.get("Policy") or "{}").get("Statement", [])
        if isinstance(statements, dict):
            statements = [statements]
        if any(_refuses_plain_http(one) for one in statements):
            return self.passed("it denies requests with aws:SecureTransport false, or an old TLS version.")
        text = "deny s3:* on the bucket and its objects to everybody, under the condition aws:SecureTransport false."
        return self.failed("no statement denies them.", in_bucket_owner(facts, text))


def _refuses_plain_http(statement: Mapping[str, Any]) -> bool:
    everybody = statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
    actions = statement.get("Action")
    all_actions = bool({"s3:*", "*"} & set(actions if isinstance(actions, list) else [actions]))
    condition = statement.get("Condition", {})
    plain = {key.lower(): str(value).lower() for key, value in condition.get("Bool", {}).items()}
    old = {key.lower() for key in condition.get("NumericLessThan", {})}
    refuses = plain.get("aws:securetransport") in ("false", "['false']") or "s3:tlsversion" in old
    return statement.get("Effect") == "Deny" and everybody and all_actions and refuses


class DefaultEncryption(Setting):
    """S3 encrypts everything since January 2023; the question is with whose key."""

    id = "default-encryption"
    title = "The bucket has a default encryption"
    proves = "What is delivered is encrypted at rest, with this key unless the connection names another."
    action = "s3:GetEncryptionConfiguration"
    method = "get_bucket_encryption"
    absent = "ServerSideEncryptionConfigurationNotFoundError"

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """Say which."""
        rules = told.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        default = rules[0].get("ApplyServerSideEncryptionByDefault", {}) if rules else {}
        algorithm = default.get("SSEAlgorithm") or "AES256"
        key = default.get("KMSMasterKeyID", "")
        named = facts.destination.kms_key_id
        beside = f"; the connection names {named}" if named else ""
        return self.passed(f"{algorithm}{f' with {key}' if key else ''}{beside}.")


class Versioning(Setting):
    """A role that may put may also overwrite."""

    id = "versioning"
    title = "Overwritten objects can be recovered"
    proves = "Neither a mistake nor a compromised worker of A can destroy what was delivered before."
    action = "s3:GetBucketVersioning"
    method = "get_bucket_versioning"

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """Look for versions."""
        status = str(told.get("Status", "never enabled"))
        if status == "Enabled":
            return self.passed("versioning is enabled.")
        text = "enable versioning, with a lifecycle rule that ends old versions."
        return self.failed(f"versioning is {status.lower()}.", in_bucket_owner(facts, text))


class ObjectLock(Setting):
    """Not a fault either way; but who delivers should know how long a mistake stays."""

    id = "object-lock"
    title = "Object lock is known"
    proves = "How long every delivered object stays, also a wrong one."
    action = "s3:GetBucketObjectLockConfiguration"
    method = "get_object_lock_configuration"
    absent = "ObjectLockConfigurationNotFoundError"

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:  # noqa: ARG002 - no fault, so no remedy
        """Say what is set."""
        lock = told.get("ObjectLockConfiguration", {})
        if lock.get("ObjectLockEnabled") != "Enabled":
            return self.passed("off: whoever may delete an object can.")
        kept = lock.get("Rule", {}).get("DefaultRetention", {})
        if not kept:
            return self.passed("on, without a default retention.")
        span = f"{kept['Days']} days" if "Days" in kept else f"{kept.get('Years')} years"
        return self.passed(f"on: each object is kept for {span} ({kept.get('Mode', '').lower()} mode).")


class AccessLogging(Setting):
    """Who touched which object, in the bucket owner's own log."""

    id = "access-logging"
    title = "Access to the bucket is logged"
    proves = "B can see each request for its objects, also those that A's role made."
    action = "s3:GetBucketLogging"
    method = "get_bucket_logging"

    def judge(self, facts: Facts, told: Mapping[str, Any]) -> Finding:
        """Look for a target."""
        target = told.get("LoggingEnabled", {}).get("TargetBucket")
        if target:
            return self.passed(f"to {target}.")
        trail = recording_trail(facts)
        if trail is None:
            return self.unseen("server access logging is off; whether CloudTrail records instead was not seen.")
        if trail:
            return self.passed(f"server access logging is off; the trail {trail} records data events instead.")
        text = "switch server access logging on, or record S3 data events in CloudTrail."
        return self.failed("server access logging is off, and no trail records instead.", in_bucket_owner(facts, text))
