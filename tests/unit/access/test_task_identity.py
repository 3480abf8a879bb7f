"""RoleSessionName: legible, legal, and the same for the same task and run."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from airflow_xacct.access.task_identity import TaskIdentity, role_session_name, session_tags

LEGAL = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")


def test_a_short_identity_is_written_out() -> None:
    """A reader of CloudTrail sees DAG, task and run."""
    identity = TaskIdentity("nyc", "flights", "manual__2013-01-01T00:00:00+00:00")
    assert role_session_name(identity, conn_id="acme") == "nyc.flights.manual__2013-01-01T000000+0000"


def test_a_mapped_task_names_its_index() -> None:
    """Mapped tasks of one run are told apart."""
    identity = TaskIdentity("nyc", "flights", "r1", map_index=7)
    assert role_session_name(identity, conn_id="acme") == "nyc.flights.r1.7"


def test_the_prefix_comes_first() -> None:
    """The prefix is kept whole, so that B can put it into a condition of the trust policy."""
    identity = TaskIdentity("d" * 60, "t" * 60, "r" * 60)
    name = role_session_name(identity, conn_id="acme", prefix="acme-prod-")
    assert name.startswith("acme-prod-d")
    assert 60 <= len(name) <= 64


def test_what_is_cut_gets_a_stable_digest() -> None:
    """Two long names that differ only where they are cut stay apart; the same one stays the same."""
    first = TaskIdentity("d" * 80 + "1", "flights", "scheduled__2013-01-01T00:00:00+00:00")
    second = TaskIdentity("d" * 80 + "2", "flights", "scheduled__2013-01-01T00:00:00+00:00")
    names = [role_session_name(i, conn_id="acme") for i in (first, second, first)]
    assert names[0] == names[2] != names[1]
    assert ".flights.scheduled__2013-01-01" in names[0]


def test_outside_a_task_the_connection_names_the_session() -> None:
    """A hook in a notebook or the API server is recognisable too."""
    assert role_session_name(TaskIdentity(), conn_id="acme prod") == "airflow.acme-prod"


def test_the_identity_is_read_from_airflows_environment() -> None:
    """A hook knows its task without a context."""
    environ = {
        "AIRFLOW_CTX_DAG_ID": "nyc",
        "AIRFLOW_CTX_TASK_ID": "flights",
        "AIRFLOW_CTX_DAG_RUN_ID": "r1",
        "AIRFLOW_CTX_TRY_NUMBER": "2",
        "AIRFLOW_CTX_LOGICAL_DATE": "2013-01-01",
    }
    assert TaskIdentity.from_environ(environ) == TaskIdentity("nyc", "flights", "r1", -1, 2, "2013-01-01")
    assert not TaskIdentity.from_environ({})


@given(
    st.text(max_size=300),
    st.text(max_size=300),
    st.text(max_size=300),
    st.integers(-1, 10**6),
    st.text("abc-", max_size=32),
)
def test_every_name_is_legal(dag: str, task: str, run: str, index: int, prefix: str) -> None:
    """Whatever people call their DAGs, STS takes the name."""
    name = role_session_name(TaskIdentity(dag, task, run, index), conn_id="c", prefix=prefix)
    assert LEGAL.fullmatch(name)
    assert name.startswith(prefix)


def test_session_tags_say_which_task_instance_it_is() -> None:
    """Policies of B and CloudTrail can use them; the connection's own come beside, and win."""
    identity = TaskIdentity("nyc", "flights", "manual__2013|x", 3, 2, "2013-01-01T00:00:00+00:00")
    assert session_tags(identity, [("team", "data"), ("Dag_ID", "mine")]) == (
        ("Dag_ID", "mine"),
        ("logical_date", "2013-01-01T00:00:00+00:00"),
        ("map_index", "3"),
        ("run_id", "manual__2013-x"),
        ("task_id", "flights"),
        ("team", "data"),
        ("try_number", "2"),
    )
    assert session_tags(TaskIdentity(), [("team", "data")]) == (("team", "data"),)
    assert len(dict(session_tags(TaskIdentity("d" * 300)))["dag_id"]) == 256
