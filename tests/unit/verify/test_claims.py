"""A manifest is somebody else's text: bounded, typed, and never asked for what lies elsewhere."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_xacct.delivery.manifest import Manifest, ManifestEntry
from airflow_xacct.verify import claims as module
from airflow_xacct.verify.claims import read_claims
from airflow_xacct.verify.place import Place

PLACE = Place("acme-landing", "airflow/orders/")
CHECKSUM = "AAAAAAAAAAA="


def document(*, state: Any = "complete", rows: int | None = 2) -> dict[str, Any]:
    """A manifest as the package writes it."""
    entries = tuple(
        ManifestEntry(
            url=f"s3://acme-landing/airflow/orders/{name}.csv", size_bytes=10, checksum_crc64nvme=CHECKSUM, rows=rows
        )
        for name in "ab"
    )
    manifest = Manifest(
        state=state, token="t", dag_id="d", task_id="t", run_id="r", map_index=-1, generation=0, session_arn="s",
        created_at="2026-11-24T00:00:00+00:00", entries=entries,
    )  # fmt: skip
    made: dict[str, Any] = json.loads(manifest.render())
    return made


def read(document: Any) -> module.Claims:
    return read_claims(document if isinstance(document, bytes) else json.dumps(document).encode(), PLACE)


def test_what_the_package_writes_has_no_problem() -> None:
    """Every fact of it is taken over."""
    found = read(document())
    assert (found.state, found.problems, found.size_bytes, found.rows) == ("complete", (), 20, 4)
    assert [entry.key for entry in found.entries] == ["airflow/orders/a.csv", "airflow/orders/b.csv"]
    assert read(document(rows=None)).problems == ()


def test_what_a_later_version_adds_is_no_problem() -> None:
    """Keys that this version does not know say nothing to it."""
    later = document()
    later["xacct"]["schema"] = [{"name": "id"}]
    later["xacct"]["objects"][0]["partition"] = {"ds": "2013-01-01"}
    assert read(later).problems == ()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "it is not JSON"),
        (b"[]", "no object 'xacct'"),
        (b"null", "no object 'xacct'"),
        (b'{"xacct": []}', "no object 'xacct'"),
        (b'{"entries": []}', "no object 'xacct'"),
        (b'{"xacct": {"format_version": 2}}', "format version 2"),
        (b'{"xacct": {"format_version": true}}', "format version True"),
        (b'{"xacct": {"format_version": "1"}}', "format version '1'"),
        (b'{"xacct": {}, "xacct": {}}', "the key 'xacct' stands twice"),
        (b'{"xacct": NaN}', "NaN is no JSON"),
        (b'{"xacct": -Infinity}', "-Infinity is no JSON"),
        (b"\xff\xfe{\x00}\x00", "it is not UTF-8"),
        (b'\xef\xbb\xbf{"xacct": {}}', "it is not JSON"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"xacct": ' + b"9" * 5000 + b"}", "it is no manifest"),
        (b"\x00" * 100, "it is not JSON"),
        (b" " * (module.MANIFEST_MAX_BYTES + 1), "larger than"),
        (b"{" + b"," * module.MANIFEST_MAX_VALUES + b"}", "more than 4,000,000 values"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_manifest_says_why(body: bytes, text: str) -> None:
    """One problem, of a length that a person can read."""
    found = read(body)
    assert (found.state, found.entries) == ("", ())
    (problem,) = found.problems
    assert text in problem
    assert len(problem) < 200


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d["xacct"].update(state="done"), "its state is 'done'"),
        (lambda d: d["xacct"].update(state=["complete"]), "its state is ['complete']"),
        (lambda d: d["xacct"].update(state="replacing"), "names objects all the same"),
        (lambda d: d["xacct"].update(dag_id=7), "its dag_id is an integer"),
        (lambda d: d["xacct"].pop("skipped"), "its skipped is null"),
        (lambda d: d.update(entries={}), "its entries is an object"),
        (lambda d: d["entries"].pop(), "it lists 1 objects to load, and describes 2"),
        (lambda d: d["entries"].reverse(), "entry 1 is another object"),
        (lambda d: d["entries"][1].update(mandatory=False), "entry 2 is not mandatory"),
        (lambda d: d["entries"][1].update(meta=[]), "entry 2 has another content_length"),
        (lambda d: d["entries"][0]["meta"].update(content_length=10.0), "entry 1 has another content_length"),
        (lambda d: d["entries"].__setitem__(0, "x"), "entry 1 is text"),
        (lambda d: d["xacct"].update(totals=3), "its totals are an integer"),
        (lambda d: d["xacct"]["totals"].update(objects=3), "its total of objects is 3, and its objects make 2"),
        (lambda d: d["xacct"]["totals"].update(size_bytes=True), "its total of size_bytes is True"),
        (lambda d: d["xacct"]["totals"].update(rows=None), "its total of rows is null, and its objects make 4"),
        (lambda d: d["xacct"]["totals"].update(rows=4.0), "its total of rows is 4.0"),
    ],
)
def test_what_is_wrong_with_the_manifest_itself(change: Change, text: str) -> None:
    """Its objects are read all the same."""
    changed = document()
    change(changed)
    found = read(changed)
    assert any(text in problem for problem in found.problems), found.problems
    assert len(found.entries) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"url": "s3://acme-secrets/airflow/orders/a.csv"},
        {"url": "s3://acme-landing/airflow/orders/../../x"},
        {"url": "s3://acme-landing/airflow/orders-of-others/x"},
        {"url": 3},
        {"url": None},
        {"size_bytes": -1},
        {"size_bytes": 10**30},
        {"size_bytes": 60 * 1024**4},
        {"size_bytes": 1e3},
        {"size_bytes": True},
        {"size_bytes": "10"},
        {"size_bytes": None},
        {"rows": -1},
        {"rows": 2**64},
        {"rows": 1.5},
        {"rows": [1]},
        {"checksum_crc64nvme": ""},
        {"checksum_crc64nvme": "x" * 1_000_000},
        {"checksum_crc64nvme": None},
        {"checksum_crc64nvme": "AAAAAAAAAAA=\n"},
        {"version_id": {"a": 1}},
    ],
    ids=str,
)
def test_an_entry_that_cannot_be_right_is_named_and_not_asked_for(change: dict[str, Any]) -> None:
    """Without a key nothing can ask for it; the entry beside it is good."""
    changed = document()
    changed["xacct"]["objects"][0].update(change)
    first, second = read(changed).entries
    assert first.key == ""
    assert first.problems
    assert all(len(problem) < 300 for problem in first.problems)
    assert (second.key, second.problems) == ("airflow/orders/b.csv", ())


@pytest.mark.parametrize("item", [None, 3, "s3://x/y", [], {}])
def test_an_entry_that_is_none(item: Any) -> None:
    """Named by what stands in its place."""
    changed = document()
    changed["xacct"]["objects"][0] = item
    first, second = read(changed).entries
    assert (first.key, bool(first.problems), second.problems) == ("", True, ())


def test_an_object_that_is_named_twice_is_one_too_many() -> None:
    """A COPY would load it twice."""
    changed = document()
    changed["xacct"]["objects"][1] = dict(changed["xacct"]["objects"][0])
    changed["entries"][1] = changed["entries"][0]
    first, second = read(changed).entries
    assert (first.problems, second.problems) == ((), ("the manifest names it more than once",))
    assert second.key == ""


def test_thousands_of_problems_are_not_all_printed() -> None:
    """The first of them tell what is wrong."""
    changed = document()
    changed["xacct"]["objects"] *= 5000
    changed["entries"] = [{}] * 10_000
    found = read(changed)
    assert len(found.problems) < 30
    assert len(found.entries) == 10_000


def test_a_large_manifest_stays_small_in_memory() -> None:
    """The worst that passes the bounds: as many short values as there may be."""
    body = b'{"xacct": {"format_version": 1, "x": [' + b"[]," * 1_900_000 + b"1]}}"
    tracemalloc.start()
    try:
        found = read(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.problems
    assert peak < 400 * 1024**2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
paths = st.lists(st.sampled_from(["xacct", "entries", "objects", "totals", "url", "meta", "state", 0, 1]), max_size=4)


@settings(max_examples=200, deadline=None)
@given(path=paths, value=json_values)
def test_whatever_stands_anywhere_is_a_problem_and_no_crash(path: list[Any], value: Any) -> None:
    """And no key ever leaves the place."""
    changed: Any = document()
    place = changed
    for step in path[:-1]:
        try:
            place = place[step]
        except (KeyError, TypeError, IndexError):
            return
    if path and (
        (isinstance(place, dict) and isinstance(path[-1], str)) or (isinstance(place, list) and path[-1] in (0, 1))
    ):
        place[path[-1]] = value
    found = read(changed)
    assert all(not entry.key or entry.key.startswith(PLACE.prefix) for entry in found.entries)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("./%2eEfF5\\a:s3@?# "), max_size=20) | st.text(max_size=20))
def test_no_url_leads_out_of_the_place(tail: str) -> None:
    """However it is spelled, also after somebody undid its encoding."""
    from posixpath import normpath
    from urllib.parse import unquote

    for url in (f"s3://acme-landing/airflow/orders/{tail}", f"s3://acme-landing/{tail}", tail):
        if PLACE.problem_of(url) is None:
            key = PLACE.key_of(url)
            for _ in range(3):
                assert normpath(key).startswith("airflow/orders/")
                key = unquote(key)
