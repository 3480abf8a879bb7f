"""Endpoints: AWS's own over https, others only where the deployment says so, and no trick in between."""

from __future__ import annotations

import pytest

from airflow_xacct.destination import DeploymentOptions, check_endpoint_url
from airflow_xacct.destination.endpoints import is_aws_host, parse_endpoint_url
from airflow_xacct.destination.options import HostRule
from airflow_xacct.destination.partitions import PARTITIONS
from airflow_xacct.exceptions import InvalidArgumentError

NOTHING = DeploymentOptions()
SANDBOX = DeploymentOptions.from_settings(
    allowed_endpoint_hosts="127.0.0.1:4566, minio.internal, *.storage.example.com:9000 ,[::1]:4566,, *.corp"
)


@pytest.mark.parametrize(
    "url",
    [
        "https://sts.eu-central-1.amazonaws.com",
        "https://s3.cn-north-1.amazonaws.com.cn",
        "https://s3.dualstack.eu-central-1.amazonaws.com",
        "https://s3-fips.us-gov-west-1.amazonaws.com",
        "https://bucket.vpce-0a1b2c3d-x.s3.eu-central-1.vpce.amazonaws.com",
        "https://vpce-0a1b-x.sts.eu-central-1.vpce.amazonaws.com:443",
        "https://sts.eu-central-1.api.aws",
        "https://s3.eusc-de-east-1.amazonaws.eu",
        "https://rds.eu-central-1.amazonaws.com",
        *(f"https://s3.some-region-1.{suffix}" for item in PARTITIONS for suffix in item.dns_suffixes),
    ],
)
def test_a_service_of_aws_is_always_allowed_over_https_and_never_over_http(url: str) -> None:
    assert check_endpoint_url(url, NOTHING) is None
    everything = DeploymentOptions(("*.amazonaws.com", "s3.some-region-1.api.aws"))
    assert "must be https" in (check_endpoint_url(url.replace("https", "http"), everything) or "")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil-amazonaws.com",
        "https://amazonaws.com",
        "https://s3.amazonaws.com.evil.org",
        "https://s3.amazonaws.com@evil.org",
        "https://evil.org/s3.amazonaws.com",
        "https://evil.org#.s3.amazonaws.com",
        "https://evil.org?.s3.amazonaws.com",
        "https://evil.org\\.s3.amazonaws.com",
        "https://evil.org\\@s3.amazonaws.com",
        "https://evil.org%2f.s3.amazonaws.com",
        "https://evil.org\n.s3.amazonaws.com",
        "https://evil.org\t.s3.amazonaws.com",
        "https://s3.amazonaws.com.",
        "https://s3.amazonaws.com:",
        "https://s3.amazonaws.com:0",
        "https://s3.amazonaws.com:99999",
        "https://s3.amazonaws.com:443:443",
        "https://s3..amazonaws.com",
        "https://-s3.amazonaws.com",
        "https://.amazonaws.com",
        "https://s3.\u0430mazonaws.com",
        "https://s3\u3002amazonaws.com",
        "https://s3.amazonaws.com/bucket",
        "https://s3.amazonaws.com//",
        "https://s3.amazonaws.com/?x",
        "https://s3.amazonaws.com/#x",
        "https://" + "a." * 130 + "amazonaws.com",
        "https://" + "a" * 64 + ".amazonaws.com",
        "https://s3.amazonaws.com" + "/" * 3000,
        " https://s3.amazonaws.com",
        "https:s3.amazonaws.com",
        "//s3.amazonaws.com",
        "s3.amazonaws.com",
        "ftp://s3.amazonaws.com",
        "https://",
        "https:///",
        "https://[::1].amazonaws.com",
        "https://[s3.amazonaws.com]",
        "https://[fe80::1%25eth0]",
        "https://[fe80::1%eth0]",
        "https://abc123.execute-api.eu-central-1.amazonaws.com",
        "https://lb-1.eu-central-1.elb.amazonaws.com",
        "https://ec2-203-0-113-1.compute-1.amazonaws.com",
        "https://site.s3-website-us-east-1.amazonaws.com",
        "https://site.s3-website.eu-central-1.amazonaws.com",
        "https://vpce-1.vpce-svc-2.eu-central-1.vpce.amazonaws.com",
        "https://d111111abcdef8.cloudfront.net",
        "https://[::1]:4566",
        "http://127.0.0.1:4566",
    ],
)
def test_no_other_host_is_allowed_by_default(url: str) -> None:
    problem = check_endpoint_url(url, NOTHING)
    assert problem is not None
    assert problem.endswith(".")


@pytest.mark.parametrize(
    ("url", "normalised"),
    [
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("HTTP://MinIO.internal/", "http://minio.internal"),
        ("https://minio.internal:9001", "https://minio.internal:9001"),
        ("http://a.b.storage.example.com:9000", "http://a.b.storage.example.com:9000"),
        ("http://[::1]:4566", "http://[::1]:4566"),
        ("http://[0:0:0:0:0:0:0:1]:4566", "http://[::1]:4566"),
        ("https://x.corp", "https://x.corp"),
    ],
)
def test_the_deployment_allows_other_hosts_and_http_for_them(url: str, normalised: str) -> None:
    assert parse_endpoint_url(url, SANDBOX) == normalised


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4567",
        "http://127.0.0.1",
        "http://127.0.0.2:4566",
        "http://minio.internal.evil.org",
        "http://evil-minio.internal",
        "http://storage.example.com:9000",
        "http://a.storage.example.com",
        "http://astorage.example.com:9000",
        "http://user:pw@minio.internal",
        "http://[::1]:4567",
        "https://corp",
    ],
)
def test_an_allowed_host_covers_neither_neighbours_nor_other_ports(url: str) -> None:
    assert check_endpoint_url(url, SANDBOX) is not None


def test_a_rule_without_a_port_covers_the_default_ports_and_a_rule_with_one_only_its_own() -> None:
    options = DeploymentOptions(("a.example:443", "b.example:80"))
    assert check_endpoint_url("https://a.example", options) is None
    assert check_endpoint_url("http://b.example", options) is None
    assert check_endpoint_url("http://a.example", options) is not None


def test_the_message_never_holds_a_password() -> None:
    for url in ("https://me:s3cret@evil.org", "me:s3cret@evil.org", "https://me:s3cret@s3.amazonaws.com/x"):
        assert "s3cret" not in (check_endpoint_url(url, NOTHING) or "")


@pytest.mark.parametrize(
    "entry",
    ["http://x", "x/y", "*", "*.", "x:port", "x:0", "x y", "*.[::1]", "::1", "[::1", "a.*.b", "bücket", "u@x", "[zz]"],
)
def test_a_rule_that_is_no_host_stops_the_deployment(entry: str) -> None:
    with pytest.raises(InvalidArgumentError, match="allowed_endpoint_hosts in section xacct"):
        DeploymentOptions.from_settings(allowed_endpoint_hosts=f"ok.example,{entry}")


def test_a_rule_is_taken_apart() -> None:
    assert HostRule.parse("*.Example.com:81") == HostRule("example.com", True, 81)
    assert HostRule.parse("[::1]") == HostRule("::1", False, None)


def test_the_default_options_allow_nothing() -> None:
    assert DeploymentOptions.from_settings() == DeploymentOptions((), False, False)


def test_a_host_is_awss_whatever_its_case() -> None:
    assert is_aws_host("S3.AmazonAWS.com")
    assert not is_aws_host("s3.amazonaws.com.")
