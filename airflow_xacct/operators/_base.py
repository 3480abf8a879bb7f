"""What all operators that deliver share: the destination, how objects are stored, and what Airflow is told."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AssetAlias, BaseOperator
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_xacct._startup import collections_put_off
from airflow_xacct.links.cloudtrail import CloudTrailLink
from airflow_xacct.links.console import S3ConsoleLink
from airflow_xacct.operators._assets import as_list, asset_alias_name, dataset_prefix

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_xacct.access.task_identity import TaskIdentity
    from airflow_xacct.delivery.settings import TransferSettings
    from airflow_xacct.destination import Destination
    from airflow_xacct.dump.naming import PartitionValue
    from airflow_xacct.dump.plan import DeliveryPlan
    from airflow_xacct.operators._outline import Intent

__all__ = ["DeliveryOperator"]

KILLED_STATUS = 143
"""The exit status of a process that SIGTERM ended: 128 and the number of the signal."""


class DeliveryOperator(BaseOperator):
    """
    Deliver objects into the bucket of an ``aws_xacct`` connection, whole or not at all.

    :param xacct_conn_id: the connection of type ``aws_xacct``. (templated)
    :param key: below the connection's prefix. Ending in ``/``: a prefix. Otherwise the exact key of the one object.
        (templated)
    :param partitions: Hive-style partitions put before the file name: ``{"ds": "{{ ds }}"}`` makes
        ``ds=2013-01-01/``. (templated)
    :param if_exists: what to do where another object holds a key: ``"error"``, ``"replace"`` or ``"skip"``. S3 itself
        decides, so there is no window in between; what an earlier try of this task wrote is never "another".
    :param manifest: write ``manifest_key``, a list of all objects in the form Redshift's COPY takes.
    :param manifest_key: below the connection's prefix; by default ``_manifest.json`` beside the objects. (templated)
    :param metadata: user metadata of each object. (templated)
    :param tags: tags of each object; they need ``s3:PutObjectTagging``. (templated)
    :param storage_class: such as ``STANDARD_IA``; the bucket's default when left out. (templated)
    :param kms_key_id: instead of the connection's; the bucket's own encryption when neither is set. (templated)
    :param bucket: must be the connection's bucket where it names one. (templated)
    :param prefix: narrows the connection's prefix to one below it. (templated)
    :param allow_delete: delete objects of an earlier delivery of this task that the new one does not overwrite; needs
        ``s3:DeleteObject``.
    :param session_policy: what the assumed session may do: by default (``"auto"``) exactly what this task does; or a
        policy document, which is kept inside the destination; ``"off"`` only where the connection says so too.
    :param dataset: name of the delivered dataset below the connection's prefix, for the asset; by default the part of
        ``key`` before its first template, up to a ``/``.
    :param asset_alias: name of the ``AssetAlias`` that receives the asset; by default ``xacct:`` and the connection id.
    :return: a small JSON object: uri, manifest_uri, objects, skipped, rows, bytes, checksum.
    """

    template_fields: Sequence[str] = (
        "xacct_conn_id",
        "key",
        "partitions",
        "manifest_key",
        "metadata",
        "tags",
        "storage_class",
        "kms_key_id",
        "bucket",
        "prefix",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"partitions": "json", "metadata": "json", "tags": "json"}
    operator_extra_links = (S3ConsoleLink(), CloudTrailLink())
    ui_color = "#e6f2ff"

    def __init__(
        self,
        *,
        xacct_conn_id: str | XComArg,
        key: str | XComArg,
        if_exists: Literal["error", "replace", "skip"],
        partitions: Mapping[str, PartitionValue] | XComArg | None = None,
        manifest: bool | None = None,
        manifest_key: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: str | None = None,
        kms_key_id: str | None = None,
        bucket: str | None = None,
        prefix: str | None = None,
        allow_delete: bool = False,
        session_policy: str | Mapping[str, Any] | None = None,
        dataset: str | None = None,
        asset_alias: str | None = None,
        **kwargs: Any,
    ) -> None:
        # not a parameter of its own: partial() of a mapped task would take its default for a value
        outlets = kwargs.pop("outlets", None)
        alias = AssetAlias(asset_alias or asset_alias_name(xacct_conn_id))
        super().__init__(outlets=[*as_list(outlets), alias], **kwargs)
        # an XComArg is a value by the time execute() runs
        self.xacct_conn_id: Any = xacct_conn_id
        self.key: Any = key
        self.partitions: Any = partitions
        self.if_exists = if_exists
        self.manifest = manifest
        self.manifest_key = manifest_key
        self.metadata = metadata
        self.tags = tags
        self.storage_class = storage_class
        self.kms_key_id = kms_key_id
        self.bucket = bucket
        self.prefix = prefix
        self.allow_delete = allow_delete
        self.session_policy = session_policy
        self.dataset = dataset_prefix(dataset, key)
        self.asset_alias = alias.name
        self._delivering = False
        self._identity: TaskIdentity | None = None

    @abstractmethod
    def open_plan(self, destination: Destination) -> AbstractContextManager[DeliveryPlan]:
        """What is to be delivered; what it reads from is closed with the block.

        :raises ConfigurationError: an argument cannot be right.
        :raises SourceError: the source cannot be read.
        """

    @abstractmethod
    def intent(self, destination: Destination) -> Intent:
        """What would be delivered, without asking the source more than what is there.

        :raises ConfigurationError: an argument cannot be right.
        """

    def transfer_settings(self) -> TransferSettings | None:
        """Sizes and numbers of the transfer; ``None`` for those of the delivery."""
        return None

    def plan(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """What :meth:`execute` would read, assume and write, and what the role must allow. Nothing is sent.

        ``airflow-xacct plan`` prints it; a test of a DAG may look at it. Templates must be rendered.

        :returns: as JSON has it: task, reads, assumes, writes, role_needs, session_policy.
        :raises ConfigurationError: a connection or an argument cannot be right.
        """
        from airflow_xacct.operators._delivery import has_commit_log, open_destination, task_identity
        from airflow_xacct.operators._outline import outline

        destination = open_destination(self.xacct_conn_id, bucket=self.bucket, prefix=self.prefix)
        return outline(
            destination,
            self.intent(destination),
            task_identity(context),
            has_log=has_commit_log(),
            allow_delete=self.allow_delete,
            session_policy=self.session_policy,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Deliver, announce the asset, and return the summary.

        :raises ConfigurationError: a connection or an argument cannot be right.
        :raises SourceError: the source cannot be read, or changed while it was.
        :raises AccessError: the other account refused.
        :raises DeliveryError: it did not land as asked.
        """
        with collections_put_off():
            # what a task needs and a DAG file does not: boto3 among it
            from airflow_xacct.operators._delivery import announce, deliver, open_destination, task_run

            destination = open_destination(self.xacct_conn_id, bucket=self.bucket, prefix=self.prefix)
            run = task_run(context)
            self._identity = run.identity
            opening = self.open_plan(destination)
        self._delivering = True
        try:
            with opening as plan:
                delivered = deliver(
                    destination,
                    plan,
                    run,
                    allow_delete=self.allow_delete,
                    session_policy=self.session_policy,
                    settings=self.transfer_settings(),
                )
        finally:
            self._delivering = False
        return announce(context, self, destination, root=plan.root, delivered=delivered)

    def on_kill(self) -> None:
        """End a delivery that is under way, so that what it staged is aborted and what it reads from is closed.

        Airflow 3 calls this in its handler of SIGTERM, in the thread that executes, and raises nothing itself: without
        an exception from here the task would go on until SIGKILL. Airflow 2 raises one of its own after this.
        """
        if self._delivering and AIRFLOW_V_3_0_PLUS:
            self._delivering = False  # the next signal must not disturb the cleaning up
            raise SystemExit(KILLED_STATUS)
