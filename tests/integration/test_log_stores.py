"""The log of a delivery where it really is kept: the same scenarios for each place, then what Variables can do wrong.

Each runs on the metadata database of the installed Airflow and, but for the last place, through its execution API.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_xacct.cli import main as cli
from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.paged_log import PREFIX, PagedLog
from airflow_xacct.exceptions import CommitLogError, ConfigurationError, ObjectExistsError
from airflow_xacct.hooks.variables import DatabaseVariables, airflow_variables
from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.sandbox import Scenario
from tests.faults.fault_harness import (
    SEVERAL,
    Killed,
    World,
    assert_delivered,
    kill_at_event,
    manifest_never_names_a_mix,
)
from tests.integration.airflow_context import StateStore, TaskTry
from tests.integration.log_stores import PLACES, Deployment, WatchedLog

MANY = {f"data/{number:03}.csv": b"%d" % number for number in range(250)}
NEWER = {"data/a.csv": b"A", "data/b.csv": b"newer"}


@pytest.fixture(params=PLACES)
def airflow(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """An Airflow that keeps its logs in one of the places."""
    deployment = Deployment(request.param)
    with deployment.running():
        yield deployment


@pytest.fixture(params=[place for place in PLACES if place.startswith("variable")])
def with_variables(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """An Airflow that keeps its logs in Variables."""
    deployment = Deployment(request.param)
    with deployment.running():
        yield deployment


class Task(World):
    """A task of that Airflow, on a role that may neither look nor delete."""

    def __init__(self, airflow: Deployment, run_id: str = "run") -> None:
        super().__init__(FakeStore(smallest_part_bytes=1), log=WatchedLog(lambda: airflow.open_log(run_id=run_id)))  # type: ignore[arg-type]
        self.store.can_head = self.store.can_delete = False

    def deliver(self, objects: Any, **options: Any) -> Any:
        """One try, in a process of its own."""
        self.log.reopen()  # type: ignore[union-attr]
        return super().deliver(objects, **{"if_exists": "error", **options})


@pytest.mark.parametrize(("moment", "first"), [("before", 1), ("after", 2)])
def test_a_retry_after_a_kill_leaves_exactly_one_delivery(airflow: Deployment, moment: str, first: int) -> None:
    """Around every call and every write of the log: every other one before it, the others after it."""
    for number in range(first, 1000, 2):
        task = Task(airflow, run_id=f"killed-{moment}-{number}")
        kill_at_event(task, number, moment)
        with suppress(Killed):
            task.deliver(SEVERAL)
        if not task.fired:
            assert number > 20
            return
        task.heal()
        result = task.deliver(SEVERAL)
        assert_delivered(task, SEVERAL, result)
        manifest_never_names_a_mix(task)
        calls = len(task.store.calls)
        assert task.deliver(SEVERAL) == result
        assert len(task.store.calls) == calls, "a third try does not touch the bucket"
    raise AssertionError("still killing")


def test_a_kill_between_two_pages_of_a_long_log(airflow: Deployment) -> None:
    """In the middle of the commit of many objects, whose log is longer than a value may be."""
    task = Task(airflow)
    seen = 0

    def kill_in_the_middle(call: Any, moment: str) -> None:
        nonlocal seen
        seen += call.operation == "complete" and moment == "after"
        if seen == 100:
            task.kill()

    task.on_call = kill_in_the_middle
    with pytest.raises(Killed):
        task.deliver(MANY)
    task.heal()
    assert_delivered(task, MANY, task.deliver(MANY))


def test_a_cleared_task_delivers_the_new_data_once(airflow: Deployment) -> None:
    """Over what the log knows as ours, also under "error", and what has no place any more goes."""
    task = Task(airflow)
    task.deliver(SEVERAL)
    task.store.can_delete = True
    result = task.deliver(NEWER, generation=1, allow_delete=True)
    assert_delivered(task, NEWER, result)
    assert task.deliver(NEWER, generation=1, allow_delete=True) == result
    manifest_never_names_a_mix(task)


@pytest.mark.parametrize("occasion", [{"generation": 1}, {"run_mark": "later/0"}], ids=["cleared", "made-anew"])
@pytest.mark.parametrize("number", [4, 12, 20])
def test_a_clear_after_a_kill(airflow: Deployment, number: int, occasion: dict[str, Any]) -> None:
    """Whether it was staging or committing: one delivery, of the new data; likewise in a run of the same name."""
    task = Task(airflow)
    kill_at_event(task, number, "after")
    with pytest.raises(Killed):
        task.deliver(SEVERAL)
    task.heal()
    newer = {key: body + b"!" for key, body in SEVERAL.items()}
    assert_delivered(task, newer, task.deliver(newer, **occasion))


def test_a_run_that_was_deleted_and_made_again_delivers_anew(airflow: Deployment) -> None:
    """Its log may have outlived it, and "committed" there was said of another run."""
    task = Task(airflow)
    first = task.deliver(SEVERAL, run_mark="1000.0/1")
    assert task.deliver(SEVERAL, run_mark="1000.0/1") == first
    newer = {key: body + b"!" for key, body in SEVERAL.items()}
    assert_delivered(task, newer, task.deliver(newer, run_mark="2000.0/1"))


def test_logs_of_other_task_instances_are_other_logs(airflow: Deployment) -> None:
    """Run, task and map index; and the deliveries of one task are told apart by their name."""
    airflow.open_log().set("xacct/delivery", {"mine": 1})
    others = [{"run_id": "other"}, {"task_id": "other"}, {"map_index": 0}, {"map_index": 1}]
    for number, other in enumerate(others):
        log = airflow.open_log(**other)  # type: ignore[arg-type]
        assert log.get("xacct/delivery") is None
        log.set("xacct/delivery", number)
    assert airflow.open_log().get("xacct/other") is None
    assert airflow.open_log().get("xacct/delivery") == {"mine": 1}
    assert [airflow.open_log(**other).get("xacct/delivery") for other in others] == [0, 1, 2, 3]  # type: ignore[arg-type]


def test_a_value_of_the_largest_size_is_kept(airflow: Deployment) -> None:
    """48 KiB of JSON, with what JSON and a URL would escape."""
    value = {"i": ['\\"é%/?&+ {{ x }}' * 2110]}
    assert 47 * 1024 < len(json.dumps(value)) <= 48 * 1024
    airflow.open_log().set("xacct/delivery/a/0", value)
    assert airflow.open_log().get("xacct/delivery/a/0") == value


def test_a_delivery_keeps_few_variables(with_variables: Deployment) -> None:
    """One for a few objects, one for each 48 KiB of the log of many, and as many for the next attempt."""
    Task(with_variables).deliver(SEVERAL)
    assert len(with_variables.variables()) == 1
    many = Task(with_variables, run_id="many")
    many.deliver(MANY)
    first = len(with_variables.variables()) - 1
    assert first == 2
    for generation in range(1, 5):
        many.deliver(MANY, generation=generation)
    assert len(with_variables.variables()) - 1 <= 2 * first + 1


def test_a_backend_that_hides_the_variable_stops_the_delivery(
    with_variables: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server looks into its environment first; the database is read past it."""
    log = with_variables.open_log(run_id="run")
    assert isinstance(log, PagedLog)
    key = log.page_key("xacct/delivery", 0)
    task = Task(with_variables)

    def hide(call: Any, moment: str) -> None:
        monkeypatch.setenv(f"AIRFLOW_VAR_{key.upper()}", with_variables.variables()[key])

    task.on_call = hide
    if not with_variables.by_api:
        assert_delivered(task, SEVERAL, task.deliver(SEVERAL))
        return
    with pytest.raises(CommitLogError, match=r"written, and something else is read back.*secrets backend"):
        task.deliver(SEVERAL)
    assert task.store.objects == {}
    assert set(task.store.open_uploads) == set()
    monkeypatch.setenv(f"AIRFLOW_VAR_{key.upper()}", "something")
    with pytest.raises(CommitLogError, match="something else than the commit log"):
        task.deliver(SEVERAL)


def test_no_cache_is_asked(with_variables: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """``[secrets] use_cache`` would answer with what was true some minutes ago."""
    from airflow.sdk import SecretCache

    log = with_variables.open_log()
    assert isinstance(log, PagedLog)
    monkeypatch.setenv("AIRFLOW__SECRETS__USE_CACHE", "True")
    cache: dict[str, Any] = {}
    monkeypatch.setattr(SecretCache, "_cache", cache)
    monkeypatch.setattr(SecretCache, "_ttl", timedelta(hours=1), raising=False)
    if not with_variables.by_api:
        # only the DAG processor has it, not the API server
        SecretCache.save_variable(log.page_key("xacct/delivery", 0), None)
    log.set("xacct/delivery", 1)
    airflow_variables().write(log.page_key("xacct/delivery", 0), "changed behind its back", "")
    assert airflow_variables().read(log.page_key("xacct/delivery", 0)) == "changed behind its back"


def test_what_cannot_be_decrypted_is_not_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database is read: another Fernet key is an error, not a fresh start."""
    deployment = Deployment("variable-in-database")
    with deployment.running():
        task = Task(deployment)
        task.deliver(SEVERAL)
        (key,) = deployment.variables()
        deployment.change(key, _val="gAAAAA-of-another-key", is_encrypted=True)
        with pytest.raises(
            CommitLogError, match=r"cannot be decrypted.*Look at the Airflow API server, or the metadata"
        ):
            task.deliver(SEVERAL)


@pytest.mark.parametrize("at", ["GetVariable", "PutVariable"])
def test_an_api_server_that_does_not_answer_is_not_no_log(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``Variable.get`` would say that there is none; here the delivery stops, and the next try goes on."""
    deployment = Deployment("variable-by-api")
    with deployment.running():
        task = Task(deployment)
        handle = type(deployment.supervisor)._handle_request

        def down(self: Any, message: Any, *rest: Any) -> Any:
            if type(message).__name__ == at:
                raise ConnectionError("the API server is gone")
            return handle(self, message, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(type(deployment.supervisor), "_handle_request", down)
            with pytest.raises(CommitLogError, match="the API server is gone"):
                task.deliver(SEVERAL)
        assert task.store.objects == {}
        assert_delivered(task, SEVERAL, task.deliver(SEVERAL))


def test_a_refusal_of_the_api_server_is_not_no_log() -> None:
    """Only "not found" means that there is none."""
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    class Refusing:
        def send(self, message: Any) -> ErrorResponse:
            return ErrorResponse(error=ErrorType.PERMISSION_DENIED, detail={"status_code": 403})

    with set_supervisor_comms(Refusing()):
        log = PagedLog(airflow_variables(), {"dag": "dag"})
        with pytest.raises(CommitLogError, match="could not be read: RuntimeError: the supervisor answered"):
            log.get("xacct/delivery")


def test_a_supervisor_that_is_spoken_to_in_another_way_is_refused() -> None:
    """Airflow 3.0.0 to 3.0.2."""
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    with set_supervisor_comms(object()), pytest.raises(CommitLogError, match=r"Update Airflow to 3\.0\.3 or later"):
        airflow_variables()


def test_nothing_of_the_log_becomes_a_secret(with_variables: Deployment) -> None:
    """A Variable with a name like "token" would blank its value in every log line."""
    from airflow._shared.secrets_masker import _secrets_masker as server_masker
    from airflow.sdk._shared.secrets_masker import _secrets_masker as task_masker

    before = [len(masker().patterns) for masker in (task_masker, server_masker)]
    Task(with_variables, run_id="refresh_token").deliver(SEVERAL)
    Task(with_variables, run_id="refresh_token").log.get("xacct/delivery")  # type: ignore[union-attr]
    assert [len(masker().patterns) for masker in (task_masker, server_masker)] == before


def test_old_logs_are_listed_and_deleted_by_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Only those that were last written before the age, with all of their Variables, and nothing else."""
    deployment = Deployment("variable-in-database")
    with deployment.running():
        long_ago = (datetime.now(UTC) - timedelta(days=31)).timestamp()
        scope: dict[str, str | int] = {"dag": "nyc", "task": "upload", "run": "old", "map_index": -1}
        old = PagedLog(DatabaseVariables(), scope, clock=lambda: long_ago)
        for number in range(3):
            old.set(f"xacct/delivery/a/{number}", "x" * 40_000)
        Task(deployment, run_id="young").deliver(SEVERAL)
        DatabaseVariables().write("mine", "mine", "")
        DatabaseVariables().write(f"{PREFIX}unreadable", "no log", "")
        assert len(deployment.variables()) == 6

        assert cli.main(["commit-logs"]) == 0
        out = capsys.readouterr().out
        assert "2 commit logs in 4 Variables found." in out
        assert out.index("old") < out.index("young")
        assert cli.main(["commit-logs", "--older-than", "30", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert (found["dag"], found["run"], len(found["variables"])) == ("nyc", "old", 3)
        assert found["size_bytes"] > 120_000
        assert len(deployment.variables()) == 6

        assert cli.main(["commit-logs", "--older-than", "30", "--delete"]) == 0
        assert "1 commit logs in 3 Variables deleted." in capsys.readouterr().out
        kept = deployment.variables()
        assert set(kept) >= {"mine", f"{PREFIX}unreadable"}
        assert len(kept) == 3
        assert "young" in "".join(kept.values())


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--delete"], "deleting needs an age"),
        (["--older-than", "-1"], "-1 is no age"),
        (["--older-than", "nan"], "nan is"),
    ],
    ids=["no-age", "negative", "nan"],
)
def test_an_age_is_asked_for(argv: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Not every log by mistake."""
    assert cli.main(["commit-logs", *argv]) == 1
    assert text in capsys.readouterr().err


Upload = Callable[..., TaskTry]


@pytest.fixture
def upload(worker: Scenario) -> Upload:
    """Make a task that uploads text to one key; without a state store, as before Airflow 3.3."""

    def make(data: str, *, store: StateStore | None = None) -> TaskTry:
        return TaskTry(
            lambda: CrossAccountUploadOperator(
                task_id="upload", xacct_conn_id="xacct_default", data=data, key="a.txt", if_exists="error"
            ),
            store,
        )

    return make


def test_an_operator_with_variables_needs_no_reading(
    with_variables: Deployment, worker: Scenario, upload: Upload
) -> None:
    """A retry returns the result, a cleared task replaces it, another run is a conflict; no session may read."""
    task = upload("old")
    first = task.run(try_number=1)
    assert task.run(try_number=2) == first
    cleared = upload("new")
    assert cleared.run(try_number=3, clear_number=1)["token"] != first["token"]
    assert worker.account_b.read(worker.bucket, "airflow/a.txt") == b"new"
    with pytest.raises(ObjectExistsError):
        upload("x").run(run_id="another")
    policies = [event.session_policy for event in worker.box.assume_role_events]
    assert policies
    assert not any("s3:GetObject" in json.dumps(_allowed(policy)) for policy in policies)
    assert len(with_variables.variables()) == 2


@pytest.mark.parametrize(
    "occasion",
    [{"clear_number": 1}, {"max_tries": 3}, {"started": datetime(2026, 1, 2, tzinfo=UTC)}],
    ids=["finished-run-cleared", "running-run-cleared", "run-made-anew"],
)
def test_an_operator_sees_a_clear_however_airflow_tells_it(
    with_variables: Deployment, worker: Scenario, upload: Upload, occasion: dict[str, Any]
) -> None:
    """Before Airflow 3.2 the clear number of a running run stays; and a deleted run leaves its Variables behind."""
    upload("old").run(try_number=1)
    upload("new").run(try_number=2)
    assert worker.account_b.read(worker.bucket, "airflow/a.txt") == b"old"
    upload("new").run(try_number=2, **occasion)
    assert worker.account_b.read(worker.bucket, "airflow/a.txt") == b"new"


def test_variables_are_used_where_they_are_asked_for(with_variables: Deployment, upload: Upload) -> None:
    """Also where there is a state store."""
    store = StateStore()
    upload("x", store=store).run()
    assert store.log.values == {}
    assert len(with_variables.variables()) == 1


def test_without_the_option_there_are_no_variables(worker: Scenario, upload: Upload) -> None:
    """Nobody's Variables are written to unasked."""
    deployment = Deployment("task_state_store")
    with deployment.running():
        store = StateStore()
        upload("x", store=store).run()
        assert store.log.values
        assert deployment.variables() == {}


@pytest.mark.parametrize("given", ["variables", "yes", "task_state_store"])
def test_an_option_that_is_none_is_refused(
    given: str, worker: Scenario, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent, with what it may be."""
    monkeypatch.setenv("AIRFLOW__XACCT__COMMIT_LOG", given)
    with pytest.raises(
        ConfigurationError, match=rf"'{given}' is not possible \(commit_log in section xacct\). Choose one of auto"
    ):
        upload("x").run()
    assert not worker.box.assume_role_events


@pytest.mark.parametrize("given", ["", "auto", " AUTO "])
def test_the_default_asks_for_no_variables(given: str, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    """No database is needed for it."""
    monkeypatch.setenv("AIRFLOW__XACCT__COMMIT_LOG", given)
    upload("x").run()


def _allowed(policy: str | None) -> list[Any]:
    return [
        part["Action"] for part in json.loads(policy or '{"Statement": []}')["Statement"] if part["Effect"] == "Allow"
    ]
