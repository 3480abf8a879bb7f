"""What Account B finds in its bucket after the run, compared with the source value by value.

The receiver's way is taken: the manifest of each table at its fixed key, ``verify`` as the command does it, and a
reader of Parquet over the folder. Nothing Airflow says about itself is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_xacct.demo import nycflights
from airflow_xacct.demo.findings import Finding, counted
from airflow_xacct.demo.receiver import FOLDER, PARTITION, PARTITIONED, Landing, Receiver
from airflow_xacct.demo.source import Source
from airflow_xacct.exceptions import XacctError
from airflow_xacct.verify.report import Report
from airflow_xacct.verify.run import Progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NoProgress", "check_delivery"]

_MOST_PROBLEMS = 3


class NoProgress:
    """Says nothing."""

    def begin(self, objects: int, size_bytes: int) -> None:
        """See :class:`airflow_xacct.verify.run.Progress`."""

    def advance(self, *, objects: int = 0, size_bytes: int = 0) -> None:
        """See :class:`airflow_xacct.verify.run.Progress`."""


def check_delivery(receiver: Receiver, source: Source, progress: Progress | None = None) -> list[Finding]:
    """Every check of the bucket: each table, its manifest, the partitions, and what must not be there.

    :param source: the database that was dumped.
    :param progress: told of each table's objects while they are read.
    """
    tables = [_Table.read(receiver, name, progress or NoProgress()) for name in nycflights.TABLES]
    landing = receiver.look()
    return [
        *(_check_table(table, source.rows[table.name]) for table in tables),
        _check_manifests(tables),
        _check_partitions(receiver, source.flights_by_month),
        _check_nothing_else(tables, landing, receiver),
        _check_open_uploads(landing),
    ]


@dataclass(frozen=True, slots=True)
class _Table:
    """What B can say of one table.

    :param report: ``None`` where it could not be verified at all; ``why_not`` then says why.
    :param rows: all of them; ``None`` where they cannot be read.
    """

    name: str
    report: Report | None
    rows: pa.Table | None
    why_not: str = ""

    @classmethod
    def read(cls, receiver: Receiver, name: str, progress: Progress) -> _Table:
        import pyarrow as pa

        report = None
        try:
            report = receiver.verify(name, progress)
            return cls(name, report, receiver.rows(name))
        except (OSError, KeyError, XacctError, pa.ArrowException) as error:
            return cls(name, report, None, str(error).splitlines()[0])


def _check_table(table: _Table, source_rows: int) -> Finding:
    if table.rows is None or table.report is None:
        return Finding.of(table.name, "not readable", [table.why_not])
    rows, problems = table.rows.num_rows, []
    if rows != source_rows:
        problems.append(f"{rows:,} rows, and the database has {source_rows:,}")
    if table.name == "flights" and rows != nycflights.FLIGHTS:
        problems.append(f"{rows:,} rows, and the data set is known for {nycflights.FLIGHTS:,}")
    if table.report.claims.rows != rows:
        problems.append(f"the manifest says {table.report.claims.rows} rows")
    problems += _different_columns(table.rows, nycflights.read_table(table.name))
    claims = table.report.claims
    detail = (
        f"{counted(rows, 'row')} in {counted(len(claims.entries), 'object')}, {counted(claims.size_bytes, 'byte')}, "
        "each value as in the source"
    )
    return Finding.of(table.name, detail, problems)


def _different_columns(found: pa.Table, expected: pa.Table) -> list[str]:
    """What differs, whatever order the rows are in."""
    if found.num_rows != expected.num_rows:
        return []  # said already
    order = [(name, "ascending") for name in expected.schema.names]
    found, expected = found.sort_by(order), expected.sort_by(order)
    wrong = [name for name in expected.schema.names if not found[name].equals(expected[name])]
    return [f"other values than in the source: {', '.join(wrong)}"] if wrong else []


def _check_manifests(tables: list[_Table]) -> Finding:
    problems = []
    for table in tables:
        if table.report is None:
            problems.append(f"{table.name}: {table.why_not}")
            continue
        report = table.report
        said = [*report.problems, *report.unseen]
        for one in report.objects:
            said += [f"{one.url}: {text}" for text in (*one.problems, *one.unseen)]
            if one.counted_rows is None or one.recomputed_checksum is None:
                said.append(f"{one.url}: its rows and bytes were not looked at")
            elif not one.stored_checksum:
                said.append(f"{one.url}: S3 keeps no CRC64NVME of the whole object")
        problems += [f"{table.name}: {text}" for text in said[:_MOST_PROBLEMS]]
    objects = sum(len(table.report.objects) for table in tables if table.report)
    detail = (
        f"{len(tables)} manifests, true of {counted(objects, 'object')}: size, rows, and the CRC64NVME of every byte; "
        "in Redshift's form"
    )
    return Finding.of("manifests", detail, problems)


def _check_partitions(receiver: Receiver, months: Mapping[int, int]) -> Finding:
    """Each file holds one month and says so in its path and, since the column stays, in its rows."""
    import pyarrow as pa

    found: dict[str, int] = {}
    problems = []
    try:
        for fragment in receiver.files(PARTITIONED).get_fragments():
            folder = fragment.path.rsplit("/", 2)[-2]
            values = fragment.to_table(columns=[PARTITION])[PARTITION]
            found[folder] = found.get(folder, 0) + len(values)
            inside = values.unique().to_pylist()
            if [f"{PARTITION}={value}" for value in inside] != [folder]:
                problems.append(f"{folder} holds {', '.join(map(str, inside))}")
    except (OSError, KeyError, pa.ArrowException) as error:
        problems.append(str(error).splitlines()[0])
    expected = {f"{PARTITION}={month}": rows for month, rows in months.items()}
    problems += [
        f"{name} has {found.get(name, 0):,} rows, and the database has {expected.get(name, 0):,}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ][:_MOST_PROBLEMS]
    detail = (
        f"{PARTITIONED} by {PARTITION}: {len(found)} folders, each with its own rows, the column still in the files"
    )
    return Finding.of("partitions", detail, problems)


def _check_nothing_else(tables: list[_Table], landing: Landing, receiver: Receiver) -> Finding:
    named = {entry.key for table in tables if table.report for entry in table.report.claims.entries}
    named |= {receiver.manifest_key(table.name) for table in tables}
    outside = [key for key in landing.sizes_bytes if not key.startswith(receiver.prefix)]
    extra = set(landing.sizes_bytes) - named - set(outside)
    problems = [f"{key} is outside the prefix" for key in outside]
    problems += [f"{key} is in no manifest" for key in sorted(extra)]
    detail = f"{counted(len(landing.sizes_bytes), 'object')} in the bucket, all below {receiver.prefix}{FOLDER}"
    return Finding.of("nothing else", detail, problems)


def _check_open_uploads(landing: Landing) -> Finding:
    problems = [f"{key} is half uploaded, and costs money until it is aborted" for key in landing.open_uploads]
    return Finding.of("open uploads", "none, so nothing half sent is stored and paid for", problems)
