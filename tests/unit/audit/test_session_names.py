"""From a session's name back to its task."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_xacct.access.task_identity import TaskIdentity, session_tags
from airflow_xacct.audit.names import NamedTask, SessionNames

NAMES = SessionNames("acme", "")
LONG = "a_rather_long_name_of_a_dag_that_nobody_can_type"
RUN = "scheduled__2026-11-23T00:00:00+00:00"

ids = st.text(
    st.characters(codec="ascii", categories=["L", "N"], include_characters="_-.:+ /"), min_size=1, max_size=60
)
identities = st.builds(
    TaskIdentity, dag_id=ids, task_id=ids, run_id=ids, map_index=st.integers(min_value=-1, max_value=1023)
)


@pytest.mark.parametrize(
    ("identity", "read"),
    [
        (TaskIdentity("nyc", "upload", "manual__1"), NamedTask("nyc", "upload", "manual__1")),
        (TaskIdentity("nyc", "upload", "my-run", 7), NamedTask("nyc", "upload", "my-run", 7)),
        (TaskIdentity("nyc", "group.upload", "manual__1"), NamedTask("nyc", "group.upload", "manual__1")),
        (
            TaskIdentity("nyc", "upload", "manual__2026-11-23T00:00:00.123456+00:00"),
            NamedTask("nyc", "upload", "manual__2026-11-23T000000.123456+0000"),
        ),
        (TaskIdentity("nyc", "upload", RUN, 3), NamedTask("nyc", "upload", "scheduled__2026-11-23T000000+0000", 3)),
        (
            TaskIdentity(LONG, "upload", RUN),
            NamedTask("a_rather_long_name_of_a", "upload", "scheduled__2026-11-23T0"),
        ),
    ],
)
def test_a_name_is_read_as_far_as_it_can_be(identity: TaskIdentity, read: NamedTask) -> None:
    """Task groups have dots, runs begin with their type, long parts are cut."""
    assert NAMES.read(NAMES.of(identity)) == read


@pytest.mark.parametrize(
    "name",
    [
        "botocore-session-1700000000",
        "AWSCLI-Session",
        "nyc.upload",
        "nyc..manual__1",
        ".",
        "..",
        "alice@example.com",
        "",
    ],
)
def test_what_others_call_their_sessions_is_not_ours(name: str) -> None:
    """SDKs and people do not write three parts."""
    assert NAMES.read(name) is None
    assert not NAMES.is_outside_task(name)


def test_a_prefix_is_demanded_where_the_connection_has_one() -> None:
    """And not taken for a part of the DAG."""
    names = SessionNames("acme", "prod-")
    assert names.read("prod-nyc.upload.manual__1") == NamedTask("nyc", "upload", "manual__1")
    assert names.read("nyc.upload.manual__1") is None
    assert names.is_outside_task("prod-airflow.acme")
    assert not names.could_be("nyc.upload.manual__1", dag_id="nyc")


def test_a_session_outside_a_task_has_the_connections_name() -> None:
    """Of another connection only where the audit knows of none."""
    assert NAMES.is_outside_task("airflow.acme")
    assert not NAMES.is_outside_task("airflow.other")
    assert SessionNames().is_outside_task("airflow.other")
    assert not SessionNames().is_outside_task("airflow.")


@given(identities)
def test_a_name_can_be_that_of_the_task_it_was_made_for(identity: TaskIdentity) -> None:
    """Asked for by any of DAG, task and run, and by all three: nothing of ours is filtered away."""
    name = NAMES.of(identity)
    assert NAMES.could_be(name, dag_id=identity.dag_id)
    assert NAMES.could_be(name, task_id=identity.task_id)
    assert NAMES.could_be(name, run_id=identity.run_id)
    assert NAMES.could_be(name, dag_id=identity.dag_id, run_id=identity.run_id)
    assert NAMES.could_be(name, dag_id=identity.dag_id, task_id=identity.task_id, run_id=identity.run_id)


@given(identities)
def test_tags_agree_with_the_name_of_their_own_task(identity: TaskIdentity) -> None:
    """Also where STS does not take a character in one of the two: a false alarm would be read once and never again."""
    tags = dict(session_tags(identity))
    tagged = TaskIdentity(tags["dag_id"], tags["task_id"], tags["run_id"], identity.map_index)
    assert NAMES.agrees(NAMES.of(identity), tagged)


def test_another_task_is_not_that_task() -> None:
    """The digest of a name that was cut tells two runs apart."""
    one, two = (TaskIdentity(LONG, LONG, f"{RUN}{end}") for end in ("a", "b"))
    assert not NAMES.could_be(NAMES.of(one), dag_id=two.dag_id, task_id=two.task_id, run_id=two.run_id)
    assert not NAMES.could_be("nyc.upload.manual__1", dag_id="ny")
    assert not NAMES.could_be("nyc.upload.manual__1", task_id="load")
    assert not NAMES.agrees("nyc.upload.manual__1", TaskIdentity("nyc", "other", "manual__1"))
    assert not NAMES.agrees("nyc.upload.manual__1", TaskIdentity("nyc", "other-task", "manual__1"))
