"""``config_kwargs``: an allow-list whose values botocore takes."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config

from airflow_xacct.destination import DeploymentOptions, parse
from airflow_xacct.destination.client_config import SETTINGS, Setting
from airflow_xacct.exceptions import InvalidConnectionError

MINIMAL = {"role_arn": "arn:aws:iam::222222222222:role/DataDumpRole", "external_id": "8f14e45f-ceea"}
PROXIES = DeploymentOptions(allow_proxies=True)


def settings_of(config: Any, options: DeploymentOptions = PROXIES) -> dict[str, Any]:
    """Parse config_kwargs."""
    return parse("c", {**MINIMAL, "config_kwargs": config}, options=options).config_kwargs


def problems_of(config: Any, options: DeploymentOptions = PROXIES) -> tuple[str, ...]:
    """Return the problems of config_kwargs that must have some."""
    with pytest.raises(InvalidConnectionError) as caught:
        settings_of(config, options)
    return caught.value.problems


def legal_value(setting: Setting) -> Any:
    """Return a legal value of a setting."""
    values: dict[str, Any] = {
        "integer": int(setting.maximum),
        "number": setting.minimum,
        "boolean": True,
        "choice": (*setting.choices, "")[0],
        "text": "acme/7".replace("/", "-"),
        "proxy": "http://proxy.corp:3128",
        "path": "/etc/ssl/proxy.pem",
    }
    return values[setting.kind]


def nested_in(setting: Setting, value: Any) -> dict[str, Any]:
    """Write a setting as a connection does."""
    group, _, rest = setting.name.partition(".")
    return {group: {rest: value}} if rest else {group: value}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_of_the_list_is_one_of_botocores(setting: Setting) -> None:
    """Fails when botocore drops or renames one."""
    config = settings_of(nested_in(setting, legal_value(setting)))
    assert config == nested_in(setting, legal_value(setting))
    Config(**config)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_written_as_text_is_the_same(setting: Setting) -> None:
    value = legal_value(setting)
    text = str(value).lower() if isinstance(value, bool) else f" {value} "
    assert settings_of(nested_in(setting, text)) == nested_in(setting, value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *((setting, setting.maximum + 1) for setting in SETTINGS if setting.maximum),
        *((setting, setting.minimum - 1) for setting in SETTINGS if setting.maximum),
        *((setting, float("nan")) for setting in SETTINGS if setting.kind == "number"),
        *((setting, "other") for setting in SETTINGS if setting.choices),
        *((setting, "relative.pem") for setting in SETTINGS if setting.kind == "path"),
        *((setting, "http://user:hunter2@proxy.corp") for setting in SETTINGS if setting.kind == "proxy"),
        *((setting, "proxy.corp:3128") for setting in SETTINGS if setting.kind == "proxy"),
        *((setting, "http://pro xy") for setting in SETTINGS if setting.kind == "proxy"),
        *((setting, "line\nbreak") for setting in SETTINGS if setting.kind == "text"),
        *((setting, ["x"]) for setting in SETTINGS),
    ],
    ids=lambda item: item.name if isinstance(item, Setting) else None,
)
def test_a_value_out_of_its_limits_is_refused_and_a_password_not_shown(setting: Setting, value: Any) -> None:
    (problem,) = problems_of(nested_in(setting, value))
    assert problem.startswith(f"config_kwargs.{setting.name}: ")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "name",
    [
        "signature_version",
        "region_name",
        "client_cert",
        "inject_host_prefix",
        "parameter_validation",
        "request_checksum_calculation",
        "response_checksum_validation",
        "user_agent",
        "ignore_configured_endpoint_urls",
    ],
)
def test_a_setting_that_undoes_a_promise_is_refused(name: str) -> None:
    (problem,) = problems_of({name: "x"})
    assert f"the setting '{name}' cannot be set here" in problem


def test_nested_settings_are_on_the_list_too() -> None:
    assert len(problems_of({"s3": {"use_accelerate_endpoint": True, "addressing_style": "path"}})) == 1
    assert len(problems_of({"proxies_config": {"proxy_use_forwarding_for_https": True}})) == 1
    assert problems_of({"retries": 3}) == ("config_kwargs.retries: it is an integer, not an object.",)
    assert "Did you mean retries.mode" in problems_of({"retries.mode": "standard"})[0]
    assert "Did you mean read_timeout" in problems_of({"read_timeouts": 3})[0]


def test_proxies_need_the_deployments_leave() -> None:
    (problem,) = problems_of({"proxies": {"https": "http://proxy.corp"}}, DeploymentOptions())
    assert "allow_proxies in section xacct" in problem
    assert problems_of({"proxies_config": {"proxy_ca_bundle": "/x"}}, DeploymentOptions())


def test_the_name_of_an_unknown_setting_is_shown_only_when_it_is_a_word() -> None:
    problem = problems_of({"retries": {"wJalr XUtnFEMI": 1}})[0]
    assert "wJalr" not in problem
