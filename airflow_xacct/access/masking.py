"""Keeping secrets out of logs, botocore's own DEBUG messages included.

At DEBUG botocore logs the headers it signs, which hold the session token, and the body of every answer, which for
AssumeRole holds the new secret key and token, before anybody who called it has seen them. Airflow hides in logs what
it was told of, though not inside bytes and objects (Airflow: *Masking sensitive data*), which is what botocore logs.
So each generation is told to Airflow before it is used, and is hidden at botocore's own loggers too.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_xacct.access.assume import CredentialsListener

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.hooks import BaseEventHooks

__all__ = ["spellings", "tell_secrets"]

_NEW = re.compile(
    rb"<SecretAccessKey>(?P<secret>[^<]+)</SecretAccessKey>|<SessionToken>(?P<token>[^<]+)</SessionToken>"
)
#: Those of botocore's loggers whose DEBUG messages hold requests and answers.
_LOGGERS = tuple(
    f"botocore.{name}" for name in ("auth", "awsrequest", "client", "endpoint", "hooks", "httpsession", "parsers")
)
_KEPT_SECRETS = 512


def spellings(secret: str) -> tuple[str, ...]:
    """A secret as headers and answers hold it, and as presigned URLs do."""
    quoted = quote(secret, safe="")
    return (secret,) if quoted == secret else (secret, quoted)


class _Redactor(logging.Filter):
    """Replaces the secrets it knows in whatever a logger says."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: deque[str] = deque(maxlen=_KEPT_SECRETS)

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        hidden = text
        for secret in tuple(self.secrets):
            hidden = hidden.replace(secret, "***")
        if hidden != text:
            record.msg, record.args = hidden, ()
        return True


_redactor = _Redactor()


def _hide(*secrets: str) -> None:
    for secret in secrets:
        for spelling in spellings(secret):
            if spelling and spelling not in _redactor.secrets:
                _redactor.secrets.append(spelling)
    for name in _LOGGERS:  # adding it twice changes nothing
        logging.getLogger(name).addFilter(_redactor)


def tell_secrets(events: BaseEventHooks, source: Credentials, listener: CredentialsListener | None) -> None:
    """Hide, and tell ``listener``, the secrets that an STS client signs with and those it is answered.

    :param events: the event emitter of the session the STS client will be made from.
    :param source: the credentials it signs with.
    """
    told: set[str] = set()

    def tell(secret_key: str, token: str) -> None:
        _hide(secret_key, token)
        if listener is not None:
            listener(secret_key, token)

    def tell_source(**_: Any) -> None:
        frozen = source.get_frozen_credentials()
        if frozen.token and frozen.token not in told:  # a long-lived secret key is never sent, and so never logged
            told.clear()
            told.add(frozen.token)
            tell(frozen.secret_key or "", frozen.token)

    def tell_answer(response_dict: Mapping[str, Any], **_: Any) -> None:
        found: dict[str, str] = {}
        for match in _NEW.finditer(response_dict.get("body") or b""):
            found |= {name: value.decode() for name, value in match.groupdict().items() if value}
        if found:
            tell(found.get("secret", ""), found.get("token", ""))

    events.register_first("before-sign.sts", tell_source, unique_id="airflow-xacct-source-secrets")
    events.register_first("before-parse.sts", tell_answer, unique_id="airflow-xacct-new-secrets")
