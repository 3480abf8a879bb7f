"""Credentials that are renewed before they expire, and once more when AWS takes no more of them.

A session can end before its time: its role was deleted, or its sessions were revoked (AWS: *Revoke IAM role temporary
security credentials*). The local clock knows nothing of it. So when an answer says that the session itself is not
accepted, the role is assumed once more and the request is signed and sent once more, and no further.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from threading import Lock

    from botocore.credentials import ReadOnlyCredentials
    from botocore.hooks import BaseEventHooks

__all__ = ["RenewableCredentials", "refuses_session", "renew_refused_sessions"]

log = logging.getLogger(__name__)

#: AWS: *Common error types* of each service's reference, *Error responses* (Amazon S3): the session is not accepted.
_INVALID = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
# "Revoke sessions" adds a Deny to the role's own policies, for tokens issued before a moment
_REVOCATION_TEXT = "with an explicit deny in an identity-based policy"
_BAD_REQUEST = 400
_CREDENTIAL = re.compile(r"Credential=([A-Z0-9]+)/")
_SIGNED_WITH, _RENEWED = "xacct_signed_with", "xacct_renewed"
_MAX_PAUSE_SECONDS = 60


class RenewableCredentials(RefreshableCredentials):
    """botocore's refreshable credentials, which also can be renewed on demand and do not press an STS that fails.

    While credentials are still valid a failed refresh is no error: the next request tries again. After a second
    failure in a row, later requests first wait 1, 3, 7, ... at most 60 seconds, so that a throttled STS is not asked
    by every request. Once the mandatory window is reached, every request asks, and a failure is raised.
    """

    if TYPE_CHECKING:  # botocore's own, which its stubs leave out
        _advisory_refresh_timeout: int
        _frozen_credentials: ReadOnlyCredentials
        _mandatory_refresh_timeout: int
        _refresh_lock: Lock
        _time_fetcher: Callable[[], datetime]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failures = 0
        self._not_before = datetime.min.replace(tzinfo=UTC)
        #: The access key that a renewal brought and that was denied all the same: the denial is meant.
        self.denied_anyway = ""

    def refresh_needed(self, refresh_in: int | None = None) -> bool:
        """Whether fewer than ``refresh_in`` seconds are left; the advisory window waits after failures."""
        wanted = self._advisory_refresh_timeout if refresh_in is None else refresh_in
        if wanted == self._advisory_refresh_timeout and self._time_fetcher() < self._not_before:
            wanted = self._mandatory_refresh_timeout
        return bool(super().refresh_needed(wanted))

    @property
    def at_hand(self) -> ReadOnlyCredentials:
        """The credentials as they are: nobody is asked, and no lock is waited for."""
        return self._frozen_credentials

    def renew(self, used_access_key: str) -> None:
        """Replace credentials that AWS did not accept; whoever comes second finds them replaced.

        :param used_access_key: the access key id of the refused request.
        :raises AssumeRoleError: STS refused.
        """
        with self._refresh_lock:
            if self._frozen_credentials.access_key == used_access_key:
                self._protected_refresh(is_mandatory=True)

    def _protected_refresh(self, is_mandatory: bool) -> None:
        before = self._frozen_credentials
        super()._protected_refresh(is_mandatory)  # type: ignore[misc]  # its stubs leave it out too
        if self._frozen_credentials is not before:
            self._failures = 0
            return
        self._failures += 1
        pause_seconds = min(_MAX_PAUSE_SECONDS, 2 ** (self._failures - 1) - 1)
        self._not_before = self._time_fetcher() + timedelta(seconds=pause_seconds)


def renew_refused_sessions(
    events: BaseEventHooks, credentials: Callable[[], Credentials], *, asynchronous: bool = False
) -> None:
    """Let each request whose session AWS did not accept be signed anew and sent once more.

    A denial is taken for a revocation when AWS names an explicit Deny in the role's own policies; if the new session is
    denied too, it was none, and further denials of that session are not asked about again.

    :param events: the event emitter of a botocore (or aiobotocore) session, before clients are made from it.
    :param credentials: what its clients sign with; others than :class:`RenewableCredentials` cannot be renewed.
    :param asynchronous: the session is aiobotocore's, so STS is asked in a thread.
    """

    def wanted(response: Any, operation: Any, request_dict: Mapping[str, Any]) -> RenewableCredentials | None:
        held = credentials() if _is_refusal(response, operation) else None
        context = request_dict["context"]
        used = context.get(_SIGNED_WITH)
        if not isinstance(held, RenewableCredentials) or not used or not _can_be_sent_again(request_dict.get("body")):
            return None
        if context.get(_RENEWED):
            held.denied_anyway = used
            return None
        if used == held.denied_anyway and _code(response) in _DENIED:
            return None
        context[_RENEWED] = True
        log.warning(
            "AWS does not accept the session any more (%s from %s): assuming the role once more, and trying again once",
            _code(response),
            operation.name,
        )
        return held

    def renew(response: Any, operation: Any, request_dict: Mapping[str, Any], **_: Any) -> int | None:
        held = wanted(response, operation, request_dict)
        if held is None:
            return None
        held.renew(request_dict["context"][_SIGNED_WITH])
        return 0  # the seconds to wait

    async def renew_in_thread(response: Any, operation: Any, request_dict: Mapping[str, Any], **_: Any) -> int | None:
        held = wanted(response, operation, request_dict)
        if held is None:
            return None
        await asyncio.to_thread(held.renew, request_dict["context"][_SIGNED_WITH])
        return 0

    # the signer is called for the same event, before the last ones
    events.register_last("request-created", _remember_key, unique_id="airflow-xacct-signed-with")
    handler: Callable[..., Any] = renew_in_thread if asynchronous else renew
    events.register("needs-retry", handler, unique_id="airflow-xacct-renewal")


def _remember_key(request: Any, **_: Any) -> None:
    """Keep the access key id a request was signed with: another thread may have renewed since."""
    header = request.headers.get("Authorization", "")
    found = _CREDENTIAL.search(header.decode() if isinstance(header, bytes) else header)
    if found:
        request.context[_SIGNED_WITH] = found[1]


def _code(response: Any) -> str:
    return str(response[1].get("Error", {}).get("Code", ""))


def refuses_session(code: str, message: str) -> bool:
    """Whether an answer says that the session, and not only this request, is refused.

    :param code: of the error, as AWS has it.
    """
    return code in _INVALID or (code in _DENIED and _REVOCATION_TEXT in message)


def _is_refusal(response: Any, operation: Any) -> bool:
    """The same of an answer as botocore parsed it."""
    if response is None:
        return False
    # an answer to HEAD has no body, and so no code
    is_bare = operation.http.get("method") == "HEAD" and response[0].status_code == _BAD_REQUEST
    return refuses_session(_code(response), str(response[1].get("Error", {}).get("Message", ""))) or is_bare


def _can_be_sent_again(body: Any) -> bool:
    """Whether the body can be rewound, as botocore will do; otherwise the refusal is the better error."""
    if body is None or isinstance(body, str | bytes | bytearray | Mapping):
        return True
    try:
        body.seek(0)
    except (AttributeError, BotoCoreError, OSError, TypeError, ValueError):
        return False
    return True
