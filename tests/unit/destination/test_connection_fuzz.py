"""Thousands of generated connections end in a valid destination or in one of our errors.

The seed is printed with a failure; ``XACCT_FUZZ_SEED`` repeats it, ``XACCT_FUZZ_EXAMPLES`` runs more.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from airflow_xacct.destination import FIELDS, DeploymentOptions, Destination, Field, check_endpoint_url, parse
from airflow_xacct.destination.client_config import SETTINGS
from airflow_xacct.destination.fields import FIELDS_BY_NAME
from airflow_xacct.exceptions import InvalidConnectionError

SEED = int(os.environ.get("XACCT_FUZZ_SEED", secrets.randbelow(2**32)))
EXAMPLES = int(os.environ.get("XACCT_FUZZ_EXAMPLES", "2000"))
SECRET = "hunter2hunter2"
OPTIONS = [
    DeploymentOptions(),
    DeploymentOptions(("*.corp", "127.0.0.1:4566"), allow_insecure=True, allow_proxies=True),
]

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

urls = st.sampled_from(
    [
        "https://sts.eu-central-1.amazonaws.com",
        "http://127.0.0.1:4566",
        "https://x.corp/",
        "https://s3.amazonaws.com@evil.org",
        "http://evil.org",
        "https://s3.amazonaws.com.",
    ]
)
words = st.text(st.characters(), max_size=20)
tag_words = st.text(st.sampled_from("abZ9 _.:/=+-@é日"), min_size=1, max_size=9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
config = st.dictionaries(
    st.sampled_from(sorted({setting.name.partition(".")[0] for setting in SETTINGS})),
    st.integers(1, 60)
    | st.booleans()
    | st.dictionaries(
        st.sampled_from(sorted({setting.name.rpartition(".")[2] for setting in SETTINGS})),
        st.integers(1, 50) | st.sampled_from(["standard", "path", "http://p.corp:1", "/ca.pem"]),
        max_size=2,
    ),
    max_size=2,
)
# What the table cannot say about its own values.
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "role_arn": st.from_regex(r"arn:aws(-cn)?:iam::[0-9]{12}:role/([a-z]{1,9}/){0,3}[\w+=,.@-]{1,64}", fullmatch=True),
    "region_name": st.sampled_from(["eu-central-1", "us-gov-west-1", "cn-north-1", "xx-new-1"]),
    "sts_region_name": st.sampled_from(["eu-central-1", "aws-global", "eusc-de-east-1"]),
    "bucket": st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True),
    "prefix": st.lists(st.text(st.sampled_from("ab. %é"), min_size=1, max_size=5), max_size=3).map("/".join),
    "bucket_owner": st.integers(10**11, 10**12) | st.from_regex(r"[0-9]{12}", fullmatch=True),
    "kms_key_id": st.from_regex(r"alias/[a-z/_-]{1,20}", fullmatch=True),
    "session_tags": st.booleans() | st.dictionaries(tag_words, tag_words | st.integers() | st.none(), max_size=4),
    "endpoint_url": urls | st.dictionaries(st.sampled_from(["sts", "s3", "*", "S3", ""]), urls, max_size=3),
    "verify": st.booleans() | st.sampled_from(["/etc/ca.pem", "ca.pem", "True", "FALSE"]),
    "config_kwargs": config,
    "allow_missing_external_id": st.just(False) | st.booleans(),
}


def likely(field: Field) -> st.SearchStrategy[Any]:
    """Generate values of which many are legal, from what the table says."""
    if field.name in SPECIAL:
        # the example of the last extra contradicts an External ID
        example = False if field.name == "allow_missing_external_id" else field.example
        return st.just(example) | SPECIAL[field.name]
    if field.minimum is not None and field.maximum is not None:
        return st.integers(field.minimum - 2, field.maximum + 2)
    legal = st.from_regex(f"(?:{field.pattern})", fullmatch=True).map(lambda text: text[: (field.max_length or 0) + 1])
    return st.just(field.example) | legal


@st.composite
def mutated(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Any:
    """Generate a likely value, or what becomes of it in clumsy or hostile hands."""
    value = draw(values)
    if draw(st.integers(0, 9)):
        return value
    if isinstance(value, str):
        position = draw(st.integers(0, len(value)))
        value = value[:position] + draw(words) + value[position + draw(st.integers(0, 2)) :]
    return draw(st.sampled_from([value, [value], {"x": value}, f" {value}\n", str(value) * 50]) | json_values)


#: Made once: to build and to check a strategy takes longer than to draw from it.
VALUES = {field.name: mutated(likely(field)) for field in FIELDS}
NOT_IN_THE_TABLE = (
    st.sampled_from(["aws_secret_access_key", "rolearn", "assume_role_kwargs", "service_config"]) | words
).filter(lambda text: text not in FIELDS_BY_NAME)
SECRETS = st.sampled_from([SECRET, {"x": SECRET}, [SECRET], f'{{"ExternalId": "{SECRET}"}}'])


@st.composite
def connections(draw: st.DrawFn) -> dict[str, Any]:
    """Generate extras: most of the table, some of it wrong, and sometimes what is not in it."""
    extra: dict[str, Any] = {}
    for field in FIELDS:
        # required extras are there mostly, the others mostly not, so that many connections are valid
        if draw(st.integers(0, 19)) < (19 if field.required else 4):
            extra[field.name] = draw(VALUES[field.name])
    if not draw(st.integers(0, 4)):
        extra[draw(NOT_IN_THE_TABLE)] = draw(SECRETS)
    return extra


@pytest.fixture(autouse=True, scope="module")
def printed_seed() -> None:
    """Print the seed, for pytest to show with a failure."""
    print(f"XACCT_FUZZ_SEED={SEED}")


def outcome(extra: Any, options: DeploymentOptions) -> Destination | InvalidConnectionError:
    """Parse, and return the error too: any other exception fails the test."""
    try:
        return parse("fuzzed", extra, options=options)
    except InvalidConnectionError as error:
        return error


@seed(SEED)
@fuzzed
@given(connections(), st.sampled_from(OPTIONS))
def test_every_connection_is_valid_or_one_of_our_errors(extra: dict[str, Any], options: DeploymentOptions) -> None:
    found = outcome(extra, options)
    if isinstance(found, InvalidConnectionError):
        assert found.problems
        assert all(problem.isprintable() and problem.endswith((".", "?")) for problem in found.problems)
        assert SECRET not in str(found)
        return
    hash(found)
    assert re.fullmatch(r"[0-9]{12}", found.bucket_owner)
    assert found.external_id or extra.get("allow_missing_external_id")
    assert found.prefix == "" or (found.prefix.endswith("/") and not found.prefix.startswith("/"))
    assert ".." not in found.prefix.split("/")
    assert all(check_endpoint_url(url, options) is None for _, url in found.endpoints)
    assert found.verify is not False or options.allow_insecure
    assert options.allow_proxies or "proxies" not in found.config_kwargs
    assert 900 <= found.duration_seconds <= 43200


@seed(SEED)
@settings(fuzzed, max_examples=EXAMPLES // 2)
@given(connections())
def test_every_valid_connection_is_the_same_as_json_and_as_a_uri(extra: dict[str, Any]) -> None:
    """A form and a secrets backend store JSON types, a URI stores text; the destination is one."""
    found = outcome(extra, OPTIONS[1])
    if isinstance(found, InvalidConnectionError):
        return
    text = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in extra.items() if value is not None
    }
    assert outcome(json.dumps(extra), OPTIONS[1]) == found
    assert outcome(text, OPTIONS[1]) == found
    assert outcome(json.dumps(text), OPTIONS[1]) == found


@seed(SEED)
@fuzzed
@given(st.text(max_size=60) | json_values.map(json.dumps) | st.none())
def test_whatever_stands_in_extra_is_answered(extra: str | None) -> None:
    found = outcome(extra, OPTIONS[0])
    assert isinstance(found, InvalidConnectionError)
    assert all(problem.isprintable() for problem in found.problems)


@seed(SEED)
@settings(fuzzed, max_examples=100)
@given(st.data())
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_each_extra_is_sometimes_valid(field: Field, data: st.DataObject) -> None:
    """The fuzzing would prove nothing if it never got past the first check."""
    minimal = {item.name: item.example for item in FIELDS if item.required}
    if field.name == "allow_missing_external_id":
        del minimal["external_id"]
    assert isinstance(outcome({**minimal, field.name: field.example}, OPTIONS[1]), Destination)
    outcome({**minimal, field.name: data.draw(VALUES[field.name])}, OPTIONS[1])
