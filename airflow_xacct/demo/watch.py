"""What a person sees while rows flow: how much of a table Account B's S3 has, and how much of it B has read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.filesize import decimal

from airflow_xacct.demo.findings import counted
from airflow_xacct.demo.receiver import PARTITION, PARTITIONED, Receiver
from airflow_xacct.demo.screen import Activity
from airflow_xacct.demo.source import Source
from airflow_xacct.sandbox.records import RequestRecord

__all__ = ["ReadingBar", "Watch", "arrived", "object_rows"]

_TASK = "dump_"
_CARRY_BYTES = frozenset({"PutObject", "UploadPart"})
_MANIFEST = "/_manifest.json"


@dataclass(frozen=True, slots=True)
class Watch:
    """Follows the tasks of the DAG, each of which dumps one table.

    :param requests: what the accounts are asked, growing.
    """

    requests: Iterable[RequestRecord]
    source: Source
    receiver: Receiver
    activity: Activity

    def begin(self, task_id: str) -> None:
        """A task has begun: draw a bar for its rows."""
        table = task_id.removeprefix(_TASK)
        if table not in self.source.rows:
            self.activity.now(task_id)
            return
        expected = object_rows(self.source, table)
        self.activity.count(task_id, self.source.rows[table], "rows")
        self.activity.follow(lambda: arrived(list(self.requests), expected))

    def end(self, text: str, *, ok: bool) -> None:
        """A task has ended: say what its manifest says."""
        manifest = self.receiver.manifest(text.removeprefix(_TASK)) if text.startswith(_TASK) else None
        totals = manifest.get("xacct", {}).get("totals", {}) if manifest else {}
        if ok and totals:
            what = counted(totals["rows"], "row"), decimal(totals["size_bytes"]), counted(totals["objects"], "object")
            text = f"{text}: {what[0]}, {what[1]} in {what[2]}"
        self.activity.done(text, ok=ok)


@dataclass(frozen=True, slots=True)
class ReadingBar:
    """A bar for the bytes that B reads. See :class:`airflow_xacct.verify.run.Progress`."""

    activity: Activity

    def begin(self, objects: int, size_bytes: int) -> None:
        """So much there is to do."""
        self.activity.count(f"reading {counted(objects, 'object')}", size_bytes)

    def advance(self, *, objects: int = 0, size_bytes: int = 0) -> None:  # noqa: ARG002 - bytes say it better
        """So much of it is done; called from several threads."""
        self.activity.more(size_bytes)


def object_rows(source: Source, table: str) -> Mapping[str, int]:
    """How many rows each object of a table will hold, by the folder it lies in."""
    if table == PARTITIONED:
        return {f"/{table}/{PARTITION}={value}/": rows for value, rows in source.flights_by_month.items()}
    return {f"/{table}/": source.rows[table]}


def arrived(requests: Iterable[RequestRecord], expected: Mapping[str, int]) -> tuple[int, int]:
    """Rows and bytes of one table that S3 was sent; they are not visible before their commit.

    :param expected: :func:`object_rows`. Objects of the demo are small: each is sent in one request.
    """
    sizes_bytes: dict[str, int] = {}
    for request in requests:
        if request.operation in _CARRY_BYTES and request.status == 200 and not request.key.endswith(_MANIFEST):
            for folder in expected:
                if folder in request.key:
                    sizes_bytes[folder] = request.body_size_bytes
    return sum(expected[folder] for folder in sizes_bytes), sum(sizes_bytes.values())
