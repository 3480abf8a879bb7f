"""Refusals and answers in AWS's own wire forms."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from xml.sax.saxutils import escape

from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["Refusal", "element", "request_id", "xml_document"]

S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def request_id() -> str:
    """A fresh request id."""
    return str(uuid.uuid4())


def element(name: str, text: str) -> str:
    """One XML element with its text escaped."""
    return f"<{name}>{escape(text)}</{name}>"


def xml_document(content: str, *, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    """An XML answer."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{content}'.encode()
    return Response(status, {"Content-Type": "application/xml", **(headers or {})}, body)


class Refusal(Exception):  # noqa: N818 - it becomes an answer
    """A request AWS refuses.

    :param status: the HTTP status.
    :param code: AWS's error code.
    :param message: AWS's words.
    :param fields: further elements of the error document.
    :param headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})

    def response(self, request: Request) -> Response:
        """The answer in the form the service of ``request`` gives its errors (AWS: *Error responses*)."""
        identifier = request_id()
        head = {"x-amz-request-id": identifier, "x-amzn-requestid": identifier, **self.headers}
        if request.method == "HEAD":
            return Response(self.status, {"Content-Type": "application/xml", **head})
        if request.service == "s3":
            parts = {"Code": self.code, "Message": self.message, **self.fields, "RequestId": identifier}
            content = "".join(element(name, text) for name, text in parts.items())
            return xml_document(f"<Error>{content}</Error>", headers=head, status=self.status)
        if "x-amz-target" in request.headers or "json" in request.headers.get("content-type", ""):
            body = json.dumps({"__type": self.code, "message": self.message}).encode()
            return Response(self.status, {"Content-Type": "application/x-amz-json-1.1", **head}, body)
        error = element("Type", "Sender") + element("Code", self.code) + element("Message", self.message)
        return xml_document(
            f'<ErrorResponse xmlns="{STS_NAMESPACE}"><Error>{error}</Error>{element("RequestId", identifier)}'
            "</ErrorResponse>",
            headers=head,
            status=self.status,
        )
