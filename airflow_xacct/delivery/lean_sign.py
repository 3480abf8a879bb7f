"""Signed requests to one bucket: AWS Signature Version 4, as botocore's ``S3SigV4Auth`` computes it.

AWS: *Create a signed AWS API request* (formerly *Signature Version 4 signing process*). Botocore's signers take
requests in a form of its own, and to make and convert that costs several times the signature. Credentials are always
those that botocore hands its signer for the very request; where that signer is another one, it signs.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from botocore import auth as botocore_auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.compat import HAS_CRT

__all__ = ["Signer"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_CHECKSUM_HEADER = "x-amz-checksum-crc64nvme"
_NOT_SIGNED = frozenset(botocore_auth.SIGNED_HEADERS_BLACKLIST)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_KNOWN: tuple[type, ...] = (botocore_auth.S3SigV4Auth,)
if HAS_CRT:  # then botocore signs with it, to the same effect
    from botocore.crt.auth import CrtS3SigV4Auth

    _KNOWN += (CrtS3SigV4Auth,)


class Signer:
    """Makes requests that are ready to be sent. Thread-safe.

    :param origin: scheme, host and port of the bucket's URL.
    :param request_signer: the client's, which keeps the credentials fresh.
    :param signing: signing name, region and signature version, as ``get_auth_instance`` of that signer takes them.
    :param context: what botocore knows of every request to the bucket: ``client_config``, ``signing``.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        origin: str,
        request_signer: Any,
        signing: Mapping[str, Any],
        context: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._origin = origin
        scheme, _, address = origin.partition("://")
        self._over_tls = scheme == "https"
        self._host = address.rpartition("@")[2].lower().removesuffix(_DEFAULT_PORTS[scheme])
        self._request_signer = request_signer
        self._signing = signing
        self._context = context
        self._clock = clock
        self._key = ("", "", b"")

    def request(
        self,
        method: str,
        path: str,
        queries: Sequence[str],
        headers: Mapping[str, str],
        body: bytes,
        *,
        streaming: bool,
    ) -> AWSPreparedRequest:
        """A signed request.

        :param path: percent-encoded, as it is sent.
        :param queries: likewise, each ``name=value``, or a ``name`` without a value.
        :param streaming: whether the operation's model says that its payload is a stream.
        :raises BotoCoreError: there are no credentials, or they could not be made fresh.
        """
        url = f"{self._origin}{path}" + ("?" + "&".join(queries) if queries else "")
        # makes the credentials fresh where they need it, as for every request of the client
        auth = self._request_signer.get_auth_instance(**self._signing)
        if type(auth) not in _KNOWN or auth.credentials is None:
            return self._signed_by(auth, AWSRequest(method, url, dict(headers), body), streaming=streaming)
        payload = sha256(body).hexdigest() if self._covers_payload(headers, streaming=streaming) else "UNSIGNED-PAYLOAD"
        signed = self._signed(auth.credentials, method, path, queries, headers, payload)
        # botocore's own mapping finds names in any case, and is slow for it; nobody looks for one from here on
        encoded: Any = {name: text.encode() for name, text in signed.items()}
        encoded["Content-Length"] = str(len(body))
        return AWSPreparedRequest(method, url, encoded, body or None, False)

    def _covers_payload(self, headers: Mapping[str, str], *, streaming: bool) -> bool:
        """``S3SigV4Auth``: TLS and a checksum protect a stream well enough, unless the configuration says more."""
        configured = (getattr(self._context["client_config"], "s3", None) or {}).get("payload_signing_enabled")
        if configured is not None:
            return bool(configured)
        return not (streaming and self._over_tls and _CHECKSUM_HEADER in headers)

    def _signed(
        self,
        credentials: Any,
        method: str,
        path: str,
        queries: Sequence[str],
        headers: Mapping[str, str],
        payload: str,
    ) -> dict[str, str]:
        """The headers and those that authenticate them; the steps and their names are those of the page."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        signed = {**headers, "Host": self._host, "X-Amz-Date": moment, "X-Amz-Content-SHA256": payload}
        if credentials.token:
            signed["X-Amz-Security-Token"] = credentials.token
        lines = sorted((name.lower(), " ".join(text.split())) for name, text in signed.items())
        lines = [line for line in lines if line[0] not in _NOT_SIGNED]
        names = ";".join([name for name, _ in lines])
        canonical_query = "&".join([f"{name}={value}" for name, _, value in sorted(q.partition("=") for q in queries)])
        canonical_headers = [f"{name}:{text}" for name, text in lines]
        canonical_request = "\n".join([method, path, canonical_query, *canonical_headers, "", names, payload])
        scope = f"{moment[:8]}/{self._signing['region_name']}/{self._signing['signing_name']}/aws4_request"
        string_to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(canonical_request.encode()).hexdigest()}"
        key = self._signing_key(credentials.secret_key, scope)
        signature = hmac.digest(key, string_to_sign.encode(), "sha256").hex()
        signed["Authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return signed

    def _signing_key(self, secret: str, scope: str) -> bytes:
        """The key for a scope; the last one is kept, since it changes with the day and the credentials only."""
        kept_secret, kept_scope, key = self._key
        if (kept_secret, kept_scope) != (secret, scope):
            key = f"AWS4{secret}".encode()
            for step in scope.split("/"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._key = (secret, scope, key)
        return key

    def _signed_by(self, auth: Any, request: AWSRequest, *, streaming: bool) -> AWSPreparedRequest:
        """Let botocore's signer sign."""
        request.context.update(self._context, has_streaming_input=streaming)
        if _CHECKSUM_HEADER in request.headers and streaming:
            request.context["checksum"] = {
                "request_algorithm": {"algorithm": "crc64nvme", "in": "header", "name": _CHECKSUM_HEADER}
            }
        auth.add_auth(request)
        encoded: Any = request.headers  # whose stubs take text only
        for name, text in list(encoded.items()):
            encoded[name] = text.encode()  # as botocore does; assigning replaces
        return request.prepare()
