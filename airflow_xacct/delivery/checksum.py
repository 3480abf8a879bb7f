"""CRC64NVME, the checksum S3 keeps for a whole object however it was cut into parts.

S3 computes it over the full object, also for a multipart upload, and a client can combine it from the parts' own
checksums without reading a byte again (AWS: *Checking object integrity in Amazon S3*, "Full object checksums").
Values travel as S3 writes them: eight bytes, most significant first, in base64.

The computation itself is ``awscrt``'s and is imported on first use, so that a DAG that only names an operator does
not load it. Combining is done here: older releases of ``awscrt`` have no function for it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import lru_cache

from airflow_xacct.exceptions import MissingDependencyError

__all__ = ["EMPTY", "checksum_of", "combine"]

EMPTY = "AAAAAAAAAAA="
"""The checksum of no bytes at all."""

# the polynomial 0xAD93D23594C93659 with its bits reversed: the CRC is a reflected one
_POLYNOMIAL = 0x9A6C9329AC4BC9B5
_ONE = 1 << 63


def checksum_of(body: bytes | memoryview) -> str:
    """The CRC64NVME of ``body`` in base64.

    :raises MissingDependencyError: ``awscrt`` is not installed.
    """
    try:
        from awscrt.checksums import crc64nvme
    except ImportError as exc:
        raise MissingDependencyError(
            "the checksum CRC64NVME needs the package awscrt",
            where="airflow_xacct.delivery",
            remedy="Install it on the workers: pip install 'boto3[crt]'.",
        ) from exc
    return _encode(crc64nvme(body))


def combine(parts: Iterable[tuple[str, int]]) -> str:
    """The checksum of the concatenation of parts.

    :param parts: the checksum in base64 and the size in bytes of each part, in order.
    """
    total = 0
    for checksum, size_bytes in parts:
        total = _multiply(_shift(size_bytes), total) ^ _decode(checksum)
    return _encode(total)


def _encode(value: int) -> str:
    return base64.b64encode(value.to_bytes(8, "big")).decode("ascii")


def _decode(checksum: str) -> int:
    return int.from_bytes(base64.b64decode(checksum), "big")


def _multiply(a: int, b: int) -> int:
    """The product of two reflected polynomials over GF(2), modulo that of the CRC."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFFFFFFFFFF
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=256)
def _shift(size_bytes: int) -> int:
    """x to the power of the number of bits in ``size_bytes``: what appending that many bytes multiplies a CRC by."""
    result, power = _ONE, _ONE >> 8
    while size_bytes:
        if size_bytes & 1:
            result = _multiply(power, result)
        power = _multiply(power, power)
        size_bytes >>= 1
    return result
