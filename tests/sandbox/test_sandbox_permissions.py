"""What a session may do: identity, session and bucket policies together, in AWS's order and words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_xacct.sandbox import Sandbox, Scenario
from tests.sandbox.sandbox_helpers import ClientFor, allow, keys, policy, put_bucket_policy, refused, statement

SESSION = "arn:aws:sts::222222222222:assumed-role/DataDumpRole/sandbox"
BUCKET = "arn:aws:s3:::acme-landing"


def denied(key: str, reason: str, action: str = "s3:PutObject") -> str:
    """The text of a refusal inside one account."""
    return f'User: {SESSION} is not authorized to perform: {action} on resource: "{BUCKET}/{key}" {reason}'


def test_below_the_prefix_is_allowed(case: Scenario, role_s3: Any) -> None:
    """The positive twin."""
    role_s3.put_object(Bucket=case.bucket, Key="airflow/a.csv", Body=b"1,2\n")
    assert case.account_b.read(case.bucket, "airflow/a.csv") == b"1,2\n"


@pytest.mark.parametrize("key", ["other/a.csv", "airflow", "airflow-competitor/a.csv", "/airflow/a.csv", "Airflow/a"])
def test_outside_the_prefix_is_refused(case: Scenario, role_s3: Any, key: str) -> None:
    """And nothing is stored."""
    text = denied(key, "because no identity-based policy allows the s3:PutObject action")
    with refused("AccessDenied", text, status=403):
        role_s3.put_object(Bucket=case.bucket, Key=key, Body=b"x")
    assert keys(case) == set()


@pytest.mark.parametrize(
    ("call", "action"),
    [
        (lambda s3, case: s3.get_object(Bucket=case.bucket, Key="airflow/a"), "s3:GetObject"),
        (lambda s3, case: s3.delete_object(Bucket=case.bucket, Key="airflow/a"), "s3:DeleteObject"),
        (lambda s3, case: s3.list_objects_v2(Bucket=case.bucket), "s3:ListBucket"),
        (lambda s3, case: s3.list_multipart_uploads(Bucket=case.bucket), "s3:ListBucketMultipartUploads"),
        (lambda s3, case: s3.get_bucket_policy(Bucket=case.bucket), "s3:GetBucketPolicy"),
        (lambda s3, case: s3.list_buckets(), "s3:ListAllMyBuckets"),
        (lambda s3, case: s3.create_bucket(Bucket="another-bucket"), "s3:CreateBucket"),
        (lambda s3, case: s3.delete_bucket(Bucket=case.bucket), "s3:DeleteBucket"),
        (lambda s3, case: s3.put_object_tagging(Bucket=case.bucket, Key="airflow/a", Tagging={"TagSet": []}),
         "s3:PutObjectTagging"),
        (lambda s3, case: s3.get_object_attributes(Bucket=case.bucket, Key="airflow/a", ObjectAttributes=["ETag"]),
         "s3:GetObjectAttributes"),
        (lambda s3, case: s3.list_parts(Bucket=case.bucket, Key="airflow/a", UploadId="x"),
         "s3:ListMultipartUploadParts"),
    ],
)  # fmt: skip
def test_nothing_else_is_allowed(case: Scenario, role_s3: Any, call: Any, action: str) -> None:
    """A role with s3:PutObject and s3:AbortMultipartUpload can do that and no more."""
    with refused("AccessDenied", f"is not authorized to perform: {action} on resource"):
        call(role_s3, case)


def test_tags_need_a_right_of_their_own(case: Scenario, role_s3: Any) -> None:
    """On Put and on Create."""
    text = denied("airflow/a", "because no identity-based policy allows the s3:PutObjectTagging action",
                  "s3:PutObjectTagging")  # fmt: skip
    with refused("AccessDenied", text):
        role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x", Tagging="a=b")
    with refused("AccessDenied", text):
        role_s3.create_multipart_upload(Bucket=case.bucket, Key="airflow/a", Tagging="a=b")
    grant = allow(["s3:PutObject", "s3:PutObjectTagging"], f"{BUCKET}/*")
    case.account_b.put_role_policy("DataDumpRole", grant)
    role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x", Tagging="a=b&c=d")
    tags = case.account_b.client("s3").get_object_tagging(Bucket=case.bucket, Key="airflow/a")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]


def test_an_acl_needs_a_right_of_its_own(case: Scenario, role_s3: Any) -> None:
    """Even the one that a bucket without ACLs accepts."""
    with refused("AccessDenied", "s3:PutObjectAcl"):
        role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x", ACL="bucket-owner-full-control")


def test_a_session_policy_narrows_the_role(case: Scenario, client: ClientFor) -> None:
    """Only what role and session policy both allow."""
    narrow = allow("s3:PutObject", f"{BUCKET}/airflow/flights/*")
    s3 = client(case.assume(Policy=json.dumps(narrow)))
    s3.put_object(Bucket=case.bucket, Key="airflow/flights/a", Body=b"x")
    with refused("AccessDenied", denied("airflow/b", "because no session policy allows the s3:PutObject action")):
        s3.put_object(Bucket=case.bucket, Key="airflow/b", Body=b"x")
    assert keys(case) == {"airflow/flights/a"}


def test_a_session_policy_never_widens_the_role(case: Scenario, client: ClientFor) -> None:
    """Allowing everything in it allows nothing more."""
    s3 = client(case.assume(Policy=json.dumps(allow("*"))))
    with refused("AccessDenied", denied("b", "because no identity-based policy allows the s3:PutObject action")):
        s3.put_object(Bucket=case.bucket, Key="b", Body=b"x")


def test_a_managed_session_policy_narrows_too(case: Scenario, client: ClientFor) -> None:
    """PolicyArns name policies of the role's account."""
    document = json.dumps(allow("s3:PutObject", f"{BUCKET}/airflow/flights/*"))
    arn = case.account_b.client("iam").create_policy(PolicyName="narrow", PolicyDocument=document)["Policy"]["Arn"]
    s3 = client(case.assume(PolicyArns=[{"arn": arn}]))
    s3.put_object(Bucket=case.bucket, Key="airflow/flights/a", Body=b"x")
    with refused("AccessDenied", "no session policy allows"):
        s3.put_object(Bucket=case.bucket, Key="airflow/b", Body=b"x")


@pytest.mark.parametrize("where", ["identity", "session", "resource", "boundary"])
def test_an_explicit_deny_wins_and_is_named(case: Scenario, client: ClientFor, where: str) -> None:
    """Whichever policy says it; the text tells which kind."""
    rule = statement("Deny", "s3:PutObject", f"{BUCKET}/airflow/no/*")
    everything = statement("Allow", "*", "*")
    parameters, kind = {}, "an identity-based policy"
    if where == "identity":
        case.account_b.put_role_policy("DataDumpRole", policy(everything, rule))
    elif where == "session":
        parameters, kind = {"Policy": json.dumps(policy(everything, rule))}, "a session policy"
    elif where == "resource":
        put_bucket_policy(case, {**rule, "Principal": "*"})
        kind = "a resource-based policy"
    else:
        iam = case.account_b.client("iam")
        document = json.dumps(policy(everything, rule))
        arn = iam.create_policy(PolicyName="limit", PolicyDocument=document)["Policy"]["Arn"]
        iam.put_role_permissions_boundary(RoleName="DataDumpRole", PermissionsBoundary=arn)
        kind = "a permissions boundary"
    s3 = client(case.assume(**parameters))
    s3.put_object(Bucket=case.bucket, Key="airflow/yes", Body=b"x")
    with refused("AccessDenied", denied("airflow/no/a", f"with an explicit deny in {kind}")):
        s3.put_object(Bucket=case.bucket, Key="airflow/no/a", Body=b"x")
    assert keys(case) == {"airflow/yes"}


def test_a_permissions_boundary_limits_the_role(case: Scenario, client: ClientFor) -> None:
    """What the boundary does not allow, nothing else allows."""
    iam = case.account_b.client("iam")
    document = json.dumps(allow("s3:PutObject", f"{BUCKET}/airflow/in/*"))
    arn = iam.create_policy(PolicyName="limit", PolicyDocument=document)["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName="DataDumpRole", PermissionsBoundary=arn)
    s3 = client(case.assume())
    s3.put_object(Bucket=case.bucket, Key="airflow/in/a", Body=b"x")
    text = denied("airflow/out", "because no permissions boundary allows the s3:PutObject action")
    with refused("AccessDenied", text):
        s3.put_object(Bucket=case.bucket, Key="airflow/out", Body=b"x")


class TestBucketPolicyAgainstSessionPolicy:
    """Which grant of a bucket policy reaches past a session policy (AWS: *Policy evaluation logic*)."""

    NARROW = json.dumps(allow("s3:PutObject", f"{BUCKET}/airflow/flights/*"))
    NARROW_DENY = json.dumps(
        policy(
            statement("Allow", "s3:*", "*"),
            {"Effect": "Deny", "Action": "s3:*", "NotResource": f"{BUCKET}/airflow/flights/*"},
        )
    )

    @pytest.fixture
    def try_put(self, case: Scenario, client: ClientFor) -> Any:
        """Grant the whole bucket to somebody, then put outside the role's prefix and the session's."""

        def put(session_policy: str, principal: Any, **conditions: Any) -> None:
            grant = statement("Allow", "s3:PutObject", f"{BUCKET}/*", Principal=principal)
            put_bucket_policy(case, {**grant, **conditions})
            client(case.assume(Policy=session_policy)).put_object(Bucket=case.bucket, Key="far/a", Body=b"x")

        return put

    def test_a_grant_to_the_session_arn_reaches_past_an_allow_only_policy(self, try_put: Any, case: Scenario) -> None:
        """The session is named, so its policy does not narrow the grant."""
        try_put(self.NARROW, {"AWS": SESSION})
        assert keys(case) == {"far/a"}

    def test_a_grant_to_everybody_with_the_principal_arn_does_too(self, try_put: Any, case: Scenario) -> None:
        """``*`` with aws:PrincipalArn, which holds the role's ARN."""
        condition = {"ArnEquals": {"aws:PrincipalArn": case.role_arn}}
        try_put(self.NARROW, "*", Condition=condition)
        assert keys(case) == {"far/a"}

    def test_the_condition_on_the_principal_arn_is_looked_at(self, try_put: Any, case: Scenario) -> None:
        """Another role's ARN grants nothing."""
        with refused("AccessDenied"):
            try_put(self.NARROW, "*", Condition={"ArnEquals": {"aws:PrincipalArn": case.role_arn + "2"}})

    def test_a_grant_to_the_role_arn_is_narrowed(self, try_put: Any, case: Scenario) -> None:
        """By the session policy."""
        with refused("AccessDenied", denied("far/a", "because no session policy allows the s3:PutObject action")):
            try_put(self.NARROW, {"AWS": case.role_arn})
        assert keys(case) == set()

    def test_a_grant_to_the_role_arn_adds_to_the_role(self, try_put: Any, case: Scenario) -> None:
        """Where the session policy allows it, the role's own policies need not."""
        try_put(json.dumps(allow("s3:*")), {"AWS": case.role_arn})
        assert keys(case) == {"far/a"}

    def test_a_grant_to_the_account_adds_nothing(self, try_put: Any, case: Scenario) -> None:
        """It lets the account's own policies decide, and they do not allow it."""
        with refused("AccessDenied", "no identity-based policy allows"):
            try_put(json.dumps(allow("s3:*")), {"AWS": case.account_b.id})

    @pytest.mark.parametrize("principal", [{"AWS": SESSION}, "*"])
    def test_an_explicit_deny_of_the_session_policy_holds(self, try_put: Any, case: Scenario, principal: Any) -> None:
        """Against every grant."""
        condition = {"ArnEquals": {"aws:PrincipalArn": case.role_arn}}
        with refused("AccessDenied", denied("far/a", "with an explicit deny in a session policy")):
            try_put(self.NARROW_DENY, principal, Condition=condition)
        assert keys(case) == set()


class TestOtherAccount:
    """A bucket of a third account, as seen by B's role."""

    @pytest.fixture
    def foreign(self, case: Scenario, box: Sandbox) -> str:
        """A bucket in account C; B's role may do everything as far as B is concerned."""
        case.account_b.put_role_policy("DataDumpRole", allow("s3:*"))
        return box.accounts[2].create_bucket("foreign-landing")

    def test_without_its_bucket_policy_it_is_refused_without_a_reason(self, role_s3: Any, foreign: str) -> None:
        """S3 tells the reason inside one account only."""
        with refused("AccessDenied", "Access Denied"):
            role_s3.put_object(Bucket=foreign, Key="a", Body=b"x")

    def test_both_accounts_must_allow(self, case: Scenario, box: Sandbox, role_s3: Any, foreign: str) -> None:
        """A bucket policy that admits the role, and a role that may."""
        grant = statement("Allow", "s3:PutObject", f"arn:aws:s3:::{foreign}/*", Principal={"AWS": case.role_arn})
        s3_c = box.accounts[2].client("s3")
        s3_c.put_bucket_policy(Bucket=foreign, Policy=json.dumps(policy(grant)))
        role_s3.put_object(Bucket=foreign, Key="a", Body=b"x", ExpectedBucketOwner=box.accounts[2].id)
        assert box.accounts[2].read(foreign, "a") == b"x"
        case.account_b.put_role_policy("DataDumpRole", allow("s3:GetObject"))
        with refused("AccessDenied", "Access Denied"):
            role_s3.put_object(Bucket=foreign, Key="b", Body=b"x")

    def test_the_resource_account_can_be_pinned(
        self, case: Scenario, box: Sandbox, client: ClientFor, foreign: str
    ) -> None:
        """s3:ResourceAccount is the bucket's owner, which closes bucket sniping in a session policy."""
        grant = statement("Allow", "s3:PutObject", f"arn:aws:s3:::{foreign}/*", Principal={"AWS": case.role_arn})
        box.accounts[2].client("s3").put_bucket_policy(Bucket=foreign, Policy=json.dumps(policy(grant)))
        pinned = allow("s3:PutObject", Condition={"StringEquals": {"s3:ResourceAccount": case.account_b.id}})
        s3 = client(case.assume(Policy=json.dumps(pinned)))
        s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x")
        with refused("AccessDenied"):
            s3.put_object(Bucket=foreign, Key="a", Body=b"x")


@pytest.mark.parametrize(
    ("written", "fits", "does_not"),
    [
        ("airflow/${*}/a", "airflow/*/a", "airflow/b/a"),
        ("airflow/${?}", "airflow/?", "airflow/x"),
        ("airflow/${$}{x}", "airflow/${x}", "airflow/x"),
        ("airflow/${aws:username}/*", None, "airflow/x/a"),
        ("airflow/${aws:username, 'nobody'}/*", "airflow/nobody/a", "airflow/x/a"),
        ("airflow/a?c", "airflow/abc", "airflow/ac"),
        ("airflow/[a]", "airflow/[a]", "airflow/a"),
        ("airflow/a+b", "airflow/a+b", "airflow/aab"),
    ],
)
def test_wildcards_and_variables_of_a_resource(
    case: Scenario, client: ClientFor, written: str, fits: str | None, does_not: str
) -> None:
    """AWS: *IAM policy elements: Variables and tags*."""
    s3 = client(case.assume(Policy=json.dumps(allow("s3:PutObject", f"{BUCKET}/{written}"))))
    if fits is not None:
        s3.put_object(Bucket=case.bucket, Key=fits, Body=b"x")
        assert keys(case) == {fits}
    with refused("AccessDenied"):
        s3.put_object(Bucket=case.bucket, Key=does_not, Body=b"x")


@pytest.mark.parametrize(
    ("condition", "right", "wrong"),
    [
        ({"StringEquals": {"s3:if-none-match": "*"}}, {"IfNoneMatch": "*"}, {}),
        ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {"StorageClass": "STANDARD_IA"}, {}),
        ({"Null": {"s3:x-amz-storage-class": "true"}}, {}, {"StorageClass": "STANDARD_IA"}),
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, None),
        ({"Bool": {"aws:SecureTransport": True}}, None, {}),
        ({"StringNotEquals": {"s3:x-amz-storage-class": "GLACIER"}}, {}, {"StorageClass": "GLACIER"}),
        ({"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::222222222222:role/DataDumpRole"}}, {}, None),
        ({"StringLike": {"aws:userid": "*:sandbox"}}, {}, None),
        ({"StringEquals": {"aws:PrincipalAccount": "111111111111"}}, None, {}),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, None),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, None, {}),
    ],
)
def test_conditions_of_a_session_policy(
    case: Scenario, client: ClientFor, condition: Any, right: Any, wrong: Any
) -> None:
    """The keys a delivery's policies are likely to use."""
    s3 = client(case.assume(Policy=json.dumps(allow("s3:PutObject", Condition=condition))))
    if right is not None:
        s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"x", **right)
    if wrong is not None:
        with refused("AccessDenied", "no session policy allows"):
            s3.put_object(Bucket=case.bucket, Key="airflow/b", Body=b"x", **wrong)


class TestAbsence:
    """Without s3:ListBucket nobody learns which keys are free (AWS: *HeadObject*, "Permissions")."""

    def test_without_list_a_missing_key_is_forbidden(self, case: Scenario, role_s3: Any) -> None:
        """403 for HEAD and GET."""
        case.account_b.put_role_policy("DataDumpRole", allow("s3:GetObject", f"{BUCKET}/*"))
        with refused("403", status=403):
            role_s3.head_object(Bucket=case.bucket, Key="airflow/none")
        with refused("AccessDenied", "s3:ListBucket"):
            role_s3.get_object(Bucket=case.bucket, Key="airflow/none")

    def test_with_list_it_is_absent(self, case: Scenario, role_s3: Any) -> None:
        """404."""
        case.account_b.put_role_policy("DataDumpRole", allow(["s3:GetObject", "s3:ListBucket"]))
        with refused("404", status=404):
            role_s3.head_object(Bucket=case.bucket, Key="airflow/none")
        with refused("NoSuchKey"):
            role_s3.get_object(Bucket=case.bucket, Key="airflow/none")

    def test_deleting_many_names_each_key_that_is_refused(self, case: Scenario, role_s3: Any) -> None:
        """The answer is 200 all the same."""
        for key in ("airflow/a&b", "other/c"):
            case.account_b.client("s3").put_object(Bucket=case.bucket, Key=key, Body=b"x")
        case.account_b.put_role_policy("DataDumpRole", allow("s3:DeleteObject", f"{BUCKET}/airflow/*"))
        names = [{"Key": "airflow/a&b"}, {"Key": "other/c"}]
        answer = role_s3.delete_objects(Bucket=case.bucket, Delete={"Objects": names})
        assert [item["Key"] for item in answer["Deleted"]] == ["airflow/a&b"]
        assert [(item["Key"], item["Code"]) for item in answer["Errors"]] == [("other/c", "AccessDenied")]
        assert keys(case) == {"other/c"}
        answer = role_s3.delete_objects(Bucket=case.bucket, Delete={"Objects": names[1:]})
        assert [item["Key"] for item in answer["Errors"]] == ["other/c"]


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a+b",
        "a%2Fb",
        "ü/é.csv",
        "a//b",
        "a/",
        "a/../b",
        "./a",
        "a?b=c&d",
        "a#b",
        "a=b/c=d",
        "100%",
        "*",
        "~!'()",
    ],
)
def test_any_key_comes_back_as_it_was(case: Scenario, role_s3: Any, name: str) -> None:
    """Signed, decided, stored, recorded and listed under the same name."""
    key = f"airflow/{name}"
    role_s3.put_object(Bucket=case.bucket, Key=key, Body=b"x")
    assert keys(case) == {key}
    assert case.box.requests[-1].key == key
    assert case.account_b.read(case.bucket, key) == b"x"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/x-amz-json-1.1"])
def test_the_content_type_of_an_object_says_nothing_of_the_service(
    case: Scenario, role_s3: Any, content_type: str
) -> None:
    """What was signed for S3 is for S3."""
    role_s3.put_object(Bucket=case.bucket, Key="airflow/a", Body=b"Action=AssumeRole", ContentType=content_type)
    assert case.box.requests[-1].operation == "PutObject"
    assert case.account_b.read(case.bucket, "airflow/a") == b"Action=AssumeRole"
