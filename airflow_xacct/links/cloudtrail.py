"""A link on the task's page to what CloudTrail recorded of the session that delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from airflow_xacct.links.console import console_host

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskInstanceKey

__all__ = ["CloudTrailLink", "event_history_url"]


class CloudTrailLink(BaseOperatorLink):
    """The event history of this session, in the account where the reader is signed in.

    The AssumeRole event is in both accounts' history, under the session's name (AWS: *Logging IAM and AWS STS API calls
    with AWS CloudTrail*); what the session did to S3 is there only where B records data events.
    """

    name = "CloudTrail (this session)"
    _KEY = "xacct_cloudtrail"

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps the rendered link."""
        return f"_link_{self._KEY}"

    @classmethod
    def persist(cls, context: Any, operator: Any, *, partition: str, region: str | None, session_arn: str) -> None:
        """Keep the address with the task instance, for when its page is looked at."""
        url = event_history_url(partition=partition, region=region, session_arn=session_arn)
        if operator.do_xcom_push and url:
            context["ti"].xcom_push(key=cls._KEY, value=url)

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """The address, or an empty text before anything was assumed."""
        return XCom.get_value(key=self._KEY, ti_key=ti_key) or ""


def event_history_url(*, partition: str, region: str | None, session_arn: str) -> str:
    """The console's event history, filtered by the session's name; empty where there is no public console.

    :param region: of the STS endpoint that was asked: the event is recorded there.
    """
    host = console_host(partition)
    if not host or not region or not session_arn:
        return ""
    session_name = quote(session_arn.rsplit("/", 1)[-1], safe="")
    return f"https://{region}.{host}/cloudtrailv2/home?region={region}#/events?ResourceName={session_name}"
