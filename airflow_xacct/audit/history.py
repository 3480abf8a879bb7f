"""Reading CloudTrail's event history, at the pace that AWS allows (AWS: *LookupEvents*)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_xacct.audit.events import AssumeRoleCall, read_event
from airflow_xacct.exceptions import XacctError

__all__ = ["DAYS_KEPT", "SECONDS_BETWEEN_LOOKUPS", "History", "Reading"]

#: The event history goes back so many days.
DAYS_KEPT = 90
#: Two requests per second are allowed for each account and region.
SECONDS_BETWEEN_LOOKUPS = 0.5
_PAGE_SIZE = 50
# answers of a region that the account has not enabled
_REGION_DISABLED = frozenset({"UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "OptInRequired"})


@dataclass(slots=True)
class Reading:
    """What was read.

    :param calls: of the role, oldest first.
    :param regions: where was looked.
    :param unsearched: region -> why nothing was read there.
    :param lookups: how many requests it took.
    :param unreadable: how many events had a form that is not CloudTrail's.
    """

    calls: list[AssumeRoleCall] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)
    unsearched: dict[str, str] = field(default_factory=dict)
    lookups: int = 0
    unreadable: int = 0


class History:
    """The event history of one account, in some regions.

    :param clients: region -> makes its CloudTrail client, which is closed after its use.
    :param explain: makes our error of what a client raised, told the region.
    :param skip_disabled: pass over regions that the account has not enabled, instead of failing.
    :param sleep: waits for so many seconds.
    :param clock: monotonic, in seconds.
    :param on_page: told the region and how many requests were made so far.
    """

    def __init__(
        self,
        clients: Mapping[str, Callable[[], Any]],
        *,
        explain: Callable[[Exception, str], XacctError],
        skip_disabled: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        on_page: Callable[[str, int], None] = lambda region, lookups: None,  # noqa: ARG005
    ) -> None:
        self._clients = clients
        self._explain = explain
        self._skip_disabled = skip_disabled
        self._sleep = sleep
        self._clock = clock
        self._on_page = on_page

    def read(self, role_arn: str, since: datetime, until: datetime, *, granted_only: bool = False) -> Reading:
        """Every AssumeRole call for one role in a time range.

        :param granted_only: look up by the role's ARN, which takes far fewer requests in a busy account; a denied call
            has no resources and is not found that way.
        :raises XacctError: CloudTrail refused, or could not be reached.
        """
        by = ("ResourceName", role_arn) if granted_only else ("EventName", "AssumeRole")
        asked = {
            "LookupAttributes": [{"AttributeKey": by[0], "AttributeValue": by[1]}],
            "StartTime": since,
            "EndTime": until,
            "MaxResults": _PAGE_SIZE,
        }
        reading = Reading()
        for region, make_client in self._clients.items():
            try:
                with closing(make_client()) as client:
                    for event in self._events(client, asked, region, reading):
                        _add(reading, event, role_arn)
            except Exception as error:
                code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
                if self._skip_disabled and code in _REGION_DISABLED:
                    reading.unsearched[region] = f"not enabled in this account ({code})"
                    continue
                raise self._explain(error, region) from error
            reading.regions.append(region)
        reading.calls.reverse()  # a page begins with the newest, and times are whole seconds: the order says more
        reading.calls.sort(key=lambda call: call.time)
        return reading

    def _events(self, client: Any, asked: Mapping[str, Any], region: str, reading: Reading) -> Iterator[Any]:
        token: dict[str, str] = {}
        earliest = self._clock()
        while True:
            if (wait := earliest - self._clock()) > 0:
                self._sleep(wait)
            earliest = self._clock() + SECONDS_BETWEEN_LOOKUPS
            answer = client.lookup_events(**asked, **token)
            reading.lookups += 1
            self._on_page(region, reading.lookups)
            yield from answer.get("Events", [])
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}


def _add(reading: Reading, event: Any, role_arn: str) -> None:
    try:
        call = read_event(event)
    except ValueError:
        reading.unreadable += 1
        return
    if call is not None and call.role_arn == role_arn:
        reading.calls.append(call)
