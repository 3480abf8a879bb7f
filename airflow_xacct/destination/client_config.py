"""The extra ``config_kwargs``: which settings of botocore's clients a connection may change.

An allow-list. Left out are settings that undo a promise: ``signature_version`` (unsigned requests),
``request_checksum_calculation`` (integrity), ``client_cert``, ``inject_host_prefix``,
``parameter_validation``, ``proxies_config.proxy_use_forwarding_for_https`` (the proxy would see the data), and
regions, which have extras of their own. botocore: *Config reference*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from airflow_xacct.destination.coerce import is_absent, to_boolean, to_integer, to_mapping, to_number, to_text
from airflow_xacct.destination.options import DeploymentOptions, split_host
from airflow_xacct.destination.problems import Problems
from airflow_xacct.destination.text import listed, show, show_name
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["SETTINGS", "Scalar", "Setting", "nested", "read_config_kwargs"]

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of ``botocore.config.Config``.

    :param name: dotted where botocore nests it.
    :param minimum: of a number, inclusive.
    :param maximum: of a number, inclusive.
    :param choices: of text.
    :param unit: of a number, for people.
    """

    name: str
    kind: Literal["integer", "number", "boolean", "choice", "text", "proxy", "path"]
    minimum: float = 0
    maximum: float = 0
    choices: tuple[str, ...] = ()
    unit: str = ""

    @property
    def needs_proxies(self) -> bool:
        """Whether the deployment has to allow it."""
        return self.name.startswith("prox")

    @property
    def limits(self) -> str:
        """The legal values, for people."""
        if self.kind in {"integer", "number"}:
            return f"{self.minimum:g} to {self.maximum:g}{self.unit and ' ' + self.unit}"
        if self.choices:
            return listed(self.choices)
        return {
            "boolean": "true or false",
            "text": "1 to 50 characters of a User-Agent token",
            "proxy": "http://host:port or https://host:port",
        }.get(self.kind, "an absolute path")

    def read(self, value: object) -> Scalar:
        """Return the value in the setting's type.

        :raises InvalidArgumentError: if it is not legal.
        """
        if self.kind == "boolean":
            return to_boolean(value)
        if self.kind in {"integer", "number"}:
            number = to_integer(value) if self.kind == "integer" else to_number(value)
            if not self.minimum <= number <= self.maximum:
                raise InvalidArgumentError(f"{show(number)} is out of range", remedy=f"Write {self.limits}.")
            return number
        text = to_text(value)
        legal_text = {
            "choice": lambda: text in self.choices,
            "text": lambda: bool(re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]{1,50}", text)),
            "proxy": lambda: _is_proxy(text),
            "path": lambda: text.startswith("/") and "\x00" not in text,
        }[self.kind]()
        if not legal_text:
            # a proxy may hold a password
            shown = "the value" if self.kind == "proxy" else show(text)
            raise InvalidArgumentError(f"{shown} cannot be used", remedy=f"Write {self.limits}.")
        return text


def _is_proxy(text: str) -> bool:
    match = re.fullmatch(r"https?://([^/@]+)/?", text)
    return match is not None and split_host(match[1]) is not None


SETTINGS = (
    Setting("connect_timeout", "number", 0.1, 900, unit="seconds"),
    Setting("read_timeout", "number", 0.1, 3600, unit="seconds"),
    Setting("max_pool_connections", "integer", 1, 1000, unit="connections"),
    Setting("tcp_keepalive", "boolean"),
    Setting("retries.mode", "choice", choices=("legacy", "standard", "adaptive")),
    Setting("retries.max_attempts", "integer", 0, 50, unit="repetitions"),
    Setting("retries.total_max_attempts", "integer", 1, 51, unit="attempts"),
    Setting("s3.addressing_style", "choice", choices=("auto", "virtual", "path")),
    Setting("s3.payload_signing_enabled", "boolean"),
    Setting("use_dualstack_endpoint", "boolean"),
    Setting("use_fips_endpoint", "boolean"),
    Setting("user_agent_appid", "text"),
    Setting("proxies.http", "proxy"),
    Setting("proxies.https", "proxy"),
    Setting("proxies_config.proxy_ca_bundle", "path"),
    Setting("proxies_config.proxy_client_cert", "path"),
)
_BY_PATH = {tuple(setting.name.split(".")): setting for setting in SETTINGS}
_GROUPS = {path[0] for path in _BY_PATH if len(path) > 1}


def read_config_kwargs(
    value: Mapping[str, object], options: DeploymentOptions, problems: Problems, where: str
) -> tuple[tuple[str, Scalar], ...]:
    """Read the settings; those that are not legal are reported and left out.

    :param where: the name of the extra.
    :returns: dotted names with their values, sorted.
    """
    result: dict[str, Scalar] = {}
    for path, item in _flattened(value, problems, where):
        setting = _BY_PATH.get(path)
        if setting is None:
            problems.add(where, _unknown(".".join(path)))
        elif setting.needs_proxies and not options.allow_proxies:
            problems.add(
                f"{where}.{setting.name}",
                "a proxy sees where data goes. If it is trusted, set allow_proxies in section xacct of the Airflow "
                "configuration.",
            )
        else:
            with problems.at(f"{where}.{setting.name}"):
                result[setting.name] = setting.read(item.strip() if isinstance(item, str) else item)
    return tuple(sorted(result.items()))


def nested(settings: tuple[tuple[str, Scalar], ...]) -> dict[str, object]:
    """Return settings as ``botocore.config.Config`` takes them."""
    groups: dict[str, dict[str, Scalar]] = {}
    plain: dict[str, object] = {}
    for name, value in settings:
        group, _, rest = name.partition(".")
        if rest:
            groups.setdefault(group, {})[rest] = value
        else:
            plain[name] = value
    return {**plain, **groups}


def _flattened(value: Mapping[str, object], problems: Problems, where: str) -> list[tuple[tuple[str, ...], object]]:
    """Return every setting with its path, and leave absent ones out."""
    result: list[tuple[tuple[str, ...], object]] = []
    for name, item in value.items():
        if is_absent(item):
            continue
        if name not in _GROUPS:
            result.append(((name,), item))
            continue
        with problems.at(f"{where}.{name}"):
            inner = to_mapping(item.strip() if isinstance(item, str) else item)
            result.extend(((name, key), entry) for key, entry in inner.items() if not is_absent(entry))
    return result


def _unknown(name: str) -> str:
    words = [setting.name for setting in SETTINGS]
    near = get_close_matches(name, words, n=1, cutoff=0.75)
    hint = f"Did you mean {near[0]}" if near else f"A connection may set {listed(words, 'and')}"
    return f"the setting {show_name(name)} cannot be set here. {hint} (a dot stands for an object in an object)."
