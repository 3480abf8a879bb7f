"""What AWS answered to one question: yes, no in its own words, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from airflow_xacct.access.denied import Denial
from airflow_xacct.exceptions import TransportError, XacctError

__all__ = ["Answer", "ask"]

Explain = Callable[[Exception], XacctError]
_FORBIDDEN = 403
# an answer to HEAD has no body, so its code is its status
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403", "Forbidden", ""})
_NO_SUCH_UPLOAD = "NoSuchUpload"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    :param data: the parsed answer; empty when it was a refusal.
    :param code: AWS's error code; empty for none.
    :param message: AWS's words.
    :param status: the HTTP status; 0 without an answer.
    :param headers: of the answer, names in lower case.
    :param error: the refusal as an error of ours; ``None`` where there is none.
    """

    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    code: str = ""
    message: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    error: XacctError | None = None

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return self.error is None

    @property
    def answered(self) -> bool:
        """Whether there was an answer, whatever it said."""
        return self.status > 0

    @property
    def unreachable(self) -> bool:
        """Whether nothing came back."""
        return isinstance(self.error, TransportError) and not self.answered

    @property
    def denied(self) -> bool:
        """Whether it was refused for want of a right; a wrong signature or clock is answered with 403 too."""
        return self.status == _FORBIDDEN and self.code in _DENIED

    @property
    def allowed(self) -> bool:
        """Whether the right was there: it was carried out, or stopped only at an upload that does not exist."""
        return self.ok or self.code == _NO_SUCH_UPLOAD

    @property
    def denial(self) -> Denial:
        """AWS's sentence, taken apart."""
        return Denial.parse(self.message)

    @property
    def bare(self) -> bool:
        """A denial without a reason, as S3 gives it to strangers and for a wrong expected owner."""
        return self.denied and not self.denial.action

    @property
    def date(self) -> datetime | None:
        """The server's time."""
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).astimezone(UTC)
        except ValueError:
            return None

    @property
    def said(self) -> str:
        """The refusal in AWS's words, or our own where it gave none."""
        if self.code:
            return f"{self.code}: {self.message}" if self.message not in ("", self.code) else self.code
        return "" if self.error is None else self.error.what


def ask(call: Callable[[], Any], explain: Explain) -> Answer:
    """Ask one question.

    :param call: a call of a boto3 client, or of ours.
    :param explain: makes an error of ours from one of botocore's.
    """
    try:
        data = call()
    except XacctError as error:
        cause = error.__cause__
        return _refusal(cause, error) if isinstance(cause, ClientError) else Answer(error=error)
    except ClientError as error:
        return _refusal(error, explain(error))
    except (BotoCoreError, HTTPClientError) as error:
        return Answer(error=explain(error))
    return _granted(data)


def _granted(data: Any) -> Answer:
    given = data if isinstance(data, Mapping) else {}
    metadata = given.get("ResponseMetadata", {})
    return Answer(data=given, status=metadata.get("HTTPStatusCode", 200), headers=_headers(metadata))


def _refusal(error: ClientError, ours: XacctError) -> Answer:
    details: Mapping[str, Any] = error.response.get("Error", {})
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    return Answer(
        code=str(details.get("Code", "")),
        message=str(details.get("Message", "")),
        status=int(metadata.get("HTTPStatusCode", _FORBIDDEN)),
        headers=_headers(metadata),
        error=ours,
    )


def _headers(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in metadata.get("HTTPHeaders", {}).items()}
