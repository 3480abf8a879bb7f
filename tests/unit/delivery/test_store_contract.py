"""What every store promises: the same tests over the fake and over boto3 against the sandbox."""

from __future__ import annotations

from contextlib import suppress

import pytest

from airflow_xacct.delivery.checksum import checksum_of, combine
from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.settings import MIN_PART_BYTES
from airflow_xacct.delivery.store import (
    NoSuchUpload,
    ObjectAttributes,
    PartReceipt,
    PreconditionFailed,
)
from airflow_xacct.exceptions import ChecksumMismatchError, XacctError

ATTRIBUTES = ObjectAttributes(content_type="text/csv", metadata={"xacct-token": "digest.nonce"})
KEY = "airflow/orders/2013-01-01.csv"


@pytest.fixture(params=["fake", "boto3"])
def store(request: pytest.FixtureRequest):
    """One bucket, empty."""
    return FakeStore() if request.param == "fake" else request.getfixturevalue("boto3_store")()


def upload(store, *bodies: bytes, key: str = KEY) -> tuple[str, list[PartReceipt]]:
    """An upload with these parts."""
    upload_id = store.create_multipart(key, ATTRIBUTES)
    return upload_id, [
        store.upload_part(key, upload_id, number, body, checksum=checksum_of(body))
        for number, body in enumerate(bodies, 1)
    ]


def complete(store, upload_id: str, parts: list[PartReceipt], *, key: str = KEY, if_absent: bool = True):
    """Complete it, with the right checksum and size."""
    return store.complete_multipart(
        key,
        upload_id,
        parts,
        checksum=combine((part.checksum, part.size_bytes) for part in parts),
        size_bytes=sum(part.size_bytes for part in parts),
        if_absent=if_absent,
    )


def test_put_stores_bytes_and_attributes(store) -> None:
    """A put is visible at once, with its metadata."""
    receipt = store.put(KEY, b"abc", ATTRIBUTES, checksum=checksum_of(b"abc"), if_absent=True)
    found = store.head(KEY)
    assert (receipt.size_bytes, receipt.checksum) == (3, checksum_of(b"abc"))
    assert (found.size_bytes, found.etag, found.metadata) == (3, receipt.etag, {"xacct-token": "digest.nonce"})


@pytest.mark.parametrize("way", ["put", "complete"])
def test_if_absent_is_decided_by_the_bucket(store, way) -> None:
    """A key that is held stays as it is; without the condition it is replaced."""
    store.put(KEY, b"first", ATTRIBUTES, checksum=checksum_of(b"first"), if_absent=True)
    before = store.head(KEY)

    def write(*, if_absent: bool) -> None:
        if way == "put":
            store.put(KEY, b"second", ATTRIBUTES, checksum=checksum_of(b"second"), if_absent=if_absent)
        else:
            complete(store, *upload(store, b"second"), if_absent=if_absent)

    with pytest.raises(PreconditionFailed):
        write(if_absent=True)
    assert store.head(KEY) == before
    write(if_absent=False)
    assert store.head(KEY).size_bytes == len(b"second")


def test_an_upload_is_invisible_until_it_is_completed(store) -> None:
    """Parts do not show; Complete makes them one object with the metadata of Create."""
    upload_id, parts = upload(store, b"x" * MIN_PART_BYTES, b"tail")
    assert store.head(KEY) is None
    receipt = complete(store, upload_id, parts)
    found = store.head(KEY)
    assert found.size_bytes == receipt.size_bytes == MIN_PART_BYTES + 4
    assert found.metadata == {"xacct-token": "digest.nonce"}
    assert receipt.checksum == checksum_of(b"x" * MIN_PART_BYTES + b"tail")


def test_an_empty_object_is_one_empty_part(store) -> None:
    """S3 takes a single part of no bytes."""
    receipt = complete(store, *upload(store, b""))
    assert (receipt.size_bytes, store.head(KEY).size_bytes) == (0, 0)


def test_a_412_leaves_the_upload_alive(store) -> None:
    """The upload is still there to be asked, and to be aborted: it is the witness of what happened."""
    store.put(KEY, b"first", ATTRIBUTES, checksum=checksum_of(b"first"), if_absent=True)
    upload_id, parts = upload(store, b"second")
    with pytest.raises(PreconditionFailed):
        complete(store, upload_id, parts)
    store.upload_part(KEY, upload_id, 2, b"?", checksum=checksum_of(b"?"))
    store.abort_multipart(KEY, upload_id)
    with pytest.raises(NoSuchUpload):
        store.upload_part(KEY, upload_id, 2, b"?", checksum=checksum_of(b"?"))


def test_a_completed_upload_is_gone(store) -> None:
    """No part can be added; to complete it again is a success or NoSuchUpload, and changes nothing."""
    upload_id, parts = upload(store, b"abc")
    receipt = complete(store, upload_id, parts)
    with pytest.raises(NoSuchUpload):
        store.upload_part(KEY, upload_id, 2, b"?", checksum=checksum_of(b"?"))
    with suppress(NoSuchUpload):
        assert complete(store, upload_id, parts, if_absent=False).etag == receipt.etag
    assert store.head(KEY).etag == receipt.etag


def test_an_aborted_upload_is_gone(store) -> None:
    """Every later call is NoSuchUpload."""
    upload_id, parts = upload(store, b"abc")
    store.abort_multipart(KEY, upload_id)
    with pytest.raises(NoSuchUpload):
        complete(store, upload_id, parts)
    with pytest.raises(NoSuchUpload):
        store.abort_multipart(KEY, upload_id)
    assert store.head(KEY) is None


def test_a_part_that_is_not_named_is_left_out(store) -> None:
    """The probe that asks whether an upload lives does not end up in the object."""
    upload_id, parts = upload(store, b"abc", b"probe")
    complete(store, upload_id, parts[:1])
    assert store.head(KEY).size_bytes == 3


def test_the_last_part_under_a_number_counts(store) -> None:
    """A part may be sent again."""
    upload_id, _ = upload(store, b"wrong")
    part = store.upload_part(KEY, upload_id, 1, memoryview(b"right!"), checksum=checksum_of(b"right!"))
    complete(store, upload_id, [part])
    assert store.head(KEY).size_bytes == 6


def test_wrong_checksums_are_refused(store) -> None:
    """Of a put, of a part, and of the whole: nothing becomes visible."""
    wrong = checksum_of(b"other bytes")
    with pytest.raises(ChecksumMismatchError):
        store.put(KEY, b"abc", ATTRIBUTES, checksum=wrong, if_absent=True)
    upload_id, parts = upload(store, b"abc")
    with pytest.raises(ChecksumMismatchError):
        store.upload_part(KEY, upload_id, 2, b"abc", checksum=wrong)
    with pytest.raises(ChecksumMismatchError):
        store.complete_multipart(KEY, upload_id, parts, checksum=wrong, size_bytes=3, if_absent=True)
    assert store.head(KEY) is None


def test_a_wrong_size_is_refused(store) -> None:
    """x-amz-mp-object-size is compared."""
    upload_id, parts = upload(store, b"abc")
    with pytest.raises(XacctError):
        store.complete_multipart(KEY, upload_id, parts, checksum=checksum_of(b"abc"), size_bytes=4, if_absent=True)
    assert store.head(KEY) is None


def test_small_parts_before_the_last_are_refused(store) -> None:
    """EntityTooSmall."""
    with pytest.raises(XacctError):
        complete(store, *upload(store, b"small", b"tail"))
    assert store.head(KEY) is None


def test_a_delete_leaves_nothing(store) -> None:
    """And to delete nothing is no error."""
    store.put(KEY, b"abc", ATTRIBUTES, checksum=checksum_of(b"abc"), if_absent=True)
    store.delete(KEY)
    assert store.head(KEY) is None
    store.delete(KEY)


def test_it_says_which_bucket_it_is(store) -> None:
    """A name."""
    assert store.bucket in ("bucket", "acme-landing")
