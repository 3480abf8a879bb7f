"""Faults at the server's door: the answers a real network and a real S3 sometimes give.

A rule waits for the ``nth`` request that fits it and acts once (or on every one). It works between the rules of the
sandbox and the client, so that "the request was carried out and its answer was lost" is exactly that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import botocore.loaders

from airflow_xacct.exceptions import InvalidArgumentError
from airflow_xacct.sandbox.operations import s3_operations
from airflow_xacct.sandbox.strict.answers import Refusal, element, request_id, xml_document
from airflow_xacct.sandbox.wire import DropConnection, Request, Response

__all__ = [
    "Action",
    "FaultRule",
    "Faults",
    "call",
    "deny",
    "drop_request",
    "drop_response",
    "error_in_200",
    "status",
]

Proceed = Callable[[], Awaitable[Response]]
Action = Callable[[Request, Proceed], Awaitable[Response]]

_OTHER_SERVICES = ("sts", "kms", "dynamodb")
_TEXTS = {
    "SlowDown": "Please reduce your request rate.",
    "InternalError": "We encountered an internal error. Please try again.",
    "ServiceUnavailable": "Service is unable to handle request.",
    "ConditionalRequestConflict": (
        "The conditional request cannot succeed due to a conflicting operation against this resource."
    ),
    "RequestTimeout": (
        "Your socket connection to the server was not read from or written to within the timeout period."
    ),
    "Throttling": "Rate exceeded",
}


async def drop_response(request: Request, proceed: Proceed) -> Response:
    """Carry the request out, then close the connection without an answer."""
    await proceed()
    raise DropConnection(request.operation)


async def drop_request(request: Request, proceed: Proceed) -> Response:  # noqa: ARG001
    """Close the connection; the request is not carried out."""
    raise DropConnection(request.operation)


def status(code: int, error: str, message: str = "") -> Action:
    """Answer with an error; the request is not carried out.

    :param code: the HTTP status, such as 503.
    :param error: AWS's error code, such as ``"SlowDown"`` or ``"ConditionalRequestConflict"``.
    """

    async def act(request: Request, proceed: Proceed) -> Response:  # noqa: ARG001
        return Refusal(code, error, message or _TEXTS.get(error, error)).response(request)

    return act


def error_in_200(error: str = "InternalError", *, carried_out: bool = False) -> Action:
    """A 200 whose body is an error, as Complete and CopyObject may answer (AWS: *CompleteMultipartUpload*).

    :param carried_out: whether the object appeared all the same.
    """

    async def act(request: Request, proceed: Proceed) -> Response:  # noqa: ARG001
        if carried_out:
            await proceed()
        content = element("Code", error) + element("Message", _TEXTS.get(error, error))
        return xml_document(f"<Error>{content}{element('RequestId', request_id())}</Error>")

    return act


def deny(action: str = "", kind: str = "no identity-based policy allows") -> Action:
    """Answer 403 in AWS's words; the request is not carried out.

    :param action: the IAM action of the text; ``s3:`` and the operation when it is empty.
    :param kind: what the text says after "because", such as ``"no session policy allows"``.
    """

    async def act(request: Request, proceed: Proceed) -> Response:  # noqa: ARG001
        name = action or f"{request.service or 's3'}:{request.operation}"
        resource = f"arn:aws:s3:::{request.bucket}/{request.key}"
        text = (
            f"User: {request.caller_arn} is not authorized to perform: "
            f'{name} on resource: "{resource}" because {kind} the {name} action'
        )
        return Refusal(403, "AccessDenied", text).response(request)

    return act


def call(function: Callable[[Request], object], *, when: Literal["before", "after"] = "before") -> Action:
    """Call a function of the test at an exact moment; the request itself is not touched.

    The function runs in a thread of its own, so it may use clients of the same sandbox; the request waits for it.

    :param when: before the request is carried out, or after it was and before it is answered.
    """

    async def act(request: Request, proceed: Proceed) -> Response:
        if when == "before":
            await asyncio.to_thread(function, request)
            return await proceed()
        answer = await proceed()
        await asyncio.to_thread(function, request)
        return answer

    return act


@cache
def _known_operations() -> frozenset[str]:
    loader = botocore.loaders.Loader()
    models = (loader.load_service_model(service, "service-2") for service in _OTHER_SERVICES)
    return frozenset(operation.name for operation in s3_operations()).union(*(m["operations"] for m in models))


@dataclass(slots=True)
class FaultRule:
    """One rule; ``fired`` counts how often it acted, ``seen`` how many requests fitted.

    :param nth: the first matching request it acts on, from 1.
    :param times: how many it acts on from there; ``None`` for all.
    """

    operation: str
    action: Action
    key: str = ""
    nth: int = 1
    times: int | None = 1
    seen: int = 0
    fired: int = 0

    def take(self, request: Request) -> bool:
        """Whether it is this rule's turn."""
        if request.operation != self.operation or self.key not in request.key:
            return False
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.seen >= self.nth + self.times):
            return False
        self.fired += 1
        return True


@dataclass(slots=True)
class Faults:
    """The rules in force; the first that fits a request acts on it."""

    _rules: list[FaultRule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        operation: str,
        *,
        action: Action,
        nth: int = 1,
        key: str = "",
        times: int | None = 1,
    ) -> FaultRule:
        """Add a rule.

        :param operation: such as ``"PutObject"``, ``"UploadPart"`` or ``"AssumeRole"``.
        :param action: one of this module's actions.
        :param nth: the first matching request it acts on, from 1.
        :param key: a part of the object's key; empty for any.
        :param times: how many requests it acts on; ``None`` for all from the ``nth`` on.
        :raises InvalidArgumentError: no such operation, so the rule could never act.
        """
        if operation not in _known_operations():
            raise InvalidArgumentError(f"there is no operation {operation!r} to disturb")
        rule = FaultRule(operation, action, key, nth, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Drop every rule."""
        with self._lock:
            self._rules.clear()

    async def around(self, request: Request, proceed: Proceed) -> Response:
        """Carry a request out, disturbed by the rule whose turn it is."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.take(request)), None)
        return await (rule.action(request, proceed) if rule else proceed())
