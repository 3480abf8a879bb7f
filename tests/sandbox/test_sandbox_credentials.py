"""Who is let in at all: signatures, keys, tokens, presigned URLs, regions, and ministack's own back doors."""

from __future__ import annotations

import base64
import http.client
import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from airflow_xacct.sandbox import AccessKey, Sandbox, Scenario
from tests.sandbox.sandbox_helpers import ClientFor, allow, keys, policy, put_bucket_policy, refused, statement


@pytest.mark.parametrize("key_id", ["222222222222", "111111111111", "000000000000", "999999999999"])
@pytest.mark.parametrize("secret", ["test", "", "222222222222"])
def test_an_account_id_is_no_key(box: Sandbox, client: ClientFor, key_id: str, secret: str) -> None:
    """In ministack it is the root of that account, whatever the secret."""
    key = AccessKey(key_id, secret or "x")
    with refused("SignatureDoesNotMatch", status=403):
        client(key).list_buckets()
    with refused("SignatureDoesNotMatch", status=403):
        client(key, "iam").list_users()
    with refused("SignatureDoesNotMatch", status=403):
        client(key, "sts").get_caller_identity()


@pytest.mark.parametrize("key_id", ["test", "AKIAIOSFODNN7EXAMPLE"])
def test_an_unknown_key_is_refused_in_the_words_of_each_service(box: Sandbox, client: ClientFor, key_id: str) -> None:
    """``test`` is another root key of ministack."""
    key = AccessKey(key_id, "test")
    with refused("InvalidAccessKeyId", "does not exist in our records", status=403):
        client(key).list_buckets()
    with refused("InvalidClientTokenId", "The security token included in the request is invalid."):
        client(key, "sts").get_caller_identity()
    with refused("InvalidClientTokenId"):
        client(key, "iam").list_users()
    with refused("UnrecognizedClientException"):
        client(key, "dynamodb").list_tables()


def test_the_key_in_the_environment_is_no_root(
    case: Scenario, client: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ministack takes the key of its own environment for root, and that is the worker's key in a DAG's process."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", case.worker.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", case.worker.secret_access_key)
    with refused("AccessDenied"):
        client(case.worker, "iam").list_users()
    with refused("AccessDenied"):
        client(case.worker, "iam").create_user(UserName="mallory")
    with refused("AccessDenied"):
        client(case.worker).list_buckets()
    assert client(case.worker, "sts").get_caller_identity()["Arn"] == case.worker.user_arn


def test_a_wrong_secret_is_refused(case: Scenario, client: ClientFor) -> None:
    """The signature is verified on every service."""
    wrong = AccessKey(case.worker.access_key_id, "not-the-secret")
    for service, call in (("s3", "list_buckets"), ("sts", "get_caller_identity"), ("iam", "list_users")):
        with refused("SignatureDoesNotMatch", status=403):
            getattr(client(wrong, service), call)()


def test_a_session_needs_its_own_token(case: Scenario, client: ClientFor) -> None:
    """Neither another's nor none."""
    mine, other = case.assume(), case.assume()
    with refused("InvalidToken", status=400):
        client({**mine, "SessionToken": other["SessionToken"]}).list_buckets()
    with refused("InvalidToken", status=400):
        client(AccessKey(mine["AccessKeyId"], mine["SecretAccessKey"])).list_buckets()
    with refused("InvalidClientTokenId", status=403):
        client({**mine, "SessionToken": "x"}, "sts").get_caller_identity()


def test_a_disabled_key_is_refused(case: Scenario, client: ClientFor) -> None:
    """Deactivated in IAM."""
    case.account_a.client("iam").update_access_key(
        UserName="airflow-worker", AccessKeyId=case.worker.access_key_id, Status="Inactive"
    )
    with refused("InvalidClientTokenId"):
        case.assume()


def test_the_root_of_an_account_cannot_assume_roles(case: Scenario) -> None:
    """As on AWS."""
    with refused("AccessDenied", "Roles may not be assumed by root accounts."):
        case.account_b.client("sts").assume_role(RoleArn=case.role_arn, RoleSessionName="root")


class TestAnonymous:
    """Requests without a signature."""

    def get(self, box: Sandbox, path: str) -> tuple[int, bytes]:
        """One plain GET."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(box.endpoint_url).port or 0)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    @pytest.mark.parametrize(
        "path", ["/", "/acme-landing", "/acme-landing/airflow/a", "/_ministack/health", "/_ministack/reset", "/health"]
    )
    def test_nothing_is_served(self, case: Scenario, path: str) -> None:
        """Neither data nor ministack's own endpoints."""
        status, _ = self.get(case.box, path)
        assert status in (403, 404)

    def test_ministacks_reset_is_not_reachable(self, case: Scenario) -> None:
        """It would forget everything without a question."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(case.box.endpoint_url).port or 0)
        connection.request("POST", "/_ministack/reset")
        assert connection.getresponse().status >= 400
        connection.close()
        assert case.assume()

    @pytest.mark.parametrize("path", ["/acme-landing/airflow/a", "/?Action=ListUsers", "/acme-landing?policy"])
    def test_an_unsigned_action_opens_no_other_door(self, case: Scenario, path: str) -> None:
        """A form that names an action which needs no signature, sent elsewhere."""
        for method in ("POST", "PUT"):
            connection = http.client.HTTPConnection("127.0.0.1", urlsplit(case.box.endpoint_url).port or 0)
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request(method, path, "Action=AssumeRoleWithWebIdentity", form)
            assert connection.getresponse().status == 403
            connection.close()

    def test_a_public_object_is_served(self, case: Scenario) -> None:
        """A bucket policy for everybody, with public access no longer blocked."""
        s3 = case.account_b.client("s3")
        s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"public")
        s3.delete_public_access_block(Bucket=case.bucket)
        put_bucket_policy(case, statement("Allow", "s3:GetObject", f"arn:aws:s3:::{case.bucket}/*", Principal="*"))
        assert self.get(case.box, f"/{case.bucket}/airflow/a") == (200, b"public")


class TestPresigned:
    """URLs that carry their signature."""

    def fetch(self, url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        """Use a URL as a receiver would."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0)
        connection.request(method, f"{parts.path}?{parts.query}", body=body)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def test_it_has_the_rights_of_who_signed_it(self, case: Scenario, client: ClientFor) -> None:
        """And of nobody else."""
        s3 = client(case.assume(), config=Config(signature_version="s3v4"))
        good = s3.generate_presigned_url("put_object", {"Bucket": case.bucket, "Key": "airflow/a b"})
        assert self.fetch(good, "PUT", b"x")[0] == 200
        assert case.account_b.read(case.bucket, "airflow/a b") == b"x"
        bad = s3.generate_presigned_url("put_object", {"Bucket": case.bucket, "Key": "other/a"})
        assert self.fetch(bad, "PUT", b"x")[0] == 403
        assert self.fetch(good.replace("airflow", "hacked"), "PUT", b"x")[0] == 403
        assert keys(case) == {"airflow/a b"}
        case.box.expire_sessions()
        assert self.fetch(good, "PUT", b"y")[0] == 400

    def test_it_ends_when_it_says(self, case: Scenario, client: ClientFor, monkeypatch: pytest.MonkeyPatch) -> None:
        """X-Amz-Expires, counted from its date."""
        earlier = datetime.now(UTC) - timedelta(hours=2)
        s3 = client(case.assume(), config=Config(signature_version="s3v4"))
        for seconds, expected in ((7100, 403), (7300, 200)):
            monkeypatch.setattr("botocore.crt.auth.get_current_datetime", lambda remove_tzinfo=True: earlier)
            where = {"Bucket": case.bucket, "Key": "airflow/a"}
            url = s3.generate_presigned_url("put_object", where, ExpiresIn=seconds)
            monkeypatch.undo()
            assert self.fetch(url, "PUT", b"x")[0] == expected


class TestRegions:
    """A bucket answers in its own region only."""

    @pytest.fixture
    def far(self, case: Scenario) -> str:
        """A bucket of B in Ireland."""
        case.account_b.put_role_policy("DataDumpRole", allow("s3:*"))
        return case.account_b.create_bucket("acme-ireland", region="eu-west-1")

    def test_another_region_is_redirected(self, case: Scenario, box: Sandbox, role_s3: Any, far: str) -> None:
        """301 with the right region, which botocore follows."""
        role_s3.put_object(Bucket=far, Key="a", Body=b"x")
        assert [(r.operation, r.status, r.error) for r in list(box.requests)[-2:]] == [
            ("PutObject", 301, "PermanentRedirect"),
            ("PutObject", 200, ""),
        ]

    def test_head_is_redirected_too(self, box: Sandbox, role_s3: Any, far: str) -> None:
        """The region stands in a header, since the answer has no body."""
        role_s3.head_bucket(Bucket=far)
        assert [r.status for r in list(box.requests)[-2:]] == [301, 200]

    def test_the_right_region_is_answered(self, case: Scenario, client: ClientFor, far: str) -> None:
        """The positive twin."""
        client(case.assume(), region="eu-west-1").put_object(Bucket=far, Key="a", Body=b"x")

    def test_a_bucket_that_is_not_there_is_told(self, case: Scenario, role_s3: Any, far: str) -> None:
        """404."""
        with refused("NoSuchBucket", status=404):
            role_s3.put_object(Bucket="no-such-bucket-here", Key="a", Body=b"x")

    def test_a_bucket_name_is_unique_over_accounts(self, case: Scenario, client: ClientFor) -> None:
        """Somebody else's name is taken."""
        other = case.account_a.create_user("maker", policy(statement("Allow", "s3:*", "*")))
        with refused("BucketAlreadyExists", status=409):
            client(other).create_bucket(Bucket=case.bucket)


class TestPrincipals:
    """Where the rights of a user come from, and other ways to be one."""

    def test_managed_policies_and_groups_count(self, case: Scenario, client: ClientFor) -> None:
        """Attached to the user, or to its group."""
        iam = case.account_a.client("iam")
        key = case.account_a.create_user("grouped")
        s3 = client(key)
        with refused("AccessDenied"):
            s3.list_buckets()
        iam.create_group(GroupName="readers")
        iam.add_user_to_group(GroupName="readers", UserName="grouped")
        iam.put_group_policy(
            GroupName="readers", PolicyName="list", PolicyDocument=json.dumps(allow("s3:ListAllMyBuckets"))
        )
        assert s3.list_buckets()["Buckets"] == []
        document = json.dumps(allow("s3:CreateBucket"))
        arn = iam.create_policy(PolicyName="create", PolicyDocument=document)["Policy"]["Arn"]
        with refused("AccessDenied", "s3:CreateBucket"):
            s3.create_bucket(Bucket="grouped-bucket")
        iam.attach_group_policy(GroupName="readers", PolicyArn=arn)
        s3.create_bucket(Bucket="grouped-bucket")
        other = case.account_a.create_user("attached")
        iam.attach_user_policy(UserName="attached", PolicyArn=arn)
        client(other).create_bucket(Bucket="attached-bucket")

    def test_a_managed_policy_of_the_role_counts(self, case: Scenario, role_s3: Any) -> None:
        """Beside its inline ones."""
        iam = case.account_b.client("iam")
        document = json.dumps(allow("s3:PutObject", "arn:aws:s3:::acme-landing/other/*"))
        arn = iam.create_policy(PolicyName="other", PolicyDocument=document)["Policy"]["Arn"]
        iam.attach_role_policy(RoleName="DataDumpRole", PolicyArn=arn)
        role_s3.put_object(Bucket=case.bucket, Key="other/a", Body=b"x")
        assert keys(case) == {"other/a"}

    def test_a_deleted_role_leaves_its_sessions_nothing(self, case: Scenario, role_s3: Any) -> None:
        """They are valid and may do nothing."""
        iam = case.account_b.client("iam")
        iam.delete_role_policy(RoleName="DataDumpRole", PolicyName="sandbox")
        iam.delete_role(RoleName="DataDumpRole")
        with refused("AccessDenied", "no identity-based policy allows"):
            role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x")

    def test_a_users_session_token_is_no_chain(self, case: Scenario, client: ClientFor) -> None:
        """GetSessionToken keeps the user, so a role may be assumed for longer than an hour."""
        case.account_b.client("iam").update_role(RoleName="DataDumpRole", MaxSessionDuration=7200)
        session = client(case.worker, "sts").get_session_token()["Credentials"]
        answer = client(session, "sts").assume_role(
            RoleArn=case.role_arn, RoleSessionName="me", ExternalId=case.external_id, DurationSeconds=7200
        )
        assert answer["Credentials"]
        case.box.expire_sessions()
        with refused("ExpiredToken"):
            client(session, "sts").get_caller_identity()

    def test_a_web_identity_assumes_the_role_that_trusts_it(self, case: Scenario) -> None:
        """As a worker on EKS does; the call itself is not signed."""
        issuer = "oidc.eks.us-east-1.amazonaws.com/id/X"
        condition = {"StringEquals": {f"{issuer}:sub": "system:serviceaccount:airflow:worker"}}
        role = case.account_a.create_role(
            "Irsa",
            trust=policy(
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": f"arn:aws:iam::111111111111:oidc-provider/{issuer}"},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": condition,
                }
            ),
            policy=allow("sts:AssumeRole"),
        )
        sts = case.account_a.client("sts")

        def token(subject: str) -> str:
            parts = [{"alg": "none"}, {"iss": f"https://{issuer}", "sub": subject}]
            encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
            return ".".join([*encoded, ""])

        asked = {"RoleArn": role, "RoleSessionName": "pod"}
        with refused("AccessDenied", "sts:AssumeRoleWithWebIdentity"):
            sts.assume_role_with_web_identity(**asked, WebIdentityToken=token("somebody"))
        right = token("system:serviceaccount:airflow:worker")
        assert sts.assume_role_with_web_identity(**asked, WebIdentityToken=right)["Credentials"]

    def test_other_unsigned_calls_of_sts_are_refused(self, box: Sandbox, client: ClientFor) -> None:
        """There is no anonymous caller of STS."""
        unsigned = Config(signature_version=UNSIGNED)
        with refused("MissingAuthenticationToken", status=403):
            client(AccessKey("x", "x"), "sts", config=unsigned).get_caller_identity()


class TestSignedBodies:
    """What was signed is what must arrive."""

    def test_a_body_changed_on_the_way_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """Its hash was signed."""

        def tamper(request: Any, **_: Any) -> None:
            request.body = b"evil!"

        role_s3.meta.events.register("before-send.s3.PutObject", tamper)
        with refused("XAmzContentSHA256Mismatch", status=400):
            role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"hello")
        assert keys(case) == set()

    def test_a_body_in_chunks_with_a_trailer_is_unwrapped_and_verified(self, case: Scenario) -> None:
        """aws-chunked, as SDKs send streams over TLS; the checksum comes last."""
        right = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
        assert self.put_chunked(case, right, b"0\r\n")[0] == 200
        assert case.account_b.read(case.bucket, "airflow/a") == b"hello"
        status, body = self.put_chunked(case, "AAAAAA==", b"0\r\n")
        assert (status, b"BadDigest" in body) == (400, True)
        status, body = self.put_chunked(case, right, b"")
        assert (status, b"IncompleteBody" in body) == (400, True)

    def put_chunked(self, case: Scenario, checksum: str, end: bytes) -> tuple[int, bytes]:
        """One PutObject with its framing made by hand."""
        given = case.assume()
        credentials = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        body = b"5\r\nhello\r\n" + end + (b"x-amz-checksum-crc32:" + checksum.encode() + b"\r\n\r\n" if end else b"")
        headers = {
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": "5",
            "x-amz-trailer": "x-amz-checksum-crc32",
            "content-length": str(len(body)),
        }
        url = f"{case.box.endpoint_url}/{case.bucket}/airflow/a"
        request = AWSRequest("PUT", url, headers, body)
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
        S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port or 0)
        connection.request("PUT", urlsplit(url).path, body, dict(request.headers))
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def test_a_clock_that_is_off_is_told(
        self, case: Scenario, client: ClientFor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """More than fifteen minutes."""
        s3, sts = client(case.assume()), client(case.worker, "sts")
        earlier = datetime.now(UTC) - timedelta(minutes=16)
        for module in ("botocore.auth", "botocore.crt.auth"):
            monkeypatch.setattr(f"{module}.get_current_datetime", lambda remove_tzinfo=True: earlier)
        with refused("RequestTimeTooSkewed", status=403):
            s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x")
        with refused("SignatureDoesNotMatch", "Signature expired"):
            sts.get_caller_identity()
