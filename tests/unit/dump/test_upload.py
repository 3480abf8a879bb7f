"""The plan of an upload: every mistake is found before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.delivery.settings import MAX_OBJECT_BYTES
from airflow_xacct.destination import Destination, parse
from airflow_xacct.dump.payload import MAX_OBJECT_SIZE_BYTES
from airflow_xacct.dump.plan import DeliveryPlan
from airflow_xacct.dump.upload import UploadSpec, plan_upload
from airflow_xacct.exceptions import InvalidArgumentError, OutsideDestinationError, SourceNotFoundError

KEY_ARN = "arn:aws:kms:eu-central-1:222222222222:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def destination() -> Destination:
    return parse(
        "acme",
        {
            "role_arn": "arn:aws:iam::222222222222:role/DataDumpRole",
            "external_id": "ext-1234",
            "bucket": "acme-landing",
            "prefix": "airflow/",
            "kms_key_id": KEY_ARN,
        },
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.csv", "b.csv", "deep/c.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def plan(destination: Destination, **spec: Any) -> DeliveryPlan:
    return plan_upload(UploadSpec(**spec), destination)


def keys(made: DeliveryPlan) -> list[str]:
    return [planned.key for planned in made.objects]


def test_a_file_to_an_exact_key(destination: Destination, tree: Path) -> None:
    """One object, no manifest, its type guessed, the connection's KMS key."""
    made = plan(destination, source=tree / "a.csv", key="orders/today.csv")
    assert keys(made) == ["airflow/orders/today.csv"]
    assert made.manifest_key is None
    assert made.root == "airflow/orders/today.csv"
    attributes = next(iter(made.objects)).attributes
    assert (attributes.content_type, attributes.kms_key_id) == ("text/csv", KEY_ARN)


def test_a_directory_to_a_prefix(destination: Destination, tree: Path) -> None:
    """Relative paths are kept, a manifest comes with more than one object, encrypted like them."""
    made = plan(destination, source=str(tree), key="orders/", partitions={"ds": "2013-01-01"})
    root = "airflow/orders/ds=2013-01-01/"
    assert keys(made) == [root + name for name in ("a.csv", "b.csv", "deep/c.json")]
    assert made.manifest_key == root + "_manifest.json"
    assert made.attributes.content_type == "application/json"
    assert made.attributes.kms_key_id == KEY_ARN
    assert made.root == root


def test_the_root_does_not_move_with_the_files(destination: Destination, tree: Path) -> None:
    """What a delivery is called must be the same in each try, whatever lies in the folder."""
    assert plan(destination, source=str(tree / "deep"), key="orders/").root == "airflow/orders/"
    assert plan(destination, source=str(tree), key="").root == "airflow/"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"manifest": False}, None),
        ({"manifest": True}, "airflow/x/_manifest.json"),
        ({"manifest_key": "manifests/x.json"}, "airflow/manifests/x.json"),
        ({"manifest": True, "manifest_key": "m.json"}, "airflow/m.json"),
        ({"manifest": False, "manifest_key": "m.json"}, None),
    ],
)
def test_where_the_manifest_goes(destination: Destination, tree: Path, given: Any, expected: str | None) -> None:
    """On request, with a key of its own if one is given."""
    assert plan(destination, source=tree / "a.csv", key="x/", **given).manifest_key == expected


def test_compression_adds_its_suffix_and_type(destination: Destination, tree: Path) -> None:
    """Readers go by the name."""
    made = plan(destination, source=tree / "a.csv", key="x/", compression="gzip", compression_level=1)
    assert keys(made) == ["airflow/x/a.csv.gz"]
    assert next(iter(made.objects)).attributes.content_type == "application/gzip"
    assert next(iter(made.objects)).attributes.content_encoding == ""


def test_text_and_bytes(destination: Destination) -> None:
    """Data needs an exact key."""
    made = plan(destination, data="grüße", key="x/hello.txt")
    reader = next(iter(made.objects)).payload.open()
    assert reader.read(100) == "grüße".encode()
    assert keys(plan(destination, data=b"\x00", key="x.bin")) == ["airflow/x.bin"]
    with pytest.raises(InvalidArgumentError, match="no file name"):
        plan(destination, data="x", key="x/")


def test_what_a_task_says_wins_over_the_connection(destination: Destination, tree: Path) -> None:
    """Attributes are the task's where it names them."""
    made = plan(
        destination,
        source=tree / "a.csv",
        key="x",
        kms_key_id="alias/mine",
        content_type="text/plain",
        storage_class="STANDARD_IA",
        metadata={"who": "me"},
        tags={"team": "data"},
    )
    attributes = next(iter(made.objects)).attributes
    assert attributes.kms_key_id == "alias/mine"
    assert attributes.content_type == "text/plain"
    assert attributes.storage_class == "STANDARD_IA"
    assert attributes.metadata == {"who": "me"}
    assert attributes.tags == {"team": "data"}


@pytest.mark.parametrize(
    "key",
    [
        "../acme-competitor/x",
        "/etc/passwd",
        "a/../../x",
        "%2e%2e/x",
        "..%2fx",
        "a//b",
        "s3://acme-landing/airflow/x",
        "..\\x",
    ],
)
def test_a_key_outside_the_prefix_is_refused(destination: Destination, tree: Path, key: str) -> None:
    """However it is written."""
    with pytest.raises((OutsideDestinationError, InvalidArgumentError)):
        plan(destination, source=tree / "a.csv", key=key)


@pytest.mark.parametrize("manifest_key", ["../m.json", "/m.json", "m/"])
def test_the_manifest_stays_inside_too(destination: Destination, tree: Path, manifest_key: str) -> None:
    """The manifest's key is a key like any other."""
    with pytest.raises((OutsideDestinationError, InvalidArgumentError)):
        plan(destination, source=tree, key="x/", manifest_key=manifest_key)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"key": "x"}, "no source"),
        ({"key": "x", "source": "/a", "data": "b"}, "both a source and data"),
        ({"key": "x", "data": "b", "if_exists": "maybe"}, "if_exists='maybe'"),
        ({"key": "x", "data": "b", "compression_level": 3}, "no compression"),
        ({"key": "x", "data": "b", "compression": "rar"}, "rar"),
        ({"key": "x", "data": "b", "metadata": {"a": 1}}, "metadata hold 'a': int"),
        ({"key": "x", "data": "b", "metadata": {"a": "grün"}}, "not ASCII"),
        ({"key": "x", "data": "b", "tags": {"a": None}}, "tags hold"),
        ({"key": "m.json", "data": "b", "manifest_key": "m.json"}, "share the key"),
    ],
)
def test_contradictions_are_named(destination: Destination, spec: dict[str, Any], text: str) -> None:
    """With the argument they are in."""
    with pytest.raises(InvalidArgumentError, match=text) as caught:
        plan(destination, **spec)
    assert caught.value.where
    assert caught.value.remedy


def test_nothing_to_deliver(destination: Destination, tmp_path: Path) -> None:
    """An empty folder is an error unless the task says otherwise; then there is no manifest either."""
    with pytest.raises(SourceNotFoundError):
        plan(destination, source=str(tmp_path / "*.csv"), key="x/")
    made = plan(destination, source=str(tmp_path / "*.csv"), key="x/", allow_empty=True)
    assert list(made.objects) == []
    assert made.manifest_key is None


def test_source_and_delivery_agree_on_the_largest_object() -> None:
    """Neither may import the other, so the number stands twice."""
    assert MAX_OBJECT_SIZE_BYTES == MAX_OBJECT_BYTES
