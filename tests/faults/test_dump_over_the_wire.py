"""A dump in a process of its own, killed by SIGKILL at every request and write of its log, against two accounts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.sandbox import Scenario
from tests.faults.dump_harness import FEWER, FIRST, HEADER, Source, rows_in
from tests.faults.fault_harness import until_it_no_longer_fires

ROOT = Path(__file__).parents[2]


class Victims:
    """Tries of tasks, each a process; the clients in them have the rights of B's role and no others.

    Each story has a prefix of the bucket and a log to itself.
    """

    def __init__(self, case: Scenario, folder: Path) -> None:
        self.case = case
        self.source = Source(folder / "t.db")
        self._folder = folder
        self._story = 0
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/faults/dump_victim.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        key = case.assume()
        self._client = {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"],
            "aws_session_token": key["SessionToken"],
            "region_name": case.partner.region,
            "endpoint_url": case.partner.endpoint_url,
        }

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def new_story(self) -> None:
        self._story += 1
        self.log.mkdir()

    @property
    def log(self) -> Path:
        return self._folder / f"log-{self._story}"

    @property
    def prefix(self) -> str:
        return f"airflow/t{self._story}/"

    def dump(self, number: int = 0, moment: str = "before", **task: Any) -> dict[str, Any] | None:
        """One try; ``None`` when it was killed around its n-th event."""
        given = {
            "client": self._client,
            "connection": self.case.partner.connection_extra,
            "source": str(self.source.path),
            "log": str(self.log),
            "key": f"t{self._story}/",
            "number": number,
            "moment": moment,
            "generation": 0,
            "layout": "in_place",
            "if_exists": "replace",
            "allow_delete": False,
            **task,
        }
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        ended = json.loads(self._process.stdout.readline())
        if ended["signal"]:
            assert ended["signal"] == signal.SIGKILL
            return None
        assert ended["result"] is not None, "the task failed; its own output says why"
        return ended["result"]

    def landed(self) -> dict[str, bytes]:
        bucket = self.case.bucket
        keys = [key for key in self.case.account_b.objects(bucket) if key.startswith(self.prefix)]
        return {key.removeprefix(self.prefix): self.case.account_b.read(bucket, key) for key in keys}

    def open_uploads(self) -> set[str]:
        found = self.case.box.open_multipart_uploads(self.case.bucket)
        return {upload["UploadId"] for upload in found if upload["Key"].startswith(self.prefix)}

    def leaks(self) -> set[str]:
        """Open uploads whose ids never reached the log: the one leak that is documented."""
        logged = "".join(path.read_text() for path in self.log.iterdir())
        return {upload_id for upload_id in self.open_uploads() if f'"{upload_id}"' not in logged}


@pytest.fixture
def victims(xacct_accounts: Scenario, tmp_path: Path) -> Iterator[Victims]:
    made = Victims(xacct_accounts, tmp_path)
    yield made
    made.close()


def assert_landed(victims: Victims, rows: list[Any], result: dict[str, Any], layout: str, leaks: set[str]) -> None:
    """B has exactly these rows, the manifest names them, and nothing is left open."""
    objects = victims.landed()
    manifest = json.loads(objects["_manifest.json"])
    prefix = f"s3://{victims.case.bucket}/{victims.prefix}"
    entries = [entry["url"].removeprefix(prefix) for entry in manifest["entries"]]
    assert manifest["xacct"]["state"] == "complete"
    assert sorted(row for key in entries for row in rows_in(objects[key])) == sorted(rows)
    assert (result["objects"], result["rows"]) == (len(entries), len(rows))
    beside = {key for key in objects if key.endswith(".csv") and "_versions" not in key} - set(entries)
    assert all(objects[key] == HEADER for key in beside)
    assert not (beside and layout == "versioned")
    assert objects["_SUCCESS"] == b""
    assert victims.open_uploads() == leaks


def test_a_first_dump_is_killed_anywhere(victims: Victims) -> None:
    """With the two rights of the role and nothing to look with, the retry delivers once."""
    victims.source.hold(FEWER)
    task = {"layout": "versioned", "if_exists": "error"}

    def run(number: int) -> bool:
        victims.new_story()
        fired = victims.dump(number, "before", **task) is None
        leaks = victims.leaks()
        result = victims.dump(**task)
        assert_landed(victims, FEWER, result, "versioned", leaks)
        return fired

    assert until_it_no_longer_fires(run) > 20


def test_a_cleared_dump_is_killed_anywhere(victims: Victims) -> None:
    """The source changed and has fewer objects; the role may not delete, which shows only when it is asked to."""
    task = {"generation": 1, "allow_delete": True}

    def run(number: int) -> bool:
        victims.new_story()
        victims.source.hold(FIRST)
        victims.dump(allow_delete=True)
        victims.source.hold(FEWER)
        fired = victims.dump(number, "after", **task) is None
        leaks = victims.leaks()
        assert_landed(victims, FEWER, victims.dump(**task), "in_place", leaks)
        return fired

    assert until_it_no_longer_fires(run) > 20
