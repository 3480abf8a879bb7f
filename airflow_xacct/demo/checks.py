"""What Account B finds in its bucket after the run, compared with the source tables byte by byte.

The receiver's way is taken: read the manifest at its fixed key, follow its entries, compare them with what the bucket
holds. Nothing Airflow says about itself is believed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.demo import nycflights
from airflow_xacct.demo.findings import Finding, counted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["MANIFEST", "Landing", "check_delivery"]

#: Below the connection's prefix; ``dags/xacct_chained_dumps.py`` puts it there.
MANIFEST = "nycflights13/_manifest.json"


@dataclass(slots=True)
class Landing:
    """The bucket as its owner sees it: what is in it, what is half uploaded, and what the manifest says.

    :param client: S3 with the owner's credentials.
    :param prefix: the connection's prefix, ending in ``/``.
    """

    client: S3Client
    bucket: str
    prefix: str
    sizes_bytes: dict[str, int] = field(default_factory=dict)
    open_uploads: list[str] = field(default_factory=list)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    manifest_text: str = ""

    def read(self) -> Landing:
        """Look at all of it now."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        self.sizes_bytes = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        self.open_uploads = [upload["Key"] for upload in uploads]
        if self.manifest_key in self.sizes_bytes:
            body = self.client.get_object(Bucket=self.bucket, Key=self.manifest_key)["Body"].read()
            self.manifest_text = body.decode("utf-8", "replace")
            self.manifest = _json_object(self.manifest_text)
        return self

    @property
    def manifest_key(self) -> str:
        """The manifest's full key."""
        return self.prefix + MANIFEST

    @property
    def tables(self) -> dict[str, Mapping[str, Any]]:
        """What the manifest says of each table, by its name."""
        described = self.manifest.get("xacct", {}).get("tables", [])
        return {str(table.get("table")): table for table in described}

    def key_of(self, url: object) -> str:
        """The key behind an ``s3://`` URL of this bucket; empty for any other."""
        head = f"s3://{self.bucket}/"
        return str(url).removeprefix(head) if str(url).startswith(head) else ""


def check_delivery(landing: Landing) -> list[Finding]:
    """Every check of the bucket: each table, the manifest, and what must not be there."""
    return [
        *(_check_table(landing, table) for table in nycflights.TABLES),
        _check_manifest(landing),
        _check_nothing_else(landing),
        _check_open_uploads(landing),
    ]


def _check_table(landing: Landing, table: str) -> Finding:
    key = landing.key_of(landing.tables.get(table, {}).get("url"))
    if not key:
        return Finding.of(table, "not delivered", ["the manifest does not name it"])
    try:
        answer = landing.client.get_object(Bucket=landing.bucket, Key=key, ChecksumMode="ENABLED")
        body = answer["Body"].read()
    except (BotoCoreError, ClientError) as error:
        return Finding.of(table, "not readable", [f"{key}: {error}"])
    with nycflights.open_table(table) as stream:
        source = stream.read()
    expected_rows, rows = _rows(source), _rows(body)
    stored, computed = answer.get("ChecksumCRC64NVME", ""), checksum_of(body)
    problems = []
    if rows != expected_rows:
        problems.append(f"{rows:,} rows, and the source has {expected_rows:,}")
    if table == "flights" and rows != nycflights.FLIGHTS:
        problems.append(f"{rows:,} rows, and the data set is known for {nycflights.FLIGHTS:,}")
    if body != source:
        problems.append("its bytes are not the source's")
    if stored != computed:
        problems.append(f"S3 keeps the checksum {stored or 'none'}, and its bytes have {computed}")
    told = landing.tables[table]
    if told.get("rows") != rows:
        problems.append(f"the manifest says {told.get('rows')} rows")
    if told.get("checksum_crc64nvme") != computed:
        problems.append(f"the manifest says the checksum is {told.get('checksum_crc64nvme')}")
    detail = f"{counted(rows, 'row')}, {counted(len(body), 'byte')} as in the source, CRC64NVME {computed}"
    return Finding.of(table, detail, problems)


def _check_manifest(landing: Landing) -> Finding:
    name = "manifest"
    if not landing.manifest_text:
        return Finding.of(name, "not delivered", [f"there is no object {landing.manifest_key}"])
    entries = landing.manifest.get("entries", [])
    listed = {landing.key_of(entry.get("url")): entry for entry in entries}
    problems = []
    if sorted(landing.tables) != sorted(nycflights.TABLES):
        problems.append(f"it describes {', '.join(landing.tables) or 'no table'}")
    if sorted(landing.key_of(table.get("url")) for table in landing.tables.values()) != sorted(listed):
        problems.append("its entries and its tables are not the same objects")
    for key, entry in listed.items():
        if key not in landing.sizes_bytes:
            problems.append(f"it names {entry.get('url')}, which is not there")
        elif entry.get("meta", {}).get("content_length") != landing.sizes_bytes[key]:
            problems.append(f"it says another size for {key}")
        if entry.get("mandatory") is not True:
            problems.append(f"a COPY would pass over {key} in silence: it is not mandatory")
    detail = f"names {counted(len(entries), 'object')}, with the sizes the bucket has, in Redshift's form"
    return Finding.of(name, detail, problems)


def _check_nothing_else(landing: Landing) -> Finding:
    named = {landing.key_of(entry.get("url")) for entry in landing.manifest.get("entries", [])}
    outside = [key for key in landing.sizes_bytes if not key.startswith(landing.prefix)]
    extra = set(landing.sizes_bytes) - named - {landing.manifest_key} - set(outside)
    problems = [f"{key} is outside the prefix" for key in outside]
    problems += [f"{key} is in no manifest" for key in sorted(extra)]
    detail = f"{counted(len(landing.sizes_bytes), 'object')} in the bucket, all below {landing.prefix}"
    return Finding.of("nothing else", detail, problems)


def _check_open_uploads(landing: Landing) -> Finding:
    problems = [f"{key} is half uploaded, and costs money until it is aborted" for key in landing.open_uploads]
    return Finding.of("open uploads", "none, so nothing half sent is stored and paid for", problems)


def _rows(body: bytes) -> int:
    text = io.StringIO(body.decode("utf-8", "replace"), newline="")
    return sum(1 for _ in csv.reader(text)) - 1


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
