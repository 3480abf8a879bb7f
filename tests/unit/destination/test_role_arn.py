"""Role ARNs, account ids, KMS keys, regions: what is taken, and what a person reads when it is not."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import botocore
import pytest

from airflow_xacct.destination import KmsKey, RoleArn
from airflow_xacct.destination.arn import check_account_id
from airflow_xacct.destination.partitions import PARTITIONS, check_region, partition_of_region
from airflow_xacct.exceptions import InvalidArgumentError

KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arn:aws:iam::222222222222:role/DataDumpRole", RoleArn("aws", "222222222222", "/", "DataDumpRole")),
        (
            "arn:aws-us-gov:iam::012345678901:role/team/x/Dump+=,.@-_Role",
            RoleArn("aws-us-gov", "012345678901", "/team/x/", "Dump+=,.@-_Role"),
        ),
        ("arn:aws-cn:iam::222222222222:role/R", RoleArn("aws-cn", "222222222222", "/", "R")),
        ("arn:aws-eusc:iam::222222222222:role/R", RoleArn("aws-eusc", "222222222222", "/", "R")),
        ("arn:aws-iso-b:iam::222222222222:role/R", RoleArn("aws-iso-b", "222222222222", "/", "R")),
        ("arn:aws-iso-z:iam::222222222222:role/R", RoleArn("aws-iso-z", "222222222222", "/", "R")),
    ],
)
def test_a_role_arn_comes_apart_and_together_again(text: str, expected: RoleArn) -> None:
    assert RoleArn.parse(text) == expected
    assert str(expected) == text
    assert pickle.loads(pickle.dumps(expected)) == expected  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "looks like arn:aws:iam::"),
        ("DataDumpRole", "looks like arn:aws:iam::"),
        ("arn:aws:sts::222222222222:assumed-role/DataDumpRole/me", "session of a role"),
        ("arn:aws:iam::222222222222:user/me", "Only a role can be assumed"),
        ("arn:aws:iam::222222222222:root", "Only a role can be assumed"),
        ("arn:aws:iam::222222222222:instance-profile/x", "Only a role can be assumed"),
        ("arn:aws:iam::22222222222:role/DataDumpRole", "looks like"),
        ("arn:aws:iam::٢٢٢٢٢٢٢٢٢٢٢٢:role/DataDumpRole", "looks like"),
        ("arn:aws:iam::222222222222:role/DataDumpRole\n", "looks like"),
        ("arn:aws:iam::222222222222:role/*", "looks like"),
        ("arn:aws:iam::222222222222:role/", "looks like"),
        ("arn:aws:iam::222222222222:role/" + "n" * 65, "looks like"),
        ("arn:aws:iam::222222222222:role/" + "p/" * 1100 + "n", "at most 2048 characters"),
        ("arn:aws:iam::222222222222:role/" + "p/" * 300 + "n", "at most 512"),
        ("arn:aws-mars:iam::222222222222:role/R", "It is aws, aws-eusc"),
    ],
)
def test_what_is_no_role_arn_is_refused_with_what_was_probably_meant(text: str, remedy: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        RoleArn.parse(text)
    assert remedy in str(caught.value)


@pytest.mark.parametrize("text", ["222222222222", "000000000000", "012345678901"])
def test_twelve_digits_are_an_account_id(text: str) -> None:
    assert check_account_id(text) == text


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("12345678901", "leading zeros"), ("2222-2222-2222", "without hyphens"), ("٢٢٢٢٢٢٢٢٢٢٢٢", "without hyphens")],
)
def test_other_text_is_no_account_id(text: str, remedy: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_account_id(text)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "region", "is_alias"),
    [
        (KEY_ID, "id", None, False),
        ("mrk-" + "0a" * 16, "id", None, False),
        ("alias/partner/b_key-1", "alias", None, True),
        (f"arn:aws:kms:eu-central-1:222222222222:key/{KEY_ID}", "key_arn", "eu-central-1", False),
        ("arn:aws:kms:eu-central-1:222222222222:alias/b", "alias_arn", "eu-central-1", True),
    ],
)
def test_a_kms_key_is_named_in_four_ways(text: str, kind: str, region: str | None, is_alias: bool) -> None:
    key = KmsKey.parse(text)
    assert (key.kind, key.region, key.is_alias, str(key)) == (kind, region, is_alias, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "my-key",
        "alias/",
        f"key/{KEY_ID}",
        KEY_ID.upper(),
        f"arn:aws:kms:eu-central-1:222222222222:{KEY_ID}",
        f"arn:aws:kms::222222222222:key/{KEY_ID}",
        f"arn:aws-mars:kms:eu-central-1:222222222222:key/{KEY_ID}",
        "alias/" + "a" * 251,
        f"{KEY_ID}\n",
    ],
)
def test_other_text_names_no_kms_key(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        KmsKey.parse(text)


def partitions_of_botocore() -> list[tuple[str, str, str, list[str]]]:
    """Name, two suffixes and regions of every partition that botocore knows."""
    path = Path(botocore.__file__).parent / "data" / "partitions.json"
    return [
        (
            item["id"],
            item["outputs"]["dnsSuffix"],
            item["outputs"]["dualStackDnsSuffix"],
            [region for region in item["regions"] if not region.endswith("-global")],
        )
        for item in json.loads(path.read_text())["partitions"]
    ]


def test_our_partitions_are_those_of_botocore() -> None:
    """Fails when AWS opens a partition or a domain that our table does not know."""
    ours = {(item.name, *item.dns_suffixes) for item in PARTITIONS}
    assert ours == {(name, suffix, dual) for name, suffix, dual, _ in partitions_of_botocore()}


@pytest.mark.parametrize(
    ("name", "region"), [(name, region) for name, _, _, regions in partitions_of_botocore() for region in regions]
)
def test_every_region_of_botocore_is_one_of_its_partition(name: str, region: str) -> None:
    assert check_region(region) == region
    assert partition_of_region(region) == name


@pytest.mark.parametrize("region", ["aws-global", "aws-cn-global", "s3-external-1", "fips-us-east-1", "global"])
def test_a_global_endpoint_is_no_region(region: str) -> None:
    with pytest.raises(InvalidArgumentError, match="Only regional endpoints"):
        check_region(region)


@pytest.mark.parametrize(
    "region", ["", "Frankfurt", "eu-central", "eu_central_1", "eu-central-1a", "EU-CENTRAL-1", "eu-central-1\n"]
)
def test_other_text_is_no_region(region: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not the name of a region"):
        check_region(region)


def test_a_region_newer_than_the_table_belongs_to_no_known_partition() -> None:
    assert check_region("xx-north-1") == "xx-north-1"
    assert partition_of_region("xx-north-1") is None
