"""OpenLineage: what was read, and the dataset it became."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.operators._lineage import delivery_lineage

RESULT = {"uri": "s3://acme-landing/airflow/orders/", "objects": 2}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/data/orders", [(f"file://{socket.gethostname()}", "/data/orders")]),
        (Path("/data/orders"), [(f"file://{socket.gethostname()}", "/data/orders")]),
        ("gs://lake/orders/", [("gs://lake", "orders")]),
        (None, []),
    ],
)
def test_inputs_are_named_by_openlineages_rules(source: Any, expected: list[tuple[str, str]]) -> None:
    """A file belongs to its host, an object to its bucket."""
    assert [(d.namespace, d.name) for d in delivery_lineage(source, RESULT).inputs] == expected


def test_the_output_is_the_delivered_dataset() -> None:
    """Nothing delivered, nothing claimed."""
    (output,) = delivery_lineage(None, RESULT).outputs
    assert (output.namespace, output.name) == ("s3://acme-landing", "airflow/orders")
    assert delivery_lineage(None, None).outputs == []
    assert delivery_lineage(None, {**RESULT, "objects": 0}).outputs == []


def test_the_operator_answers_the_openlineage_provider() -> None:
    """From what the task returned."""
    operator = CrossAccountUploadOperator(task_id="t", xacct_conn_id="acme", source="/data/a", key="orders/")
    task_instance = SimpleNamespace(
        xcom_pull=lambda task_ids, key: RESULT if (task_ids, key) == ("t", "return_value") else None
    )
    assert operator.get_openlineage_facets_on_complete(task_instance).outputs[0].name == "airflow/orders"
