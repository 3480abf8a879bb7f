"""Credentials that end before the work does: by the clock, by an owner who revokes them, by an STS that fails."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import botocore.exceptions as aws
import pytest
from botocore.awsrequest import AWSResponse

from airflow_xacct.access.renewal import RenewableCredentials
from airflow_xacct.access.session import RoleAccess, WorkerIdentity
from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.destination import DeploymentOptions, parse
from airflow_xacct.exceptions import (
    AssumeRoleError,
    EndpointUnreachableError,
    ExpiredCredentialsError,
    ThrottledError,
    XacctError,
)
from airflow_xacct.hooks import CrossAccountHook
from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.sandbox import Scenario, call, status
from tests.integration.airflow_context import StateStore, TaskTry

MIB = 1024 * 1024
ROLE = "arn:aws:iam::222222222222:role/DataDumpRole"


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FakeAws:
    """STS and S3 with one clock: S3 takes a key until it expires, and STS fails when it is told to."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[dict[str, Any]] = []
        self.failure: Exception | None = None
        self.expiry: dict[str, datetime] = {}
        self.answers: list[tuple[str, int]] = []

    def assume_role(self, **params: Any) -> dict[str, Any]:
        """STS."""
        self.asked.append(params)
        if self.failure:
            raise self.failure
        key = f"ASIA{len(self.asked):08d}"
        self.expiry[key] = self.clock() + timedelta(seconds=params["DurationSeconds"])
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": f"secret-of-{key}",
                "SessionToken": f"token-of-{key}",
                "Expiration": self.expiry[key],
            },
            "AssumedRoleUser": {"Arn": f"arn:aws:sts::222222222222:assumed-role/DataDumpRole/{key}"},
        }

    def answer(self, request: Any, **_: Any) -> AWSResponse:
        """S3, in place of the network."""
        header = request.headers["Authorization"]
        key = (header.decode() if isinstance(header, bytes) else header).split("Credential=")[1].split("/")[0]
        valid = self.clock() < self.expiry[key]
        self.answers.append((key, 200 if valid else 400))
        body = b"" if valid else b"<Error><Code>ExpiredToken</Code><Message>gone</Message></Error>"
        return FakeResponse(request.url, 200 if valid else 400, {"ETag": '"etag"'}, body)


class FakeResponse(AWSResponse):
    """An answer without a socket, for botocore, which reads an attribute, and aiobotocore, which awaits it."""

    def __init__(self, url: str, code: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(url, code, headers, None)
        self._content = body


class FakeAioResponse(FakeResponse):
    """The same for aiobotocore."""

    @property
    def content(self) -> Any:
        async def read() -> bytes:
            return bytes(self._content)

        return read()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> FakeAws:
    return FakeAws(clock)


def access_to(fake: FakeAws, **extras: Any) -> RoleAccess:
    """A role whose STS is the fake one."""

    class Access(RoleAccess):
        def _make_sts_client(self) -> Any:
            return fake

    extra = {"role_arn": ROLE, "external_id": "ext-1234", "region_name": "eu-central-1", **extras}
    return Access(parse("conn", extra), WorkerIdentity(), TaskIdentity(), DeploymentOptions(), clock=fake.clock)


def s3_of(access: RoleAccess, fake: FakeAws) -> Any:
    client = access.client("s3")
    client.meta.events.register("before-send.s3", fake.answer)
    return client


def part(number: int) -> dict[str, Any]:
    return {"Bucket": "acme-landing", "Key": "k", "UploadId": "u", "PartNumber": number, "Body": b"x"}


@pytest.mark.parametrize(("lifetime", "every"), [(900, 675), (3600, 2700), (43200, 42300)])
def test_thousands_of_parts_outlive_any_session(fake: FakeAws, clock: Clock, lifetime: int, every: int) -> None:
    """A part each 30 seconds for a day and more: none is refused, and STS is asked when a session grows old only."""
    client = s3_of(access_to(fake, duration_seconds=lifetime), fake)
    for number in range(1, 3001):
        client.upload_part(**part(number))
        clock.forward(30)
    assert len(fake.answers) == 3000
    assert {code for _, code in fake.answers} == {200}
    assert len(fake.asked) <= 1 + 3000 * 30 // every


def test_an_asynchronous_client_outlives_its_session(fake: FakeAws, clock: Clock) -> None:
    """One state of credentials: what the one client refreshes, the other uses."""
    access = access_to(fake, duration_seconds=900)

    def answer(request: Any, **_: Any) -> Any:
        given = fake.answer(request)
        return FakeAioResponse(given.url, given.status_code, {"ETag": '"etag"'}, given._content)

    async def upload() -> None:
        async with access.aio_session().create_client("s3") as client:
            client.meta.events.register("before-send.s3", answer)
            for number in range(1, 1001):
                await client.upload_part(**part(number))
                clock.forward(30)

    asyncio.run(upload())
    assert {code for _, code in fake.answers} == {200}
    assert len(fake.asked) <= 1 + 1000 * 30 // 675
    s3_of(access, fake).upload_part(**part(1))
    assert len(fake.asked) <= 1 + 1000 * 30 // 675


FAILURES = [
    (
        aws.ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "AssumeRole"),
        ThrottledError,
    ),
    (aws.EndpointConnectionError(endpoint_url="https://sts.eu-central-1.amazonaws.com"), EndpointUnreachableError),
    (aws.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole"), AssumeRoleError),
]


@pytest.mark.parametrize(("failure", "ours"), FAILURES, ids=["throttled", "no network", "trust withdrawn"])
def test_a_refresh_that_fails_is_survived_while_there_is_time(
    fake: FakeAws, clock: Clock, failure: Exception, ours: type[XacctError]
) -> None:
    """In the advisory window work goes on and STS is not pressed; in the mandatory one the error is ours."""
    client = s3_of(access_to(fake), fake)
    client.upload_part(**part(1))
    fake.failure = failure
    clock.forward(3600 - 900 + 1)  # 15 minutes before expiry; from 10 on it is mandatory
    for number in range(290):
        client.upload_part(**part(number + 1))
        clock.forward(1)
    assert {code for _, code in fake.answers} == {200}
    assert len(fake.asked) <= 1 + 5 + 290 // 60 + 2  # not 290
    fake.failure = None
    client.upload_part(**part(1))
    clock.forward(62)
    client.upload_part(**part(1))
    assert fake.answers[-1][0] == f"ASIA{len(fake.asked):08d}"  # and it recovers
    fake.failure = failure
    clock.forward(3600 - 599)
    asked, sent = len(fake.asked), len(fake.answers)
    with pytest.raises(ours):
        client.upload_part(**part(2))
    assert (len(fake.asked), len(fake.answers)) == (asked + 1, sent)


def test_expired_credentials_are_never_sent(fake: FakeAws, clock: Clock) -> None:
    """However long STS was away."""
    client = s3_of(access_to(fake), fake)
    client.upload_part(**part(1))
    fake.failure = FAILURES[1][0]
    clock.forward(4000)
    with pytest.raises(EndpointUnreachableError, match="sts:AssumeRole"):
        client.upload_part(**part(2))
    assert len(fake.answers) == 1


@pytest.mark.parametrize("server_forgets", [False, True])
def test_threads_renew_once(fake: FakeAws, clock: Clock, server_forgets: bool) -> None:
    """Twenty threads find the session old, or find that S3 takes it no more: one call to STS."""
    access = access_to(fake)
    client = s3_of(access, fake)
    client.upload_part(**part(1))
    if server_forgets:
        fake.expiry[fake.answers[0][0]] = clock()
    else:
        clock.forward(3500)
    start = threading.Barrier(20)

    def upload(number: int) -> None:
        start.wait()
        client.upload_part(**part(number))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(upload, range(1, 21)))
    assert len(fake.asked) == 2
    assert sum(code == 200 for _, code in fake.answers) == 21


def test_a_session_that_is_never_accepted_ends_in_a_clear_error(fake: FakeAws, clock: Clock) -> None:
    """Two attempts, one more AssumeRole, then S3's own error, which we explain."""
    access = access_to(fake)
    client = s3_of(access, fake)
    access.credentials()
    fake.expiry = {f"ASIA{number:08d}": clock() for number in range(9)}
    client.meta.events.register_first("before-send.s3", lambda **_: fake.expiry.update(ASIA00000002=clock()))
    with pytest.raises(aws.ClientError, match="ExpiredToken") as caught:
        client.upload_part(**part(1))
    assert len(fake.answers) == 2
    assert len(fake.asked) == 2
    explained = access.explain(caught.value, action="s3:UploadPart")
    assert isinstance(explained, ExpiredCredentialsError)
    assert "revoked (account 222222222222)" in str(explained)


def test_a_stream_that_cannot_be_sent_again_is_not(fake: FakeAws, clock: Clock) -> None:
    """S3's error, rather than that of a stream which does not rewind."""
    access = access_to(fake)
    client = s3_of(access, fake)
    fake.expiry[access.credentials().get_frozen_credentials().access_key] = clock()

    class Pipe:
        def seekable(self) -> bool:
            return False

        def read(self, size: int = -1) -> bytes:
            return b""

    client.meta.events.register_first(
        "before-call.s3", lambda params, **_: params.update(body=Pipe()), unique_id="unseekable"
    )
    with pytest.raises(aws.ClientError, match="ExpiredToken"):
        client.upload_part(**part(1))
    assert len(fake.answers) == 1


def test_pauses_grow_and_end(fake: FakeAws, clock: Clock) -> None:
    """The second question may follow at once; then 1, 3, 7 ... at most 60 seconds pass between two."""
    credentials = access_to(fake, duration_seconds=43200).credentials()
    assert isinstance(credentials, RenewableCredentials)
    fake.failure = FAILURES[0][0]
    clock.forward(43200 - 900 + 1)
    times: list[float] = []
    for second in range(200):
        before = len(fake.asked)
        credentials.get_frozen_credentials()
        times.extend([second] * (len(fake.asked) - before))
        clock.forward(1)
    assert [later - earlier for earlier, later in pairwise(times)] == [1, 1, 3, 7, 15, 31, 60, 60]


# ---- against the sandbox -------------------------------------------------------------------------------------------


def s3(conn_id: str = "xacct_default") -> Any:
    return CrossAccountHook(conn_id, client_type="s3").get_conn()


def upload_in_parts(worker: Scenario, client: Any, between: Callable[[], object], parts: int = 4) -> None:
    """A multipart upload during which something happens before the third part, and before it is completed."""
    at = {"Bucket": worker.bucket, "Key": "airflow/large"}
    upload_id = client.create_multipart_upload(**at)["UploadId"]
    done = []
    for number in range(1, parts + 1):
        if number == 3:
            between()
        body = bytes([number]) * (5 * MIB)
        answer = client.upload_part(**at, UploadId=upload_id, PartNumber=number, Body=body)
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    between()
    client.complete_multipart_upload(**at, UploadId=upload_id, MultipartUpload={"Parts": done})


def check_large(worker: Scenario, parts: int = 4) -> None:
    found = worker.account_b.read(worker.bucket, "airflow/large")
    assert found == b"".join(bytes([number]) * (5 * MIB) for number in range(1, parts + 1))


def ends(worker: Scenario, how: str) -> Callable[[], object]:
    """A way in which every session of B's role ends on the server, though our clock calls it valid."""
    box = worker.box
    return {"expired": box.expire_sessions, "revoked": lambda: box.revoke_sessions(worker.role_arn)}[how]


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_sessions_that_end_on_the_server_are_renewed(worker: Scenario, how: str) -> None:
    """In the middle of a multipart upload, and before its end: one AssumeRole for each, and all bytes arrive."""
    upload_in_parts(worker, s3(), ends(worker, how))
    check_large(worker)
    assert [event.granted for event in worker.box.assume_role_events] == [True] * 3
    refused = [r for r in worker.box.requests if r.status >= 400]
    assert [r.operation for r in refused] == ["UploadPart", "CompleteMultipartUpload"]


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_the_same_with_an_asynchronous_client(worker: Scenario, how: str) -> None:
    """And the loop goes on while STS is asked."""

    async def upload() -> None:
        loop = asyncio.get_running_loop()

        def loop_is_alive(_: Any) -> None:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=10)

        worker.box.faults.add("AssumeRole", action=call(loop_is_alive), times=None)
        at = {"Bucket": worker.bucket, "Key": "airflow/async"}
        async with await CrossAccountHook("xacct_default", client_type="s3").get_async_conn() as client:
            upload_id = (await client.create_multipart_upload(**at))["UploadId"]
            await asyncio.to_thread(ends(worker, how))
            answers = [
                await client.upload_part(**at, UploadId=upload_id, PartNumber=number, Body=b"x" * (5 * MIB))
                for number in (1, 2)
            ]
            done = [{"PartNumber": n, "ETag": answer["ETag"]} for n, answer in enumerate(answers, 1)]
            await client.complete_multipart_upload(**at, UploadId=upload_id, MultipartUpload={"Parts": done})

    asyncio.run(upload())
    assert worker.account_b.objects(worker.bucket) == {"airflow/async": 10 * MIB}
    assert len(worker.box.assume_role_events) == 2


@pytest.fixture
def chain(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> str:
    """Worker -> Hub (Account A) -> Landing (Account B); gives the hub's ARN, the connection is ``via_hub``."""
    trust: Callable[[str, str], dict[str, Any]] = lambda who, external_id: {  # noqa: E731
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": who},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
            }
        ],
    }
    hub = worker.account_a.create_role(
        "Hub", trust=trust(worker.worker.user_arn, "hub-ext"), policy=may("sts:AssumeRole")
    )
    landing = worker.account_b.create_role("Landing", trust=trust(hub, worker.external_id), policy=may("s3:*"))
    worker.account_a.client("iam").put_user_policy(
        UserName="airflow-worker", PolicyName="hub", PolicyDocument=json.dumps(may("sts:AssumeRole"))
    )
    base = {**worker.connection_extra}
    extras = {
        "hub": {**base, "role_arn": hub, "external_id": "hub-ext", "bucket": None, "prefix": None},
        "via_hub": {**base, "role_arn": landing, "source_conn_id": "hub"},
    }
    for name, extra in extras.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
    return hub


def may(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


def test_every_hop_of_a_chain_is_renewed(worker: Scenario, chain: str) -> None:
    """All sessions end at once: B's is refused, and to renew it the hub's must be renewed first."""
    upload_in_parts(worker, s3("via_hub"), worker.box.expire_sessions)
    check_large(worker)
    roles = [event.role_arn.rsplit("/", 1)[-1] for event in worker.box.assume_role_events if event.granted]
    assert roles == ["Hub", "Landing"] * 3


def test_a_hop_that_is_gone_is_an_error_of_the_hop(worker: Scenario, chain: str) -> None:
    """It says which role STS refused, and the upload does not try for ever."""
    client = s3("via_hub")
    client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    iam = worker.account_a.client("iam")
    iam.delete_role_policy(RoleName="Hub", PolicyName="sandbox")
    iam.delete_role(RoleName="Hub")
    worker.box.expire_sessions()
    before = len(worker.box.requests)
    with pytest.raises(AssumeRoleError, match="role/Hub"):
        client.put_object(Bucket=worker.bucket, Key="airflow/b", Body=b"x")
    assert len(worker.box.requests) - before <= 3
    assert worker.account_b.objects(worker.bucket) == {"airflow/a": 1}


@pytest.mark.parametrize("what", ["deleted", "no longer trusts us"])
def test_a_role_that_is_gone_is_an_error_at_once(worker: Scenario, what: str) -> None:
    """One refused request, one refused AssumeRole, and a sentence for both owners."""
    client = s3()
    client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    iam = worker.account_b.client("iam")
    if what == "deleted":
        iam.delete_role_policy(RoleName="DataDumpRole", PolicyName="sandbox")
        iam.delete_role(RoleName="DataDumpRole")
        worker.box.expire_sessions()
    else:
        nobody = {"Effect": "Allow", "Principal": {"AWS": worker.account_b.id}, "Action": "sts:AssumeRole"}
        trust = {"Version": "2012-10-17", "Statement": [nobody]}
        iam.update_assume_role_policy(RoleName="DataDumpRole", PolicyDocument=json.dumps(trust))
        worker.box.revoke_sessions(worker.role_arn)
    before = len(worker.box.requests)
    with pytest.raises(AssumeRoleError, match="222222222222"):
        client.put_object(Bucket=worker.bucket, Key="airflow/b", Body=b"x")
    assert len(worker.box.requests) - before == 2


def test_a_denial_that_is_meant_costs_one_question(worker: Scenario) -> None:
    """It looks like a revocation, so the role is assumed once more; after that nobody asks again."""
    client = s3()
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}
    worker.account_b.put_role_policy("DataDumpRole", {"Version": "2012-10-17", "Statement": [deny]})
    for attempt in range(3):
        with pytest.raises(aws.ClientError, match="explicit deny"):
            client.put_object(Bucket=worker.bucket, Key=f"airflow/{attempt}", Body=b"x")
    assert len(worker.box.assume_role_events) == 2
    assert len([r for r in worker.box.requests if r.operation == "PutObject"]) == 2 + 1 + 1


def test_a_plain_denial_is_not_asked_about(worker: Scenario) -> None:
    """Nothing allows it: that is no revocation."""
    with pytest.raises(aws.ClientError, match="AccessDenied"):
        s3().get_object(Bucket=worker.bucket, Key="airflow/a")
    assert len(worker.box.assume_role_events) == 1
    assert len([r for r in worker.box.requests if r.service == "s3"]) == 1


def test_a_head_request_says_it_without_words(worker: Scenario) -> None:
    """An expired token answers HEAD with 400 and no body."""
    worker.account_b.put_role_policy("DataDumpRole", may("s3:*"))
    client = s3()
    client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    worker.box.expire_sessions()
    assert client.head_object(Bucket=worker.bucket, Key="airflow/a")["ContentLength"] == 1
    assert len(worker.box.assume_role_events) == 2


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId"])
def test_only_one_attempt_more(worker: Scenario, code: str) -> None:
    """A server that never takes the session ends it after two attempts; the next call begins anew."""
    client = s3()
    worker.box.faults.add("PutObject", action=status(400, code), times=None)
    with pytest.raises(aws.ClientError, match=code):
        client.put_object(Bucket=worker.bucket, Key="airflow/a", Body=b"x")
    assert len([r for r in worker.box.requests if r.operation == "PutObject"]) == 2
    assert len(worker.box.assume_role_events) == 2


def test_a_short_session_asks_sts_once(worker: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """900 seconds are within botocore's own windows all the time; a hundred requests still need one session."""
    extra = {**worker.connection_extra, "duration_seconds": 900}
    monkeypatch.setenv("AIRFLOW_CONN_SHORT", json.dumps({"conn_type": "aws_xacct", "extra": extra}))
    client = s3("short")
    for number in range(100):
        client.put_object(Bucket=worker.bucket, Key=f"airflow/{number}", Body=b"x")
    assert [event.duration_seconds for event in worker.box.assume_role_events] == [900]


@pytest.mark.parametrize("how", ["expired", "revoked"])
@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_a_delivery_survives_it_at_every_step(worker: Scenario, tmp_path: Any, how: str, operation: str) -> None:
    """The operator's conditional calls take one attempt each; a refused session is none."""
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(range(256)) * (4096 * 20))
    end = ends(worker, how)
    rule = worker.box.faults.add(operation, action=call(lambda _: end()))
    upload = TaskTry(
        lambda: CrossAccountUploadOperator(
            task_id="upload", xacct_conn_id="xacct_default", source=str(path), key="large.bin", manifest=True
        ),
        StateStore(),
    )
    delivery = upload.run()
    assert rule.fired == 1
    assert delivery["bytes"] == path.stat().st_size
    assert worker.account_b.read(worker.bucket, "airflow/large.bin") == path.read_bytes()
    assert not worker.box.open_multipart_uploads(worker.bucket)
