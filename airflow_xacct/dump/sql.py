"""The plan of a SQL dump: a query, and the objects its rows become while they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.destination import Destination, resolve_key, resolve_prefix
from airflow_xacct.dump.formats import CsvOptions
from airflow_xacct.dump.naming import partition_path
from airflow_xacct.dump.pipeline import DumpSpec, dump_objects
from airflow_xacct.dump.plan import DEFAULT_MANIFEST_NAME, DeliveryPlan, IfExists, check_if_exists, text_mapping
from airflow_xacct.dump.sources.sql.open import FastPath, Wants, open_sql_source
from airflow_xacct.dump.sources.sql.query import SqlQuery
from airflow_xacct.dump.sources.sql.session import Hook, ReadOptions
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["SqlDumpSpec", "open_sql_dump"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlDumpSpec:
    """What a task declares, after its templates were rendered; see ``CrossAccountSqlDumpOperator``.

    :param objects: format, compression, partitions and sizes.
    """

    sql: str
    objects: DumpSpec
    parameters: Any = field(default=None, repr=False)
    read: ReadOptions = field(default_factory=ReadOptions)
    fast_path: FastPath = "auto"
    metadata: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    storage_class: str | None = None
    kms_key_id: str | None = None
    manifest: bool | None = None
    manifest_key: str | None = None
    if_exists: IfExists = "replace"


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
    check_if_exists(spec.if_exists)
    objects = spec.objects
    objects.check()
    query = SqlQuery(spec.sql, spec.parameters, tuple(objects.partition_by))
    folder = objects.key[: objects.key.rfind("/") + 1] + partition_path(objects.partitions or {})
    exact = bool(objects.key) and not objects.key.endswith("/")
    root = resolve_key(destination, objects.key) if exact else resolve_prefix(destination, folder)
    manifest_key = _manifest_key(spec, destination, folder, exact=exact)
    attributes = ObjectAttributes(
        storage_class=spec.storage_class or "",
        kms_key_id=spec.kms_key_id or destination.kms_key_id or "",
        metadata=text_mapping(spec.metadata, "metadata"),
        tags=text_mapping(spec.tags, "tags"),
    )
    source = open_sql_source(hook, query, wants=_wants(objects), fast_path=spec.fast_path, options=spec.read)
    with dump_objects(source, objects, destination, attributes) as dump:
        yield DeliveryPlan(
            objects=dump,
            manifest_key=manifest_key,
            attributes=ObjectAttributes(
                content_type="application/json",
                storage_class=attributes.storage_class,
                kms_key_id=attributes.kms_key_id,
                metadata=attributes.metadata,
                tags=attributes.tags,
            ),
            root=root,
            if_exists=spec.if_exists,
            signature=_signature(spec),
        )


def _wants(objects: DumpSpec) -> Wants:
    """The server's own CSV, where it is what was asked for."""
    plain = objects.options is None or objects.options in (CsvOptions(), CsvOptions(header=False))
    return "text_csv" if objects.format == "csv" and not objects.partition_by and plain else "arrow"


def _manifest_key(spec: SqlDumpSpec, destination: Destination, folder: str, *, exact: bool) -> str | None:
    """A dump to a prefix has one, so that its readers need not know how many objects there are today."""
    wanted = spec.manifest if spec.manifest is not None else (not exact or spec.manifest_key is not None)
    if not wanted:
        return None
    key = resolve_key(destination, spec.manifest_key or folder + DEFAULT_MANIFEST_NAME)
    if exact and key == resolve_key(destination, spec.objects.key):
        raise InvalidArgumentError(
            f"the manifest and the object share the key {key!r}",
            where="manifest_key",
            remedy="Give the manifest another key, or set manifest=False.",
        )
    return key


def _signature(spec: SqlDumpSpec) -> str:
    """A digest of the query and what becomes of it: when it changes, a committed dump is made anew."""
    facts = [spec.sql, repr(spec.parameters), repr(spec.objects), sorted(spec.read.column_types.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
