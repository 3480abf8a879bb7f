"""Dumps from SQLite through the real pipeline into a bucket that may fail at any call, and what must hold there."""

from __future__ import annotations

import copy
import csv
import io
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from airflow_xacct.delivery.checksum import checksum_of
from airflow_xacct.delivery.fake_store import FakeObject, FakeStore
from airflow_xacct.delivery.log import MemoryLog
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.destination import parse
from airflow_xacct.dump.landing import LandingSpec
from airflow_xacct.dump.pipeline import DumpSpec
from airflow_xacct.dump.sql import SqlDumpSpec, open_sql_dump
from tests.faults.fault_harness import FOREIGN, MANIFEST, World, manifest_never_names_a_mix, settings

HEADER = b"id,month,name\n"
SUCCESS = "data/_SUCCESS"
DESTINATION = parse(
    "xacct",
    {
        "role_arn": "arn:aws:iam::222222222222:role/DataDumpRole",
        "external_id": "ext-1234",
        "bucket": "bucket",
        "prefix": "data/",
    },
)
Row = tuple[int, int, str]

FIRST: list[Row] = [
    (1, 1, "one"),
    (2, 1, 'with "quotes",\nand a line'),
    (3, 1, "three"),
    (4, 2, "four"),
    (5, 3, "five"),
]
FEWER: list[Row] = [(1, 1, "one, corrected"), (4, 2, "four, corrected")]
MORE: list[Row] = [*FIRST, (6, 3, "six"), (7, 3, "seven"), (8, 4, "eight")]


class Source:
    """A SQLite file, behind what is used of Airflow's hook."""

    conn_type = "sqlite"

    def __init__(self, path: Path, rows: Sequence[Row] = FIRST) -> None:
        self.path = path
        with closing(self.get_conn()) as connection, connection:
            connection.execute("CREATE TABLE t (id INTEGER, month INTEGER, name TEXT)")
        self.hold(rows)

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)

    def hold(self, rows: Sequence[Row]) -> None:
        """Other rows from now on."""
        with closing(self.get_conn()) as connection, connection:
            connection.execute("DELETE FROM t")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)


@dataclass(frozen=True)
class Mode:
    """How a task dumps, and what its role may do.

    :param asks: ``allow_delete``.
    :param may: the role may delete.
    :param extras: with a schema file and, unless ``marker`` says otherwise, a success marker.
    """

    layout: str = "in_place"
    if_exists: str = "replace"
    asks: bool = False
    may: bool = False
    extras: bool = True
    marker: bool = True

    def __str__(self) -> str:
        delete = "deletes" if self.asks and self.may else "denied" if self.asks else "keeps"
        return f"{self.layout}-{self.if_exists}-{delete}{'' if self.extras else '-plain'}"


#: Each pair of values of two of the four choices occurs; the boundaries, at which each is killed, are all there are.
MODES = [
    Mode("in_place", "replace"),
    Mode("in_place", "replace", asks=True, extras=False),
    Mode("in_place", "error", asks=True, may=True),
    Mode("in_place", "skip", asks=True),
    Mode("versioned", "replace", asks=True, may=True),
    Mode("versioned", "error", extras=False),
    Mode("versioned", "skip", asks=True),
]


def new_world(mode: Mode, *, log: bool = True, side_by_side: int = 1, **manners: bool) -> World:
    """An empty bucket, and a role that may put and abort, and in some modes delete."""
    world = World(
        FakeStore(smallest_part_bytes=1, **manners),
        log=MemoryLog() if log else None,
        settings=settings(side_by_side, part_bytes=64),
    )
    world.store.can_head = False
    world.store.can_delete = mode.may
    return world


def copy_of(world: World) -> World:
    """The same bucket and log for one more story."""
    store = copy.copy(world.store)
    fresh = FakeStore(smallest_part_bytes=1)
    fresh.__dict__.update({k: v for k, v in store.__dict__.items() if k not in ("hook", "_lock", "_numbers")})
    fresh._numbers = copy.copy(store._numbers)  # upload ids must not come twice
    fresh.objects, fresh.history, fresh.calls = dict(store.objects), list(store.history), []
    fresh.uploads = {i: replace(u, parts=dict(u.parts)) for i, u in store.uploads.items()}
    log = None
    if world.log is not None:
        log = MemoryLog()
        log.values = dict(world.log.values)
    made = World(fresh, log=log, settings=world.settings, now=world.now, leaks=set(world.leaks))
    made.nonces = copy.copy(world.nonces)
    return made


def dump(
    world: World,
    source: Source,
    mode: Mode,
    *,
    generation: int = 0,
    run_id: str = "run",
    manifest_name: str = "manifest.json",
) -> DeliveryResult:
    """One try of the task."""
    spec = SqlDumpSpec(
        sql="SELECT id, month, name FROM t ORDER BY id",
        objects=DumpSpec(key="", format="csv", partition_by=["month"], max_rows_per_object=2),
        fast_path="forbid",
        landing=LandingSpec(
            manifest_key=manifest_name,
            if_exists=mode.if_exists,
            layout=mode.layout,
            schema_file=mode.extras,
            success_file=mode.extras and mode.marker,
        ),
    )
    with open_sql_dump(source, spec, DESTINATION) as plan:
        return world.deliver(
            plan.objects,
            generation=generation,
            run_id=run_id,
            dataset=plan.root,
            manifest="always",
            allow_delete=mode.asks,
            **{
                name: getattr(plan, name)
                for name in (
                    "manifest_key", "if_exists", "signature", "tombstone", "whole", "success_key", "stand_in",
                    "describe", "versions",
                )
            },
        )  # fmt: skip


def rows_in(body: bytes) -> list[Row]:
    """The rows of one object."""
    assert body.startswith(HEADER)
    return [(int(i), int(month), name) for i, month, name in list(csv.reader(io.StringIO(body.decode())))[1:]]


def key_of(url: str) -> str:
    return url.removeprefix("s3://bucket/")


def assert_dumped(world: World, rows: Sequence[Row], result: DeliveryResult, mode: Mode) -> None:
    """Exactly these rows are there, once, for each kind of reader; nothing is left but the documented leaks."""
    objects = world.store.objects
    shown = world.manifest()
    ours = shown["xacct"]
    entries = [key_of(entry["url"]) for entry in shown["entries"]]
    assert ours["state"] == "complete"
    assert sorted(row for key in entries for row in rows_in(objects[key].body)) == sorted(rows)
    assert (result.objects, result.rows, result.skipped) == (len(entries), len(rows), 0)
    assert result.bytes == sum(len(objects[key].body) for key in entries)
    for named in (*ours["objects"], *ours["auxiliary"], *ours["emptied"]):
        found = objects[key_of(named["url"])]
        assert (named["size_bytes"], named["checksum_crc64nvme"]) == (len(found.body), checksum_of(found.body))
        assert found.token == ours["token"] == result.token
    emptied = [key_of(named["url"]) for named in ours["emptied"]]
    assert all(objects[key].body == HEADER for key in emptied if key != SUCCESS)
    assert not (emptied and mode.asks and mode.may)
    # whoever reads the prefix, and passes over names that begin with "_", reads the same rows
    emptied = [key for key in emptied if key != SUCCESS]
    readable = {key for key in objects if not {"_versions", "_schema.json", "_SUCCESS"} & set(key.split("/"))}
    assert readable - {MANIFEST} == (set() if mode.layout == "versioned" else {*entries, *emptied})
    auxiliary = [key_of(named["url"]) for named in ours["auxiliary"]]
    assert [key.rpartition("/")[2] for key in auxiliary] == ["_schema.json"] * mode.extras
    if mode.extras:
        assert objects[SUCCESS].body == b"", "of a task that does not ask for one any more, too"
        assert objects[SUCCESS].token == result.token
        assert [column["name"] for column in json.loads(objects[auxiliary[0]].body)["columns"]] == [
            "id",
            "month",
            "name",
        ]
    assert ours["dump"]["layout"] == mode.layout
    assert [column["name"] for column in ours["dump"]["columns"]] == ["id", "month", "name"]
    if mode.layout == "versioned":
        folder = f"data/_versions/{ours['dump']['version']}/"
        assert all(key.startswith(folder) for key in (*entries, *auxiliary))
        if mode.asks and mode.may:
            assert all(key.startswith(folder) for key in objects if "_versions" in key)
    assert set(world.store.open_uploads) == world.leaks


def assert_readers_saw_no_mix(world: World, mode: Mode) -> None:
    """Replay the bucket, object by object, as its readers saw it."""
    manifest_never_names_a_mix(world)
    visible: dict[str, FakeObject] = {}
    pointed = False
    for key, found in world.store.history:
        if found is None:
            visible.pop(key, None)
        else:
            visible[key] = found
        manifest = visible.get(MANIFEST)
        shown = json.loads(manifest.body) if manifest is not None and manifest.token else None
        complete = shown is not None and shown["xacct"]["state"] == "complete"
        if mode.layout == "versioned" and pointed:
            assert complete, "the manifest names one version or the next, and is never empty in between"
        pointed = pointed or complete
        if complete and mode.layout == "in_place":
            for other, standing in visible.items():
                if other.endswith(".csv") and standing.body not in (HEADER, FOREIGN):
                    assert standing.token == manifest.token, "whoever waits for the manifest reads no stale row"
        marked = SUCCESS in visible and visible[SUCCESS].token
        if marked and mode.asks and mode.may:
            assert complete, "the marker says that all is there"
