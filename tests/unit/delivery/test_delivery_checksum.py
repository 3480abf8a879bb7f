"""CRC64NVME against awscrt and published values."""

from __future__ import annotations

import base64
import hashlib
import sys

import pytest
from awscrt.checksums import combine_crc64nvme, crc64nvme
from hypothesis import given
from hypothesis import strategies as st

from airflow_xacct.delivery.checksum import EMPTY, checksum_of, combine
from airflow_xacct.exceptions import MissingDependencyError


def test_known_values() -> None:
    """The check value of the algorithm, "123456789", and that of nothing."""
    assert checksum_of(b"123456789") == "rosUhgp5mIg="
    assert checksum_of(b"") == EMPTY == combine([])
    assert checksum_of(memoryview(b"123456789")) == "rosUhgp5mIg="


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_parts_combine_to_the_whole(parts: list[bytes]) -> None:
    """However bytes are cut, the combined checksum is that of all of them."""
    assert combine((checksum_of(part), len(part)) for part in parts) == checksum_of(b"".join(parts))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 5 * 1024**3) | st.just(5 * 1024**3))
def test_combining_agrees_with_awscrt_for_large_parts(first: int, second: int, size: int) -> None:
    """Sizes up to the largest part S3 takes, without having such bytes."""
    combined = combine([(crc_text(first), 3), (crc_text(second), size)])
    assert combined == crc_text(combine_crc64nvme(first, second, size))


def crc_text(value: int) -> str:
    """As S3 writes it."""
    return base64.b64encode(value.to_bytes(8, "big")).decode()


def test_the_sum_is_awscrts_own() -> None:
    """Nothing but the text form is ours."""
    body = hashlib.shake_128(b"seed").digest(100_000)
    assert checksum_of(body) == crc_text(crc64nvme(body))


def test_without_awscrt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is optional to boto3, not to us."""
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    with pytest.raises(MissingDependencyError, match=r"boto3\[crt\]"):
        checksum_of(b"")
