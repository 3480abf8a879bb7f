"""What a manifest says, read without believing a word of it.

Whoever may write below the prefix can write a manifest. So it is bounded before it is parsed, everything in it is
checked for its type and size, and an entry that leaves the manifest's own place is named and never asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, NoReturn

from airflow_xacct.delivery.manifest import FORMAT_VERSION
from airflow_xacct.delivery.settings import MAX_OBJECT_BYTES
from airflow_xacct.destination.text import kind_of, show
from airflow_xacct.verify.described import CsvForm, csv_form, version_of
from airflow_xacct.verify.place import Place

__all__ = ["MANIFEST_MAX_BYTES", "Claim", "ClaimRole", "Claims", "read_claims"]

ClaimRole = Literal["data", "auxiliary", "emptied"]

#: Ten thousand objects take about 4 MB.
MANIFEST_MAX_BYTES = 64 * 1024 * 1024
#: An object takes about fifteen; each costs some hundred bytes of memory at most.
MANIFEST_MAX_VALUES = 4_000_000
_LARGEST_COUNT = 2**63 - 1
_LONGEST_TEXT_CHARS = 1200
_MOST_PROBLEMS = 20
# eight bytes in base64
_CHECKSUM = re.compile(r"[A-Za-z0-9+/]{11}=")
_TEXTS = ("token", "dag_id", "task_id", "run_id", "session_arn", "created_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a manifest says of one object.

    :param url: as the manifest writes it, cut when it is longer than any key could be.
    :param key: empty where it must not be asked for; ``problems`` then say why.
    :param checksum: its CRC64NVME in base64.
    :param version_id: empty where the bucket keeps no versions.
    :param rows: where the source counted them.
    :param role: ``"auxiliary"`` describes the data; ``"emptied"`` stands in the place of an object of an earlier
        delivery, and holds no row.
    """

    url: str
    role: ClaimRole = "data"
    key: str = ""
    size_bytes: int | None = None
    checksum: str = ""
    version_id: str = ""
    rows: int | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a manifest says of a delivery.

    :param state: ``"complete"``, ``"delivering"``, ``"replacing"``, or empty when it is no manifest that can be read.
    :param about: texts about the delivery: its token, DAG, task, run, session and time.
    :param beside: objects that belong to the delivery and hold none of its rows.
    :param skipped: URLs that the delivery left out.
    :param csv: how CSV is written.
    :param version: the name of the folder that holds the objects; empty where they lie in place.
    :param problems: what is wrong with the manifest itself.
    """

    state: str = ""
    about: Mapping[str, str]
    entries: tuple[Claim, ...] = ()
    beside: tuple[Claim, ...] = ()
    skipped: tuple[str, ...] = ()
    csv: CsvForm = field(default_factory=CsvForm)
    version: str = ""
    problems: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The sum over all objects, in bytes."""
        return sum(entry.size_bytes or 0 for entry in self.entries)

    @property
    def rows(self) -> int | None:
        """The sum over all objects; ``None`` when one of them has no count, or there are none."""
        counts = [entry.rows for entry in self.entries]
        return None if None in counts or not counts else sum(count for count in counts if count is not None)


def read_claims(body: bytes, place: Place) -> Claims:
    """Read a manifest; whatever is wrong with it becomes a problem of the result.

    :param place: where its objects may lie.
    """
    try:
        document = _parse(body)
        ours = document.get("xacct") if isinstance(document, dict) else None
        if not isinstance(ours, dict):
            return _unreadable("it is JSON, and no manifest of this package: it has no object 'xacct'")
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        return _unreadable(f"it is no manifest: {why}")
    version = ours.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        return _unreadable(f"it has format version {show(version)}, and this program reads {FORMAT_VERSION}")
    return _claims(document, ours, place)


def _unreadable(problem: str) -> Claims:
    return Claims(about={}, problems=(problem,))


def _parse(body: bytes) -> Any:
    if len(body) > MANIFEST_MAX_BYTES:
        raise ValueError(f"it is larger than {MANIFEST_MAX_BYTES:,} bytes")
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MANIFEST_MAX_VALUES:
        raise ValueError(f"it holds more than {MANIFEST_MAX_VALUES:,} values")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg}, line {error.lineno})") from error


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of a key that stands twice could read two deliveries."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {show(name)} stands twice")
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _claims(document: Mapping[str, Any], ours: Mapping[str, Any], place: Place) -> Claims:
    problems: list[str] = []
    state = ours.get("state")
    if state not in ("complete", "delivering", "replacing"):
        problems.append(f"its state is {show(state)}, and neither 'complete', 'delivering' nor 'replacing'")
    about = {name: _cut(ours[name]) for name in _TEXTS if isinstance(ours.get(name), str)}
    problems += [f"its {name} is {kind_of(ours.get(name))}" for name in _TEXTS if name not in about]
    objects = _list(ours, "objects", problems)
    roles: tuple[ClaimRole, ...] = ("auxiliary", "emptied")
    # a manifest of an older version has no such lists
    beside = [(role, item) for role in roles if role in ours for item in _list(ours, role, problems)]
    named = _with_duplicates(
        [_claim(item, place) for item in objects]
        + [replace(_claim(item, place), role=role, rows=0 if role == "emptied" else None) for role, item in beside]
    )
    skipped = [_cut(url) for url in _list(ours, "skipped", problems) if isinstance(url, str)]
    found = Claims(
        state=state if isinstance(state, str) else "",
        about=about,
        entries=tuple(claim for claim in named if claim.role == "data"),
        beside=tuple(claim for claim in named if claim.role != "data"),
        skipped=tuple(skipped),
        csv=csv_form(ours.get("dump"), problems),
        version=version_of(ours.get("dump")),
    )
    problems += islice(_list_problems(_list(document, "entries", problems), objects), _MOST_PROBLEMS)
    problems += _total_problems(ours.get("totals"), found)
    if state in ("delivering", "replacing") and found.entries:
        problems.append("it says that it is being replaced, and names objects all the same")
    return replace(found, problems=tuple(problems))


def _list(mapping: Mapping[str, Any], name: str, problems: list[str]) -> list[Any]:
    value = mapping.get(name)
    if isinstance(value, list):
        return value
    problems.append(f"its {name} is {kind_of(value)}, and no list")
    return []


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT_CHARS else f"{text[:_LONGEST_TEXT_CHARS]}..."


def _claim(item: Any, place: Place) -> Claim:
    """One object; any problem with it leaves its key empty, and so it is not asked for."""
    if not isinstance(item, dict) or not isinstance(item.get("url"), str):
        what = kind_of(item) if not isinstance(item, dict) else f"an object whose url is {kind_of(item.get('url'))}"
        return Claim(url="", problems=(f"the manifest has {what} in the place of an object",))
    url, size, rows = item["url"], item.get("size_bytes"), item.get("rows")
    checksum, version_id = item.get("checksum_crc64nvme"), item.get("version_id", "")
    problems = [found] if (found := place.problem_of(url)) else []
    if not _is_count(size, MAX_OBJECT_BYTES):
        problems.append(f"the manifest gives it a size that no object has: {_number(size)}")
    if rows is not None and not _is_count(rows, _LARGEST_COUNT):
        problems.append(f"the manifest gives it a number of rows that is none: {_number(rows)}")
    if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
        problems.append(f"the manifest gives it a checksum that is no CRC64NVME: {_number(checksum)}")
    if not isinstance(version_id, str):
        problems.append(f"the manifest gives it a version that is {kind_of(version_id)}")
    if problems:
        return Claim(url=_cut(url), problems=tuple(problems))
    return Claim(
        url=url, key=place.key_of(url), size_bytes=size, checksum=str(checksum), version_id=version_id, rows=rows
    )


def _is_count(value: object, largest: int) -> bool:
    return type(value) is int and 0 <= value <= largest


def _number(value: object) -> str:
    """A value for a message; ``repr`` of a long number or a list would be as long as the manifest."""
    if isinstance(value, str):
        return show(value)
    if type(value) is int and abs(value) > _LARGEST_COUNT:
        return "one above 2^63"
    return repr(value) if isinstance(value, (bool, int, float)) else kind_of(value)


def _with_duplicates(entries: Sequence[Claim]) -> list[Claim]:
    """An object that is named twice would be loaded twice."""
    seen: set[str] = set()
    checked = []
    for entry in entries:
        if entry.key and entry.key in seen:
            checked.append(Claim(url=entry.url, role=entry.role, problems=("the manifest names it more than once",)))
        else:
            checked.append(entry)
        seen.add(entry.key)
    return checked


def _list_problems(listed: Sequence[Any], objects: Sequence[Any]) -> Iterator[str]:
    """Whether what a COPY would load is what ``xacct`` describes (AWS: *Using a manifest to specify data files*)."""
    if len(listed) != len(objects):
        yield f"it lists {len(listed):,} objects to load, and describes {len(objects):,}"
        return
    for number, (entry, described) in enumerate(zip(listed, objects, strict=True), start=1):
        if not isinstance(entry, dict) or not isinstance(described, dict):
            yield f"entry {number:,} is {kind_of(entry)}"
        elif entry.get("url") != described.get("url"):
            yield f"entry {number:,} is another object to load than the one described"
        elif entry.get("mandatory") is not True:
            yield f"entry {number:,} is not mandatory: a COPY would pass over it in silence"
        else:
            meta = entry.get("meta")
            length = meta.get("content_length") if isinstance(meta, dict) else None
            if type(length) is not int or length != described.get("size_bytes"):
                yield f"entry {number:,} has another content_length than its object"


def _total_problems(totals: Any, found: Claims) -> list[str]:
    if not isinstance(totals, dict):
        return [f"its totals are {kind_of(totals)}"]
    expected = {"objects": len(found.entries), "size_bytes": found.size_bytes, "rows": found.rows}
    if any(entry.size_bytes is None for entry in found.entries):
        return []  # the entries that do not count are named already
    return [
        f"its total of {name} is {_number(totals.get(name))}, and its objects make {value}"
        for name, value in expected.items()
        if type(totals.get(name)) is not type(value) or totals.get(name) != value
    ]
