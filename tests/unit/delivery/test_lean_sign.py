"""Our signatures are botocore's, and AWS's own examples."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from botocore import exceptions as aws
from botocore.auth import S3SigV4Auth
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.crt import auth as crt

from airflow_xacct.delivery.lean_sign import Signer

NOON = 1_369_396_800.0  # 2013-05-24T12:00:00Z
ORIGINS = {"tls": "https://Acme.s3.eu-west-1.amazonaws.com", "port": "http://127.0.0.1:4566", "ipv6": "http://[::1]:80"}
HOSTS = {"tls": "acme.s3.eu-west-1.amazonaws.com", "port": "127.0.0.1:4566", "ipv6": "[::1]"}
OWNER = {"x-amz-expected-bucket-owner": "222222222222", "User-Agent": "Boto3/1 md/x", "x-amzn-trace-id": "Root=1"}
CHECKSUM = {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}
FULL = {**CHECKSUM, "x-amz-meta-Team": "  two   spaces ", "x-amz-tagging": "a+b=c%26d", "If-None-Match": "*"}
TOKEN = "token/+=" * 40


class Keeper:
    """What a client has to sign: hands out a signer with its credentials of the moment."""

    def __init__(self, kind: type, credentials: ReadOnlyCredentials | None) -> None:
        self.kind = kind
        self.credentials = credentials

    def get_auth_instance(self, *, signing_name: str, region_name: str, signature_version: str) -> Any:
        """As botocore's."""
        assert signature_version == "s3v4"
        return self.kind(self.credentials, signing_name, region_name)


class Hours:
    """A clock for both sides."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now

    def datetime(self, remove_tzinfo: bool = True) -> dt.datetime:
        """As botocore asks for it."""
        moment = dt.datetime.fromtimestamp(self.now, dt.UTC)
        return moment.replace(tzinfo=None) if remove_tzinfo else moment


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    """The time, also for botocore."""
    clock = Hours()
    monkeypatch.setattr("botocore.auth.get_current_datetime", clock.datetime)
    monkeypatch.setattr("botocore.crt.auth.get_current_datetime", clock.datetime)
    return clock


def key(number: int = 1, token: str | None = TOKEN) -> ReadOnlyCredentials:
    """Credentials."""
    return ReadOnlyCredentials(f"AKIAEXAMPLE{number}", f"secret {number}", token)


def signer(keeper: Keeper, clock: Hours, origin: str, s3: Any = None) -> Signer:
    """One for a bucket."""
    signing = {"signing_name": "s3", "region_name": "eu-west-1", "signature_version": "s3v4"}
    return Signer(origin, keeper, signing, {"client_config": Config(s3=s3), "signing": {}}, clock)


def headers_of(request: Any) -> dict[str, bytes]:
    """By their lower-case names; space around a value is no part of it (RFC 9110, 5.5), and CRT leaves it out."""
    texts = {name.lower(): text for name, text in request.headers.items()}
    return {name: (text if isinstance(text, bytes) else text.encode()).strip() for name, text in texts.items()}


def of_botocore(kind: type) -> type:
    """A signer that is not known, so that botocore's own code signs."""
    return type("Unknown", (kind,), {})


def assert_same(mine: Signer, botocores: Signer, host: str, *request: Any, streaming: bool) -> None:
    """Method, URL, headers with their signature, and body."""
    short, long = (each.request(*request, streaming=streaming) for each in (mine, botocores))
    assert (short.method, short.url, short.body) == (long.method, long.url, long.body)
    # botocore's own signer in Python leaves this one to urllib3, and signs it
    assert headers_of(short) == {"host": host.encode(), **headers_of(long)}


@pytest.mark.parametrize("kind", [S3SigV4Auth, crt.CrtS3SigV4Auth], ids=["python", "crt"])
@pytest.mark.parametrize("where", ORIGINS)
@pytest.mark.parametrize("s3", [None, {"payload_signing_enabled": True}, {"payload_signing_enabled": False}], ids=str)
@pytest.mark.parametrize("token", [TOKEN, None], ids=["session", "user"])
@pytest.mark.parametrize(
    ("method", "path", "queries", "headers", "body", "streaming"),
    [
        ("POST", "/a", ["uploads"], FULL, b"", False),
        ("PUT", "/a//b/../%C3%A9%20%2B~%2541", ["partNumber=1", "uploadId=an%2Bid%2F%3D"], CHECKSUM, b"abc", True),
        ("PUT", "/a", ["uploadId=b", "uploadId=a", "partNumber=10"], {}, b"abc", True),
        ("PUT", "/acme/a", [], FULL, b"", True),
        ("POST", "/a", ["uploadId=id"], FULL, b"<Complete/>", False),
        ("DELETE", "/a", ["uploadId=id"], {}, b"", False),
    ],
    ids=["create", "part", "order", "put", "complete", "abort"],
)
def test_the_signature_is_botocores(
    kind: type,
    where: str,
    s3: Any,
    token: str | None,
    method: str,
    path: str,
    queries: list[str],
    headers: dict[str, str],
    body: bytes,
    streaming: bool,
    hours: Hours,
) -> None:
    """Byte for byte, by either of its signers, and so is everything that is not signed."""
    mine, botocores = (
        signer(Keeper(each, key(token=token)), hours, ORIGINS[where], s3) for each in (kind, of_botocore(kind))
    )
    request = (method, path, queries, {**OWNER, **headers}, body)
    assert_same(mine, botocores, HOSTS[where], *request, streaming=streaming)


def test_the_signing_key_is_of_the_day_and_of_the_credentials(hours: Hours) -> None:
    """It is kept for as long as both stay, and no longer: over midnight, and when a session is renewed."""
    keepers = [Keeper(S3SigV4Auth, key()), Keeper(of_botocore(S3SigV4Auth), key())]
    mine, botocores = (signer(keeper, hours, ORIGINS["tls"]) for keeper in keepers)

    def same() -> None:
        assert_same(mine, botocores, HOSTS["tls"], "PUT", "/a", [], OWNER, b"abc", streaming=True)

    same()
    hours.now += 11 * 3600
    same()
    hours.now += 2 * 3600
    same()
    for keeper in keepers:
        keeper.credentials = key(2, "token")
    same()


def test_the_examples_of_aws(hours: Hours) -> None:
    """AWS: *Authenticating Requests: Using the Authorization Header*, "PUT Object" and "GET Bucket Lifecycle"."""
    hours.now = NOON - 12 * 3600
    credentials = ReadOnlyCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
    signing = {"signing_name": "s3", "region_name": "us-east-1", "signature_version": "s3v4"}
    context = {"client_config": Config(), "signing": {}}
    origin = "https://examplebucket.s3.amazonaws.com"
    example = Signer(origin, Keeper(S3SigV4Auth, credentials), signing, context, hours)
    given = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    put = example.request("PUT", "/test%24file.text", [], given, b"Welcome to Amazon S3.", streaming=True)
    assert headers_of(put)["authorization"] == (
        b"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        b"SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
        b"Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )
    get = example.request("GET", "/", ["lifecycle"], {}, b"", streaming=False)
    assert headers_of(get)["authorization"].endswith(
        b"Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )


def test_without_credentials_it_is_botocore_that_complains(hours: Hours) -> None:
    """The error is the one that its users know."""
    nobody = signer(Keeper(S3SigV4Auth, None), hours, ORIGINS["tls"])
    with pytest.raises(aws.NoCredentialsError):
        nobody.request("PUT", "/a", [], OWNER, b"abc", streaming=True)
