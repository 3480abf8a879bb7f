"""Keys: always below the connection's prefix, whatever a task says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_xacct.destination import (
    Destination,
    check_location,
    narrow,
    parse,
    resolve_key,
    resolve_prefix,
)
from airflow_xacct.destination.paths import normalise_prefix
from airflow_xacct.exceptions import ConfigurationError, InvalidArgumentError, OutsideDestinationError


def destination(**extra: object) -> Destination:
    """Make a destination below acme/ in the bucket of Account B."""
    given_extra = {
        "role_arn": "arn:aws:iam::222222222222:role/DataDumpRole",
        "external_id": "8f14e45f-ceea-467f-9575-3b4e5d1c7a90",
        "bucket": "partner-b-landing",
        "prefix": "acme",
    }
    return parse("partner_b", {**given_extra, **extra})


ACME = destination()

ESCAPES = [
    "..",
    "../x",
    "a/../x",
    "a/..",
    "./x",
    "a/./x",
    "/x",
    "/acme/x",
    "//x",
    "a//x",
    "a\\..\\x",
    "\\x",
    "%2e%2e/x",
    "%2E%2e%2Fx",
    "a%2f..%2fx",
    "a%5c..%5cx",
    "%2fx",
    "%5cx",
    "%252e%252e%252fx",
    "s3://partner-b-landing/acme/x",
    "https://x",
]
ENCODED = ["tz=America%2FNew_York/a", "a%5cx", "100%25/x", "%41/x", "50%", "a%2e5"]
ILLEGAL = ["a\nb", "a\x00b", "a\x7fb", "a\x85b", "a\u2028b", "\ud800", "a\uffff"]


@pytest.mark.parametrize(
    "key", ["x", "a/b", "dt=2026-01-01/part-00000.csv.gz", "ä/日本", "a b", "..x", "x..", "...", "%41", "*?$"]
)
def test_a_key_goes_below_the_prefix(key: str) -> None:
    assert resolve_key(ACME, key) == f"acme/{key}"
    assert resolve_key(destination(prefix=None), key) == key
    assert resolve_prefix(ACME, key) == f"acme/{key}/"
    check_location(ACME, bucket="partner-b-landing", key=f"acme/{key}")


@pytest.mark.parametrize("key", ESCAPES)
def test_a_key_that_would_leave_the_prefix_is_refused(key: str) -> None:
    for refused in (
        lambda: resolve_key(ACME, key),
        lambda: resolve_prefix(ACME, key),
        lambda: narrow(ACME, prefix=key),
        lambda: check_location(ACME, bucket="partner-b-landing", key=key),
    ):
        with pytest.raises(OutsideDestinationError) as caught:
            refused()
        assert caught.value.where == "connection 'partner_b'"
        assert caught.value.remedy


@pytest.mark.parametrize("key", [*ILLEGAL, "", "a/"])
def test_a_key_that_is_not_legal_is_refused(key: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        resolve_key(ACME, key)
    assert caught.value.remedy
    str(caught.value).encode()


def test_a_key_has_at_most_1024_bytes_of_utf8_with_its_prefix() -> None:
    assert len(resolve_key(ACME, "x" * 1019)) == 1024
    with pytest.raises(InvalidArgumentError, match="1025 bytes"):
        resolve_key(ACME, "x" * 1020)
    with pytest.raises(InvalidArgumentError, match="1026 bytes"):
        resolve_key(ACME, "ä" * 510 + "x")


def test_a_prefix_does_not_cover_its_neighbour() -> None:
    for key in ("acme-competitor/x", "acme", "acm", "x"):
        with pytest.raises(OutsideDestinationError, match="not below 'acme/'"):
            check_location(ACME, bucket="partner-b-landing", key=key)


def test_a_task_narrows_to_a_prefix_below_the_connections() -> None:
    assert narrow(ACME, prefix="in").prefix == "acme/in/"
    assert narrow(ACME, prefix="in/").prefix == "acme/in/"
    assert narrow(narrow(ACME, prefix="in"), prefix="x").prefix == "acme/in/x/"
    assert narrow(ACME) == ACME
    assert narrow(ACME, bucket="", prefix="") == ACME


def test_a_task_names_the_bucket_only_where_the_connection_does_not() -> None:
    anywhere = destination(bucket=None)
    assert str(narrow(anywhere, bucket="partner-b-other").bucket) == "partner-b-other"
    assert narrow(ACME, bucket="partner-b-landing") == ACME
    with pytest.raises(OutsideDestinationError, match="partner-b-other"):
        narrow(ACME, bucket="partner-b-other")
    with pytest.raises(OutsideDestinationError):
        check_location(ACME, bucket="partner-b-other", key="acme/x")
    with pytest.raises(InvalidArgumentError):
        narrow(anywhere, bucket="Not A Bucket")


@pytest.mark.parametrize(
    ("text", "prefix"), [("", ""), ("acme", "acme/"), ("acme/", "acme/"), ("a/b", "a/b/"), ("a b/", "a b/")]
)
def test_a_prefix_is_empty_or_ends_in_a_slash(text: str, prefix: str) -> None:
    assert normalise_prefix(text) == prefix


@pytest.mark.parametrize("text", [*ESCAPES, *ILLEGAL, " acme", "acme ", "acme/\t", "/", "//", "x" * 1024, "ä" * 512])
def test_a_prefix_that_is_not_legal_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        normalise_prefix(text)


@given(st.text(st.sampled_from("ab./\\%2eEfF5cC \u2028é\x00:"), max_size=30))
def test_whatever_a_task_asks_for_is_below_the_prefix_or_refused(key: str) -> None:
    """However a later reader decodes and resolves a key, it stays below the prefix."""
    try:
        full = resolve_key(ACME, key)
    except ConfigurationError:
        return
    assert full.startswith("acme/")
    decoded = full.replace("%25", "%").replace("%25", "%").lower()
    decoded = decoded.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/")
    # an encoded slash at the end leads nowhere
    assert not {"..", ".", ""} & set(decoded.removesuffix("/").split("/"))


@pytest.mark.parametrize("key", ENCODED)
def test_an_encoding_that_leads_nowhere_is_part_of_the_name(key: str) -> None:
    """Hive writes a slash in a partition's value as %2F: that is a name, not a path."""
    assert resolve_key(destination(), key).endswith(key)
