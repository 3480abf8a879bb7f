"""Who is asking: the signature of a request, and the policies of the user or session behind it.

Users, roles, keys and sessions are ministack's own records; the reading of them is ours.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from airflow_xacct.sandbox.store import Record, Store
from airflow_xacct.sandbox.strict.answers import Refusal
from airflow_xacct.sandbox.strict.policies import Statement, statements
from airflow_xacct.sandbox.wire import Request

__all__ = ["EXPIRES_AT", "Caller", "Principals"]

# when a session ends by the sandbox's own clock; ministack's "Expiration" is kept far away so that ours decides
EXPIRES_AT = "xacct_expires_at"

# their token is their proof; ministack looks at what it says, though not at its signature
_UNSIGNED = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})

Policies = tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller with the policies that speak about it.

    ``identity`` are the policies attached to the user or role; ``boundary`` and ``session`` are ``None`` where there
    is none. ``root`` is the account's root, which only the sandbox itself can be. An empty ``account`` is anonymous.
    """

    arn: str = ""
    account: str = ""
    kind: str = "Anonymous"
    access_key_id: str = ""
    user_id: str = ""
    identity: Policies = ()
    boundary: Policies | None = None
    session: Policies | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> bool:
        """Whether it is the root of its account."""
        return self.kind == "Root"


class Principals:
    """Authenticates requests.

    :param sigv4: ministack's signing primitives.
    :param admin_secret: the secret that makes an account id a valid access key; known to the sandbox alone, which
        closes ministack's back door (there any twelve digits are the root of that account, whatever the secret).
    :param clock: seconds since the epoch, for the expiry of sessions.
    """

    def __init__(self, store: Store, sigv4: Any, admin_secret: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._sigv4 = sigv4
        self._admin_secret = admin_secret
        self._clock = clock

    def authenticate(self, request: Request) -> Caller:
        """Verify the signature (AWS: *Authenticating Requests (AWS Signature Version 4)*).

        :raises Refusal: the key is unknown, the session has expired, or the signature is another one.
        """
        presigned = "X-Amz-Signature" in request.query
        if not presigned and "authorization" not in request.headers:
            form_alone = (request.method, request.raw_path, request.raw_query) == ("POST", "/", "")
            if request.service == "s3" or (request.operation in _UNSIGNED and form_alone):
                return Caller()
            raise Refusal(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        sigv4 = self._sigv4
        parsed = (
            sigv4.parse_query_signature(request.query) if presigned else sigv4.parse_header_signature(request.headers)
        )
        if isinstance(parsed, tuple):
            raise Refusal(400, *parsed)
        self._check_time(request, parsed, presigned=presigned)
        token = (
            request.argument("X-Amz-Security-Token") if presigned else request.headers.get("x-amz-security-token", "")
        )
        secret, caller = self._lookup(request, parsed.access_key_id, token)
        failure = sigv4.header_signature_failure(
            parsed, secret, request.method, request.raw_path, request.query, request.headers, request.body,
            presigned=presigned,
        )  # fmt: skip
        if failure:
            raise Refusal(403, *failure, fields={"AWSAccessKeyId": parsed.access_key_id})
        if not presigned:
            _check_payload(request)
        return caller

    def _check_time(self, request: Request, parsed: Any, *, presigned: bool) -> None:
        sigv4 = self._sigv4
        if not presigned:
            skewed = sigv4.request_time_failure(parsed)
            if skewed and request.service == "s3":
                text = "The difference between the request time and the current time is too large."
                raise Refusal(403, "RequestTimeTooSkewed", text)
            if skewed:
                raise Refusal(403, "SignatureDoesNotMatch", skewed[1])
            return
        try:
            over = sigv4.presigned_request_is_expired(parsed.amz_date, request.argument("X-Amz-Expires"))
        except ValueError:
            text = "Query-string authentication version 4 requires the X-Amz-Date and X-Amz-Expires parameters."
            raise Refusal(400, "AuthorizationQueryParametersError", text) from None
        if over:
            raise Refusal(403, "AccessDenied", "Request has expired")

    def _lookup(self, request: Request, key: str, token: str) -> tuple[str, Caller]:
        """The secret of a key, and who it belongs to."""
        if len(key) == 12 and key.isdigit():
            return self._admin_secret, Caller(f"arn:aws:iam::{key}:root", key, "Root", key, key)
        session = self._store.sessions.get(key)
        if session is None:
            found = self._store.access_key(key)
            if found is None:
                raise unknown_key(request, key)
            if token:
                raise _bad_token(request)
            account, record = found
            return record["SecretAccessKey"], self._user(account, record["UserName"], key, {})
        if not hmac.compare_digest(str(session.get("SessionToken", "")).encode(), token.encode()):
            raise _bad_token(request)
        ends = session[EXPIRES_AT] if EXPIRES_AT in session else session["Expiration"]
        if self._clock() >= ends:
            raise _expired(request)
        account = str(session["AccountId"])
        if session.get("PrincipalType") == "User":
            return session["SecretAccessKey"], self._user(account, str(session["PrincipalName"]), key, session)
        return session["SecretAccessKey"], self._role(account, key, session)

    def _user(self, account: str, name: str, key: str, session: Record) -> Caller:
        user = self._store.user(account, name)
        caller = Caller(
            arn=str(user.get("Arn", f"arn:aws:iam::{account}:user/{name}")),
            account=account,
            kind="User",
            access_key_id=key,
            user_id=str(user.get("UserId", "")),
            identity=_all_statements(self._store.user_documents(account, name)),
            boundary=self._boundary(account, user),
            record=session,
        )
        own = {"aws:principalarn": caller.arn, "aws:username": name, **_tags(user.get("Tags"))}
        return replace(caller, context=_described(caller, own))

    def _role(self, account: str, key: str, session: Record) -> Caller:
        """The session of a role, or of a federated user, which has no role."""
        arn = str(session["Arn"])
        name = arn.split("/")[1] if ":assumed-role/" in arn else ""
        role = self._store.role(account, name) or {}
        caller = Caller(
            arn=arn,
            account=account,
            kind="AssumedRole" if name else "FederatedUser",
            access_key_id=key,
            user_id=str(session.get("UserId", "")),
            identity=_all_statements(self._store.role_documents(account, name)),
            boundary=self._boundary(account, role),
            session=self._session_policies(account, session),
            record=session,
        )
        # for a session the key holds the ARN of the role, not of the session (AWS: *aws:PrincipalArn*)
        own = {"aws:principalarn": str(role.get("Arn", arn)), **_tags(role.get("Tags"))}
        own |= _tags(session.get("SessionTags"))
        if session.get("SourceIdentity"):
            own["aws:sourceidentity"] = str(session["SourceIdentity"])
        return replace(caller, context=_described(caller, own))

    def _boundary(self, account: str, entity: Record) -> Policies | None:
        arn = entity.get("PermissionsBoundary")
        return statements(self._store.managed_policy(account, arn)) if arn else None

    def _session_policies(self, account: str, session: Record) -> Policies | None:
        passed = session.get("SessionPolicies")
        if not passed:
            return None
        managed = [self._store.managed_policy(account, arn) for arn in passed.get("PolicyArns", [])]
        return _all_statements([passed.get("Policy") or None, *managed])


def _all_statements(documents: Iterable[Any]) -> Policies:
    return tuple(statement for document in documents for statement in statements(document))


def _described(caller: Caller, own: Mapping[str, str]) -> dict[str, Any]:
    """The condition keys that describe a caller (AWS: *AWS global condition context keys*)."""
    context = {
        **own,
        "aws:principalaccount": caller.account,
        "aws:principaltype": caller.kind,
        "aws:userid": caller.user_id,
    }
    if caller.record:
        issued = datetime.fromtimestamp(caller.record.get("IssuedAt", 0.0), UTC)
        context["aws:tokenissuetime"] = issued.strftime("%Y-%m-%dT%H:%M:%SZ")
        context["aws:multifactorauthpresent"] = "false"
    return context


def _tags(tags: Any) -> dict[str, str]:
    return {f"aws:principaltag/{tag['Key'].lower()}": tag["Value"] for tag in tags or []}


def _check_payload(request: Request) -> None:
    """The signed hash of the body must be the body's (AWS: *x-amz-content-sha256*)."""
    claimed = request.headers.get("x-amz-content-sha256", "")
    if len(claimed) == 64 and claimed != hashlib.sha256(request.body).hexdigest():
        text = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise Refusal(400, "XAmzContentSHA256Mismatch", text)


def unknown_key(request: Request, key: str) -> Refusal:
    """The refusal of an access key nobody has."""
    if request.service == "s3":
        text = "The AWS Access Key Id you provided does not exist in our records."
        return Refusal(403, "InvalidAccessKeyId", text, fields={"AWSAccessKeyId": key})
    text = "The security token included in the request is invalid."
    code = "UnrecognizedClientException" if "x-amz-target" in request.headers else "InvalidClientTokenId"
    return Refusal(403, code, text)


def _bad_token(request: Request) -> Refusal:
    if request.service == "s3":
        return Refusal(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
    return Refusal(403, "InvalidClientTokenId", "The security token included in the request is invalid.")


def _expired(request: Request) -> Refusal:
    if request.service == "s3":
        return Refusal(400, "ExpiredToken", "The provided token has expired.")
    text = "The security token included in the request is expired"
    if "x-amz-target" in request.headers:
        return Refusal(400, "ExpiredTokenException", text)
    return Refusal(403, "ExpiredToken", text)
