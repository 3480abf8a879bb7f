"""``docs/connection.md``: every example is read by Airflow and by the parser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.definitions.connection import Connection

from airflow_xacct.destination import CONN_TYPE, Destination, parse

PAGE = (Path(__file__).parents[3] / "docs" / "connection.md").read_text(encoding="utf-8")
EXTERNAL_ID = "8f14e45f-ceea-467f-9575-3b4e5d1c7a90"


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language, with an External ID where the reader has to put one."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return [block.replace("<the External ID>", EXTERNAL_ID) for block in found]


def exported() -> list[str]:
    """Return the values of the environment variables that the page exports."""
    return [
        value
        for block in blocks("bash")
        for value in re.findall(r"export AIRFLOW_CONN_PARTNER_B='(.*?)'", block, re.DOTALL)
    ]


def destination_of(connection: Connection) -> Destination:
    """Parse what Airflow made of a connection."""
    assert connection.conn_type == CONN_TYPE
    return parse(
        connection.conn_id,
        connection.extra,
        login=connection.login,
        password=connection.password,
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
    )


def read_by_airflow(value: str) -> Connection:
    """Read an environment variable as Airflow does."""
    read = Connection.from_json if value.startswith("{") else Connection.from_uri
    return read(value, conn_id="partner_b")


def test_json_and_uri_on_the_page_are_one_connection() -> None:
    as_json, as_uri = (destination_of(read_by_airflow(value)) for value in exported())
    assert as_json.role == as_uri.role
    assert (as_json.bucket, as_json.prefix) == (as_uri.bucket, as_uri.prefix)
    assert as_uri.external_id == EXTERNAL_ID
    assert as_uri.duration_seconds == 900


@pytest.mark.parametrize("block", blocks("json"))
def test_every_json_example_on_the_page_is_legal(block: str) -> None:
    example: dict[str, Any] = json.loads(block)
    extra = example.get("extra") or {
        "role_arn": "arn:aws:iam::222222222222:role/DataDumpRole",
        "external_id": EXTERNAL_ID,
        "endpoint_url": example,
    }
    parse("partner_b", extra)


def test_a_connection_that_airflow_writes_as_a_uri_is_the_same_again() -> None:
    """``airflow connections export`` and some secrets backends store URIs."""
    for value in exported():
        connection = read_by_airflow(value)
        again = Connection.from_uri(connection.get_uri(), conn_id="partner_b")
        assert destination_of(again) == destination_of(connection)


def test_a_connection_with_objects_survives_airflows_uri() -> None:
    extra = {
        "role_arn": "arn:aws:iam::222222222222:role/DataDumpRole",
        "external_id": EXTERNAL_ID,
        "session_tags": {"team": "data platform"},
        "endpoint_url": {"sts": "https://sts.eu-central-1.amazonaws.com"},
        "duration_seconds": 900,
        "region_name": None,
    }
    connection = Connection(conn_id="partner_b", conn_type=CONN_TYPE, extra=json.dumps(extra))
    again = Connection.from_uri(connection.get_uri(), conn_id="partner_b")
    assert destination_of(again) == parse("partner_b", extra)
