"""One suite, two hooks: ``S3Hook`` with keys of Account B itself, and ``CrossAccountS3Hook`` through B's role.

Each behaviour runs once with each hook, in a bucket of its own, and must give the same: result, error and server state.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.s3 import S3DeleteObjectsOperator
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_xacct.hooks import CrossAccountS3Hook
from airflow_xacct.sandbox import Scenario

MIB = 1024 * 1024
#: What differs between two requests of the same kind.
VOLATILE = {"ResponseMetadata", "LastModified", "Owner", "ETag"}


class Side:
    """One hook, its bucket, and a place for files."""

    def __init__(self, hook: S3Hook, bucket: str, worker: Scenario, folder: Path) -> None:
        self.hook, self.bucket, self.worker, self.folder = hook, bucket, worker, folder

    def file(self, content: bytes, name: str = "file.bin") -> str:
        """The path of a file with this content."""
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def state(self) -> dict[str, bytes]:
        """What B sees: every key, with its bytes."""
        keys = self.worker.account_b.objects(self.bucket)
        return {key: self.worker.account_b.read(self.bucket, key) for key in keys}


Behaviour = Callable[[Side], Any]


def check_buckets(side: Side) -> Any:
    """The one that is there, and one that is not."""
    return [side.hook.check_for_bucket(side.bucket), side.hook.check_for_bucket("no-such-bucket-anywhere")]


def look_for_keys(side: Side) -> Any:
    """check_for_key, head_object, check_for_wildcard_key, get_wildcard_key."""
    hook, bucket = side.hook, side.bucket
    found = hook.get_wildcard_key("in/*.csv", bucket)
    return [
        hook.check_for_key("in/a.csv", bucket),
        hook.check_for_key("in/none.csv", bucket),
        hook.check_for_key(f"s3://{bucket}/in/a.csv"),
        hook.head_object("in/none.csv", bucket),
        hook.head_object("in/a.csv", bucket),
        hook.check_for_wildcard_key("in/*.csv", bucket),
        hook.check_for_wildcard_key("in/*.parquet", bucket),
        found and found.key,
    ]


def list_keys(side: Side) -> Any:
    """Prefixes, delimiters, pages, filters by time."""
    hook, bucket = side.hook, side.bucket
    hour = timedelta(hours=1)
    return [
        sorted(hook.list_keys(bucket)),
        hook.list_keys(bucket, prefix="in/"),
        hook.list_keys(bucket, prefix="nothing/"),
        hook.list_keys(bucket, prefix="in/", page_size=1, max_items=1),
        hook.list_keys(bucket, prefix="in/", start_after_key="in/a.csv"),
        hook.list_keys(bucket, from_datetime=datetime.now(UTC) + hour),
        sorted(hook.list_keys(bucket, to_datetime=datetime.now(UTC) + hour)),
        hook.list_keys(bucket, prefix="in/*.csv", apply_wildcard=True),
    ]


def list_prefixes(side: Side) -> Any:
    """As folders."""
    hook, bucket = side.hook, side.bucket
    return [
        sorted(hook.list_prefixes(bucket, delimiter="/")),
        hook.list_prefixes(bucket, prefix="in/", delimiter="/"),
        hook.check_for_prefix("in/", "/", bucket),
        hook.check_for_prefix("none/", "/", bucket),
    ]


def metadata(side: Side) -> Any:
    """get_file_metadata and iter_file_metadata."""
    with pytest.warns(AirflowProviderDeprecationWarning):
        found = side.hook.get_file_metadata("in/", side.bucket)
    return [found, list(side.hook.iter_file_metadata("in/", side.bucket)) == found]


def read(side: Side) -> Any:
    """read_key and get_key."""
    got = side.hook.get_key("in/a.csv", side.bucket)
    return [side.hook.read_key("in/a.csv", side.bucket), got.key, got.content_length, got.get()["Body"].read()]


def read_nothing(side: Side) -> Any:
    """A key that is not there."""
    return side.hook.read_key("in/none.csv", side.bucket)


def get_nothing(side: Side) -> Any:
    """A key that is not there."""
    return side.hook.get_key("in/none.csv", side.bucket)


def list_nowhere(side: Side) -> Any:
    """A bucket that is not there."""
    return side.hook.list_keys("no-such-bucket-anywhere")


def load(side: Side) -> Any:
    """load_string, load_bytes, load_file_obj, load_file, with gzip and encodings."""
    hook, bucket = side.hook, side.bucket
    hook.load_string("grüße", "out/string", bucket)
    hook.load_string("grüße", "out/latin", bucket, encoding="latin-1")
    hook.load_string("again and again", "out/zipped", bucket, compression="gzip")
    hook.load_bytes(b"\x00\xff", "out/bytes", bucket)
    hook.load_file_obj(io.BytesIO(b"object"), "out/object", bucket)
    hook.load_file(side.file(b"file"), "out/file", bucket)
    hook.load_file(side.file(b"file"), f"s3://{bucket}/out/url")
    hook.load_file(side.file(b"file to zip"), "out/file.gz", bucket, gzip=True)
    assert gzip.decompress(side.state()["out/file.gz"]) == b"file to zip"
    return None


def load_a_large_file(side: Side) -> Any:
    """In parts: s3transfer, with threads."""
    side.hook._transfer_config_args = {"multipart_threshold": 5 * MIB, "multipart_chunksize": 5 * MIB}
    side.hook.load_file(side.file(bytes(range(256)) * (4096 * 12)), "out/large", side.bucket)
    return side.hook.head_object("out/large", side.bucket)


def load_what_is_there(side: Side) -> Any:
    """Refused without ``replace``."""
    side.hook.load_string("new", "in/a.csv", side.bucket)


def replace_what_is_there(side: Side) -> Any:
    """Allowed with it."""
    side.hook.load_string("new", "in/a.csv", side.bucket, replace=True)


def load_with_extra_arguments(side: Side) -> Any:
    """``extra_args`` of the hook go with the object."""
    side.hook._extra_args = {"Metadata": {"team": "data"}, "ContentType": "text/csv"}
    side.hook.load_bytes(b"x", "out/extra", side.bucket)
    return side.hook.head_object("out/extra", side.bucket)


def copy(side: Side) -> Any:
    """Within the bucket, by names and by URLs."""
    hook, bucket = side.hook, side.bucket
    acl = {"acl_policy": "bucket-owner-full-control"}
    hook.copy_object("in/a.csv", "out/one", bucket, bucket, **acl)
    hook.copy_object(f"s3://{bucket}/in/a.csv", f"s3://{bucket}/out/two", **acl)


def copy_nothing(side: Side) -> Any:
    """A source that is not there."""
    acl = {"acl_policy": "bucket-owner-full-control"}
    side.hook.copy_object("in/none.csv", "out/one", side.bucket, side.bucket, **acl)


def delete(side: Side) -> Any:
    """One, several, and one that is not there."""
    side.hook.delete_objects(side.bucket, "in/a.csv")
    side.hook.delete_objects(side.bucket, ["in/b.csv", "in/none.csv"])


def download(side: Side) -> Any:
    """download_file and sync_to_local_dir."""
    path = side.hook.download_file("in/a.csv", side.bucket, str(side.folder), preserve_file_name=True)
    mirror = side.folder / "mirror"
    mirror.mkdir()
    side.hook.sync_to_local_dir(side.bucket, mirror, "in/")
    return [Path(path).name, Path(path).read_bytes(), sorted(p.name for p in mirror.iterdir())]


def resources(side: Side) -> Any:
    """get_bucket and what hangs on it."""
    bucket = side.hook.get_bucket(side.bucket)
    bucket.put_object(Key="out/resource", Body=b"x")
    return sorted(item.key for item in bucket.objects.all())


def tags(side: Side) -> Any:
    """put_bucket_tagging, get_bucket_tagging, delete_bucket_tagging."""
    side.hook.put_bucket_tagging(key="team", value="data", bucket_name=side.bucket)
    found = side.hook.get_bucket_tagging(side.bucket)
    side.hook.delete_bucket_tagging(side.bucket)
    return found


def presign(side: Side) -> Any:
    """A URL to read and a URL to write, used by somebody who knows nothing of accounts or owners."""
    # botocore's default for URLs of us-east-1 is still version 2, which the sandbox does not know
    hook, bucket = type(side.hook)(side.hook.aws_conn_id, config=Config(signature_version="s3v4")), side.bucket
    read_url = hook.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "in/a.csv"})
    write_url = hook.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "out/url"})
    answers = [use(str(read_url), "GET"), use(str(write_url), "PUT", b"by url")]
    assert [status for status, _ in answers] == [200, 200]
    return answers


def use(url: str, method: str, body: bytes | None = None) -> tuple[int, bytes]:
    """One request as any program would send it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0)
    connection.request(method, f"{parts.path}?{parts.query}", body=body)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def select(side: Side) -> Any:
    """S3 Select, as far as the server knows it."""
    return side.hook.select_key("in/a.csv", side.bucket, expression="SELECT * FROM S3Object")


def look_asynchronously(side: Side) -> Any:
    """What triggers do."""

    async def look() -> list[Any]:
        hook, bucket = side.hook, side.bucket
        async with await hook.get_async_conn() as client:
            return [
                await hook.check_key_async(client, bucket, "in/a.csv", False),
                await hook.check_key_async(client, bucket, ["in/a.csv", "in/none.csv"], False),
                await hook.check_key_async(client, bucket, "in/*.csv", True),
                sorted(await hook.get_files_async(client, bucket, "in/", False)),
                await hook.list_prefixes_async(client, bucket, delimiter="/"),
            ]

    return asyncio.run(look())


BEHAVIOURS: list[Behaviour] = [
    check_buckets, look_for_keys, list_keys, list_prefixes, metadata, read, read_nothing, get_nothing, list_nowhere,
    load, load_a_large_file, load_what_is_there, replace_what_is_there, load_with_extra_arguments,
    copy, copy_nothing, delete, download, resources, tags, presign, select, look_asynchronously,
]  # fmt: skip


@pytest.fixture
def sides(worker: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Side]:
    """B's own administrator, and A's worker through a role that may do everything in its bucket."""
    all_of_s3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    admin = worker.account_b.create_user("admin", all_of_s3)
    worker.account_b.put_role_policy("DataDumpRole", all_of_s3)
    direct = {
        "conn_type": "aws",
        "login": admin.access_key_id,
        "password": admin.secret_access_key,
        "extra": {"region_name": worker.box.region, "endpoint_url": worker.box.endpoint_url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_DIRECT", json.dumps(direct))
    ours = {**worker.connection_extra, "bucket": "contract-role"}
    del ours["prefix"]
    monkeypatch.setenv("AIRFLOW_CONN_OURS", json.dumps({"conn_type": "aws_xacct", "extra": ours}))
    made = []
    for hook, bucket in ((S3Hook("direct"), "contract-direct"), (CrossAccountS3Hook("ours"), "contract-role")):
        worker.account_b.create_bucket(bucket)
        s3 = worker.account_b.client("s3")
        for key, body in {"in/a.csv": b"a,b\n1,2\n", "in/b.csv": b"x", "deep/er/c": b"", "top": b"t"}.items():
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        folder = tmp_path / bucket
        folder.mkdir()
        made.append(Side(hook, bucket, worker, folder))
    return made


def outcome(behaviour: Behaviour, side: Side) -> Any:
    """The result, or the error with AWS's code, in a form that two buckets can be compared by."""
    try:
        result = behaviour(side)
    except ClientError as error:
        result = Failed((type(error).__name__, error.operation_name, error.response["Error"]["Code"]))
    except (ValueError, BotoCoreError) as error:
        result = Failed((type(error).__name__, str(error)))
    return without_volatile(result, side.bucket)


class Failed(tuple[str, ...]):
    """What an error says."""

    __slots__ = ()


def without_volatile(value: Any, bucket: str) -> Any:
    if isinstance(value, Failed):
        return Failed(item.replace(bucket, "BUCKET") for item in value)
    if isinstance(value, dict):
        return {name: without_volatile(item, bucket) for name, item in value.items() if name not in VOLATILE}
    if isinstance(value, list | tuple):
        return [without_volatile(item, bucket) for item in value]
    return value.replace(bucket, "BUCKET") if isinstance(value, str) else value


#: What each must come to, so that two equal failures do not pass for two equal successes.
FAILURES = {
    read_nothing: "404",
    get_nothing: "404",
    list_nowhere: "NoSuchBucket",
    load_what_is_there: "ValueError",
    copy_nothing: "NoSuchKey",
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
def test_both_hooks_behave_alike(sides: list[Side], behaviour: Behaviour) -> None:
    """Result, error, and what the bucket holds afterwards; and ours insisted on the owner of the bucket."""
    theirs, ours = (outcome(behaviour, side) for side in sides)
    assert ours == theirs
    if behaviour in FAILURES:
        assert isinstance(ours, Failed)
        assert FAILURES[behaviour] in ours
    elif behaviour is not select:  # of AWS's newer accounts it is not available either
        assert not isinstance(ours, Failed)
    zipped = {"out/zipped", "out/file.gz"}  # gzip writes the time
    left, right = ({k: b"" if k in zipped else body for k, body in side.state().items()} for side in sides)
    assert left == right
    mine = [r for r in sides[1].worker.box.requests if r.bucket == "contract-role" and "X-Amz-Signature" not in r.query]
    assert {(r.expected_owner, r.account) for r in mine} <= {("222222222222", "222222222222")}


def test_the_connections_bucket_is_the_default(sides: list[Side]) -> None:
    """As ``service_config.s3.bucket_name`` is with the Amazon provider."""
    hook = sides[1].hook
    hook.load_string("x", "out/default")
    assert hook.check_for_key("out/default")
    assert sides[1].state()["out/default"] == b"x"


def test_a_presigned_url_asks_for_no_header(sides: list[Side]) -> None:
    """Whoever is given it would have to send the owner along."""
    url = sides[1].hook.generate_presigned_url("get_object", {"Bucket": sides[1].bucket, "Key": "top"})
    assert "expected-bucket-owner" not in str(url)


def test_a_bucket_of_another_owner_is_no_bucket(sides: list[Side]) -> None:
    """Where ours differs, and means to: the name was taken over by somebody else, who would be glad of the data."""
    worker = sides[0].worker
    worker.account_a.create_bucket("taken-over")
    with pytest.raises(ClientError, match=r"AccessDenied|403"):
        sides[1].hook.load_string("secret data", "a", "taken-over", replace=True)
    assert not worker.account_a.objects("taken-over")


def test_deletions_of_an_operator_go_through_the_hook(sides: list[Side]) -> None:
    """The operators of the provider make their hook themselves: see ``test_session_factory.py`` for those."""
    assert S3DeleteObjectsOperator.aws_hook_class is S3Hook
    assert issubclass(CrossAccountS3Hook, S3DeleteObjectsOperator.aws_hook_class)
