"""botocore's models as they are read for all sessions: the same content, however they are found and parsed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import Loader

from airflow_xacct.access.models import _loader_of, model_loader


@pytest.fixture(autouse=True)
def no_models_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Folders of this test only; and none of them is remembered."""
    monkeypatch.setattr(Loader, "CUSTOMER_DATA_PATH", str(tmp_path / "models of the user"))
    _loader_of.cache_clear()
    yield
    _loader_of.cache_clear()


@pytest.mark.parametrize("service", ["s3", "sts", "cloudtrail", "iam"])
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "paginators-1"])
def test_a_model_is_botocores(service: str, kind: str) -> None:
    assert model_loader(None).load_service_model(service, kind) == Loader().load_service_model(service, kind)


@pytest.mark.parametrize("name", ["endpoints", "partitions", "sdk-default-configuration", "_retry"])
def test_other_files_are_botocores(name: str) -> None:
    """In their order too, which botocore's classes keep."""
    assert json.dumps(model_loader(None).load_data(name)) == json.dumps(Loader().load_data(name))


def test_extras_are_added() -> None:
    """Those of S3's paginators, which no other service has."""
    found = model_loader(None)
    bare = found.load_data(f"s3/{found.determine_latest_version('s3', 'paginators-1')}/paginators-1.sdk-extras")
    merged = found.load_service_model("s3", "paginators-1")
    assert bare["merge"]
    for name, page in bare["merge"]["pagination"].items():
        assert page.items() <= merged["pagination"][name].items()


@pytest.mark.parametrize(
    "asked",
    [("nosuchservice", "service-2", None), ("s3", "nosuchkind-1", None), ("s3", "service-2", "1999-01-01")],
    ids=["service", "kind", "version"],
)
def test_what_is_not_there_is_refused_as_botocore_refuses_it(asked: tuple[str, str, str | None]) -> None:
    with pytest.raises((UnknownServiceError, DataNotFoundError)) as botocores:
        Loader().load_service_model(*asked)
    with pytest.raises(type(botocores.value)) as ours:
        model_loader(None).load_service_model(*asked)
    assert str(ours.value) == str(botocores.value)


def _put(folder: Path, name: str, content: dict[str, Any], *, zipped: bool = False) -> None:
    path = folder / f"{name}.json{'.gz' if zipped else ''}"
    path.parent.mkdir(parents=True, exist_ok=True)
    body = json.dumps(content).encode()
    path.write_bytes(gzip.compress(body) if zipped else body)


@pytest.mark.parametrize("zipped", [False, True])
def test_folders_of_the_configuration_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    """``AWS_DATA_PATH``, with a variable and several folders: a version of S3 that is not botocore's, and a service."""
    monkeypatch.setenv("MY_MODELS", str(tmp_path / "a"))
    _put(tmp_path / "a", "s3/2100-01-01/service-2", {"metadata": {"of": "a"}}, zipped=zipped)
    _put(tmp_path / "b", "mine/2020-01-01/service-2", {"metadata": {"of": "b"}}, zipped=zipped)
    _put(tmp_path / "b", "mine/2020-01-01/service-2.sdk-extras", {"merge": {"metadata": {"more": 1}}}, zipped=zipped)
    found = model_loader(f"$MY_MODELS:{tmp_path / 'b'}")
    assert found.load_service_model("s3", "service-2") == {"metadata": {"of": "a"}}
    assert found.load_service_model("mine", "service-2") == {"metadata": {"of": "b", "more": 1}}
    assert "mine" in found.list_available_services("service-2")


def test_files_are_read_once(tmp_path: Path) -> None:
    _put(tmp_path, "mine/2020-01-01/service-2", {"metadata": {}})
    first = model_loader(str(tmp_path)).load_service_model("mine", "service-2")
    (tmp_path / "mine/2020-01-01/service-2.json").unlink()
    assert model_loader(str(tmp_path)).load_service_model("mine", "service-2") is first


def test_a_broken_file_is_an_error(tmp_path: Path) -> None:
    _put(tmp_path, "mine/2020-01-01/service-2", {})
    (tmp_path / "mine/2020-01-01/service-2.json").write_bytes(b"{")
    with pytest.raises(ValueError, match="Expecting property name"):
        model_loader(str(tmp_path)).load_service_model("mine", "service-2")


def test_the_folders_do_not_grow() -> None:
    """Each boto3 session adds its own."""
    import boto3

    before = list(model_loader(None).search_paths)
    for _ in range(3):
        session = botocore.session.Session()
        session.register_component("data_loader", model_loader(None))
        boto3.session.Session(botocore_session=session)
    assert model_loader(None).search_paths == before
