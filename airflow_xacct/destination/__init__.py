"""What a connection of type ``aws_xacct`` says: the role, the bucket and the rules that come with them.

Pure: the standard library and :mod:`airflow_xacct.exceptions`, nothing else.
"""

from __future__ import annotations

from airflow_xacct.destination.arn import KmsKey, RoleArn
from airflow_xacct.destination.bucket import BucketRef
from airflow_xacct.destination.destination import Destination, parse
from airflow_xacct.destination.endpoints import check_endpoint_url
from airflow_xacct.destination.field import Field
from airflow_xacct.destination.fields import CONN_TYPE, FIELDS
from airflow_xacct.destination.keys import (
    check_location,
    narrow,
    resolve_key,
    resolve_prefix,
)
from airflow_xacct.destination.options import DeploymentOptions

__all__ = [
    "CONN_TYPE",
    "FIELDS",
    "BucketRef",
    "DeploymentOptions",
    "Destination",
    "Field",
    "KmsKey",
    "RoleArn",
    "check_endpoint_url",
    "check_location",
    "narrow",
    "parse",
    "resolve_key",
    "resolve_prefix",
]
