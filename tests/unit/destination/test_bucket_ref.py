"""Buckets and access points: what can be delivered to, and why the rest cannot."""

from __future__ import annotations

import pytest

from airflow_xacct.destination import BucketRef
from airflow_xacct.exceptions import InvalidArgumentError


@pytest.mark.parametrize(
    "name", ["abc", "partner-b-landing", "a.b.c", "1-2", "x" * 63, "b-222222222222-eu-central-1-an", "my-an"]
)
def test_a_general_purpose_bucket_is_named(name: str) -> None:
    assert BucketRef.parse(name) == BucketRef(name, "bucket")
    assert str(BucketRef.parse(name)) == name


def test_an_access_point_is_named_by_its_arn() -> None:
    text = "arn:aws:s3:eu-central-1:333333333333:accesspoint/landing"
    assert BucketRef.parse(text) == BucketRef(text, "access_point", "aws", "eu-central-1", "333333333333")


def test_an_access_point_is_named_by_its_alias() -> None:
    text = "landing-abcdefghijklmnopqrstuvwxyz123456-s3alias"
    assert BucketRef.parse(text) == BucketRef(text, "access_point_alias")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("landing--euc1-az1--x-s3", "directory bucket"),
        ("ap--euc1-az1--xa-s3", "access point of a directory bucket"),
        ("t--table-s3", "table bucket"),
        ("alias--ol-s3", "Object Lambda"),
        ("ap-o01ac--op-s3", "Outposts"),
        ("mfzwi23gnjvgw.mrap", "Multi-Region"),
        ("arn:aws:s3::222222222222:accesspoint/mfzwi23gnjvgw.mrap", "Name one bucket"),
        ("arn:aws:s3:::partner-b-landing", "by its name alone"),
        ("arn:aws:s3:::partner-b-landing/acme/*", "by its name alone"),
        ("arn:aws:s3-outposts:us-west-2:222222222222:outpost/op-1/accesspoint/x", "Only general purpose"),
        ("arn:aws:s3express:us-west-2:222222222222:bucket/x", "Only general purpose"),
        ("arn:aws:s3:eu-central-1:333333333333:accesspoint/", "It looks like"),
        ("arn:aws:s3:eu-central-1:333333333333:accesspoint/ab/object/x", "It looks like"),
        ("arn:aws-mars:s3:eu-central-1:333333333333:accesspoint/landing", "not a partition"),
        ("xn--bucket", "reserves"),
        ("sthree-configurator", "reserves"),
        ("amzn-s3-demo-bucket", "examples"),
        ("s3://partner-b-landing", "no s3://"),
        ("partner-b-landing/acme", "no slash"),
        ("Partner", "lower-case"),
        ("under_score", "lower-case"),
        ("ab", "3 to 63"),
        ("x" * 64, "3 to 63"),
        ("a..b", "single dots"),
        ("-ab", "begins and ends"),
        ("ab.", "begins and ends"),
        ("192.168.5.4", "no IP address"),
        ("bücket", "lower-case"),
        ("bucket\n", "lower-case"),
        ("-s3alias", "begins and ends"),
    ],
)
def test_what_cannot_be_delivered_to_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        BucketRef.parse(text)
    assert reason in str(caught.value)
