"""docs/troubleshooting.md shows the errors people get, word for word."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.exceptions import XacctError
from airflow_xacct.operators import CrossAccountSqlDumpOperator, CrossAccountUploadOperator
from airflow_xacct.sandbox import Scenario
from tests.integration.airflow_context import StateStore, TaskTry

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
WRITE_ALL = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}

Provoke = Callable[[Scenario, pytest.MonkeyPatch, Path], XacctError]
PROVOKED: dict[str, Provoke] = {}


def shown_as(heading: str) -> Callable[[Provoke], Provoke]:
    def register(function: Provoke) -> Provoke:
        PROVOKED[heading] = function
        return function

    return register


def error_of(patch: pytest.MonkeyPatch, box: Scenario, extras: dict[str, Any] | None = None, **task: Any) -> XacctError:
    """Run the operator with a changed connection and return what it raises."""
    extra = {k: v for k, v in {**box.connection_extra, **(extras or {})}.items() if v is not None}
    patch.setenv("AIRFLOW_CONN_ACME", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
    arguments = {"xacct_conn_id": "acme", **task}
    with pytest.raises(XacctError) as caught:
        TaskTry(lambda: CrossAccountUploadOperator(task_id="upload", **arguments), StateStore()).run()
    return caught.value


@shown_as("The connection does not exist")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    return error_of(patch, box, xacct_conn_id="acme_prod", data="x", key="a")


@shown_as("The connection has problems")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    extras = {
        "external_id": None,
        "assume_role_kwargs": {"ExternalId": "x"},
        "bucket_name": "b",
        "duration_seconds": 60,
    }
    return error_of(patch, box, extras, data="x", key="a")


@shown_as("STS refuses the role")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    return error_of(patch, box, {"external_id": "not-the-right-one"}, data="x", key="a")


@shown_as("The worker has no identity")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    patch.delenv("AWS_ACCESS_KEY_ID")
    patch.delenv("AWS_SECRET_ACCESS_KEY")
    return error_of(patch, box, data="x", key="a")


@shown_as("The role may not write there")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    return error_of(patch, box, {"prefix": "elsewhere/"}, data="x", key="a")


@shown_as("Access denied without a reason, or the wrong owner")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    return error_of(patch, box, {"bucket_owner": "333333333333"}, data="x", key="a")


@shown_as("Tags need a right of their own")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    return error_of(patch, box, data="x", key="a", tags={"team": "data"})


@shown_as("The bucket does not exist")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    box.account_b.put_role_policy("DataDumpRole", {"Version": "2012-10-17", "Statement": [WRITE_ALL]})
    return error_of(patch, box, {"bucket": "no-such-bucket-here"}, data="x", key="a")


@shown_as("The key leads out of the prefix")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    return error_of(patch, box, data="x", key="../acme-competitor/a")


@shown_as("Another object holds the key")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    box.account_b.client("s3").put_object(Bucket=box.bucket, Key="airflow/a", Body=b"theirs")
    return error_of(patch, box, data="x", key="a")


def dump_error(patch: pytest.MonkeyPatch, box: Scenario, folder: Path, *runs: dict[str, Any]) -> XacctError:
    """Dump from SQLite, one time after the other with other arguments; return what the last one raises."""
    path = folder / "source.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    patch.setenv("AIRFLOW_CONN_SOURCE_DB", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    patch.setenv("AIRFLOW_CONN_ACME", json.dumps({"conn_type": "aws_xacct", "extra": box.connection_extra}))
    given = {"sql": "SELECT * FROM orders", "sql_conn_id": "source_db", "xacct_conn_id": "acme", "key": "orders/"}
    store = StateStore()
    *before, last = (
        TaskTry(lambda run=run: CrossAccountSqlDumpOperator(task_id="upload", **given, **run), store) for run in runs
    )
    for number, task in enumerate(before):
        task.run(clear_number=number)
    with pytest.raises(XacctError) as caught:
        last.run(clear_number=len(before))
    return caught.value


@shown_as("Another delivery has the manifest's key")
def _(box: Scenario, patch: pytest.MonkeyPatch, tmp: Path) -> XacctError:
    box.account_b.client("s3").put_object(Bucket=box.bucket, Key="airflow/orders/_manifest.json", Body=b"{}")
    return dump_error(patch, box, tmp, {"if_exists": "error"})


@shown_as("Objects of an earlier delivery would stay")
def _(box: Scenario, patch: pytest.MonkeyPatch, tmp: Path) -> XacctError:
    return dump_error(patch, box, tmp, {}, {"compression": "gzip"})


@shown_as("The file is missing")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    return error_of(patch, box, source="/data/orders.csv", key="a")


@shown_as("The endpoint is not allowed")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    return error_of(patch, box, {"endpoint_url": "http://minio.internal:9000"}, data="x", key="a")


@shown_as("No answer")
def _(box: Scenario, patch: pytest.MonkeyPatch, _tmp: Path) -> XacctError:
    extras = {"endpoint_url": "http://127.0.0.1:1", "config_kwargs": {"retries": {"total_max_attempts": 1}}}
    return error_of(patch, box, extras, data="x", key="a")


def _normalised(error: XacctError, box: Scenario) -> str:
    """What differs from run to run, replaced by what a reader expects."""
    text = f"{type(error).__name__}: {error}"
    text = text.replace(box.external_id[-4:], "9f2e")
    return re.sub(r"on host \S+?([,):. ])", r"on host worker-1\1", text)


@pytest.mark.parametrize("heading", list(PROVOKED))
def test_each_error_is_shown_word_for_word(
    worker: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heading: str
) -> None:
    """The page has the text, under its heading, in a block of its own."""
    text = _normalised(PROVOKED[heading](worker, monkeypatch, tmp_path), worker)
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"no section {heading!r}; the text is:\n{text}"
    assert f"```text\n{text}\n```" in section[1], f"section {heading!r} should show:\n{text}"


def test_no_section_shows_what_cannot_be_provoked() -> None:
    """Each block of error text on the page belongs to a test."""
    sections = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert {heading for heading, body in sections if "```text" in body} == set(PROVOKED)
