"""An ``aws`` connection of the Amazon provider that already names a role and an External ID, read as one of ours.

So that people can try this package with what they have. The names are translated by the table of
:mod:`~airflow_xacct.destination.fields` and the values are read like our own; what has no equal here is a problem
with its name, and never ignored: it would be another session than the one that was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_xacct.destination.coerce import is_absent, to_mapping
from airflow_xacct.destination.destination import Destination, parse
from airflow_xacct.destination.fields import CONN_TYPE, FIELDS, FIELDS_BY_NAME
from airflow_xacct.destination.options import DeploymentOptions
from airflow_xacct.destination.problems import Problems
from airflow_xacct.destination.text import show_name
from airflow_xacct.exceptions import InvalidArgumentError, InvalidConnectionError

__all__ = ["identity_problems", "names_profile", "parse_aws_connection", "without_role"]

_ASSUME = "assume_role_kwargs."
#: What ``assume_role_kwargs`` may hold, with our extra for it.
_ASSUME_NAMES = {
    name.removeprefix(_ASSUME): field.name
    for field in FIELDS
    for name in field.amazon_names
    if name.startswith(_ASSUME)
}
_SAME_NAMES = ("role_arn", "region_name", "verify", "config_kwargs")
_KEY_PAIR = ("aws_access_key_id", "aws_secret_access_key")
_KEYS = (*_KEY_PAIR, "aws_session_token")
_REFUSED = {
    "assume_role_kwargs.PolicyArns": "a session policy is a document here. Write it as assume_role_kwargs.Policy.",
    "assume_role_kwargs.TransitiveTagKeys": "tags end with the session they were given to.",
    "assume_role_with_saml": "no External ID goes with SAML. Make an aws connection for it without the role of the "
    f"other account, and name it in source_conn_id of an {CONN_TYPE} connection.",
    "session_kwargs.profile_name": "the Amazon provider does not read it there, and would use the worker's own "
    "identity. Write the extra profile_name.",
}
_WEB_IDENTITY = "assume_role_with_web_identity"
_REFUSED_METHOD = (
    "only assume_role sends an External ID. Make an aws connection for the federated identity, and name it in "
    f"source_conn_id of an {CONN_TYPE} connection."
)
#: The Amazon provider's RoleSessionName is all of the name; here it is the beginning, and a dot follows.
_MAX_PREFIX_CHARS = (FIELDS_BY_NAME["session_name_prefix"].max_length or 0) - 1


def parse_aws_connection(
    conn_id: str,
    extra: Mapping[str, Any] | str | None,
    *,
    options: DeploymentOptions | None = None,
    login: str | None = None,
    password: str | None = None,
) -> Destination:
    """Read a connection of type ``aws`` with ``role_arn`` and ``assume_role_kwargs.ExternalId``.

    What differs from the Amazon provider: its RoleSessionName becomes the prefix of ours, its default bucket the only
    one, and its Tags bring ours with them.

    :param login: an access key id, and ``password`` its secret: with them, with the extras for keys, or with
        ``profile_name``, the connection itself says who assumes the role. It is then its own ``source_conn_id``;
        without any, the worker's own identity assumes.
    :raises InvalidConnectionError: with everything that cannot be used here, by the name the connection gives it.
    """
    problems = Problems()
    given: dict[str, Any] = {}
    with problems.at("extra"):
        given = {} if is_absent(extra) else to_mapping(extra)
    given = {name: value for name, value in given.items() if not is_absent(value)}
    if problems.found:
        raise InvalidConnectionError(conn_id, problems.found)
    _require_role(conn_id, given)
    ours, names = _translate(given, problems)
    problems.found.extend(identity_problems(given, login=login, password=password))
    destination: Destination | None = None
    try:
        destination = parse(conn_id, ours, options=options)
    except InvalidConnectionError as error:
        problems.found.extend(_renamed(problem, names) for problem in error.problems)
    if problems.found or destination is None:
        raise InvalidConnectionError(conn_id, problems.found)
    endpoints = dict(destination.endpoints)
    if "*" in endpoints:
        # the Amazon provider never sends AssumeRole to the endpoint of all services: an empty URL is AWS's own
        endpoints.setdefault("sts", "")
    keys = {**_nested(given), **given}
    named = names_profile(given) or bool(login) or not all(is_absent(keys.get(name)) for name in _KEYS)
    return replace(destination, endpoints=tuple(sorted(endpoints.items())), source_conn_id=conn_id if named else None)


def without_role(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The extras of the identity that assumes the role: the same connection, without what it assumes."""
    return {name: value for name, value in extra.items() if name != "role_arn" and not name.startswith("assume_role_")}


def names_profile(extra: Mapping[str, Any]) -> bool:
    """Whether the identity is a profile of the shared config files, and nothing else."""
    return not is_absent(extra.get("profile_name"))


def identity_problems(extra: Mapping[str, Any], *, login: str | None = None, password: str | None = None) -> list[str]:
    """Keys that are half there: the Amazon provider would pass them over and take the worker's own identity."""
    problems = Problems()
    pairs = {"login and password": (login, password)}
    tokens = []
    for prefix, values in (("", extra), ("session_kwargs.", _nested(extra))):
        pairs[" and ".join(prefix + name for name in _KEY_PAIR)] = (values.get(_KEY_PAIR[0]), values.get(_KEY_PAIR[1]))
        tokens.append(values.get("aws_session_token"))
    for where, (key_id, secret) in pairs.items():
        if is_absent(key_id) != is_absent(secret):
            problems.add(where, "one without the other is no identity. Give both, or neither.")
    if not all(map(is_absent, tokens)) and all(is_absent(key_id) for key_id, _ in pairs.values()):
        problems.add("aws_session_token", "a token is nothing without its keys. Give all three, or none.")
    return problems.found


def _nested(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return to_mapping(extra.get("session_kwargs") or {})
    except InvalidArgumentError:
        return {}


def _require_role(conn_id: str, given: Mapping[str, Any]) -> None:
    """Say at once what kind of connection this must be, instead of listing what a plain one lacks."""
    assume: Mapping[str, Any] = {}
    try:
        assume = to_mapping(given.get("assume_role_kwargs") or {})
    except InvalidArgumentError:
        return  # reported with the rest
    lacks = [
        *(["the extra role_arn"] if "role_arn" not in given else []),
        *(["an External ID (assume_role_kwargs.ExternalId)"] if is_absent(assume.get("ExternalId")) else []),
    ]
    if lacks:
        raise InvalidConnectionError(
            conn_id,
            [
                f"the connection is of type 'aws' and lacks {' and '.join(lacks)}. Add what is missing, or make a "
                f"connection of type {CONN_TYPE!r} ('Amazon Web Services (cross-account)')."
            ],
        )


def _translate(given: Mapping[str, Any], problems: Problems) -> tuple[dict[str, Any], dict[str, str]]:
    """Our extras for what is given, and the given name of each."""
    ours = {name: given[name] for name in _SAME_NAMES if name in given}
    names: dict[str, str] = {}
    readers = {
        "assume_role_kwargs": _read_assume_role,
        "service_config": _read_services,
        "session_kwargs": _read_session,
    }
    for group, read in readers.items():
        with problems.at(group):
            read(to_mapping(given.get(group, {})), ours, names, problems)
    if "endpoint_url" in given:
        ours.setdefault("endpoint_url", {})["*"] = given["endpoint_url"]
        names["endpoint_url.*"] = "endpoint_url"
    method = given.get("assume_role_method", "assume_role")
    if method != "assume_role":
        problems.add("assume_role_method", _REFUSED_METHOD)
    known = {*_SAME_NAMES, *readers, *_KEYS, "profile_name", "endpoint_url", "assume_role_method"}
    for name in given:
        if name not in known:
            _refuse(name, problems)
    return ours, names


def _read_assume_role(
    group: Mapping[str, Any], ours: dict[str, Any], names: dict[str, str], problems: Problems
) -> None:
    for name, value in group.items():
        if is_absent(value):
            continue
        extra = _ASSUME_NAMES.get(name)
        if extra is None:
            _refuse(f"{_ASSUME}{name}", problems)
            continue
        names[extra] = f"{_ASSUME}{name}"
        if name == "Tags":
            with problems.at(f"{_ASSUME}Tags"):
                ours[extra] = _tags(value)
        elif name == "RoleSessionName" and isinstance(value, str):
            ours[extra] = f"{value[:_MAX_PREFIX_CHARS]}."
        else:
            ours[extra] = value


def _read_services(group: Mapping[str, Any], ours: dict[str, Any], names: dict[str, str], problems: Problems) -> None:
    for service, settings in group.items():
        where = f"service_config.{service}"
        with problems.at(where):
            for name, value in to_mapping(settings).items():
                if is_absent(value):
                    continue
                if name == "endpoint_url":
                    ours.setdefault("endpoint_url", {})[service] = value
                    names[f"endpoint_url.{service}"] = f"{where}.endpoint_url"
                elif (service, name) == ("s3", "bucket_name"):
                    ours["bucket"] = value
                    names["bucket"] = f"{where}.bucket_name"
                else:
                    _refuse(f"{where}.{name}", problems)


def _read_session(group: Mapping[str, Any], ours: dict[str, Any], names: dict[str, str], problems: Problems) -> None:
    for name, value in group.items():
        if name == "region_name":
            ours.setdefault(name, value)
            names.setdefault(name, "session_kwargs.region_name")
        elif name not in _KEYS and not is_absent(value):
            _refuse(f"session_kwargs.{name}", problems)


def _tags(value: Any) -> dict[str, Any]:
    """Tags as STS takes them, ``[{"Key": ..., "Value": ...}]``, as an object."""
    tags = [to_mapping(item) for item in value] if isinstance(value, list) else None
    if tags is None or any(set(tag) != {"Key", "Value"} or not isinstance(tag["Key"], str) for tag in tags):
        raise InvalidArgumentError("it is no list of tags", remedy='Write [{"Key": "team", "Value": "data"}].')
    if len({tag["Key"] for tag in tags}) < len(tags):
        raise InvalidArgumentError("a key is there twice", remedy="Keep one.")
    return {tag["Key"]: tag["Value"] for tag in tags}


def _refuse(name: str, problems: Problems) -> None:
    """Name an extra that cannot be used; its value is never shown."""
    if name.startswith(_WEB_IDENTITY):
        problems.add("assume_role_with_web_identity", _REFUSED_METHOD)
        return
    group, dot, last = name.rpartition(".")
    shown = show_name(last)
    known = group + dot + (last if shown == repr(last) else f"an extra {shown}")
    remedy = f"it cannot be used here. Remove it, or make an {CONN_TYPE} connection."
    problems.add(known, _REFUSED.get(name, remedy))


def _renamed(problem: str, names: Mapping[str, str]) -> str:
    """A problem of one of our extras, under the name it was given by."""
    where, _, rest = problem.partition(": ")
    return f"{names.get(where, where)}: {rest}"
