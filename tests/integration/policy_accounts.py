"""The documents of ``airflow-xacct policy``, applied by each owner, and what must then work, or must not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airflow_xacct.destination import parse
from airflow_xacct.exceptions import ObjectExistsError
from airflow_xacct.hooks.connections import SESSIONS
from airflow_xacct.hooks.s3 import CrossAccountS3Hook
from airflow_xacct.operators import CrossAccountUploadOperator
from airflow_xacct.policies import Setup, documents
from airflow_xacct.sandbox import Account, Sandbox
from tests.integration.airflow_context import StateStore, TaskTry

A, B, C, D = "111111111111", "222222222222", "333333333333", "444444444444"
WORKER = f"arn:aws:iam::{A}:user/airflow-worker"
HOP = f"arn:aws:iam::{D}:role/hops/Gate"
ROLE = f"arn:aws:iam::{B}:role/data/DataDumpRole"
BUCKET = "acme-landing"
CONN_ID = "acme"
BODY = b"id,name\n1,a\n"
#: A key with a letter that is a wildcard where nobody escapes it.
PREFIX = "air*flow/"
ALL = ("reads", "tags", "deletes")

Bodies = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One way in which two or three owners set things up.

    :param extra: of the connection, beside role, External ID, bucket and prefix.
    :param options: of :meth:`Setup.of`.
    :param hop: extras of a connection in between; ``None`` for no chain.
    :param key: the account of the key of the bucket's default encryption, or ``""``.
    :param key_leaves_it_to_iam: the policy of the key lets its account's IAM decide.
    :param pod_tags: the worker is a session with the tags of EKS Pod Identity.
    :param again: Sids to be proved although an earlier case has them too: here something else depends on them.
    """

    extra: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    hop: Mapping[str, Any] | None = None
    key: str = ""
    key_leaves_it_to_iam: bool = True
    pod_tags: tuple[str, ...] = ()
    again: tuple[str, ...] = ()

    @property
    def connection(self) -> dict[str, Any]:
        """The extras of the connection."""
        return {
            "role_arn": ROLE,
            "external_id": "xacct-for-b",
            "region_name": "us-east-1",
            "bucket": BUCKET,
            "prefix": PREFIX,
            **({"source_conn_id": "gate"} if self.hop is not None else {}),
            **self.extra,
        }

    @property
    def setup(self) -> Setup:
        """What the documents are made of."""
        options = {"principal": self.principal, "abilities": ALL, **self.options}
        return Setup.of(parse(CONN_ID, self.connection), **options)

    @property
    def principal(self) -> str:
        """Who assumes B's role."""
        if self.hop is not None:
            return HOP
        return f"arn:aws:iam::{A}:role/PodRole" if self.pod_tags else WORKER

    @property
    def hop_setup(self) -> Setup:
        """The role in between, set up by the same documents."""
        extra = {"role_arn": HOP, "external_id": "xacct-for-gate", "bucket": "none-at-all", **(self.hop or {})}
        return Setup.of(parse("gate", extra), principal=WORKER)

    @property
    def bodies(self) -> Bodies:
        """The documents by name."""
        made = {item.name: copy.deepcopy(item.body) for item in documents(self.setup)}
        if self.hop is not None:
            hop = {item.name: item.body for item in documents(self.hop_setup)}
            made |= {"hop-worker-policy": hop["a-worker-policy"], "hop-role-trust": hop["b-role-trust"]}
        return made


class World:
    """The accounts of one case."""

    def __init__(self, box: Sandbox, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        self.box = box
        self.case = case
        self.setup = case.setup
        self.accounts = {account.id: account for account in box.accounts}
        self.key_arn = ""
        self._env = monkeypatch.setenv
        SESSIONS.clear()

    @property
    def owner(self) -> Account:
        """The bucket's owner."""
        return self.accounts[self.setup.bucket_owner]

    def build(self, bodies: Bodies) -> None:
        """Create everything as the documents say."""
        if self.case.key:
            self.key_arn = self._create_key(bodies)
        self._create_bucket(bodies)
        if self.case.hop is not None:
            self._create_role(HOP, bodies["hop-role-trust"], bodies["a-worker-policy"])
        self._create_role(ROLE, bodies["b-role-trust"], bodies["b-role-permissions"])
        self._become_worker(bodies)

    def _create_role(self, arn: str, trust: Any, permissions: Any) -> None:
        account, name = self.accounts[arn.split(":")[4]], arn.rsplit("/", 1)[-1]
        account.create_role(name, trust=trust, policy=permissions, path=arn.split(":role", 1)[1].removesuffix(name))

    def _create_key(self, bodies: Bodies) -> str:
        account = self.accounts[self.case.key]
        admin = "kms:*" if self.case.key_leaves_it_to_iam else "kms:PutKeyPolicy"
        root: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account.id}:root"},
            "Action": admin,
            "Resource": "*",
        }
        more = [] if self.case.key_leaves_it_to_iam else [bodies["b-key-statement"]]
        statements = [root, *(item for item in more if item is not None)]
        return account.create_key(policy={"Version": "2012-10-17", "Statement": statements}, alias="landing")

    def _create_bucket(self, bodies: Bodies) -> None:
        self.owner.create_bucket(BUCKET, kms_key_id=self.key_arn)
        s3 = self.owner.client("s3")
        s3.put_object(Bucket=BUCKET, Key=PREFIX + "taken.csv", Body=b"somebody's")
        s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=bodies["b-bucket-ownership"])
        s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=bodies["b-bucket-public-access"])
        s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=bodies["b-bucket-lifecycle"])
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(bodies["b-bucket-policy"]))

    def _become_worker(self, bodies: Bodies) -> None:
        account = self.accounts[A]
        own = bodies["a-worker-policy" if self.case.hop is None else "hop-worker-policy"]
        user = account.create_user("airflow-worker", None if self.case.pod_tags else own)
        environment = {"AWS_ACCESS_KEY_ID": user.access_key_id, "AWS_SECRET_ACCESS_KEY": user.secret_access_key}
        self.worker: Any = user
        if self.case.pod_tags:
            self.worker = self._pod(account, own)
            environment = {
                "AWS_ACCESS_KEY_ID": self.worker["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": self.worker["SecretAccessKey"],
                "AWS_SESSION_TOKEN": self.worker["SessionToken"],
            }
        for name, value in {
            **environment,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AIRFLOW__XACCT__ALLOWED_ENDPOINT_HOSTS": "127.0.0.1",
        }.items():
            self._env(name, value)
        self.connect(CONN_ID, self.case.connection)
        if self.case.hop is not None:
            hop = {"role_arn": HOP, "external_id": "xacct-for-gate", "region_name": "us-east-1", **self.case.hop}
            self.connect("gate", hop)

    def _pod(self, account: Account, own: Any) -> Any:
        """A session as EKS Pod Identity hands it out: of a role, with transitive tags."""
        node = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"}
        agent = account.create_user("agent", {"Version": "2012-10-17", "Statement": [node]})
        trust = {"Effect": "Allow", "Principal": {"AWS": agent.user_arn}, "Action": node["Action"]}
        role = account.create_role("PodRole", trust={"Version": "2012-10-17", "Statement": [trust]}, policy=own)
        return self.assume_as(
            agent,
            RoleArn=role,
            RoleSessionName="pod",
            Tags=[{"Key": key, "Value": "x"} for key in self.case.pod_tags],
            TransitiveTagKeys=list(self.case.pod_tags),
        )["Credentials"]

    def assume(self, **parameters: Any) -> Any:
        """Assume B's role as the worker, with the right parameters but for those given; ``None`` leaves one out."""
        asked = {"RoleArn": ROLE, "RoleSessionName": "acme-x", "ExternalId": "xacct-for-b", **parameters}
        return self.assume_as(self.worker, **asked)

    def assume_as(self, key: Any, **parameters: Any) -> Any:
        """Assume a role with somebody's key."""
        sts = self.box.client(key, "sts")
        try:
            return sts.assume_role(**{name: value for name, value in parameters.items() if value is not None})
        finally:
            sts.close()

    def connect(self, conn_id: str, extra: Mapping[str, Any]) -> None:
        """Export a connection."""
        given = {**extra, "endpoint_url": self.box.endpoint_url}
        self._env(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "aws_xacct", "extra": given}))

    def check(self) -> None:
        """What must work works, and leaves in the bucket what it should; what must not work does not."""
        self.check_upload()
        self.check_conflict()
        self.check_reads_and_deletes()
        self.check_other_writers()

    def _upload(self, key: str) -> Any:
        return TaskTry(
            lambda: CrossAccountUploadOperator(
                task_id="upload", xacct_conn_id=CONN_ID, data=BODY, key=key, tags={"kind": "order"}
            ),
            StateStore(),
        ).run()

    def check_upload(self) -> None:
        """An object lands, with its tags and its encryption."""
        result = self._upload("orders/a.csv")
        where = {"Bucket": BUCKET, "Key": f"{PREFIX}orders/a.csv"}
        assert result["bytes"] == len(BODY)
        answer = self.owner.client("s3").get_object(**where)
        with answer["Body"] as body:
            assert body.read() == BODY
        # where AWS tells the key's ARN, the sandbox tells the key as it was named
        assert answer.get("SSEKMSKeyId", "") == self.case.extra.get("kms_key_id", self.key_arn)
        tags = self.owner.client("s3").get_object_tagging(**where)["TagSet"]
        assert tags == [{"Key": "kind", "Value": "order"}]

    def check_conflict(self) -> None:
        """An object of somebody else stays, and the upload that met it is aborted."""
        with pytest.raises(ObjectExistsError):
            self._upload("taken.csv")
        assert self.owner.read(BUCKET, PREFIX + "taken.csv") == b"somebody's"
        assert self.box.open_multipart_uploads(BUCKET) == []

    def check_reads_and_deletes(self) -> None:
        """The role reads and deletes below the prefix, and cannot write beside it."""
        s3 = CrossAccountS3Hook(CONN_ID).get_conn()
        where = {"Bucket": BUCKET, "Key": f"{PREFIX}orders/a.csv"}
        answer = s3.get_object(**where)
        with answer["Body"] as body:
            assert body.read() == BODY
        s3.delete_object(**where)
        assert set(self.owner.objects(BUCKET)) == {PREFIX + "taken.csv"}
        assert_denied(lambda: s3.put_object(Bucket=BUCKET, Key="airXflow/a", Body=b"x"))

    def check_other_writers(self) -> None:
        """Whoever else may write to the whole bucket writes beside the prefix, not below it, and still cleans up."""
        everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        loader = self.owner.create_user("loader", {"Version": "2012-10-17", "Statement": [everything]})
        s3 = self.box.client(loader, "s3")
        try:
            plain = {"Bucket": BUCKET, "Body": b"x", "ServerSideEncryption": "AES256"}  # so no key can be in the way
            assert_denied(lambda: s3.put_object(Key=PREFIX + "forged.csv", **plain))
            s3.put_object(Key="own/a.csv", **plain)
            s3.delete_object(Bucket=BUCKET, Key=PREFIX + "taken.csv")
            s3.put_bucket_policy(Bucket=BUCKET, Policy=s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
        finally:
            s3.close()


def assert_denied(call: Callable[[], Any]) -> None:
    """AWS refuses a call."""
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def statements_of(body: Any) -> list[dict[str, Any]]:
    """The statements of a document, of a single statement, or none of what is no policy."""
    if not isinstance(body, dict):
        return []
    if "Sid" in body:
        return [body]
    return list(body.get("Statement", []))


def actions(bodies: Bodies) -> Iterator[tuple[str, str, str]]:
    """Each (document, Sid, action)."""
    for name, body in bodies.items():
        for statement in statements_of(body):
            listed = statement["Action"]
            for action in [listed] if isinstance(listed, str) else listed:
                yield name, statement["Sid"], action


def without(bodies: Bodies, name: str, sid: str, action: str = "") -> Bodies:
    """The documents without one action; without the statement, if that was all of it or none is named."""
    made = copy.deepcopy(bodies)
    body = made[name]
    kept: list[dict[str, Any]] = []
    for statement in statements_of(body):
        if statement["Sid"] == sid:
            listed = statement["Action"]
            statement["Action"] = [item for item in ([listed] if isinstance(listed, str) else listed) if item != action]
            if not action or not statement["Action"]:
                continue
        kept.append(statement)
    if "Sid" in body:
        made[name] = kept[0] if kept else None
    else:
        # no document may be without a statement; this one allows nothing anybody asks for
        body["Statement"] = kept or [{"Sid": "Nothing", "Effect": "Deny", "Action": "sqs:*", "Resource": "*"}]
    return made
