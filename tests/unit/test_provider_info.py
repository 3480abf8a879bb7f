"""What Airflow reads about this package: legal for the installed Airflow, cheap, and made from the one table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from airflow.providers_manager import ProvidersManager

from airflow_xacct import __version__, connection_form
from airflow_xacct.destination import FIELDS, DeploymentOptions, Field, parse
from airflow_xacct.get_provider_info import get_provider_info

INFO = get_provider_info()
(CONNECTION_TYPE,) = INFO["connection-types"]
CONN_FIELDS: dict[str, Any] = CONNECTION_TYPE["conn-fields"]
IN_FORM = [field for field in FIELDS if field.in_form]
AIRFLOW = Path(airflow.__file__).parent


def schema(name: str) -> dict[str, Any]:
    """Load a schema that the installed Airflow ships."""
    loaded: dict[str, Any] = json.loads((AIRFLOW / name).read_text(encoding="utf-8"))
    return loaded


def nullable(field: Field) -> bool:
    """Whether the form lets a field be blank."""
    return "null" in CONN_FIELDS[field.name]["schema"]["type"]


def test_the_metadata_is_legal_for_the_running_airflow() -> None:
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_the_metadata_is_legal_for_the_stricter_schema_of_provider_files() -> None:
    """That schema also describes the form; three keys of it are for Airflow's own release process."""
    release = {"state": "ready", "source-date-epoch": 0}
    jsonschema.validate({**INFO, **release}, schema("provider.yaml.schema.json"))


def test_importing_the_metadata_imports_nothing_heavy() -> None:
    """Every Airflow component imports it, also the ones that never deliver."""
    code = (
        "import sys, airflow_xacct.get_provider_info as g; g.get_provider_info(); "
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for module in ("airflow", "boto3", "botocore", "pyarrow", "wtforms", "flask_appbuilder"):
        assert f"'{module}'" not in loaded


def test_the_version_is_the_packages() -> None:
    assert INFO["versions"] == [__version__]
    assert INFO["package-name"] == "airflow-provider-xacct"


def test_the_form_has_the_fields_of_the_table_in_its_order() -> None:
    assert list(CONN_FIELDS) == [field.name for field in IN_FORM]


@pytest.mark.parametrize("field", IN_FORM, ids=lambda field: field.name)
def test_a_form_field_may_be_blank_unless_the_connection_needs_it(field: Field) -> None:
    assert nullable(field) is not field.required


@pytest.mark.parametrize("field", IN_FORM, ids=lambda field: field.name)
def test_the_limits_of_the_form_are_those_of_the_table(field: Field) -> None:
    described = CONN_FIELDS[field.name]["schema"]
    assert (described.get("minimum"), described.get("maximum")) == (field.minimum, field.maximum)
    assert (described.get("minLength"), described.get("maxLength")) == (field.min_length, field.max_length)
    if field.name != "session_tags":  # whose example is an object, which the form's switch cannot say
        jsonschema.validate(field.example, described)


def test_a_form_that_was_left_blank_is_a_valid_connection() -> None:
    """Airflow stores a blank field as null."""
    stored = {field.name: None if nullable(field) else field.example for field in IN_FORM}
    assert parse("c", json.dumps(stored)) == parse("c", {k: v for k, v in stored.items() if v is not None})


@pytest.mark.parametrize("field", IN_FORM, ids=lambda field: field.name)
def test_every_form_field_is_an_extra(field: Field) -> None:
    stored = {item.name: item.example for item in IN_FORM if item.required}
    parse("c", {**stored, field.name: field.example}, options=DeploymentOptions())


def test_keys_and_hosts_have_no_place_in_the_form_and_extra_has() -> None:
    hidden = CONNECTION_TYPE["ui-field-behaviour"]["hidden-fields"]
    assert sorted(hidden) == ["host", "login", "password", "port", "schema"]


def test_no_example_of_an_external_id_invites_to_be_copied() -> None:
    example = next(field.example for field in FIELDS if field.name == "external_id")
    assert example not in json.dumps(INFO)


def test_the_options_close_what_they_guard_by_default() -> None:
    options = INFO["config"]["xacct"]["options"]
    assert sorted(options) == sorted([*DeploymentOptions.__dataclass_fields__, "commit_log"])
    defaults = {name: option["default"] for name, option in options.items()}
    assert defaults == {
        "allowed_endpoint_hosts": "",
        "allow_insecure": "False",
        "allow_proxies": "False",
        "commit_log": "auto",
    }
    DeploymentOptions.from_settings(allowed_endpoint_hosts=options["allowed_endpoint_hosts"]["example"])


def test_airflow_finds_the_provider_its_form_and_its_options() -> None:
    """Read as the API server reads it, through the entry point of the installed package."""
    manager = ProvidersManager()
    assert INFO["package-name"] in manager.providers
    form = {meta.connection_type: meta for meta in HookMetaService.hook_meta_data()}["aws_xacct"]
    assert form.hook_name == "Amazon Web Services (cross-account)"
    assert list(form.extra_fields or {}) == [field.name for field in IN_FORM]
    sections = dict(manager.provider_configs)
    assert "xacct" in sections[INFO["package-name"]]


class FakeField:
    """Keeps what a field of WTForms would be given."""

    def __init__(self, label: str, **given: Any) -> None:
        self.label = label
        self.given = given


class BooleanField(FakeField):
    """Stands for wtforms.BooleanField."""


class IntegerField(FakeField):
    """Stands for wtforms.IntegerField."""


class StringField(FakeField):
    """Stands for wtforms.StringField."""


@pytest.fixture
def web_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the libraries in place that only a web server of Airflow 2.11 to 3.1 has."""
    from types import SimpleNamespace

    modules = {
        "wtforms": SimpleNamespace(BooleanField=BooleanField, IntegerField=IntegerField, StringField=StringField),
        "wtforms.validators": SimpleNamespace(Optional=lambda: "optional"),
        "flask_appbuilder": SimpleNamespace(),
        "flask_appbuilder.fieldwidgets": SimpleNamespace(BS3TextFieldWidget=lambda: "text"),
        "flask_babel": SimpleNamespace(lazy_gettext=str),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("web_libraries")
def test_older_airflow_gets_the_same_form_from_the_hook() -> None:
    widgets = connection_form.get_connection_form_widgets()
    assert list(widgets) == list(CONN_FIELDS)
    kinds = {"string": StringField, "integer": IntegerField, "boolean": BooleanField}
    for name, described in CONN_FIELDS.items():
        json_type = described["schema"]["type"]
        base = json_type if isinstance(json_type, str) else json_type[0]
        assert type(widgets[name]) is kinds[base]
        assert widgets[name].label == described["label"]
        assert widgets[name].given["description"] == described["description"]


def test_older_airflow_gets_the_same_behaviour_from_the_hook() -> None:
    behaviour = connection_form.get_ui_field_behaviour()
    jsonschema.validate(behaviour, schema("customized_form_field_behaviours.schema.json"))
    assert behaviour["hidden_fields"] == CONNECTION_TYPE["ui-field-behaviour"]["hidden-fields"]


@pytest.mark.parametrize("key", ["hook-class-name"])
def test_the_hook_of_the_connection_type_exists(key: str) -> None:
    module, _, name = CONNECTION_TYPE[key].rpartition(".")
    hook = getattr(__import__(module, fromlist=[name]), name)
    assert hook.conn_type == CONNECTION_TYPE["connection-type"]
    assert hook.hook_name == CONNECTION_TYPE["hook-name"]
