"""Extras that do not exist: which one was probably meant.

The values of unknown extras are never shown: a secret pasted under a wrong name must not reach a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from airflow_xacct.destination.coerce import to_mapping
from airflow_xacct.destination.fields import CONN_TYPE, FIELDS, FIELDS_BY_NAME
from airflow_xacct.destination.problems import Problems
from airflow_xacct.destination.text import listed, show_name
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["explain_unknown"]

_BY_AMAZON_NAME = {name: field.name for field in FIELDS for name in field.amazon_names}
_AMAZON_GROUPS = {name.partition(".")[0] for name in _BY_AMAZON_NAME if "." in name}

_SOURCE_REMEDY = (
    "it says who assumes the role. That belongs in an aws connection: make one and name it in source_conn_id."
)
_TRANSLATIONS = {full: f"is {extra}" for full, extra in _BY_AMAZON_NAME.items()} | {
    "assume_role_kwargs.PolicyArns": "has no extra: session_policy is a document",
    "assume_role_kwargs.TransitiveTagKeys": "has no extra, since tags end with the session they were given to",
}


def explain_unknown(given: Mapping[str, Any], problems: Problems) -> None:
    """Report every extra that does not exist, with its nearest neighbour or the extra for the same thing."""
    for name, value in given.items():
        if name in FIELDS_BY_NAME:
            continue
        if name in _AMAZON_GROUPS:
            problems.add(name, _explain_group(name, value))
        elif _BY_AMAZON_NAME.get(name) == "source_conn_id":
            problems.add(name, _SOURCE_REMEDY)
        elif name in _BY_AMAZON_NAME:
            problems.add(name, f"it is a name of the Amazon provider. Here it is {_BY_AMAZON_NAME[name]}.")
        else:
            problems.add("extra", _explain_near(name))


def _explain_group(group: str, value: object) -> str:
    """Translate what the Amazon provider nests, key by key."""
    if group == "session_kwargs":
        return f"{_SOURCE_REMEDY} A region is region_name here."
    if group == "service_config":
        return (
            "it is a name of the Amazon provider. Here an endpoint is endpoint_url, an object with a URL for "
            "each service, and the bucket is bucket."
        )
    translations = {
        full.partition(".")[2]: phrase for full, phrase in _TRANSLATIONS.items() if full.startswith(f"{group}.")
    }
    try:
        keys = set(to_mapping(value))
    except InvalidArgumentError:
        keys = set()
    said = [f"{key} {phrase}" for key, phrase in translations.items() if key in keys]
    said = said or [f"{key} {phrase}" for key, phrase in translations.items()]
    return f"it is a name of the Amazon provider. Here {listed(said, 'and')}."


def _explain_near(name: str) -> str:
    plain = _plain(name.removeprefix(f"extra__{CONN_TYPE}__"))
    words = {_plain(field.name): field.name for field in FIELDS}
    words |= {_plain(full.rpartition(".")[2]): extra for full, extra in _BY_AMAZON_NAME.items() if "*" not in full}
    near = get_close_matches(plain, words, n=1, cutoff=0.6)
    hint = f"Did you mean {words[near[0]]}?" if near else f"The extras are {listed(list(FIELDS_BY_NAME), 'and')}."
    return f"there is no extra {show_name(name)}. {hint}"


def _plain(name: str) -> str:
    """Spell a name without what people vary: case, underscores, hyphens."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")
