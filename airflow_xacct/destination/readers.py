"""Extras with several parts: each part is checked by itself, and each problem is reported."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping

from airflow_xacct.destination.client_config import read_config_kwargs
from airflow_xacct.destination.coerce import is_absent, load_json, to_text
from airflow_xacct.destination.endpoints import parse_endpoint_url
from airflow_xacct.destination.options import DeploymentOptions
from airflow_xacct.destination.problems import Problems
from airflow_xacct.destination.text import show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = [
    "AUTO",
    "AUTOMATIC_SESSION_TAGS",
    "MAX_POLICY_CHARS",
    "MAX_SESSION_TAGS",
    "OFF",
    "read_config_kwargs",
    "read_endpoints",
    "read_session_policy",
    "read_session_tags",
    "read_verify",
]

# AWS: Tag (the data type of the STS API), Pass session tags in AWS STS
MAX_SESSION_TAGS = 50
MAX_TAG_KEY_CHARS = 128
MAX_TAG_VALUE_CHARS = 256
#: AWS: *AssumeRole*, parameter Policy: plaintext characters, white space included.
MAX_POLICY_CHARS = 2048
AUTO, OFF = "auto", "off"
_TAG_PUNCTUATION = frozenset("_.:/=+-@")
#: How many of them are ours: DAG, task, run, map index, try and logical date.
AUTOMATIC_SESSION_TAGS = 6

_SERVICE = re.compile(r"\*|[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def read_session_tags(
    value: bool | Mapping[str, object],
    options: DeploymentOptions,  # noqa: ARG001 - every reader takes the same arguments
    problems: Problems,
    where: str,
) -> tuple[bool, tuple[tuple[str, str], ...]]:
    """Read whether sessions are tagged, and with which further tags.

    :returns: the switch, and keys with values, sorted.
    """
    if isinstance(value, bool):
        return value, ()
    tags: dict[str, str] = {}
    seen: set[str] = set()
    for key, item in value.items():
        if item is None:
            continue
        with problems.at(f"{where}, tag {show(key)}"):
            tags[_tag_part(key, "key", 1, MAX_TAG_KEY_CHARS)] = _tag_part(
                to_text(item), "value", 0, MAX_TAG_VALUE_CHARS
            )
            if key.casefold() in seen:
                raise InvalidArgumentError(
                    "AWS does not tell keys apart by case, and there is another", remedy="Keep one."
                )
            if key.casefold().startswith("aws:"):
                raise InvalidArgumentError("keys that begin with aws: are AWS's", remedy="Choose another key.")
            seen.add(key.casefold())
    if len(tags) > MAX_SESSION_TAGS - AUTOMATIC_SESSION_TAGS:
        problems.add(
            where,
            f"there are {len(tags)} tags. A session has at most {MAX_SESSION_TAGS}, "
            f"and {AUTOMATIC_SESSION_TAGS} of them say which task instance it is.",
        )
    return bool(tags), tuple(sorted(tags.items()))


def read_session_policy(
    value: str | Mapping[str, object],
    options: DeploymentOptions,  # noqa: ARG001 - every reader takes the same arguments
    problems: Problems,  # noqa: ARG001
    where: str,  # noqa: ARG001
) -> str:
    """Read which session policy sessions get.

    :returns: ``auto``, ``off``, or a document as compact JSON text.
    :raises InvalidArgumentError: it is none of them.
    """
    if isinstance(value, str) and value in (AUTO, OFF):
        return value
    document = value if isinstance(value, Mapping) else _loaded(value)
    if not isinstance(document, Mapping) or not document.get("Statement"):
        raise InvalidArgumentError(
            "it is neither auto, off, nor a policy document", remedy="A document is an object with a Statement."
        )
    text = json.dumps(document, separators=(",", ":"))
    if len(text) > MAX_POLICY_CHARS:
        raise InvalidArgumentError(
            f"the document has {len(text)} characters", remedy=f"STS takes {MAX_POLICY_CHARS}: shorten it."
        )
    return text


def _loaded(text: str) -> object:
    try:
        return load_json(text)
    except InvalidArgumentError:
        return None


def _tag_part(text: str, part: str, shortest: int, longest: int) -> str:
    if not shortest <= len(text) <= longest:
        raise InvalidArgumentError(
            f"the {part} has {len(text)} characters", remedy=f"It may have {shortest} to {longest}."
        )
    for character in text:
        # letters, separators and numbers of any script: \p{L}, \p{Z} and \p{N}
        if unicodedata.category(character)[0] not in "LZN" and character not in _TAG_PUNCTUATION:
            raise InvalidArgumentError(
                f"the {part} holds the character {character!r}",
                remedy="It may hold letters, digits, spaces and _ . : / = + - @.",
            )
    return text


def read_endpoints(
    value: str | Mapping[str, object], options: DeploymentOptions, problems: Problems, where: str
) -> tuple[tuple[str, str], ...]:
    """Read the endpoint of every service (``*``), or of each service by its boto3 name.

    :returns: services and URLs, sorted.
    """
    if isinstance(value, str):
        return (("*", parse_endpoint_url(value, options)),)
    endpoints: dict[str, str] = {}
    for service, url in value.items():
        if is_absent(url):
            continue
        with problems.at(f"{where}.{service}" if _SERVICE.fullmatch(service) else where):
            if not _SERVICE.fullmatch(service):
                raise InvalidArgumentError(
                    f"{show(service)} is not a service",
                    remedy="Use the names of boto3, such as sts, s3 and kms, or *.",
                )
            endpoints[service] = parse_endpoint_url(to_text(url).strip(), options)
    return tuple(sorted(endpoints.items()))


def read_verify(
    value: bool | str,
    options: DeploymentOptions,
    problems: Problems,  # noqa: ARG001 - every reader takes the same arguments
    where: str,  # noqa: ARG001
) -> bool | str:
    """Read how TLS certificates are verified: by the usual authorities, by those of a file, or not at all.

    The file need not exist here: workers are other machines than the API server.

    :raises InvalidArgumentError: if they would not be, and the deployment does not allow it.
    """
    if value is False and not options.allow_insecure:
        raise InvalidArgumentError(
            "without verification, anyone on the way can read and change the data",
            remedy="Give the path of a CA file, or set allow_insecure in section xacct of the Airflow configuration.",
        )
    if isinstance(value, str) and (not value.startswith("/") or any(ord(letter) < 32 for letter in value)):
        raise InvalidArgumentError(
            f"{show(value)} is neither true nor a path", remedy="Give the absolute path of a CA file."
        )
    return value
