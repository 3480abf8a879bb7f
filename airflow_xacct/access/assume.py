"""AssumeRole: what is asked, and credentials that ask again before they expire."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_xacct.access.renewal import RenewableCredentials
from airflow_xacct.exceptions import XacctError

if TYPE_CHECKING:
    from mypy_boto3_sts.client import STSClient

__all__ = ["AssumeRoleRequest", "AssumedRole", "CredentialsListener", "refresh_windows_seconds"]

log = logging.getLogger(__name__)

#: What a role can always grant: the smallest MaxSessionDuration, and the cap of a chained session.
#: AWS: *AssumeRole*, DurationSeconds; *Methods to assume a role*, role chaining.
DURATION_ALWAYS_GRANTED_SECONDS = 3600
_DURATION_REFUSED_CODE = "ValidationError"
_DURATION_REFUSED_TEXTS = (
    "exceeds the 1 hour session limit for roles assumed by role chaining",
    "exceeds the MaxSessionDuration set for this role",
)

#: Called with (secret access key, session token) of each generation, so that they can be masked in logs.
CredentialsListener = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class AssumeRoleRequest:
    """Everything that shapes the session AssumeRole returns; hashable, so that sessions are cached by it.

    :param duration_seconds: the wish; what the role or the chain allows may be less.
    :param tags: session tags as (key, value) pairs.
    :param policy: session policy document as JSON text; empty for none.
    """

    role_arn: str
    session_name: str
    external_id: str | None = None
    duration_seconds: int = DURATION_ALWAYS_GRANTED_SECONDS
    source_identity: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    transitive_tag_keys: tuple[str, ...] = ()
    policy: str = ""

    def to_params(self, *, duration_seconds: int) -> dict[str, Any]:
        """The parameters of the call; what is empty is left out, since STS refuses empty values."""
        params: dict[str, Any] = {
            "RoleArn": self.role_arn,
            "RoleSessionName": self.session_name,
            "DurationSeconds": duration_seconds,
        }
        if self.external_id:
            params["ExternalId"] = self.external_id
        if self.source_identity:
            params["SourceIdentity"] = self.source_identity
        if self.tags:
            params["Tags"] = [{"Key": key, "Value": value} for key, value in self.tags]
        if self.transitive_tag_keys:
            params["TransitiveTagKeys"] = list(self.transitive_tag_keys)
        if self.policy:
            params["Policy"] = self.policy
        return params


def refresh_windows_seconds(lifetime_seconds: float) -> tuple[int, int]:
    """How long before expiry to refresh: (advisory, mandatory) in seconds.

    botocore's own windows are 15 and 10 minutes; in a session of 15 minutes every request would then ask STS again.

    :param lifetime_seconds: from now to the expiry of fresh credentials.
    """
    return min(15 * 60, int(lifetime_seconds) // 4), min(10 * 60, int(lifetime_seconds) // 6)


class AssumedRole:
    """One assumed role, and botocore credentials for it that refresh themselves.

    :param request: what is asked.
    :param sts_client: makes the STS client of whoever assumes, on first use.
    :param clock: the time now, with its zone.
    :param on_credentials: told of each new secret before anybody can use it.
    :param explain: makes our error of whatever was raised; a refresh happens in the middle of somebody's request, and
        would look like a refusal of that.
    """

    METHOD = "xacct-assume-role"

    def __init__(
        self,
        request: AssumeRoleRequest,
        sts_client: Callable[[], STSClient],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_credentials: CredentialsListener | None = None,
        explain: Callable[[Exception], XacctError] | None = None,
    ) -> None:
        self.request = request
        self.session_arn = ""
        self.source_identity = ""
        self._make_sts_client = sts_client
        self._clock = clock
        self._on_credentials = on_credentials
        self._explain = explain
        self._client: STSClient | None = None
        self._duration_seconds = request.duration_seconds
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(role_arn={self.request.role_arn!r}, session_name={self.request.session_name!r})"

    def credentials(self) -> RenewableCredentials:
        """Assume the role now and return credentials that do it again before they expire.

        :raises botocore.exceptions.ClientError: STS refused; or what ``explain`` makes of it.
        """
        if not self.request.external_id:
            log.warning(
                "Assuming %s without an External ID, as its connection allows: whoever else may name this role to us "
                "could use it too (confused deputy)",
                self.request.role_arn,
            )
        metadata = self.assume()
        expiry_time = datetime.fromisoformat(metadata["expiry_time"])
        advisory, mandatory = refresh_windows_seconds((expiry_time - self._clock()).total_seconds())
        return RenewableCredentials(
            access_key=metadata["access_key"],
            secret_key=metadata["secret_key"],
            token=metadata["token"],
            expiry_time=expiry_time,
            refresh_using=self.assume,
            method=self.METHOD,
            time_fetcher=self._clock,
            advisory_timeout=advisory,
            mandatory_timeout=mandatory,
            account_id=metadata["account_id"],
        )

    def assume(self) -> dict[str, str]:
        """Ask STS once (twice when the wished duration is refused) and return botocore's credential metadata."""
        try:
            with self._lock:
                if self._client is None:
                    self._client = self._make_sts_client()
                response = self._ask(self._client)
        except Exception as error:
            if self._explain is None or isinstance(error, XacctError):
                raise
            raise self._explain(error) from error
        credentials = response["Credentials"]
        if self._on_credentials is not None:
            self._on_credentials(credentials["SecretAccessKey"], credentials["SessionToken"])
        self.session_arn = response["AssumedRoleUser"]["Arn"]
        self.source_identity = response.get("SourceIdentity", "")
        log.info(
            "Assumed %s as session %s, valid until %s%s",
            self.request.role_arn,
            self.request.session_name,
            credentials["Expiration"].isoformat(),
            f", policies and tags fill {response['PackedPolicySize']} % of their limit"
            if "PackedPolicySize" in response
            else "",
        )
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
            "account_id": self.session_arn.split(":")[4],
        }

    def _ask(self, client: STSClient) -> Any:
        """Ask for the wish; where the role or the chain allows less, ask once more and remember it.

        STS tells neither a role's MaxSessionDuration nor whether it counts the caller as chained, so its refusal is
        the only place to learn it.
        """
        try:
            return client.assume_role(**self.request.to_params(duration_seconds=self._duration_seconds))
        except ClientError as error:
            if self._duration_seconds <= DURATION_ALWAYS_GRANTED_SECONDS or not _is_duration_refusal(error):
                raise
            log.info(
                "STS does not grant %s s for %s (%s): asking for %s s from now on; credentials are refreshed "
                "before they expire, so the work may take longer",
                self._duration_seconds,
                self.request.role_arn,
                error.response["Error"].get("Message", ""),
                DURATION_ALWAYS_GRANTED_SECONDS,
            )
            self._duration_seconds = DURATION_ALWAYS_GRANTED_SECONDS
            return client.assume_role(**self.request.to_params(duration_seconds=self._duration_seconds))


def _is_duration_refusal(error: ClientError) -> bool:
    details = error.response.get("Error", {})
    message = details.get("Message", "")
    return details.get("Code") == _DURATION_REFUSED_CODE and any(text in message for text in _DURATION_REFUSED_TEXTS)
