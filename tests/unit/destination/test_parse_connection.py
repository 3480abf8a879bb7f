"""From a stored connection to a destination: what is taken, what is refused, and how it is said."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_xacct.destination import BucketRef, DeploymentOptions, Destination, KmsKey, RoleArn, parse
from airflow_xacct.exceptions import InvalidConnectionError

ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"
EXTERNAL_ID = "8f14e45f-ceea-467f-9575-3b4e5d1c7a90"
MINIMAL: dict[str, Any] = {"role_arn": ROLE, "external_id": EXTERNAL_ID}
OPEN = DeploymentOptions(("127.0.0.1",), allow_insecure=True, allow_proxies=True)

FULL: dict[str, Any] = {
    **MINIMAL,
    "region_name": "eu-central-1",
    "sts_region_name": "eu-west-1",
    "source_conn_id": "aws_default",
    "bucket": "partner-b-landing",
    "prefix": "acme",
    "bucket_owner": "333333333333",
    "duration_seconds": 900,
    "kms_key_id": "alias/landing",
    "session_name_prefix": "acme-",
    "session_tags": {"team": "data platform", "cost": 7, "empty": "", "absent": None},
    "source_identity": "acme-prod",
    "endpoint_url": {"sts": "http://127.0.0.1:4566/", "s3": "https://S3.eu-central-1.amazonaws.com", "kms": None},
    "verify": "/etc/ssl/ca.pem",
    "config_kwargs": {
        "connect_timeout": 5.5,
        "retries": {"mode": "adaptive", "max_attempts": 3, "total_max_attempts": None},
        "s3": {"addressing_style": "path"},
        "tcp_keepalive": True,
        "proxies": {"https": "http://proxy.corp:3128"},
    },
}


def problems_of(extra: Mapping[str, Any] | str | None, **given: Any) -> tuple[str, ...]:
    """Return the problems of a connection that must have some."""
    with pytest.raises(InvalidConnectionError) as caught:
        parse("partner_b", extra, **given)
    assert caught.value.conn_id == "partner_b"
    str(caught.value).encode()
    return caught.value.problems


def only_problem_of(extra: Mapping[str, Any] | str | None, **given: Any) -> str:
    """Return the one problem of a connection."""
    (problem,) = problems_of(extra, **given)
    return problem


def as_text(extra: Mapping[str, Any]) -> dict[str, str]:
    """Write extras as a URI holds them: text alone."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in extra.items()}


def test_role_and_external_id_are_enough() -> None:
    assert parse("partner_b", MINIMAL) == Destination(
        conn_id="partner_b",
        role=RoleArn("aws", "222222222222", "/", "DataDumpRole"),
        external_id=EXTERNAL_ID,
        bucket_owner="222222222222",
    )


def test_every_extra_arrives_in_its_type() -> None:
    found = parse("partner_b", FULL, options=OPEN)
    assert found.bucket == BucketRef("partner-b-landing", "bucket")
    assert found.kms_key == KmsKey("alias/landing", "alias")
    assert found.kms_key_id == "alias/landing"
    assert (found.prefix, found.bucket_owner, found.duration_seconds) == ("acme/", "333333333333", 900)
    assert (found.region_name, found.sts_region_name, found.source_conn_id) == (
        "eu-central-1",
        "eu-west-1",
        "aws_default",
    )
    assert (found.session_name_prefix, found.source_identity) == ("acme-", "acme-prod")
    assert found.tags_sessions
    assert found.session_tags == {"team": "data platform", "cost": "7", "empty": ""}
    assert found.endpoint_url == {"sts": "http://127.0.0.1:4566", "s3": "https://s3.eu-central-1.amazonaws.com"}
    assert found.endpoint_for("sts") == "http://127.0.0.1:4566"
    assert found.endpoint_for("dynamodb") is None
    assert found.verify == found.verify_argument == "/etc/ssl/ca.pem"
    assert found.config_kwargs == {
        "connect_timeout": 5.5,
        "retries": {"mode": "adaptive", "max_attempts": 3},
        "s3": {"addressing_style": "path"},
        "tcp_keepalive": True,
        "proxies": {"https": "http://proxy.corp:3128"},
    }


def test_form_json_and_uri_give_the_same_destination() -> None:
    expected = parse("partner_b", FULL, options=OPEN)
    assert parse("partner_b", json.dumps(FULL), options=OPEN) == expected
    assert parse("partner_b", as_text(FULL), options=OPEN) == expected
    assert parse("partner_b", json.dumps(as_text(FULL)), options=OPEN) == expected
    assert hash(parse("partner_b", as_text(FULL), options=OPEN)) == hash(expected)


@pytest.mark.parametrize("absent", [None, ""])
def test_null_and_empty_text_are_absent(absent: object) -> None:
    blank = dict.fromkeys(FULL, absent)
    assert parse("partner_b", {**blank, **MINIMAL}) == parse("partner_b", MINIMAL)


def test_an_empty_object_says_nothing_where_an_object_may_stand() -> None:
    empty: dict[str, Any] = {"session_tags": {}, "endpoint_url": {}, "config_kwargs": {}}
    assert parse("partner_b", {**empty, **MINIMAL}) == parse("partner_b", MINIMAL)
    assert parse("partner_b", {**MINIMAL, "config_kwargs": {"s3": {}}}) == parse("partner_b", MINIMAL)
    assert "an object, not text" in only_problem_of({**MINIMAL, "bucket": {}})


def test_white_space_around_a_value_is_pasted_and_dropped() -> None:
    padded = {key: f" {value}\n" for key, value in as_text(FULL).items() if key != "prefix"}
    assert parse("partner_b", {**padded, "prefix": "acme"}, options=OPEN) == parse("partner_b", FULL, options=OPEN)


@pytest.mark.parametrize("name", ["external_id", "prefix", "bucket", "session_tags"])
def test_white_space_alone_is_neither_a_value_nor_absent(name: str) -> None:
    assert only_problem_of({**MINIMAL, name: " \t"}) == (
        f"{name}: it holds white space only. Leave it out, or write a value."
    )


def test_all_problems_are_reported_at_once() -> None:
    problems = problems_of(
        {
            "role_arn": "DataDumpRole",
            "external_id": "x",
            "region_name": "Frankfurt",
            "sts_region_name": "aws-global",
            "source_conn_id": "no spaces",
            "bucket": "landing--euc1-az1--x-s3",
            "prefix": "/acme",
            "bucket_owner": 12345678901,
            "duration_seconds": 60,
            "kms_key_id": "key",
            "session_name_prefix": "a b",
            "session_tags": "yes",
            "source_identity": "aws:me",
            "endpoint_url": "http://evil.org",
            "verify": False,
            "config_kwargs": {"signature_version": "unsigned"},
            "allow_missing_external_id": "perhaps",
            "rol_arn": "x",
        },
        password="hunter2-hunter2",
    )
    assert [problem.partition(":")[0] for problem in problems] == [
        "password",
        "extra",
        "role_arn",
        "external_id",
        "region_name",
        "sts_region_name",
        "source_conn_id",
        "bucket",
        "prefix",
        "bucket_owner",
        "duration_seconds",
        "kms_key_id",
        "session_name_prefix",
        "session_tags",
        "source_identity",
        "endpoint_url",
        "verify",
        "config_kwargs",
        "allow_missing_external_id",
    ]
    assert "hunter2" not in "".join(problems)


def test_an_empty_connection_misses_its_role_and_external_id() -> None:
    for empty in (None, "", "{}", {}):
        assert [problem.partition(":")[0] for problem in problems_of(empty)] == ["role_arn", "external_id"]


def test_the_external_id_is_left_out_only_on_purpose() -> None:
    assert "allow_missing_external_id" in only_problem_of({"role_arn": ROLE})
    assert "allow_missing_external_id" in only_problem_of({"role_arn": ROLE, "allow_missing_external_id": False})
    assert parse("c", {"role_arn": ROLE, "allow_missing_external_id": "true"}).external_id is None


def test_an_external_id_and_leave_to_miss_it_contradict_each_other() -> None:
    assert "Remove one of them" in only_problem_of({**MINIMAL, "allow_missing_external_id": True})
    assert parse("c", {**MINIMAL, "allow_missing_external_id": False}).external_id == EXTERNAL_ID


def test_an_external_id_is_shown_by_its_end_and_a_short_one_not_at_all() -> None:
    assert only_problem_of({**MINIMAL, "external_id": "not legal §1234"}).startswith(
        "external_id: a value that ends in '1234' holds a character that is not allowed."
    )
    assert "a value of 1 characters" in only_problem_of({**MINIMAL, "external_id": "x"})
    assert EXTERNAL_ID not in repr(parse("c", MINIMAL))


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"login": "AKIAIOSFODNN7EXAMPLE"}, "source_conn_id"),
        ({"password": "wJalrXUtnFEMI"}, "source_conn_id"),
        ({"host": "s3.example.com"}, "endpoint_url"),
        ({"schema": "my-schema"}, "bucket"),
        ({"port": 4566}, "endpoint_url"),
    ],
)
def test_the_standard_fields_must_be_empty_and_are_never_shown(given: dict[str, Any], remedy: str) -> None:
    problem = only_problem_of(MINIMAL, **given)
    assert remedy in problem
    assert str(next(iter(given.values()))) not in problem


def test_port_zero_and_empty_standard_fields_are_absent() -> None:
    parse("c", MINIMAL, login="", password=None, host="", schema="", port=0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("role_arn=x", "not JSON"),
        ("[1]", "a list, not an object"),
        ('"x"', "text, not an object"),
        ("null", "null, not an object"),
        ("12", "an integer, not an object"),
        ('{"role_arn": 1, "role_arn": 2}', "the key 'role_arn' twice"),
        ('{"duration_seconds": NaN}', "NaN is not JSON"),
        ('{"duration_seconds": ' + "9" * 5000 + "}", "too large"),
        ("[" * 100_000, "too large"),
        ('{"a": wJalrXUtnFEMI}', "not JSON"),
    ],
)
def test_extras_that_are_no_object_are_the_one_problem(text: str, said: str) -> None:
    problem = only_problem_of(text)
    assert problem.startswith("extra: ")
    assert said in problem
    assert "wJalr" not in problem


def test_a_mapping_with_keys_that_are_not_text_is_refused() -> None:
    assert "not text" in only_problem_of({1: "x", **MINIMAL})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("role_arn", ["x"], "a list, not text"),
        ("role_arn", True, "a boolean, not text"),
        ("role_arn", {"a": 1}, "an object, not text"),
        ("role_arn", 10**18, "too large"),
        ("bucket", b"bytes", "a bytes, not text"),
        ("duration_seconds", True, "a boolean, not an integer"),
        ("duration_seconds", 3600.0, "a number, not an integer"),
        ("duration_seconds", "3600.0", "text, not an integer"),
        ("duration_seconds", "+3600", "text, not an integer"),
        ("duration_seconds", "٣٦٠٠", "text, not an integer"),
        ("duration_seconds", 10**18, "too large"),
        ("duration_seconds", "899", "899 is out of range. Write 900 to 43200."),
        ("duration_seconds", 43201, "43201 is out of range. Write 900 to 43200."),
        ("duration_seconds", -1, "-1 is out of range"),
        ("session_tags", 1, "an integer, not true or false"),
        ("session_tags", "yes", "text, not true or false"),
        ("session_tags", "{nonsense", "not JSON"),
        ("allow_missing_external_id", 1, "an integer, not true or false"),
        ("config_kwargs", "[]", "a list, not an object"),
        ("config_kwargs", True, "a boolean, not an object"),
        ("endpoint_url", ["https://s3.amazonaws.com"], "a list, not text"),
        ("verify", 1, "neither true nor a path"),
        ("verify", "ca.pem", "neither true nor a path"),
        ("verify", "/ca\n.pem", "neither true nor a path"),
        ("verify", "no", "neither true nor a path"),
        ("verify", "False", "allow_insecure"),
        ("bucket_owner", 12345678901, "leading zeros"),
        ("session_name_prefix", "x" * 33, "Write 1 to 32 characters of letters"),
        ("source_identity", "x", "Write 2 to 64 characters"),
        ("source_identity", "AWS me", "Write 2 to 64 characters"),
        ("external_id", "x" * 1225, "1225 characters"),
        ("external_id", "two\nlines", "not allowed"),
        ("external_id", "ünicode", "not allowed"),
        ("prefix", "x" * 1024, "1024 characters"),
    ],
)
def test_a_value_that_is_not_legal_is_refused_with_its_remedy(name: str, value: object, said: str) -> None:
    problem = next(found for found in problems_of({**MINIMAL, name: value}) if found.startswith(name))
    assert said in problem


def test_an_integer_too_long_to_print_is_refused() -> None:
    assert "too large" in only_problem_of({**MINIMAL, "duration_seconds": 10**5000})


def test_an_account_id_without_quotes_is_understood() -> None:
    assert parse("c", {**MINIMAL, "bucket_owner": 333333333333}).bucket_owner == "333333333333"


def test_one_url_serves_every_service_and_an_object_may_name_the_rest() -> None:
    one = parse("c", {**MINIMAL, "endpoint_url": "http://127.0.0.1:4566"}, options=OPEN)
    assert one.endpoint_for("sts") == one.endpoint_for("s3") == "http://127.0.0.1:4566"
    rest = {"*": "http://127.0.0.1:1", "s3": "http://127.0.0.1:2"}
    some = parse("c", {**MINIMAL, "endpoint_url": rest}, options=OPEN)
    assert (some.endpoint_for("s3"), some.endpoint_for("sts")) == ("http://127.0.0.1:2", "http://127.0.0.1:1")


def test_each_endpoint_has_problems_of_its_own() -> None:
    problems = problems_of(
        {**MINIMAL, "endpoint_url": {"sts": "http://evil.org", "S3": "https://s3.amazonaws.com", "kms": 1}}
    )
    assert [problem.partition(": ")[0] for problem in problems] == [
        "endpoint_url.sts",
        "endpoint_url",
        "endpoint_url.kms",
    ]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"": "x"}, "the key has 0 characters"),
        ({"k" * 129: "x"}, "the key has 129 characters"),
        ({"k": "v" * 257}, "the value has 257 characters"),
        ({"k": "semi;colon"}, "the character ';'"),
        ({"k\n": "v"}, "the character '\\n'"),
        ({"Team": "a", "team": "b"}, "apart by case"),
        ({"AWS:x": "v"}, "are AWS's"),
        ({"k": True}, "a boolean, not text"),
        ({"k": ["v"]}, "a list, not text"),
        ({f"key{n}": "v" for n in range(48)}, "there are 48 tags"),
    ],
)
def test_session_tags_keep_the_limits_of_sts(tags: dict[str, Any], said: str) -> None:
    assert said in only_problem_of({**MINIMAL, "session_tags": tags})


def test_session_tags_are_off_on_or_more() -> None:
    assert not parse("c", MINIMAL).tags_sessions
    assert not parse("c", {**MINIMAL, "session_tags": "False"}).tags_sessions
    assert parse("c", {**MINIMAL, "session_tags": "true"}).tags_sessions
    assert not parse("c", {**MINIMAL, "session_tags": {"k": None}}).tags_sessions
    letters = parse("c", {**MINIMAL, "session_tags": {"Größe 日本 \u0661": "a/b:c=d+e-f@g_h.i"}})
    assert letters.session_tags == {"Größe 日本 \u0661": "a/b:c=d+e-f@g_h.i"}
    assert len(parse("c", {**MINIMAL, "session_tags": {f"k{n}": "v" for n in range(44)}}).session_tags) == 44


def test_certificates_are_verified_unless_connection_and_deployment_say_otherwise() -> None:
    assert parse("c", MINIMAL).verify is True
    assert parse("c", MINIMAL).verify_argument is None
    assert "allow_insecure" in only_problem_of({**MINIMAL, "verify": False})
    assert parse("c", {**MINIMAL, "verify": "false"}, options=OPEN).verify_argument is False


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ({"role_arn": ROLE.replace("aws", "aws-cn", 1), "region_name": "eu-central-1"}, ["region_name"]),
        ({"sts_region_name": "us-gov-west-1"}, ["sts_region_name"]),
        ({"region_name": "us-iso-east-1", "sts_region_name": "cn-north-1"}, ["region_name", "sts_region_name"]),
        ({"bucket": "arn:aws-cn:s3:cn-north-1:222222222222:accesspoint/abc"}, ["bucket"]),
        ({"kms_key_id": "arn:aws-us-gov:kms:us-gov-west-1:222222222222:alias/x"}, ["kms_key_id"]),
    ],
)
def test_everything_is_in_the_partition_of_the_role(extra: dict[str, str], names: list[str]) -> None:
    problems = problems_of({**MINIMAL, **extra})
    assert [problem.partition(":")[0] for problem in problems] == names
    assert "No role reaches another partition" in problems[0]


def test_a_region_newer_than_the_package_is_taken() -> None:
    assert parse("c", {**MINIMAL, "region_name": "xx-north-1"}).region_name == "xx-north-1"


def test_a_connection_cannot_be_its_own_source() -> None:
    assert "itself" in only_problem_of({**MINIMAL, "source_conn_id": "partner_b"})


@pytest.mark.parametrize(
    "secret",
    [
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "IQoJb3JpZ2luX2VjE" + "Ab1/+" * 40,
        "-----BEGIN PRIVATE KEY-----\nMIIE",
    ],
)
@pytest.mark.parametrize("name", ["role_arn", "region_name", "bucket", "kms_key_id", "verify", "endpoint_url"])
def test_a_credential_in_the_wrong_field_is_not_shown(name: str, secret: str) -> None:
    assert secret[:12] not in "".join(problems_of({**MINIMAL, name: secret}))


def test_a_long_value_is_cut() -> None:
    assert len(only_problem_of({**MINIMAL, "region_name": "x-" * 5000})) < 250


def test_the_error_survives_pickling() -> None:
    with pytest.raises(InvalidConnectionError) as caught:
        parse("c", {})
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)
