"""From the rows of a query to the objects of a delivery: source, format, compression, rolling, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from airflow_xacct.delivery.payload import ObjectPlan
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.destination import Destination
from airflow_xacct.dump.compression import compression_content_type
from airflow_xacct.dump.dump_keys import DumpKeys
from airflow_xacct.dump.formats import CsvOptions, FormatOptions, FormatSpec, check_choice, format_spec, need_pyarrow
from airflow_xacct.dump.formats.text import TextEncoder, csv_header
from airflow_xacct.dump.hive import HivePartitions
from airflow_xacct.dump.naming import PartitionValue
from airflow_xacct.dump.once import OncePayload
from airflow_xacct.dump.read_ahead import ReadAhead
from airflow_xacct.dump.rolling import Begin, Event, Limits, Roller, event_size_bytes, roll_text
from airflow_xacct.dump.rows import RowSource, TextBlock, TextSource
from airflow_xacct.exceptions import InvalidArgumentError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DumpSpec", "ObjectDump", "dump_objects"]

SOURCE_AHEAD_BYTES = 16 * 1024 * 1024
"""How much a source may be ahead of the encoder."""

OBJECT_AHEAD_BYTES = 8 * 1024 * 1024
"""How much the encoder may be ahead of the upload."""

MIN_OBJECT_BYTES = 4 * 1024 * 1024
"""Objects roll between blocks of 1 MiB, so that a smaller limit would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSpec:
    """What becomes of the rows of a query.

    :param key: a prefix when it ends with ``/`` or is empty, below which objects are called ``part-00000.csv.zst``;
        else the exact key of the one object, to which the suffix of the compression is added. Relative to the
        connection's prefix.
    :param format: ``"csv"``, ``"jsonl"`` or ``"parquet"``.
    :param compression: ``"none"``, ``"gzip"``, ``"zstd"``, and for Parquet ``"snappy"``; ``None`` for the format's
        default, which is ``"none"`` for text and ``"zstd"`` for Parquet.
    :param compression_level: ``None`` for the fastest.
    :param options: of the format.
    :param partitions: Hive partitions with one value each, such as ``{"ds": "2013-01-01"}``.
    :param partition_by: columns whose values make further Hive partitions; the rows must come sorted by them.
    :param drop_partition_columns: leave those columns out of the objects.
    :param max_partitions: more values are an error.
    :param max_rows_per_object: an object with that many rows is full.
    :param max_bytes_per_object: an object does not grow beyond that, compressed, but for a single row that is larger
        (and for Parquet, but for an index of unusually long values); at least 4 MiB.
    :param part_prefix: what the names of objects begin with; mapped tasks that share a prefix need one each.
    """

    key: str
    format: str = "csv"
    compression: str | None = None
    compression_level: int | None = None
    options: FormatOptions | None = None
    partitions: Mapping[str, PartitionValue] | None = None
    partition_by: Sequence[str] = ()
    drop_partition_columns: bool = False
    max_partitions: int = 10_000
    max_rows_per_object: int | None = None
    max_bytes_per_object: int | None = None
    part_prefix: str = "part-"

    def check(self) -> FormatSpec:
        """The format, if everything else can be used, as far as it shows without the source.

        :raises InvalidArgumentError: it cannot.
        """
        chosen = format_spec(self.format)
        check_choice(self.kind(chosen), chosen.compressions, "compression")
        if self.options is not None and not isinstance(self.options, chosen.options_type):
            raise InvalidArgumentError(
                f"{type(self.options).__name__} are no options of {chosen.name!r}",
                where="options",
                remedy=f"Give {chosen.options_type.__name__}.",
            )
        for name, least in (
            ("max_rows_per_object", 1),
            ("max_bytes_per_object", MIN_OBJECT_BYTES),
            ("max_partitions", 1),
        ):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InvalidArgumentError(
                    f"{value!r} is not a whole number from {least:,}",
                    where=name,
                    remedy="Give a larger one, or leave it out.",
                )
        if isinstance(self.partition_by, str):
            raise InvalidArgumentError(
                f"partition_by is the text {self.partition_by!r}",
                where="partition_by",
                remedy=f"Give a list of columns: [{self.partition_by!r}].",
            )
        return chosen

    def kind(self, chosen: FormatSpec) -> str:
        """The compression, the format's default filled in."""
        return chosen.compressions[0] if self.compression is None else self.compression

    @property
    def limits(self) -> Limits:
        """When an object is full."""
        return Limits(max_rows=self.max_rows_per_object, max_bytes=self.max_bytes_per_object)


def dump_objects(
    source: RowSource | TextSource,
    spec: DumpSpec,
    destination: Destination,
    attributes: ObjectAttributes | None = None,
) -> ObjectDump:
    """The objects of a dump, made while they are read; to be used in a ``with`` block.

    They are drawn and read one after the other, each once, as
    :meth:`~airflow_xacct.delivery.commit.DeliveryEngine.deliver` does with an iterable. The same rows give the same
    objects, byte by byte, under the same keys.

    **Memory.** Two threads work ahead of the one who reads, the source and the encoder::

        peak = SOURCE_AHEAD_BYTES + 3 batches      one being made, one waiting above the limit, one being encoded
             + text of a batch x 2                 at most 16 MiB of Arrow data are encoded at once
             + block + OBJECT_AHEAD_BYTES          blocks: 1 MiB of text, 64 MiB of Arrow data for Parquet
             + compressed row group x 4            Parquet only

    A block of text that grows beyond 1 MiB is a single row that is as large. What the upload holds comes on top
    (:class:`~airflow_xacct.delivery.settings.TransferSettings`).

    :param source: closed when the block ends, or when this raises.
    :param attributes: what S3 stores beside each object; an empty content type and KMS key are filled in.
    :raises InvalidArgumentError: the spec contradicts itself or the columns, or a type no format holds.
    :raises OutsideDestinationError: a key that leads out of the connection's prefix.
    :raises MissingDependencyError: pyarrow is not installed.
    :raises SourceError: the source failed.
    """
    try:
        return ObjectDump(source, spec, destination, attributes if attributes is not None else ObjectAttributes())
    except BaseException:
        source.close()
        raise


class ObjectDump:
    """See :func:`dump_objects`.

    :ivar columns: name and type of each column in the objects; no types where the server writes the text.
    """

    def __init__(
        self, source: RowSource | TextSource, spec: DumpSpec, destination: Destination, attributes: ObjectAttributes
    ) -> None:
        chosen = spec.check()
        kind = spec.kind(chosen)
        self._source = source
        self._keys = DumpKeys(spec.key, chosen, kind, spec.partitions, spec.part_prefix, destination)
        self._keys.check_single(rolls=spec.limits != Limits() or bool(spec.partition_by))
        wrapped = chosen.wraps and kind in ("gzip", "zstd")
        content_type = compression_content_type(kind) if wrapped else chosen.content_type  # type: ignore[arg-type]
        self._attributes = replace(
            attributes,
            content_type=attributes.content_type or content_type,
            kms_key_id=attributes.kms_key_id or destination.kms_key_id or "",
        )
        self._layers: list[ReadAhead[TextBlock] | ReadAhead[pa.RecordBatch] | ReadAhead[Event]] = []
        self.columns: tuple[tuple[str, str], ...]
        if isinstance(source, TextSource):
            events = self._text_events(source, spec, chosen, kind)
        else:
            events = self._row_events(source, spec, chosen, kind)
        self._events = ReadAhead(events, event_size_bytes, OBJECT_AHEAD_BYTES, "xacct-encode")
        self._layers.append(self._events)
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
        key = self._keys.of(event.partition, event.number)
        self._payload = OncePayload(key, self._source.name, self._events)
        return ObjectPlan(key, self._payload, self._attributes)

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

    def _text_events(self, source: TextSource, spec: DumpSpec, chosen: FormatSpec, kind: str) -> Iterator[Event]:
        _check_columns(source.columns)
        if chosen.name != "csv" or spec.partition_by:
            raise InvalidArgumentError(
                f"{source.name} writes CSV by itself, which cannot become {chosen.name!r} or be partitioned",
                where="format" if chosen.name != "csv" else "partition_by",
                remedy="Read its rows instead.",
            )
        self.columns = tuple((name, "") for name in source.columns)
        options = spec.options if isinstance(spec.options, CsvOptions) else CsvOptions()
        if replace(options, header=True) != CsvOptions():
            raise InvalidArgumentError(
                f"{source.name} writes CSV by itself, in its own way",
                where="options",
                remedy="Read its rows instead, or choose nothing but whether there is a header.",
            )
        encoder = TextEncoder(csv_header(source.columns, options), kind, spec.compression_level)
        blocks = ReadAhead(source.blocks(), lambda block: len(block.data), SOURCE_AHEAD_BYTES, "xacct-source")
        self._layers.append(blocks)
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
        encoder = chosen.encoder(
            kept,
            compression=kind,
            level=spec.compression_level,
            options=spec.options,
            max_object_bytes=spec.max_bytes_per_object,
        )
        self.columns = tuple((field.name, str(field.type)) for field in kept)
        batches = ReadAhead(source.batches(), lambda batch: int(batch.nbytes), SOURCE_AHEAD_BYTES, "xacct-source")
        self._layers.append(batches)
        rows = (plain_batch(batch, given, plain) for batch in batches)
        segments = hive.segments(rows) if hive else (("", batch) for batch in rows)
        return Roller(encoder, spec.limits).events(segments)


def _check_columns(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InvalidArgumentError(
            f"{'columns share' if len(twice) > 1 else 'two columns have'} the name {', '.join(map(repr, twice))}",
            where="sql",
            remedy="Give each column a name of its own (SELECT ... AS ...).",
        )
