"""Endpoints: where requests may go, whoever asked for it.

A request carries the External ID and the data, so a wrong endpoint is a leak. The same rule holds for a
connection, an environment variable and a shared config file. AWS: *AWS service endpoints*, *Service-specific
endpoints*.
"""

from __future__ import annotations

import re

from airflow_xacct.destination.options import DeploymentOptions, split_host
from airflow_xacct.destination.partitions import PARTITIONS
from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["check_endpoint_url", "is_aws_host", "parse_endpoint_url"]

# One expression instead of a URL parser: parsers differ in what they forgive, and a lenient one would let the
# check and the request see two different hosts.
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<authority>[^/?#\\]*)(?P<rest>.*)", re.DOTALL)
_MAX_CHARS = 2048
_DEFAULT_PORTS = {"https": 443, "http": 80}

_AWS_SUFFIXES = tuple(sorted({suffix for partition in PARTITIONS for suffix in partition.dns_suffixes}))
# Names below AWS's domains behind which a customer's own program or pages answer: API Gateway, load
# balancers, instances, AppSync, websites in buckets, endpoint services.
_CUSTOMER_LABELS = frozenset({"execute-api", "elb", "compute", "compute-1", "appsync-api"})
_CUSTOMER_LABEL_PREFIXES = ("s3-website", "vpce-svc-")


def is_aws_host(host: str) -> bool:
    """Whether AWS itself answers at a host: a name below one of its domains, without a trailing dot.

    :param host: in ASCII, without port.
    """
    name = host.lower()
    for suffix in _AWS_SUFFIXES:
        if name.endswith(f".{suffix}"):
            labels = name.removesuffix(f".{suffix}").split(".")
            return not any(label in _CUSTOMER_LABELS or label.startswith(_CUSTOMER_LABEL_PREFIXES) for label in labels)
    return False


def parse_endpoint_url(url: str, options: DeploymentOptions) -> str:
    """Return the normalised form of an endpoint that may be used: lower case, no trailing slash.

    :raises InvalidArgumentError: if it may not. The message names the host only: a URL may hold a password.
    """
    scheme, host, port = _split(url)
    shown = f"[{host}]" if ":" in host else host
    normalised = f"{scheme}://{shown}" + (f":{port}" if port is not None else "")
    effective_port = port if port is not None else _DEFAULT_PORTS[scheme]
    if is_aws_host(host):
        if scheme != "https":
            raise InvalidArgumentError(f"the endpoint {shown} is AWS's and must be https", remedy="Write https://.")
        return normalised
    if not any(rule.matches(host, effective_port) for rule in options.host_rules()):
        raise InvalidArgumentError(
            f"the endpoint {shown}:{effective_port} is not AWS's, and the deployment does not allow it",
            remedy="If it is trusted, add it to allowed_endpoint_hosts in section xacct of the Airflow configuration.",
        )
    return normalised


def check_endpoint_url(url: str, options: DeploymentOptions) -> str | None:
    """Say why an endpoint may not be used.

    For endpoints that do not come from a connection, such as ``AWS_ENDPOINT_URL`` and shared config files.

    :returns: a sentence with its remedy, or None if the endpoint may be used.
    """
    try:
        parse_endpoint_url(url, options)
    except InvalidArgumentError as error:
        return str(error)
    return None


def _split(url: str) -> tuple[str, str, int | None]:
    """Split a URL into scheme, host and port, all in lower case."""
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise InvalidArgumentError(
            "the endpoint holds spaces, control characters or letters outside ASCII",
            remedy="Write it as https://host or https://host:port.",
        )
    match = _URL.fullmatch(url)
    if match is None or len(url) > _MAX_CHARS:
        shown = show(url) if "@" not in url else "the endpoint"
        raise InvalidArgumentError(f"{shown} is not a URL", remedy="Write https://host or https://host:port.")
    scheme, authority, rest = match["scheme"].lower(), match["authority"], match["rest"]
    if scheme not in _DEFAULT_PORTS:
        raise InvalidArgumentError(f"the endpoint has the scheme {show(scheme)}", remedy="Write https://.")
    if "@" in authority:
        raise InvalidArgumentError(
            "the endpoint holds a user name or password", remedy="Requests are signed: write the host alone."
        )
    parts = split_host(authority)
    if parts is None:
        raise InvalidArgumentError(
            f"the endpoint names no valid host: {show(authority)}",
            remedy="Write https://host or https://host:port, in ASCII and without a trailing dot.",
        )
    if rest not in {"", "/"}:
        raise InvalidArgumentError(
            f"the endpoint {show(parts[0])} is followed by a path, a query or a fragment",
            remedy="Write the host alone, with a port if needed: a bucket goes into the extra bucket.",
        )
    return scheme, *parts
