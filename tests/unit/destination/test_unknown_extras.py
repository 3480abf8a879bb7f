"""Extras that do not exist: the reader learns which one was meant, and no value is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_xacct.destination import FIELDS, parse
from airflow_xacct.exceptions import InvalidConnectionError

MINIMAL = {"role_arn": "arn:aws:iam::222222222222:role/DataDumpRole", "external_id": "8f14e45f-ceea"}


def problem_of(extra: dict[str, Any]) -> str:
    """Return the one problem of otherwise good extras."""
    with pytest.raises(InvalidConnectionError) as caught:
        parse("c", {**MINIMAL, **extra})
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bukcet", "bucket"),
        ("Bucket", "bucket"),
        ("bucketName", "bucket"),
        ("externalId", "external_id"),
        ("ExternalId", "external_id"),
        ("RoleArn", "role_arn"),
        ("extra__aws_xacct__prefix", "prefix"),
        ("region", "region_name"),
        ("duration", "duration_seconds"),
        ("RoleSessionName", "session_name_prefix"),
        ("endpoint", "endpoint_url"),
        ("kms_key", "kms_key_id"),
        ("tags", "session_tags"),
        ("source-conn-id", "source_conn_id"),
    ],
)
def test_an_unknown_extra_is_named_with_its_nearest_neighbour(name: str, meant: str) -> None:
    assert problem_of({name: "x"}) == f"extra: there is no extra {name!r}. Did you mean {meant}?"


def test_an_extra_like_no_other_is_answered_with_the_list() -> None:
    problem = problem_of({"zzzz": "x"})
    assert problem.startswith("extra: there is no extra 'zzzz'. The extras are role_arn, external_id")
    assert all(field.name in problem for field in FIELDS)


@pytest.mark.parametrize("name", ["", "two words", "x" * 41, "AKIAIOSFODNN7EXAMPLE", "a\nb", "\ud800"])
def test_a_name_that_is_no_word_is_not_shown(name: str) -> None:
    problem = problem_of({name: "x"})
    assert f"with a name of {len(name)} characters" in problem
    problem.encode()


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_amazon_providers_name_is_answered_with_ours(field: Any) -> None:
    for full in field.amazon_names:
        group, _, inner = full.partition(".")
        value = (
            {inner: "hunter2-hunter2"} if inner and inner != "*.endpoint_url" else {"s3": {"endpoint_url": "hunter2"}}
        )
        problem = problem_of({group: value if inner else "hunter2-hunter2"})
        assert problem.startswith(f"{group}: ")
        assert "hunter2" not in problem
        assert field.name in problem or group in {"session_kwargs", "service_config"}
        if group == "session_kwargs":
            assert "source_conn_id" in problem
            assert "region_name" in problem


def test_each_key_of_assume_role_kwargs_is_translated() -> None:
    kwargs = {"ExternalId": "x", "DurationSeconds": 900, "Policy": "{}", "Unheard": 1}
    expected = (
        "assume_role_kwargs: it is a name of the Amazon provider. Here ExternalId is external_id, "
        "DurationSeconds is duration_seconds and Policy is session_policy."
    )
    assert problem_of({"assume_role_kwargs": kwargs}) == expected
    assert problem_of({"assume_role_kwargs": json.dumps(kwargs)}) == expected


@pytest.mark.parametrize("value", [None, "", {}, "not json", 7, {"Unheard": 1}])
def test_assume_role_kwargs_that_say_nothing_are_answered_with_all_translations(value: Any) -> None:
    problem = problem_of({"assume_role_kwargs": value})
    for ours in ("external_id", "duration_seconds", "session_name_prefix", "session_tags", "source_identity"):
        assert ours in problem


@pytest.mark.parametrize("name", ["aws_secret_access_key", "secret", "token", "privateKey"])
def test_the_value_of_an_unknown_extra_is_never_shown(name: str) -> None:
    assert "hunter2" not in problem_of({name: "hunter2"})
