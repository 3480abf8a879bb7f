"""The partitions of AWS: their regions, and the domains on which AWS itself answers.

AWS: *Amazon Resource Names (ARNs)*, *AWS service endpoints*, *Amazon Virtual Private Cloud endpoints*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_xacct.destination.text import listed, show
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["PARTITIONS", "Partition", "check_region", "partition_of_region"]


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition.

    :param name: as ARNs write it.
    :param dns_suffixes: the domains of its service endpoints; the second is the dual-stack one.
    :param region_prefixes: how the names of its regions begin.
    """

    name: str
    dns_suffixes: tuple[str, ...]
    region_prefixes: tuple[str, ...]


# The longer region prefixes stand first: "us-iso-" is no region of the partition aws.
PARTITIONS = (
    Partition("aws-cn", ("amazonaws.com.cn", "api.amazonwebservices.com.cn"), ("cn-",)),
    Partition("aws-us-gov", ("amazonaws.com", "api.aws"), ("us-gov-",)),
    Partition("aws-iso", ("c2s.ic.gov", "api.aws.ic.gov"), ("us-iso-",)),
    Partition("aws-iso-b", ("sc2s.sgov.gov", "api.aws.scloud"), ("us-isob-",)),
    Partition("aws-iso-e", ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"), ("eu-isoe-",)),
    Partition("aws-iso-f", ("csp.hci.ic.gov", "api.aws.hci.ic.gov"), ("us-isof-",)),
    Partition("aws-eusc", ("amazonaws.eu", "api.amazonwebservices.eu"), ("eusc-",)),
    Partition(
        "aws",
        ("amazonaws.com", "api.aws"),
        ("us-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-"),
    ),
)

REGION = r"[a-z]{2,5}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}"
_REGION = re.compile(REGION)
_PSEUDO_REGION = re.compile(r"(?:aws|s3-external|fips)(?:-[a-z0-9]+)*|[a-z-]*global")


def partition_of_region(region: str) -> str | None:
    """Return the partition a region belongs to, or None for a region newer than this table."""
    for partition in PARTITIONS:
        if region.startswith(partition.region_prefixes):
            return partition.name
    return None


def check_region(region: str) -> str:
    """Return the region unchanged if it is the name of one region.

    Global pseudo-regions are refused: CloudTrail records a call in the region of the endpoint it was sent to,
    and a session from a global endpoint may not be valid everywhere. AWS: *Manage AWS STS in an AWS Region*.

    :raises InvalidArgumentError: if it is not.
    """
    if _PSEUDO_REGION.fullmatch(region):
        raise InvalidArgumentError(
            f"{show(region)} is not one region",
            remedy="Only regional endpoints are used: name a region such as eu-central-1.",
        )
    if _REGION.fullmatch(region):
        return region
    raise InvalidArgumentError(
        f"{show(region)} is not the name of a region",
        remedy="Write it as AWS does, such as eu-central-1.",
    )


def partition_names() -> str:
    """Return the names of all partitions as a phrase, for messages."""
    return listed([partition.name for partition in reversed(PARTITIONS)])
