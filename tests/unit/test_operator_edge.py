"""What the operators tell Airflow: assets, links, and nothing done in a constructor."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_xacct.destination import Destination, parse
from airflow_xacct.links.cloudtrail import event_history_url
from airflow_xacct.links.console import S3ConsoleLink, console_url
from airflow_xacct.operators import CrossAccountDumpOperator, CrossAccountSqlDumpOperator, CrossAccountUploadOperator
from airflow_xacct.operators._assets import asset_alias_name, dataset_prefix


def destination(partition: str = "aws", **extra: Any) -> Destination:
    return parse(
        "acme",
        {
            "role_arn": f"arn:{partition}:iam::222222222222:role/DataDumpRole",
            "external_id": "ext-1234",
            "bucket": "acme-landing",
            "prefix": "airflow/",
            **extra,
        },
    )


@pytest.mark.parametrize(
    ("dataset", "key", "expected"),
    [
        (None, "orders/{{ ds }}/x.csv", "orders/"),
        (None, "orders/daily-{{ ds }}.csv", "orders/"),
        (None, "orders/{% if a %}b{% endif %}/", "orders/"),
        (None, "orders/today.csv", "orders/"),
        (None, "{{ ds }}.csv", ""),
        (None, "today.csv", ""),
        ("mine", "orders/x", "mine"),
        (None, object(), ""),
    ],
)
def test_one_dataset_for_all_days(dataset: Any, key: Any, expected: str) -> None:
    """The part of the key that no template changes."""
    assert dataset_prefix(dataset, key) == expected


def test_the_alias_is_named_after_the_connection() -> None:
    """What is mapped or templated is not known when the DAG is parsed."""
    assert asset_alias_name("acme") == "xacct:acme"
    assert asset_alias_name("{{ params.conn }}") == asset_alias_name(object()) == "xacct"


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_console_of_each_partition(partition: str, region: str, host: str) -> None:
    """The link leads to the prefix, in the right console."""
    url = console_url(destination(partition), region=region, key="airflow/orders/ds=1/")
    assert url == f"https://{host}/s3/buckets/acme-landing?region={region}&prefix=airflow%2Forders%2Fds%3D1%2F"


def test_no_link_where_there_is_no_console() -> None:
    """An isolated partition, an unknown region, an access point's ARN."""
    assert console_url(destination("aws-iso"), region="us-iso-east-1", key="a") == ""
    assert console_url(destination(), region=None, key="a") == ""
    arn = "arn:aws:s3:eu-central-1:222222222222:accesspoint/landing"
    assert console_url(destination(bucket=arn), region="eu-central-1", key="a") == ""


def test_the_link_is_kept_with_the_task_instance() -> None:
    """Unless the task pushes no XCom."""
    kept: dict[str, str] = {}
    context = {"ti": SimpleNamespace(xcom_push=lambda key, value: kept.update({key: value}))}
    silent = SimpleNamespace(do_xcom_push=False)
    S3ConsoleLink.persist(context, silent, destination(), region="eu-central-1", key="a")
    assert kept == {}
    S3ConsoleLink.persist(context, SimpleNamespace(do_xcom_push=True), destination(), region="eu-central-1", key="a")
    assert list(kept) == ["xacct_s3_console"]
    assert S3ConsoleLink().name == "S3 console (Account B)"
    assert S3ConsoleLink().xcom_key != "xacct_s3_console"


def test_the_event_history_of_a_session() -> None:
    """Found by the session's name, in the region of the STS endpoint."""
    arn = "arn:aws:sts::222222222222:assumed-role/DataDumpRole/nyc.flights.r+1"
    url = event_history_url(partition="aws", region="eu-central-1", session_arn=arn)
    assert url == (
        "https://eu-central-1.console.aws.amazon.com/cloudtrailv2/home?region=eu-central-1"
        "#/events?ResourceName=nyc.flights.r%2B1"
    )
    assert event_history_url(partition="aws-iso", region="us-iso-east-1", session_arn=arn) == ""
    assert event_history_url(partition="aws", region=None, session_arn=arn) == ""


OPERATORS: list[tuple[type[Any], dict[str, Any]]] = [
    (CrossAccountUploadOperator, {"xacct_conn_id": ""}),
    (CrossAccountDumpOperator, {"xacct_conn_id": "", "key": ""}),
    (CrossAccountSqlDumpOperator, {"xacct_conn_id": "", "sql": "", "sql_conn_id": "", "key": ""}),
]


def own_classes(kind: type[Any]) -> list[type[Any]]:
    """The operator and what it inherits from us."""
    return [each for each in kind.mro() if each.__module__.startswith("airflow_xacct.")]


def own_parameters(kind: type[Any]) -> dict[str, inspect.Parameter]:
    """All arguments of ours, those of the common bases included."""
    return {
        name: parameter
        for each in own_classes(kind)
        for name, parameter in inspect.signature(each.__init__).parameters.items()
        if name not in ("self", "kwargs")
    }


@pytest.mark.parametrize(("kind", "needed"), OPERATORS)
def test_the_constructor_takes_keywords_and_assigns(kind: type[Any], needed: dict[str, Any]) -> None:
    """Wrong values are no error when the DAG is parsed, since templates are not rendered yet."""
    parameters = own_parameters(kind)
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())
    operator = kind(task_id="t", if_exists="nonsense", **needed)
    for name in parameters:
        assert hasattr(operator, name), name


@pytest.mark.parametrize(("kind", "needed"), OPERATORS)
def test_every_template_field_exists_and_is_documented(kind: type[Any], needed: dict[str, Any]) -> None:
    """A template field that is misspelt would be noticed only at run time."""
    operator = kind(task_id="t", **needed)
    text = "".join(each.__doc__ or "" for each in own_classes(kind))
    for name in operator.template_fields:
        assert hasattr(operator, name)
        described = text.split(f":param {name}:", 1)[1].split(":param", 1)[0]
        assert "(templated)" in described, name
    assert set(operator.template_fields_renderers) <= set(operator.template_fields)


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        (CrossAccountDumpOperator, "python-dump"),
        (CrossAccountSqlDumpOperator, "sql-dump"),
        (CrossAccountUploadOperator, "upload"),
    ],
)
def test_every_argument_is_on_its_page(kind: type[Any], page: str) -> None:
    """An argument that no page names does not exist for its users."""
    text = (Path(__file__).parents[2] / "docs" / f"{page}.md").read_text()
    for name in own_parameters(kind):
        assert f"`{name}`" in text, name
