"""From rows to the objects of a delivery: source, format, compression, rolling, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_xacct.delivery.payload import BytesPayload, ObjectPlan
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.destination import Destination
from airflow_xacct.dump.compression import compression_content_type
from airflow_xacct.dump.dump_keys import DumpKeys
from airflow_xacct.dump.dump_spec import MIN_OBJECT_BYTES, DumpSpec
from airflow_xacct.dump.formats import CsvOptions, FormatSpec, RowEncoder, need_pyarrow
from airflow_xacct.dump.formats.csv_fields import csv_header
from airflow_xacct.dump.formats.text import TextEncoder
from airflow_xacct.dump.hive import HivePartitions
from airflow_xacct.dump.once import OncePayload
from airflow_xacct.dump.read_ahead import ReadAhead, ReadInPlace
from airflow_xacct.dump.rolling import Begin, Event, Limits, Roller, event_size_bytes, roll_text
from airflow_xacct.dump.rows import RowSource, TextSource
from airflow_xacct.dump.schema import Column, DumpSchema, PartitionColumn, arrow_columns, arrow_name, fixed_partitions
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MIN_OBJECT_BYTES", "DumpSpec", "ObjectDump", "dump_objects"]

SOURCE_AHEAD_BYTES = 1024 * 1024
"""How much a source may be ahead of the encoder, or a quarter of a block where that is more: it goes on meanwhile."""

OBJECT_AHEAD_BYTES = 1024 * 1024
"""How much the encoder may be ahead of the upload."""


T = TypeVar("T")


def dump_objects(
    source: RowSource | TextSource,
    spec: DumpSpec,
    destination: Destination,
    attributes: ObjectAttributes | None = None,
    *,
    in_place: bool = False,
) -> ObjectDump:
    """The objects of a dump, made while they are read; to be used in a ``with`` block.

    They are drawn and read one after the other, each once, as
    :meth:`~airflow_xacct.delivery.commit.DeliveryEngine.deliver` does with an iterable. The same rows give the same
    objects, byte by byte, under the same keys.

    **Memory.** Two threads work ahead of the one who reads, the source and the encoder::

        peak = SOURCE_AHEAD_BYTES + 3 batches      one being made, one waiting above the limit, one being encoded
             + batch x 5                           text only: its columns as text, and its lines; a batch of more than
                                                   2 MiB is encoded in pieces of 1 to 2 MiB
             + block + OBJECT_AHEAD_BYTES          blocks: 1 MiB of text, 64 MiB of Arrow data for Parquet
             + compressed row group x 2            Parquet only; for it a quarter of a block may be ahead

    A block of text that grows beyond 1 MiB is a single row that is as large. What the upload holds comes on top
    (:class:`~airflow_xacct.delivery.settings.TransferSettings`), and what allocators keep of what was freed.

    :param source: closed when the block ends, or when this raises.
    :param attributes: what S3 stores beside each object; an empty content type and KMS key are filled in.
    :param in_place: start no thread: rows are made and encoded in the thread that reads the objects, and nothing is
        held ahead of it. For rows that a person's own code makes.
    :raises InvalidArgumentError: the spec contradicts itself or the columns, or a type no format holds.
    :raises OutsideDestinationError: a key that leads out of the connection's prefix.
    :raises MissingDependencyError: pyarrow is not installed.
    :raises SourceError: the source failed.
    """
    try:
        return ObjectDump(
            source,
            spec,
            destination,
            attributes if attributes is not None else ObjectAttributes(),
            in_place=in_place,
        )
    except BaseException:
        source.close()
        raise


class ObjectDump:
    """See :func:`dump_objects`.

    :ivar schema: what the objects hold; known before the first row.
    """

    def __init__(
        self,
        source: RowSource | TextSource,
        spec: DumpSpec,
        destination: Destination,
        attributes: ObjectAttributes,
        *,
        in_place: bool,
    ) -> None:
        chosen = spec.check()
        kind = spec.kind(chosen)
        self._source = source
        self._in_place = in_place
        self._keys = DumpKeys(spec.key, chosen, kind, spec.partitions, spec.part_prefix, destination)
        self._keys.check_single(rolls=spec.limits != Limits() or bool(spec.partition_by))
        wrapped = chosen.wraps and kind in ("gzip", "zstd")
        content_type = compression_content_type(kind) if wrapped else chosen.content_type  # type: ignore[arg-type]
        self._attributes = replace(
            attributes,
            content_type=attributes.content_type or content_type,
            kms_key_id=attributes.kms_key_id or destination.kms_key_id or "",
        )
        self._layers: list[ReadAhead[Any] | ReadInPlace[Any]] = []
        self._version = ""
        self.schema: DumpSchema
        self._encoder: TextEncoder | RowEncoder
        if isinstance(source, TextSource):
            events = self._text_events(source, spec, chosen, kind)
        else:
            events = self._row_events(source, spec, chosen, kind)
        self._events = self._ahead(events, event_size_bytes, OBJECT_AHEAD_BYTES, "xacct-encode")
        self._payload: OncePayload | None = None
        self._rows = 0
        self._closed = False

    @property
    def rows(self) -> int:
        """How many rows the objects hold that were read to their end."""
        return self._rows + (self._payload.rows or 0 if self._payload else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[ObjectPlan]:
        return self

    def __next__(self) -> ObjectPlan:
        """The next object, after the one before was read to its end.

        :raises SourceError: the source failed; or the object before was not read to its end.
        """
        if self._payload is not None:
            if not self._payload.ended:
                raise SourceError(
                    f"{self._payload.name} was not read to its end before the next object was asked for",
                    where=self._source.name,
                    remedy="Read the objects of a dump one after the other.",
                )
            self._rows += self._payload.rows or 0
            self._payload = None
        event = next(self._events)
        assert isinstance(event, Begin)  # noqa: S101 - objects do not overlap
        key = self._keys.of(event.partition, event.number, self._version)
        self._payload = OncePayload(key, self._source.name, self._events)
        return ObjectPlan(key, self._payload, self._attributes)

    def of_version(self, name: str) -> Self:
        """The same objects in a folder of their own.

        :raises OutsideDestinationError: their keys would be too long.
        """
        self._version = name
        self._keys.of("", 0, name)
        return self

    def stand_in(self, key: str) -> ObjectPlan | None:
        """An object without rows for a key where an earlier dump has one and this one has not.

        :returns: ``None`` where the key says another format or compression.
        """
        if not self._keys.fits(key):
            return None
        empty = self._encoder.open()
        body = b"".join((empty.start(), empty.finish()))
        return ObjectPlan(key, BytesPayload(f"{key} without rows", body), self._attributes, "stand_in")

    def close(self) -> None:
        """End the threads and close the source. May be called at any time, more than once.

        Waits for a batch that the source has under way.
        """
        if self._closed:
            return
        self._closed = True
        for layer in self._layers:
            layer.stop()
        try:
            self._source.close()
        finally:
            for layer in self._layers:
                layer.join()

    def _ahead(self, items: Iterable[T], size_of: Callable[[T], int], limit_bytes: int, name: str) -> Iterator[T]:
        layer = ReadInPlace(items) if self._in_place else ReadAhead(items, size_of, limit_bytes, name)
        self._layers.append(layer)
        return layer

    def _text_events(self, source: TextSource, spec: DumpSpec, chosen: FormatSpec, kind: str) -> Iterator[Event]:
        _check_columns(source.columns)
        if chosen.name != "csv" or spec.partition_by:
            raise InvalidArgumentError(
                f"{source.name} writes CSV by itself, which cannot become {chosen.name!r} or be partitioned",
                where="format" if chosen.name != "csv" else "partition_by",
                remedy="Read its rows instead.",
            )
        options = spec.format_options
        assert isinstance(options, CsvOptions)  # noqa: S101 - those of CSV
        if replace(options, header=True) != CsvOptions():
            raise InvalidArgumentError(
                f"{source.name} writes CSV by itself, in its own way",
                where="options",
                remedy="Read its rows instead, or choose nothing but whether there is a header.",
            )
        types = source.database_types or [""] * len(source.columns)
        self.schema = DumpSchema(
            format=chosen.name,
            compression=kind,
            options=options,
            columns=[
                Column(name=name, database_type=text or None) for name, text in zip(source.columns, types, strict=True)
            ],
            partition_columns=fixed_partitions(spec.partitions),
        )
        encoder = self._encoder = TextEncoder(csv_header(source.columns, options), kind, spec.compression_level)
        blocks = self._ahead(source.blocks(), lambda block: len(block.data), SOURCE_AHEAD_BYTES, "xacct-source")
        return roll_text(blocks, encoder, spec.limits)

    def _row_events(self, source: RowSource, spec: DumpSpec, chosen: FormatSpec, kind: str) -> Iterator[Event]:
        need_pyarrow(source.name)
        from airflow_xacct.dump.formats.columns import plain_batch, plain_schema

        given = source.schema()
        _check_columns(given.names)
        plain = plain_schema(given)
        hive = None
        kept = plain
        if spec.partition_by:
            hive = HivePartitions(
                plain, spec.partition_by, drop=spec.drop_partition_columns, max_partitions=spec.max_partitions
            )
            kept = hive.schema(plain)
        encoder = self._encoder = chosen.encoder(
            kept,
            compression=kind,
            level=spec.compression_level,
            options=spec.options,
            max_object_bytes=spec.max_bytes_per_object,
            provenance=spec.provenance,
        )
        self.schema = DumpSchema(
            format=chosen.name,
            compression=kind,
            options=spec.format_options,
            columns=arrow_columns(encoder.schema, given, encoder.parquet_types),
            partition_columns=(
                *fixed_partitions(spec.partitions),
                *(
                    PartitionColumn(name=name, type=arrow_name(plain.field(name).type), in_objects=name in kept.names)
                    for name in spec.partition_by
                ),
            ),
        )
        ahead_bytes = max(SOURCE_AHEAD_BYTES, encoder.block_bytes // 4)
        batches = self._ahead(source.batches(), _held_bytes, ahead_bytes, "xacct-source")
        rows = (plain_batch(batch, given, plain) for batch in batches)
        segments = hive.segments(rows) if hive else (("", batch) for batch in rows)
        return Roller(encoder, spec.limits).events(segments)


def _check_columns(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InvalidArgumentError(
            f"{'columns share' if len(twice) > 1 else 'two columns have'} the name {', '.join(map(repr, twice))}",
            where="the rows",
            remedy="Give each column a name of its own (in SQL: SELECT ... AS ...).",
        )


def _held_bytes(batch: pa.RecordBatch) -> int:
    """What a batch keeps in memory; that of its rows alone takes long to find out."""
    return int(batch.get_total_buffer_size())
