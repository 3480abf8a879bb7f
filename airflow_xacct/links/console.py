"""A link on the task's page to what it delivered, in the S3 console of Account B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskInstanceKey

    from airflow_xacct.destination import Destination

__all__ = ["S3ConsoleLink", "console_host", "console_url"]

#: AWS: *What is the AWS Management Console?* and the consoles of the other partitions.
_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


class S3ConsoleLink(BaseOperatorLink):
    """The delivered prefix in the S3 console; whoever opens it must be signed in to Account B."""

    name = "S3 console (Account B)"
    _KEY = "xacct_s3_console"

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps the rendered link."""
        return f"_link_{self._KEY}"

    @classmethod
    def persist(cls, context: Any, operator: Any, destination: Destination, *, region: str | None, key: str) -> None:
        """Keep the address with the task instance, for when its page is looked at."""
        if operator.do_xcom_push and (url := console_url(destination, region=region, key=key)):
            context["ti"].xcom_push(key=cls._KEY, value=url)

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """The address, or an empty text before anything was delivered."""
        return XCom.get_value(key=self._KEY, ti_key=ti_key) or ""


def console_host(partition: str) -> str:
    """The console's host without its region; empty for partitions without a public one."""
    return _CONSOLES.get(partition, "")


def console_url(destination: Destination, *, region: str | None, key: str) -> str:
    """The console's page for the folder of a key; empty where there is no public one.

    :param key: a full key, or a prefix that ends in ``/``.
    """
    host = console_host(destination.role.partition)
    if not host or not region or str(destination.bucket).startswith("arn:"):
        return ""
    prefix = key[: key.rfind("/") + 1]
    return (
        f"https://{region}.{host}/s3/buckets/{quote(str(destination.bucket), safe='')}"
        f"?region={region}&prefix={quote(prefix, safe='')}"
    )
