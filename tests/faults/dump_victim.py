"""A process that forks one task after the other, some of which end themselves with SIGKILL. Run as a script.

It reads one line of JSON for each task from its input, and answers with one line: how the task ended, and what it
returned. What it imports is loaded once; the tasks are forked before it has any thread or connection.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from airflow_xacct.access.context import RefusalContext
from airflow_xacct.access.refusals import translate
from airflow_xacct.delivery.boto3_store import Boto3Store
from airflow_xacct.delivery.commit import DeliveryEngine
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.settings import MIN_PART_BYTES, TransferSettings
from airflow_xacct.destination import parse
from airflow_xacct.dump.formats import csv_rows  # noqa: F401 - loaded once, rather than by each task
from airflow_xacct.dump.landing import LandingSpec
from airflow_xacct.dump.pipeline import DumpSpec
from airflow_xacct.dump.sources.sql import cursor  # noqa: F401 - likewise
from airflow_xacct.dump.sql import SqlDumpSpec, open_sql_dump


class Fate:
    """Ends the process around the n-th event, be it a request or a write of the log."""

    def __init__(self, number: int, moment: str) -> None:
        self._number = number
        self._moment = moment
        self._lock = threading.Lock()
        self._counts = {"before": 0, "after": 0}

    def event(self, moment: str) -> None:
        with self._lock:
            self._counts[moment] += 1
            if moment == self._moment and self._counts[moment] == self._number:
                os.kill(os.getpid(), signal.SIGKILL)


class MortalStore:
    """A store whose process may end around any request."""

    def __init__(self, store: Boto3Store, fate: Fate) -> None:
        self._store = store
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fate.event("before")
            answer = method(*args, **kwargs)
            self._fate.event("after")
            return answer

        return call


class FileLog:
    """A log in a directory, one file for each value, each written whole."""

    place = "a directory"

    def __init__(self, folder: Path, fate: Fate) -> None:
        self._folder = folder
        self._fate = fate

    def get(self, key: str) -> Any:
        path = self._folder / key.replace("/", "+")
        return json.loads(path.read_text()) if path.exists() else None

    def set(self, key: str, value: Any) -> None:
        self._fate.event("before")
        path = self._folder / key.replace("/", "+")
        path.with_suffix(".new").write_text(json.dumps(value))
        path.with_suffix(".new").replace(path)
        self._fate.event("after")


class SqliteHook:
    """A SQLite file, behind what is used of Airflow's hook."""

    conn_type = "sqlite"

    def __init__(self, path: str) -> None:
        self._path = path

    def get_conn(self) -> Any:
        import sqlite3

        return sqlite3.connect(self._path)


def run(task: dict[str, Any], clients: list[Any]) -> dict[str, Any]:
    """The task, as the operator would run it."""
    fate = Fate(task["number"], task["moment"])
    extra = task["connection"]
    destination = parse("xacct_default", {name: extra[name] for name in extra if name != "endpoint_url"})
    owner = destination.bucket_owner
    context = RefusalContext("xacct_default", extra["role_arn"], owner, owner, None, "worker")
    store = Boto3Store(
        *clients,
        str(destination.bucket),
        lambda error, action, key: translate(error, context=context, action=action, resource=key),
    )
    spec = SqlDumpSpec(
        sql="SELECT id, month, name FROM t ORDER BY id",
        objects=DumpSpec(key=task["key"], format="csv", partition_by=["month"], max_rows_per_object=2),
        fast_path="forbid",
        landing=LandingSpec(schema_file=True, success_file=True, layout=task["layout"], if_exists=task["if_exists"]),
    )
    with open_sql_dump(SqliteHook(task["source"]), spec, destination) as plan:
        identity = DeliveryIdentity(
            conn_id="xacct_default", bucket=str(destination.bucket), account=owner, dag_id="dag", task_id="task",
            run_id="run", generation=task["generation"], dataset=plan.root,
        )  # fmt: skip
        settings = TransferSettings(part_size_bytes=MIN_PART_BYTES, objects_in_flight=2, parts_in_flight=2)
        engine = DeliveryEngine(MortalStore(store, fate), FileLog(Path(task["log"]), fate), identity, settings)
        result = engine.deliver(
            plan.objects,
            manifest="always",
            allow_delete=task["allow_delete"],
            **{
                name: getattr(plan, name)
                for name in (
                    "manifest_key", "if_exists", "signature", "tombstone", "whole", "success_key", "stand_in",
                    "describe", "versions",
                )
            },
        )  # fmt: skip
    return result.to_json()


def main() -> None:
    """One task for each line."""
    clients: list[Any] = []
    for line in sys.stdin:
        task = json.loads(line)
        if not clients:
            clients = [
                boto3.session.Session().client("s3", **task["client"], config=Config(retries={"total_max_attempts": 1}))
                for _ in range(2)
            ]
        answer, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(answer)
            status = 1
            try:
                os.write(told, json.dumps(run(task, clients)).encode())
                status = 0
            except BaseException:  # noqa: BLE001 - it is shown, and the process ends
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(told)
        with os.fdopen(answer) as stream:
            text = stream.read()
        _, status = os.waitpid(child, 0)
        ended = {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "result": json.loads(text or "null")}
        print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main()
