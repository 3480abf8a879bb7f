"""CloudTrail's event history of AssumeRole, and LookupEvents over it.

An event is in the history of the caller's account and, when the role belongs to another one, in the role's too; a
``sharedEventID`` joins the two. A denied call is in the caller's account only: across accounts AWS does not log it on
the far side (AWS: *Logging IAM and AWS STS API calls with AWS CloudTrail*, "Logging IAM and AWS STS API requests").
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_xacct.sandbox.records import AssumeRoleEvent
from airflow_xacct.sandbox.strict.answers import Refusal, request_id
from airflow_xacct.sandbox.strict.cloudtrail_event import Document, common_part, event_in, resources
from airflow_xacct.sandbox.strict.decisions import decide, denial
from airflow_xacct.sandbox.strict.principals import Caller
from airflow_xacct.sandbox.strict.s3_actions import global_context
from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["CloudTrail"]

# AWS: *LookupEvents*
_DAYS_KEPT = 90
_MAX_RESULTS = 50
_ATTRIBUTES = frozenset(
    {"AccessKeyId", "EventId", "EventName", "EventSource", "ReadOnly", "ResourceName", "ResourceType", "Username"}
)
# twice what the log of calls holds: each is in two accounts at most
_KEPT_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """One event in the history of one account and region.

    :param call: what the sandbox logged of the same call.
    :param seconds: since the epoch.
    """

    call: AssumeRoleEvent
    account: str
    region: str
    seconds: float
    document: Document

    def as_answer(self) -> Document:
        """One of the ``Events`` of LookupEvents."""
        document = self.document
        user = document["userIdentity"]
        answer: Document = {
            "EventId": document["eventID"],
            "EventName": document["eventName"],
            "ReadOnly": "true",
            "EventTime": int(self.seconds),
            "EventSource": document["eventSource"],
            "Resources": [{"ResourceType": kind, "ResourceName": name} for kind, name in resources(document)],
            "CloudTrailEvent": json.dumps(document),
        }
        if user.get("accessKeyId"):
            answer["AccessKeyId"] = user["accessKeyId"]
        if name := user.get("userName") or user.get("arn", "").rpartition("/")[2]:
            answer["Username"] = name
        return answer


class CloudTrail:
    """Keeps the history, and answers questions about it.

    :param calls: the sandbox's log of AssumeRole; what is no longer in it is forgotten here too, so that both are
        emptied, and bounded, together.
    :param clock: seconds since the epoch.
    """

    def __init__(self, calls: Sequence[AssumeRoleEvent], clock: Callable[[], float]) -> None:
        self._calls = calls
        self._clock = clock
        self._entries: deque[_Entry] = deque(maxlen=_KEPT_ENTRIES)

    def watch(self, request: Request, caller: Caller, answer: Callable[[Request, Caller], Response]) -> Response:
        """Let AssumeRole be answered, and note it in the history of every account that sees it.

        :raises Refusal: as ``answer`` does.
        """
        before = self._calls[-1] if self._calls else None
        try:
            response = answer(request, caller)
        except Refusal as refusal:
            self._note(before, request, caller, refusal=refusal)
            raise
        self._note(before, request, caller, response=response)
        return response

    def _note(
        self,
        before: AssumeRoleEvent | None,
        request: Request,
        caller: Caller,
        *,
        refusal: Refusal | None = None,
        response: Response | None = None,
    ) -> None:
        call = self._calls[-1] if self._calls else None
        if call is None or call is before:
            return
        accounts = [caller.account]
        if refusal is None and (owner := call.role_arn.split(":")[4]) != caller.account:
            accounts.append(owner)
        common = common_part(request, caller, call, refusal, response)
        if len(accounts) > 1:
            common["sharedEventID"] = str(uuid.uuid4())
        for account in accounts:
            document = event_in(account, caller, common)
            self._entries.append(_Entry(call, account, request.signed_region, call.time.timestamp(), document))

    def _forget(self) -> None:
        kept = {id(call) for call in self._calls}
        self._entries = deque((e for e in self._entries if id(e.call) in kept), maxlen=_KEPT_ENTRIES)

    def lookup(self, request: Request, caller: Caller) -> Response:
        """Answer LookupEvents for the caller's account, in the region that was asked.

        :raises Refusal: the caller may not, or the question is not one that CloudTrail takes.
        """
        action = "cloudtrail:LookupEvents"
        verdict = decide(
            caller, action, "*", global_context(request, caller.account), owner=caller.account, policy=None
        )
        if not verdict.allowed:
            refused = denial(verdict, caller, action, "*", owner=caller.account, quoted=False)
            raise Refusal(400, "AccessDeniedException", refused.message.replace(" on resource: *", ""))
        question = _Question.parse(request.body)
        self._forget()
        oldest = self._clock() - _DAYS_KEPT * 86400
        found = [
            answer
            for entry in reversed(self._entries)
            if (entry.account, entry.region) == (caller.account, request.signed_region) and entry.seconds >= oldest
            if question.admits(answer := entry.as_answer())
        ]
        start = question.start(found)
        page = found[start : start + question.max_results]
        body: Document = {"Events": page}
        if start + question.max_results < len(found):
            body["NextToken"] = question.token_after(page[-1]["EventId"])
        head = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-requestid": request_id()}
        return Response(200, head, json.dumps(body).encode())


@dataclass(frozen=True, slots=True)
class _Question:
    """What LookupEvents is asked."""

    attribute: tuple[str, str] | None
    since: float
    until: float
    max_results: int
    insight: bool
    token: str

    @classmethod
    def parse(cls, body: bytes) -> _Question:
        """Read a request, and refuse what AWS refuses (AWS: *LookupEvents*, "Errors")."""
        asked = json.loads(body or b"{}")
        attributes = asked.get("LookupAttributes") or []
        if len(attributes) > 1 or any(one.get("AttributeKey") not in _ATTRIBUTES for one in attributes):
            text = "Only one lookup attribute, of those that are supported, can be specified."
            raise Refusal(400, "InvalidLookupAttributesException", text)
        most = asked.get("MaxResults", _MAX_RESULTS)
        if not isinstance(most, int) or not 1 <= most <= _MAX_RESULTS:
            raise Refusal(400, "InvalidMaxResultsException", f"MaxResults must be between 1 and {_MAX_RESULTS}.")
        since, until = float(asked.get("StartTime", 0)), float(asked.get("EndTime", float("inf")))
        if since > until:
            raise Refusal(400, "InvalidTimeRangeException", "The start time is after the end time.")
        category = asked.get("EventCategory")
        if category not in (None, "insight"):
            raise Refusal(400, "InvalidEventCategoryException", f"{category} is not a valid event category.")
        pair = (attributes[0]["AttributeKey"], attributes[0].get("AttributeValue", "")) if attributes else None
        return cls(pair, since, until, most, category == "insight", asked.get("NextToken", ""))

    def admits(self, answer: Document) -> bool:
        """Whether an event is in the time range and has the attribute; of Insights there are none."""
        if self.insight or not self.since <= answer["EventTime"] <= self.until:
            return False
        if self.attribute is None:
            return True
        name, value = self.attribute
        if name in ("ResourceName", "ResourceType"):
            return any(resource[name] == value for resource in answer["Resources"])
        return bool(answer.get(name) == value)

    @property
    def _parameters(self) -> str:
        """A digest of all that must stay the same from page to page."""
        return hashlib.sha256(repr((self.attribute, self.since, self.until)).encode()).hexdigest()[:16]

    def token_after(self, event_id: str) -> str:
        """What asks for the page after this event; new events in between do not move it."""
        return f"{self._parameters}.{event_id}"

    def start(self, found: Sequence[Document]) -> int:
        """Where the page begins.

        :raises Refusal: the token is not of this question.
        """
        if not self.token:
            return 0
        parameters, _, event_id = self.token.partition(".")
        for number, answer in enumerate(found, 1):
            if parameters == self._parameters and answer["EventId"] == event_id:
                return number
        raise Refusal(400, "InvalidNextTokenException", "The token is not valid, or belongs to other parameters.")
