"""Account B's own hands: a user of it that may read the bucket, the receiver's check, and a reader of Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.config import Config

from airflow_xacct.demo import nycflights
from airflow_xacct.verify.place import Place
from airflow_xacct.verify.reading import BucketReader
from airflow_xacct.verify.report import Report
from airflow_xacct.verify.run import Progress, Verification, Wishes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pa_dataset
    import pyarrow.fs as pa_fs

    from airflow_xacct.sandbox import Scenario
    from airflow_xacct.sandbox.accounts import AccessKey

__all__ = ["FOLDER", "PARTITION", "PARTITIONED", "Landing", "Receiver"]

#: Below the connection's prefix; ``dags/xacct_chained_dumps.py`` puts the tables there.
FOLDER = "nycflights13/"
#: The table that comes in Hive partitions, and the column that makes them.
PARTITIONED, PARTITION = "flights", "month"
_USER = "acme-reader"


@dataclass(slots=True)
class Landing:
    """The bucket as its owner sees it: what is in it, and what is half uploaded.

    :param sizes_bytes: of all objects, by key.
    """

    sizes_bytes: dict[str, int] = field(default_factory=dict)
    open_uploads: list[str] = field(default_factory=list)


class Receiver:
    """Reads what was delivered as whoever receives it would: as a user of Account B with ``s3:GetObject`` and
    ``s3:ListBucket`` on the bucket, by the manifest of each table.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._partner = scenario.partner
        self._box = scenario.box
        self.prefix = self._partner.prefix
        bucket = f"arn:aws:s3:::{self._partner.bucket}"
        may = [("s3:GetObject", f"{bucket}/*"), ("s3:ListBucket", bucket)]
        statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in may]
        policy = {"Version": "2012-10-17", "Statement": statements}
        self._key: AccessKey = self._partner.account.create_user(_USER, policy)

    def look(self) -> Landing:
        """List the whole bucket, with the owner's rights: a reader may not see open uploads."""
        s3, bucket = self._partner.account.client("s3"), self._partner.bucket
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return Landing(
            {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])},
            [upload["Key"] for upload in self._box.open_multipart_uploads(bucket)],
        )

    def manifest_key(self, table: str) -> str:
        """The full key of a table's manifest."""
        return f"{self.prefix}{FOLDER}{table}/_manifest.json"

    def manifest(self, table: str) -> Mapping[str, Any] | None:
        """A table's manifest; ``None`` when there is none, or none that is JSON."""
        s3 = self._partner.account.client("s3")
        try:
            body = s3.get_object(Bucket=self._partner.bucket, Key=self.manifest_key(table))["Body"].read()
            found = json.loads(body)
        except (s3.exceptions.ClientError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def verify(self, table: str, progress: Progress) -> Report:
        """Do what ``airflow-xacct verify --recompute --strict`` does."""
        place = Place.of(self._partner.bucket, f"{self.prefix}{FOLDER}{table}/")
        # as the command has it: bytes are compared with the manifest
        s3 = self._box.client(self._key, "s3", config=Config(response_checksum_validation="when_required"))
        try:
            reader = BucketReader(s3, place, owner=self._partner.account.id, who=self._key.user_arn)
            wishes = Wishes(recompute=True, strict=True)
            verification = Verification(
                reader, place, wishes, progress, owner=self._partner.account.id, looked_as=self._key.user_arn
            )
            return verification.of_key(self.manifest_key(table))
        finally:
            s3.close()

    def files(self, table: str) -> pa_dataset.Dataset:
        """The files below the folder of a table, as pyarrow finds them: none that begins with ``_``.

        :raises OSError: they cannot be read, or are no Parquet.
        """
        import pyarrow.dataset as pa_dataset

        return pa_dataset.dataset(self._folder(table), filesystem=self._filesystem(), format="parquet")

    def dataset(self, table: str) -> pa_dataset.Dataset:
        """The same files in their Hive partitions.

        The column of a partition is in the files too, and pyarrow takes a path's number for an int32 unless it is told.

        :raises KeyError: the column is not in the files.
        """
        import pyarrow as pa
        import pyarrow.dataset as pa_dataset

        files = self.files(table)
        if table != PARTITIONED:
            return files
        hive = pa_dataset.partitioning(pa.schema([files.schema.field(PARTITION)]), flavor="hive")
        return pa_dataset.dataset(
            self._folder(table), filesystem=self._filesystem(), format="parquet", partitioning=hive
        )

    def _folder(self, table: str) -> str:
        return f"{self._partner.bucket}/{self.prefix}{FOLDER}{table}/"

    def _filesystem(self) -> pa_fs.S3FileSystem:
        import pyarrow.fs as pa_fs

        return pa_fs.S3FileSystem(
            access_key=self._key.access_key_id,
            secret_key=self._key.secret_access_key,
            region=self._partner.region,
            scheme="http",
            endpoint_override=urlsplit(self._partner.endpoint_url).netloc,
        )

    def rows(self, table: str) -> pa.Table:
        """All rows of a table, in the types of the source's files."""
        schema: pa.Schema = nycflights.read_table(table).schema
        return self.dataset(table).to_table(columns=schema.names).cast(schema)
