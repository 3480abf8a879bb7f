"""All objects of a delivery, what the manifest does not name, and the report."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from airflow_xacct.exceptions import OutcomeUnknownError, XacctError
from airflow_xacct.verify.checks import check_object
from airflow_xacct.verify.claims import MANIFEST_MAX_BYTES, Claim, Claims, read_claims
from airflow_xacct.verify.described import CsvForm
from airflow_xacct.verify.place import Place
from airflow_xacct.verify.reading import BucketReader
from airflow_xacct.verify.report import Extra, ObjectReport, Report

__all__ = ["Progress", "Verification", "Wishes"]

#: How many keys that nobody named are listed and kept.
_MOST_LISTED = 100_000
_MOST_KEPT = 1_000
_UNDER_WAY = {
    "delivering": "a delivery is under way: the manifest names nothing yet; look again when it is done",
    "replacing": (
        "a delivery that replaces this one is under way: the manifest names nothing, and the objects below the prefix "
        "may be of both; look again when it is done"
    ),
}
_VERSIONS_FOLDER = "_versions/"


class Progress(Protocol):
    """Is told what is done, from several threads."""

    def begin(self, objects: int, size_bytes: int) -> None:
        """So much there is to do."""

    def advance(self, *, objects: int = 0, size_bytes: int = 0) -> None:
        """So much of it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How to look.

    :param recompute: read every byte and compute the checksum again.
    :param strict: an object that the manifest does not name is a failure.
    :param jobs: how many objects are looked at at once; with ``recompute`` each holds about 6 MiB.
    """

    recompute: bool = False
    strict: bool = False
    jobs: int = 8


class Verification:
    """Compares a delivery with its manifest.

    :param place: bucket and prefix that its objects may lie in.
    :param owner: the account that is expected to own the bucket, 12 digits; for the report.
    :param looked_as: whose credentials ``reader`` has, in words; for the report.
    """

    def __init__(
        self, reader: BucketReader, place: Place, wishes: Wishes, progress: Progress, *, owner: str, looked_as: str
    ) -> None:
        self._reader = reader
        self._place = place
        self._wishes = wishes
        self._progress = progress
        self._owner = owner
        self._looked_as = looked_as
        self._stopped = threading.Event()

    def of_key(self, key: str) -> Report:
        """Verify the delivery whose manifest lies at ``key`` in the bucket.

        :raises XacctError: the manifest could not be looked at.
        """
        uri = self._place.uri_of(key)
        found = self._reader.read(key, MANIFEST_MAX_BYTES + 1)
        if found is None:
            missing = "there is no manifest, so nothing was delivered whole"
            return self._report(uri, Claims(about={}), problems=(missing,), absent=True)
        body, etag = found

        def unchanged() -> bool:
            now = self._reader.head(key)
            return now is not None and now.etag == etag

        return self._verify(uri, body, own_key=key, unchanged=unchanged)

    def of_copy(self, path: str, body: bytes) -> Report:
        """Verify against a local copy of a manifest.

        :param path: for the report.
        """
        return self._verify(path, body, own_key="", unchanged=lambda: True)

    def _verify(self, uri: str, body: bytes, *, own_key: str, unchanged: Callable[[], bool]) -> Report:
        claims = read_claims(body, self._place)
        if claims.state != "complete":
            under_way = [_UNDER_WAY[claims.state]] if claims.state in _UNDER_WAY else []
            return self._report(uri, claims, problems=(*under_way, *claims.problems), objects=_unasked(claims.entries))
        objects = self._objects(claims)
        extra = self._extra(claims, own_key)
        problems, unseen = list(claims.problems), []
        if self._wishes.strict and extra.count:
            problems.append(f"the manifest does not name {_counted(extra.count)} below its prefix")
        if self._wishes.strict and (extra.why_not or not extra.complete):
            unseen.append(f"what else is below the prefix: {extra.why_not or 'too many objects to list them all'}")
        if not unchanged():
            problems.append("the manifest changed meanwhile, so this is of no one delivery: look again")
        return self._report(
            uri, claims, problems=tuple(problems), unseen=tuple(unseen), objects=tuple(objects), extra=extra
        )

    def _report(
        self,
        uri: str,
        claims: Claims,
        *,
        problems: tuple[str, ...] = (),
        unseen: tuple[str, ...] = (),
        objects: tuple[ObjectReport, ...] = (),
        extra: Extra | None = None,
        absent: bool = False,
    ) -> Report:
        return Report(
            uri=uri,
            place=self._place.uri,
            expected_owner=self._owner,
            looked_as=self._looked_as,
            recompute=self._wishes.recompute,
            strict=self._wishes.strict,
            claims=claims,
            absent=absent,
            problems=problems,
            unseen=unseen,
            objects=objects,
            extra=extra or Extra(),
        )

    def _objects(self, claims: Claims) -> list[ObjectReport]:
        entries = claims.entries + claims.beside
        asked = [entry for entry in entries if entry.key]
        self._progress.begin(len(entries), sum(entry.size_bytes or 0 for entry in asked))
        pool = ThreadPoolExecutor(self._wishes.jobs, thread_name_prefix="verify")
        try:
            return list(pool.map(lambda claim: self._check(claim, claims.csv), entries))
        except BaseException:
            # also after Ctrl-C: nobody waits for gigabytes that nobody wants any more
            self._stopped.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _check(self, claim: Claim, csv: CsvForm) -> ObjectReport:
        found = check_object(claim, self._reader, csv, recompute=self._wishes.recompute, told=self._read)
        self._progress.advance(objects=1)
        return found

    def _read(self, size_bytes: int) -> None:
        if self._stopped.is_set():
            raise OutcomeUnknownError("it was not looked at to its end")
        self._progress.advance(size_bytes=size_bytes)

    def _extra(self, claims: Claims, own_key: str) -> Extra:
        folder = own_key[: own_key.rfind("/") + 1]
        known = {entry.key for entry in claims.entries + claims.beside} | {own_key, f"{folder}_SUCCESS"}
        known |= {self._place.key_of(url) for url in claims.skipped if not self._place.problem_of(url)}
        keys: list[str] = []
        versions = folder + _VERSIONS_FOLDER
        this_version = f"{versions}{claims.version}/"
        count, older, listing = 0, 0, self._reader.listing()
        try:
            for key in _at_most(listing, len(known) + _MOST_LISTED):
                if key.startswith(versions) and not key.startswith(this_version):
                    older += 1
                elif key not in known:
                    count += 1
                    keys += [key] if len(keys) < _MOST_KEPT else []
            complete = next(listing, None) is None
        except XacctError as error:
            return Extra(why_not=str(error))
        return Extra(count=count, keys=tuple(keys), complete=complete, older_versions=older)


def _at_most(keys: Iterator[str], number: int) -> Iterator[str]:
    for _, key in zip(range(number), keys, strict=False):
        yield key


def _unasked(entries: tuple[Claim, ...]) -> tuple[ObjectReport, ...]:
    """Objects of a manifest that is none: named, and not looked at."""
    return tuple(
        ObjectReport(url=entry.url, problems=entry.problems, unseen=("it was not looked at",)) for entry in entries
    )


def _counted(number: int) -> str:
    return "1 object" if number == 1 else f"{number:,} objects"
