"""What the deployment, and not a connection, decides: section ``[xacct]`` of the Airflow configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["DeploymentOptions", "HostRule"]

_LABEL = r"(?!-)[a-z0-9_\-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")


def split_host(text: str) -> tuple[str, int | None] | None:
    """Split ``host``, ``host:port``, ``[IPv6]`` or ``[IPv6]:port``; lower case, without brackets.

    :returns: host and port, or None if it is not a host. Names are ASCII without a trailing dot, so that
        whoever compares them sees what the resolver sees.
    """
    match = _HOST_AND_PORT.fullmatch(text.lower())
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        return None
    host = match["host"]
    if host.startswith("[") and "%" not in host:
        try:
            return IPv6Address(host[1:-1]).compressed, port
        except ValueError:
            return None
    return (host, port) if len(host) <= 253 and _HOST.fullmatch(host) else None


@dataclass(frozen=True, slots=True)
class HostRule:
    """One entry of ``allowed_endpoint_hosts``.

    :param host: a host name or an IP address, in lower case and without brackets.
    :param subdomains: whether it stands for all names below it, and not for itself.
    :param port: the one port allowed, or None for any.
    """

    host: str
    subdomains: bool = False
    port: int | None = None

    @classmethod
    def parse(cls, entry: str) -> HostRule:
        """Read ``host``, ``host:port``, ``*.suffix``, ``*.suffix:port`` or ``[IPv6]:port``.

        :raises InvalidArgumentError: if it is none of them.
        """
        subdomains = entry.startswith("*.")
        parts = split_host(entry[2:] if subdomains else entry)
        if parts is None or (subdomains and ":" in parts[0]):
            raise InvalidArgumentError(
                f"{show(entry)} is not a host",
                where="allowed_endpoint_hosts in section xacct",
                remedy="Write host, host:port, *.suffix or [IPv6]:port, separated by commas.",
            )
        return cls(parts[0], subdomains, parts[1])

    def matches(self, host: str, port: int) -> bool:
        """Whether a host (lower case, no brackets) at a port is meant."""
        if self.port is not None and self.port != port:
            return False
        return host.endswith(f".{self.host}") if self.subdomains else host == self.host


@dataclass(frozen=True, slots=True)
class DeploymentOptions:
    """The options of ``[xacct]`` that widen what a connection may say. The defaults allow nothing.

    :param allowed_endpoint_hosts: hosts outside AWS that an endpoint may name.
    :param allow_insecure: whether ``verify`` may be false.
    :param allow_proxies: whether ``config_kwargs`` may name a proxy.
    :raises InvalidArgumentError: if an entry of the hosts is not one.
    """

    allowed_endpoint_hosts: tuple[str, ...] = ()
    allow_insecure: bool = False
    allow_proxies: bool = False

    def __post_init__(self) -> None:
        self.host_rules()

    @classmethod
    def from_settings(
        cls, *, allowed_endpoint_hosts: str = "", allow_insecure: bool = False, allow_proxies: bool = False
    ) -> DeploymentOptions:
        """Make options from the values of the Airflow configuration.

        :param allowed_endpoint_hosts: a comma-separated list.
        """
        entries = tuple(entry.strip() for entry in allowed_endpoint_hosts.split(",") if entry.strip())
        return cls(entries, allow_insecure, allow_proxies)

    def host_rules(self) -> tuple[HostRule, ...]:
        """Return the allowed hosts, taken apart."""
        return tuple(HostRule.parse(entry) for entry in self.allowed_endpoint_hosts)
