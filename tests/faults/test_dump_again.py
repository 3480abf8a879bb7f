"""A dump that runs again: other rows, fewer objects, another layout; with the right to delete and without it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_xacct.delivery.commit import DeliveryEngine
from airflow_xacct.delivery.fake_store import FakeStore
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.log import MAX_VALUE_BYTES, MemoryLog
from airflow_xacct.delivery.manifest import Manifest
from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.exceptions import ObjectExistsError, OutcomeUnknownError, StaleObjectsError
from tests.faults.dump_harness import (
    FEWER,
    FIRST,
    HEADER,
    MODES,
    MORE,
    SUCCESS,
    Mode,
    Source,
    assert_dumped,
    assert_readers_saw_no_mix,
    dump,
    key_of,
    new_world,
)
from tests.faults.fault_harness import FOREIGN, MANIFEST, Killed, World

SURPLUS = ["data/month=1/part-00001.csv", "data/month=3/part-00000.csv"]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "t.db")


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_many_times_with_more_and_fewer_objects(source: Source, mode: Mode) -> None:
    """Whatever the earlier delivery held, the newest rows are there once."""
    world = new_world(mode)
    for generation, rows in enumerate((FIRST, FEWER, FEWER, MORE, [], FIRST)):
        source.hold(rows)
        result = dump(world, source, mode, generation=generation)
        assert_dumped(world, rows, result, mode)
        assert dump(world, source, mode, generation=generation) == result
    assert_readers_saw_no_mix(world, mode)


def test_surplus_objects_are_emptied(source: Source) -> None:
    """Without the right to delete: a header is left, and the manifest says what it is; entries and totals do not."""
    mode = Mode()
    world = new_world(mode)
    dump(world, source, mode)
    source.hold(FEWER)
    assert_dumped(world, FEWER, dump(world, source, mode, generation=1), mode)
    manifest = Manifest.parse(world.store.objects[MANIFEST].body)
    assert [entry.url for entry in manifest.emptied] == [f"s3://bucket/{key}" for key in SURPLUS]
    assert [world.store.objects[key].body for key in SURPLUS] == [HEADER, HEADER]
    assert world.store.objects[SURPLUS[0]].attributes.content_type == "text/csv"
    # and rows come back where they were emptied
    source.hold(FIRST)
    assert_dumped(world, FIRST, dump(world, source, mode, generation=2), mode)
    assert world.manifest()["xacct"]["emptied"] == []


@pytest.mark.parametrize("may", [False, True])
def test_surplus_objects_are_deleted_where_that_is_allowed(source: Source, may: bool) -> None:
    """A role that may not delete although it was asked to: found out at once, and they are emptied instead."""
    mode = Mode(asks=True, may=may)
    world = new_world(mode)
    dump(world, source, mode)
    source.hold(FEWER)
    before = len(world.store.calls)
    assert_dumped(world, FEWER, dump(world, source, mode, generation=1), mode)
    calls = world.store.calls[before:]
    order = [(call.operation, call.key) for call in calls if call.operation in ("delete", "put", "complete")]
    assert order.index(("put", MANIFEST)) < order.index(("complete", "data/month=1/part-00000.csv"))
    assert (set(SURPLUS) & set(world.store.objects) == set()) == may
    assert [operation for operation, key in order if key == SURPLUS[0]] == ["delete"] if may else ["delete", "complete"]
    deletes = [key for operation, key in order if operation == "delete"]
    assert deletes[0] == SUCCESS, "the marker goes before anything is replaced"
    assert deletes[1:] == (SURPLUS if may else SURPLUS[:1]), "after a refusal the others are not tried"
    assert order[-1] == ("complete", SUCCESS)


def test_a_key_of_another_format_cannot_be_emptied(source: Source) -> None:
    """An object whose name says something else would not be what it says: refused before anything is visible."""
    mode = Mode()
    world = new_world(mode)
    dump(world, source, mode)
    world.log.values = {
        key: value.replace("month=3/part-00000.csv", "month=3/part-00000.csv.gz")
        for key, value in world.log.values.items()
    }
    world.log.values["xacct/delivery"] = json.dumps(json.loads(world.log.values["xacct/delivery"]) | {"entries": 0})
    before = dict(world.store.objects)
    source.hold(FEWER)
    with pytest.raises(StaleObjectsError, match=r"would stay beside the new ones: data/month=3/part-00000\.csv\.gz"):
        dump(world, source, mode, generation=1)
    assert world.store.objects == before
    assert not world.store.open_uploads


@pytest.mark.parametrize("asks", [False, True])
def test_a_marker_and_a_schema_that_are_not_asked_for_any_more(source: Source, asks: bool) -> None:
    """A marker says nothing wrong and stays; a schema of other data would, so it has to be deleted."""
    mode = Mode(asks=asks, may=asks)
    world = new_world(mode)
    dump(world, source, mode)
    plain = replace(mode, extras=False)
    if not asks:
        with pytest.raises(StaleObjectsError, match=r"_schema\.json"):
            dump(world, source, plain, generation=1)
        unmarked = replace(mode, marker=False)
        assert_dumped(world, FIRST, dump(world, source, unmarked, generation=1), unmarked)
        assert [entry["url"] for entry in world.manifest()["xacct"]["emptied"]] == [f"s3://bucket/{SUCCESS}"]
        return
    assert_dumped(world, FIRST, dump(world, source, plain, generation=1), plain)
    assert not {SUCCESS, "data/_schema.json"} & set(world.store.objects)


@pytest.mark.parametrize("asks", [False, True])
def test_from_one_layout_to_the_other_and_back(source: Source, asks: bool, caplog) -> None:
    """In the same run: what lies in place is deleted or emptied; a version is deleted, or left and named."""
    in_place, versioned = (Mode(layout, asks=asks, may=asks, extras=False) for layout in ("in_place", "versioned"))
    world = new_world(in_place)
    dump(world, source, in_place)
    source.hold(FEWER)
    result = dump(world, source, versioned, generation=1)
    left = {key: found.body for key, found in world.store.objects.items() if key.startswith("data/month=")}
    assert set(left.values()) == (set() if asks else {HEADER})
    for key in left:
        world.store.objects.pop(key)
    manifest = world.manifest()["xacct"]
    assert len(manifest["emptied"]) == (0 if asks else 4)
    assert (result.objects, result.rows) == (2, 2)
    with caplog.at_level(logging.INFO):
        result = dump(world, source, in_place, generation=2)
    assert_dumped(world, FEWER, result, in_place)
    versions = {key for key in world.store.objects if key.startswith("data/_versions/")}
    assert bool(versions) == (not asks)
    assert (f"stay below s3://bucket/data/_versions/: {manifest['dump']['version']}." in caplog.text) == (not asks)


@pytest.mark.parametrize("may", [False, True])
def test_older_versions(source: Source, may: bool, caplog) -> None:
    """Deleted after the manifest names the new one; a role that may not delete leaves them, and that is no error."""
    mode = Mode("versioned", asks=True, may=may)
    world = new_world(mode)
    versions = []
    for generation, rows in enumerate((FIRST, FEWER)):
        source.hold(rows)
        with caplog.at_level(logging.INFO):
            assert_dumped(world, rows, dump(world, source, mode, generation=generation), mode)
        versions.append(world.manifest()["xacct"]["dump"]["version"])
    first = [key for key, found in world.store.objects.items() if versions[0] in key]
    assert len(first) == (0 if may else 5)
    assert (f"{versions[0]}. They could not be deleted: s3:DeleteObject was denied" in caplog.text) == (not may)
    assert versions[0].startswith("2025100")
    assert versions[0] != versions[1]


def test_a_resumed_try_keeps_its_version(source: Source) -> None:
    """Killed while staging: the next try goes on in the same folder, and sends no byte twice that it need not."""
    mode = Mode("versioned")
    world = new_world(mode)
    world.on_call = lambda call, when: world.kill() if (call.operation, call.nth) == ("part", 4) else None
    with pytest.raises(Killed):
        dump(world, source, mode)
    staged = {upload.key.split("/")[2] for upload in world.store.open_uploads.values()}
    world.heal()
    world.now += 3600
    assert_dumped(world, FIRST, dump(world, source, mode), mode)
    assert staged == {world.manifest()["xacct"]["dump"]["version"]}


def test_what_the_manifest_says_of_the_dump(source: Source) -> None:
    """Enough to make a table and to read the objects; the same bytes when a later try writes it."""
    mode = Mode("versioned")
    world = new_world(mode)
    dump(world, source, mode)
    described = world.manifest()["xacct"]["dump"]
    assert list(described) == [
        "format", "compression", "options", "columns", "partition_columns", "query_sha256", "layout", "version",
    ]  # fmt: skip
    assert (described["format"], described["compression"], described["options"]["header"]) == ("csv", "none", True)
    assert described["columns"][0]["name"] == "id"
    assert described["partition_columns"] == [{"name": "month", "type": "int64", "in_objects": True}]
    assert len(described["query_sha256"]) == 64
    assert Manifest.parse(world.store.objects[MANIFEST].body).render() == world.store.objects[MANIFEST].body


def test_a_long_description_goes_through_the_log_in_pieces() -> None:
    """No value is larger than Airflow likes, and a later try puts what the first one would have put."""
    wide = {"columns": [{"name": f'größe "{n}" \'\\', "type": "decimal128(38, 9)"} for n in range(1500)]}
    identity = DeliveryIdentity(
        conn_id="c", bucket="b", account="2" * 12, dag_id="d", task_id="t", run_id="r", dataset="data/"
    )
    bodies = []
    for killed in (False, True):
        store, log = FakeStore(), MemoryLog()
        engine = DeliveryEngine(store, log, identity, clock=lambda: 0.0, new_nonce=lambda: "n")

        def kill(call, moment, killed=killed) -> None:
            if killed and call.operation == "put" and call.nth == 2:
                raise KeyboardInterrupt

        store.hook = kill
        plan = [ObjectPlan("data/a", BytesPayload("a", b"a", rows=1))]
        for describe in (lambda: wide, None):
            try:
                engine.deliver(plan, if_exists="replace", manifest="always", manifest_key=MANIFEST, describe=describe)
            except KeyboardInterrupt:
                store.hook = None
        bodies.append(json.loads(store.objects[MANIFEST].body)["xacct"]["dump"])
        assert max(map(len, log.values.values())) <= MAX_VALUE_BYTES
        loaded = DeliveryLog(log, "xacct/delivery", lambda: 0.0).load()
        assert loaded is not None
        assert loaded.description == wide
    assert bodies == [wide, wide]


def test_a_take_back_that_is_refused_is_not_forgotten(source: Source) -> None:
    """What a failed dump could not delete again is ours, and has no place in the next one: it is emptied there."""
    mode = Mode(if_exists="error", asks=True, extras=False)
    world = new_world(mode)
    source.hold(MORE)
    world.store.place("data/month=4/part-00000.csv", FOREIGN)
    with pytest.raises(ObjectExistsError, match="visible already"):
        dump(world, source, mode)
    del world.store.objects["data/month=4/part-00000.csv"]
    source.hold(FEWER)
    assert_dumped(world, FEWER, dump(world, source, mode, generation=1), mode)
    assert len(world.manifest()["xacct"]["emptied"]) == 3


@pytest.mark.parametrize("there", [True, False])
def test_a_take_back_that_was_cut_short(source: Source, there: bool) -> None:
    """Killed at the first Delete: whether it was carried out nobody knows, so S3 is asked by a conditional write."""
    mode = Mode(if_exists="error", asks=True, may=True, extras=False)
    world = new_world(mode)
    source.hold(MORE)
    world.store.place("data/month=4/part-00000.csv", FOREIGN)
    moment = "before" if there else "after"
    world.on_call = lambda call, when: world.kill() if (call.operation, when) == ("delete", moment) else None
    with pytest.raises(Killed):
        dump(world, source, mode)
    world.heal()
    ours = {key for key, found in world.store.objects.items() if found.token}
    assert (MANIFEST in ours) == there, "the first one to be deleted"
    source.hold(FEWER)
    with pytest.raises(OutcomeUnknownError, match="Let the owner of the bucket look"):
        dump(world, source, mode, generation=1)
    assert {key for key, found in world.store.objects.items() if found.token} == ours | {MANIFEST}
    # which the owner did
    world.store.objects.clear()
    assert_dumped_with_empty_places(world, dump(world, source, mode, generation=1))


def assert_dumped_with_empty_places(world: World, result: DeliveryResult) -> None:
    """What the answer to a conditional write leaves behind: objects without rows, and the manifest says so."""
    emptied = [key_of(entry["url"]) for entry in world.manifest()["xacct"]["emptied"]]
    assert {world.store.objects[key].body for key in emptied} == {HEADER}
    for key in emptied:
        del world.store.objects[key]
    assert (result.objects, result.rows) == (2, 2)
    assert len(world.bodies()) == 2
