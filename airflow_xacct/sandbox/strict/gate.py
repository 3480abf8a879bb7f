"""The door of the sandbox: every request passes here, and what is not let through is refused as AWS would."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from xml.sax.saxutils import unescape

from airflow_xacct.sandbox.emulator import Emulator
from airflow_xacct.sandbox.faults import Faults
from airflow_xacct.sandbox.operations import classify
from airflow_xacct.sandbox.records import AssumeRoleEvent, RequestRecord
from airflow_xacct.sandbox.store import Store
from airflow_xacct.sandbox.strict.answers import Refusal
from airflow_xacct.sandbox.strict.assume_role import AssumeRoleRules
from airflow_xacct.sandbox.strict.cloudtrail import CloudTrail
from airflow_xacct.sandbox.strict.principals import Caller, Principals
from airflow_xacct.sandbox.strict.s3 import MAX_PUT_SIZE_BYTES, S3Rules
from airflow_xacct.sandbox.wire import DropConnection, Request, Response

__all__ = ["Gate"]

logger = logging.getLogger(__name__)

_SECRET_HEADERS = frozenset({"authorization", "x-amz-security-token", "cookie"})
_KEPT_RECORDS = 10_000


class Gate:
    """Authenticates, decides, forwards and remembers.

    :param admin_secret: see :class:`Principals`.
    :param clock: seconds since the epoch.
    """

    def __init__(self, emulator: Emulator, faults: Faults, admin_secret: str, clock: Callable[[], float]) -> None:
        self.requests: deque[RequestRecord] = deque(maxlen=_KEPT_RECORDS)
        self.assume_role_events: deque[AssumeRoleEvent] = deque(maxlen=_KEPT_RECORDS)
        self._emulator = emulator
        self._faults = faults
        store = Store(emulator)
        self._principals = Principals(store, emulator.sigv4, admin_secret, clock)
        self._assume_role = AssumeRoleRules(store, clock, self.assume_role_events.append)
        self._cloudtrail = CloudTrail(self.assume_role_events, clock)
        self._s3 = S3Rules(emulator, store)

    async def handle(self, request: Request) -> Response:
        """Answer one request.

        :raises DropConnection: a fault asks for it.
        """
        classify(request)
        try:
            caller = self._principals.authenticate(request)
        except Refusal as refusal:
            answer = refusal.response(request)
            self._remember(request, Caller(), answer)
            return answer
        if caller.root:
            # the sandbox's own hands: neither disturbed nor counted
            return await self._carried_out(request, caller)
        request.caller_arn = caller.arn
        record = _before(request)
        try:
            answer = await self._faults.around(request, lambda: self._carried_out(request, caller))
        except DropConnection:
            self._remember(record, caller, None)
            raise
        except Exception:
            logger.exception("a fault's function failed on %s %s", request.operation, request.key)
            answer = Refusal(500, "InternalError", "A fault's function failed; see the log").response(request)
        self._remember(record, caller, answer)
        return answer

    def refuse_early(self, request: Request) -> Response | None:
        """A refusal that S3 gives before it reads the body (AWS: *PutObject*, the limit of 5 GiB)."""
        length = request.headers.get("x-amz-decoded-content-length") or request.headers.get("content-length", "0")
        if request.method != "PUT" or not length.isdigit() or int(length) <= MAX_PUT_SIZE_BYTES:
            return None
        classify(request)
        text = "Your proposed upload exceeds the maximum allowed size"
        fields = {"ProposedSize": length, "MaxSizeAllowed": str(MAX_PUT_SIZE_BYTES)}
        answer = Refusal(400, "EntityTooLarge", text, fields=fields).response(request)
        self._remember(request, Caller(), answer)
        return answer

    async def _carried_out(self, request: Request, caller: Caller) -> Response:
        try:
            if request.service == "s3":
                return await self._s3.answer(request, caller)
            if request.service == "sts" and request.operation == "AssumeRole":
                return self._cloudtrail.watch(request, caller, self._assume_role.answer)
            if request.service == "cloudtrail" and request.operation == "LookupEvents":
                return self._cloudtrail.lookup(request, caller)
            return await self._emulator.call_application(request)
        except Refusal as refusal:
            return refusal.response(request)
        except Exception:
            logger.exception("the sandbox failed on %s %s", request.method, request.raw_path)
            return Refusal(500, "InternalError", "The sandbox itself failed; see its log").response(request)

    def _remember(self, request: Request, caller: Caller, answer: Response | None) -> None:
        error = ""
        if answer is not None and (answer.status >= 300 or b"<Error>" in answer.body[:200]):
            found = re.search(rb'(?:<Code>|"__type": ?")(?:[^<"]*#)?([^<"]+)', answer.body)
            error = unescape(found[1].decode()) if found else ""
        self.requests.append(
            RequestRecord(
                method=request.method,
                service=request.service,
                operation=request.operation,
                bucket=request.bucket,
                key=request.key,
                caller_arn=caller.arn,
                account=caller.account,
                expected_owner=request.header("x-amz-expected-bucket-owner"),
                status=answer.status if answer else 0,
                error=error,
                body_size_bytes=len(request.body),
                query={name: values[0] for name, values in request.query.items()},
                headers={k: v for k, v in request.headers.items() if k not in _SECRET_HEADERS},
            )
        )


def _before(request: Request) -> Request:
    """A request as it arrived: carrying it out may unwrap its body and headers."""
    return Request(
        method=request.method,
        raw_path=request.raw_path,
        raw_query=request.raw_query,
        headers=dict(request.headers),
        body=request.body,
        service=request.service,
        operation=request.operation,
        bucket=request.bucket,
        key=request.key,
        query=request.query,
    )
