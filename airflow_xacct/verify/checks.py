"""One object against what the manifest says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_xacct.exceptions import MissingDependencyError, XacctError
from airflow_xacct.verify.claims import Claim
from airflow_xacct.verify.described import CsvForm
from airflow_xacct.verify.reading import BucketReader, Stored
from airflow_xacct.verify.report import ObjectReport
from airflow_xacct.verify.rows import (
    Counted,
    NotCountedError,
    RowCounter,
    parquet_footer_bytes,
    parquet_rows,
    row_format,
)

__all__ = ["check_object"]

#: What most footers fit into, so that one request does.
_FOOTER_GUESS_BYTES = 64 * 1024

_ROLES = {
    "auxiliary": "it describes the data",
    "emptied": "it holds no row, in the place of an object of an earlier delivery",
}


@dataclass(slots=True)
class _Findings:
    problems: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recomputed: str | None = None
    counted: int | None = None


def check_object(
    claim: Claim, reader: BucketReader, csv: CsvForm, *, recompute: bool, told: Callable[[int], None]
) -> ObjectReport:
    """Look at one object; what could not be looked at is part of the result.

    :param csv: how CSV is written.
    :param recompute: read its bytes as well.
    :param told: called with the number of bytes of each block that was read.
    """
    if not claim.key:
        return ObjectReport(url=claim.url, role=claim.role, problems=claim.problems)
    found = _Findings(notes=[_ROLES[claim.role]] if claim.role in _ROLES else [])
    stored: Stored | None = None
    try:
        stored = reader.head(claim.key)
        if stored is None:
            (found.notes if claim.role == "emptied" else found.problems).append("it is not there")
        else:
            _check_stored(claim, stored, found, recompute=recompute)
            if recompute and not found.problems:
                _check_bytes(claim, stored, reader, csv, told, found)
    except MissingDependencyError:
        raise  # it will be missing for every other object too
    except XacctError as error:
        found.unseen.append(str(error))
    return ObjectReport(
        url=claim.url,
        role=claim.role,
        problems=tuple(found.problems),
        unseen=tuple(found.unseen),
        notes=tuple(found.notes),
        size_bytes=claim.size_bytes,
        stored_size_bytes=stored.size_bytes if stored else None,
        checksum_crc64nvme=claim.checksum,
        stored_checksum=(stored.checksum or None) if stored else None,
        recomputed_checksum=found.recomputed,
        rows=claim.rows,
        counted_rows=found.counted,
    )


def _check_stored(claim: Claim, stored: Stored, found: _Findings, *, recompute: bool) -> None:
    """AWS: *Checking object integrity in Amazon S3*: S3 keeps the checksum it computed when the object was written."""
    if stored.size_bytes != claim.size_bytes:
        found.problems.append(f"it has {stored.size_bytes:,} bytes, and the manifest says {claim.size_bytes:,}")
    if stored.checksum and stored.checksum != claim.checksum:
        found.problems.append(f"S3 keeps the checksum {stored.checksum}, and the manifest says {claim.checksum}")
    if not stored.checksum:
        kept = f"only {stored.other_checksum}" if stored.other_checksum else "no checksum"
        text = f"S3 keeps {kept} of it, so it is not the object that was delivered as it was delivered"
        (found.notes if recompute else found.unseen).append(
            text if recompute else f"{text}: compare its bytes with --recompute"
        )
    if claim.version_id and stored.version_id != claim.version_id:
        found.notes.append(f"its version is {stored.version_id or 'gone'}, and {claim.version_id} was delivered")


def _check_bytes(
    claim: Claim, stored: Stored, reader: BucketReader, csv: CsvForm, told: Callable[[int], None], found: _Findings
) -> None:
    form = row_format(claim.key) if claim.rows is not None else None
    stream = reader.stream(claim.key, stored, told)
    counted: Counted | None = None
    try:
        try:
            if form is not None and form[0] != "parquet":
                counted = RowCounter(*form, csv).count(stream)
        except NotCountedError as error:
            found.problems.append(str(error))
        stream.drain()
    finally:
        stream.close()
    found.recomputed = stream.checksum
    if stream.checksum != claim.checksum:
        found.problems.append(f"its bytes have the checksum {stream.checksum}, and the manifest says {claim.checksum}")
    if form is not None and form[0] == "parquet":
        counted = _parquet(claim.key, stored, reader, found)
    if claim.rows is not None:
        _check_rows(claim.rows, counted, form, found)


def _parquet(key: str, stored: Stored, reader: BucketReader, found: _Findings) -> Counted | None:
    try:
        # of an empty object S3 gives no range
        end = reader.last(key, stored, min(_FOOTER_GUESS_BYTES, stored.size_bytes)) if stored.size_bytes else b""
        length = parquet_footer_bytes(end, stored.size_bytes)
        if length > len(end):
            end = reader.last(key, stored, length)
        return parquet_rows(end)
    except NotCountedError as error:
        found.problems.append(str(error))
        return None


def _check_rows(rows: int, counted: Counted | None, form: tuple[str, str] | None, found: _Findings) -> None:
    if counted is None:
        if not found.problems:
            why = "pyarrow is not installed" if form else "its name says no format with rows"
            found.notes.append(f"its rows were not counted: {why}")
    elif counted.is_for(rows):
        found.counted = rows
    elif counted.rows < 0:
        found.problems.append("it has no header, and the manifest says that there is one")
    else:
        found.counted = counted.rows
        header = ", a header included" if counted.may_have_header else ""
        found.problems.append(f"it has {counted.rows:,} rows{header}, and the manifest says {rows:,}")
