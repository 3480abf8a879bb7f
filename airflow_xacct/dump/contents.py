"""The objects of a dump whose bytes are delivered as they are: one of an exact key, or several with names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

from airflow_xacct.delivery.payload import ObjectPlan
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.destination import Destination, resolve_key
from airflow_xacct.dump.compression import CompressionKind, compressed, compression_content_type, compression_suffix
from airflow_xacct.dump.content_type import guess_content_type
from airflow_xacct.dump.dump_spec import DumpSpec
from airflow_xacct.dump.naming import VERSIONS_FOLDER, key_problem, partition_path
from airflow_xacct.dump.payload import Payload
from airflow_xacct.dump.sources.python.contents import ContentPayload, named_contents
from airflow_xacct.dump.sources.python.made import Made
from airflow_xacct.exceptions import InvalidArgumentError, SourceNotFoundError

__all__ = ["BYTES", "ContentDump", "check_contents", "content_suffix"]

BYTES = "bytes"
"""The format that is none: what comes is delivered as it is."""

_FOR_ROWS = {
    "options": None,
    "partition_by": (),
    "drop_partition_columns": False,
    "max_rows_per_object": None,
    "max_bytes_per_object": None,
    "part_prefix": "part-",
}


def check_contents(spec: DumpSpec) -> None:
    """Refuse what means nothing where there are no rows.

    :raises InvalidArgumentError: there is something.
    """
    for name, unset in _FOR_ROWS.items():
        value = getattr(spec, name)
        if value != unset and not (unset == () and not value):
            raise InvalidArgumentError(
                f"{name} is for rows, and bytes are delivered as they are",
                where="format_options" if name == "options" else name,
                remedy="Leave it out, or choose another format.",
            )
    if spec.compression not in (None, "none", "gzip", "zstd"):
        raise InvalidArgumentError(
            f"{spec.compression!r} is no compression for bytes",
            where="compression",
            remedy="Use 'gzip' or 'zstd', or leave it out.",
        )


def content_suffix(spec: DumpSpec) -> str:
    """What the compression adds to the name of each object."""
    kind = _compression(spec)
    return compression_suffix(kind) if kind else ""


def _compression(spec: DumpSpec) -> CompressionKind | None:
    return cast("CompressionKind | None", None if spec.compression == "none" else spec.compression)


class ContentDump:
    """The objects, drawn one after the other.

    :param make: calls the function, when the first object is asked for.
    """

    schema = None

    def __init__(
        self, make: Callable[[], Made], spec: DumpSpec, destination: Destination, attributes: ObjectAttributes
    ) -> None:
        self._make = make
        self._made: Made | None = None
        self._destination = destination
        self._attributes = attributes
        self._compression = _compression(spec)
        self._suffix = content_suffix(spec)
        self._level = spec.compression_level
        folder, slash, self._name = spec.key.rpartition("/")
        self._folder = folder + slash + partition_path(spec.partitions or {})

    def __iter__(self) -> Iterator[ObjectPlan]:
        return self._objects("")

    def of_version(self, name: str) -> Iterable[ObjectPlan]:
        """The same objects in a folder of their own."""
        return self._objects(f"{VERSIONS_FOLDER}{name}/")

    def stand_in(self, key: str) -> ObjectPlan | None:  # noqa: ARG002 - what is nothing in one format is damage in another
        """Nothing stands for bytes that are no longer delivered."""
        return None

    def close(self) -> None:
        """Close the function's generator, so that what stands in its ``finally`` is done."""
        if self._made is not None:
            self._made.close()

    def _objects(self, version: str) -> Iterator[ObjectPlan]:
        made = self._made = self._make()
        if self._name:
            own = self._name.removesuffix(self._suffix)  # a name that says it already is left alone
            yield self._object(own + self._suffix, made.value)
            return
        count = 0
        for name, content in named_contents(made.value, made.name):
            if problem := key_problem(name):
                raise InvalidArgumentError(
                    f"{name!r} can be no object: {problem}", where=made.name, remedy="Give each object another name."
                )
            yield self._object(version + name + self._suffix, content)
            count += 1
        if not count:
            raise SourceNotFoundError(
                "there was nothing to deliver, not one name",
                where=made.name,
                remedy="Raise AirflowSkipException in the function where that is fine.",
            )

    def _object(self, name: str, content: Any) -> ObjectPlan:
        key = resolve_key(self._destination, self._folder + name)
        payload: Payload = ContentPayload(key, content)
        content_type = guess_content_type(key)
        if self._compression:
            payload = compressed(payload, self._compression, self._level)
            content_type = compression_content_type(self._compression)
        return ObjectPlan(key, payload, replace(self._attributes, content_type=content_type))
