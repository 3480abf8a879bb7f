"""``CrossAccountS3Hook``: the Amazon provider's S3Hook in full, through the assumed role."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_xacct.hooks.base import CrossAccountMixin

__all__ = ["CrossAccountS3Hook"]


class CrossAccountS3Hook(CrossAccountMixin, S3Hook):
    """An ``S3Hook`` of another account: everything written for ``S3Hook`` works through the role of the connection.

    A method without a bucket name uses the connection's bucket. What a method reads (``check_for_key`` and its like)
    needs read permissions that a role for dumps does not have;
    :class:`~airflow_xacct.operators.CrossAccountUploadOperator` needs none.

    :param xacct_conn_id: the connection.
    :param transfer_config_args: as for ``S3Hook``.
    :param extra_args: as for ``S3Hook``.
    """

    def __init__(self, xacct_conn_id: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(xacct_conn_id, *args, **kwargs)
