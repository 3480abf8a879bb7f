"""The plan of a SQL dump: a query, and the objects its rows become while they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_xacct._startup import collections_put_off
from airflow_xacct.destination import Destination
from airflow_xacct.dump.dump_keys import wrapper_suffix
from airflow_xacct.dump.formats import CsvOptions
from airflow_xacct.dump.landing import Landing, LandingSpec
from airflow_xacct.dump.pipeline import DumpSpec, dump_objects
from airflow_xacct.dump.plan import DeliveryPlan
from airflow_xacct.dump.sources.sql.open import FastPath, Wants, open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import Hook, ReadOptions

__all__ = ["SqlDumpSpec", "open_sql_dump"]

_PARQUET_BLOCKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlDumpSpec:
    """What a task declares, after its templates were rendered; see ``CrossAccountSqlDumpOperator``.

    :param objects: format, compression, partitions and sizes.
    :param landing: the manifest, what S3 stores beside the objects, and what happens where objects are already.
    """

    sql: str
    objects: DumpSpec
    parameters: Any = field(default=None, repr=False)
    read: ReadOptions = field(default_factory=ReadOptions)
    fast_path: FastPath = "auto"
    landing: LandingSpec = field(default_factory=LandingSpec)


@contextmanager
def open_sql_dump(hook: Hook, spec: SqlDumpSpec, destination: Destination) -> Iterator[DeliveryPlan]:
    """Ask the database, and plan the objects; the query ends with the block.

    Everything that can be wrong with the declaration is found before the database is asked, and everything that the
    database refuses before anything is sent.

    :param hook: a ``DbApiHook`` of Airflow.
    :raises InvalidArgumentError: arguments that contradict each other or cannot be used.
    :raises OutsideDestinationError: a key that leads out of the connection's prefix.
    :raises SourceError: the database refused, or cannot be read.
    """
    query_sha256 = hashlib.sha256(spec.sql.encode()).hexdigest()
    objects = replace(spec.objects, provenance={**spec.objects.provenance, "query_sha256": query_sha256})
    with collections_put_off():  # pyarrow comes in here
        form = objects.check()
        query = SqlQuery(spec.sql, spec.parameters, tuple(objects.partition_by))
        suffix = wrapper_suffix(form, objects.kind(form))
        landing = Landing(spec.landing, destination, key=objects.key, partitions=objects.partitions, suffix=suffix)
        source = open_sql_source(hook, query, wants=_wants(objects), fast_path=spec.fast_path, options=_read(spec))
    with dump_objects(source, objects, destination, landing.attributes) as dump:
        yield landing.plan(dump, _signature(spec), query_sha256=query_sha256)


def _read(spec: SqlDumpSpec) -> ReadOptions:
    """Larger blocks for Parquet, whose row groups take much more memory than they: it is a twentieth faster."""
    if spec.objects.format != "parquet":
        return spec.read
    return replace(spec.read, block_bytes=_PARQUET_BLOCKS * spec.read.block_bytes)


def _wants(objects: DumpSpec) -> Wants:
    """The server's own CSV, where it is what was asked for."""
    plain = objects.format_options in (CsvOptions(), CsvOptions(header=False))
    return "text_csv" if objects.format == "csv" and not objects.partition_by and plain else "arrow"


def _signature(spec: SqlDumpSpec) -> str:
    """A digest of the query and what becomes of it: when it changes, a committed dump is made anew."""
    facts = [spec.sql, repr(spec.parameters), repr(spec.objects), sorted(spec.read.column_types.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
