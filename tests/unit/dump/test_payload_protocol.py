"""What the sources hand over is what a delivery takes, though neither imports the other."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import airflow_xacct.dump
from airflow_xacct.delivery import payload as taken
from airflow_xacct.dump import payload as given
from airflow_xacct.dump.compression import CompressedPayload
from airflow_xacct.dump.sources.file_payload import FilePayload
from airflow_xacct.dump.sources.inline import BytesPayload
from airflow_xacct.dump.sources.storage_path import StoragePayload


def members(protocol: type) -> dict[str, object]:
    return {
        name: inspect.signature(getattr(member, "fget", member))
        for name, member in vars(protocol).items()
        if not name.startswith("_")
    }


def test_the_two_statements_of_the_protocol_agree() -> None:
    """Same members, same signatures."""
    assert members(given.PayloadReader) == members(taken.PayloadReader)
    assert members(given.Payload) == members(taken.Payload)


@pytest.mark.parametrize("payload", [FilePayload, BytesPayload, StoragePayload, CompressedPayload])
def test_every_payload_has_all_members(payload: type) -> None:
    """Properties where the protocol has properties."""
    for name in members(taken.Payload):
        assert isinstance(inspect.getattr_static(payload, name), property) == (name != "open")


def test_sources_import_neither_the_delivery_nor_airflow() -> None:
    """The arrows of the design, read from the import statements at module level."""
    root = Path(airflow_xacct.dump.__file__).parent
    checked = [root / f"{name}.py" for name in ("compression", "content_type", "naming", "payload")]
    for path in [*checked, *root.glob("sources/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert not name.startswith(("airflow.", "airflow_xacct.delivery", "boto", "fsspec", "upath")), path
                assert name != "airflow", path
