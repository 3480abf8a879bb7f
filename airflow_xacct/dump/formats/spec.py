"""What a format is to the rest of the package: one spec, and the encoder it makes for the rows of one dump."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_xacct.dump.blocks import Data, Piece, Slice
from airflow_xacct.dump.formats.options import FormatOptions, options_from
from airflow_xacct.exceptions import MissingDependencyError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EncoderSettings", "FormatSpec", "ObjectEncoder", "RowEncoder", "need_pyarrow"]


class ObjectEncoder(Protocol):
    """The bytes of one object, block by block. Everything it returns may be empty."""

    def start(self) -> Data:
        """What stands before the first row."""
        ...

    def add(self, block: Sequence[Slice[Any]], /) -> Sequence[Data]:
        """More rows: a block of pieces that the same format made. Returns what is to be written, in order."""
        ...

    def finish(self) -> Data:
        """What stands after the last row."""
        ...


class RowEncoder(Protocol):
    """The rows of one dump in one format.

    :ivar block_bytes: the size of the blocks that its objects take best.
    :ivar block_rows: the most rows they should have; ``None`` for any number.
    :ivar schema: of the rows as they are written.
    :ivar parquet_types: what each column is called in Parquet; ``None`` in other formats.
    """

    block_bytes: int
    block_rows: int | None
    schema: pa.Schema
    parquet_types: Sequence[str] | None

    def pieces(self, batch: pa.RecordBatch, /) -> Iterator[Piece]:
        """The rows of a batch, in an order and a form in which they can be cut anywhere.

        :raises SourceError: a value that the format cannot hold.
        """
        ...

    def open(self) -> ObjectEncoder:
        """Begin an object."""
        ...

    def bound_bytes(self, size_bytes: int, blocks: int, /) -> int:
        """What a block of this size can add to an object at most, with all that its encoder still holds back.

        :param blocks: how many the object has.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """What an encoder is made with; each format looks at what concerns it.

    :param level: of the compression; ``None`` for its fastest that still pays.
    :param max_object_bytes: objects roll at this size, so that blocks should be a good deal smaller.
    :param provenance: where the rows come from, for formats that have a place for it.
    """

    options: FormatOptions
    compression: str = "none"
    level: int | None = None
    max_object_bytes: int | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """One format.

    :param suffix: of its files.
    :param content_type: of its objects, where nothing is wrapped around the format.
    :param compressions: the kinds it has, its default first.
    :param wraps: whether the compression is a layer around the file, with a suffix and content type of its own.
    :param options_type: its options.
    :param module: where its encoder is, loaded only when it is needed: it imports pyarrow.
    """

    name: str
    suffix: str
    content_type: str
    compressions: tuple[str, ...]
    wraps: bool
    options_type: type[FormatOptions]
    module: str

    def options(self, given: FormatOptions | Mapping[str, Any] | None) -> FormatOptions:
        """The options that were given: an instance, a dictionary of some, or nothing for the defaults.

        :raises InvalidArgumentError: they are not of this format, or cannot be used.
        :raises MissingDependencyError: pyarrow is older than one of them needs.
        """
        made = options_from(given, self.options_type)
        if made.newest_need is not None:
            need_pyarrow(*made.newest_need)
        return made

    def encoder(
        self,
        schema: pa.Schema,
        *,
        compression: str = "none",
        level: int | None = None,
        options: FormatOptions | Mapping[str, Any] | None = None,
        max_object_bytes: int | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> RowEncoder:
        """The encoder for rows of a schema.

        :param compression: one of :attr:`compressions`.
        :param options: ``None`` for the defaults.
        :raises InvalidArgumentError: a column whose type the format cannot hold, an option that names no column, or a
            level out of range.
        :raises MissingDependencyError: pyarrow is not installed.

        The other parameters are those of :class:`EncoderSettings`.
        """
        need_pyarrow(f"the format {self.name!r}")
        settings = EncoderSettings(
            options=self.options(options),
            compression=compression,
            level=level,
            max_object_bytes=max_object_bytes,
            provenance=provenance or {},
        )
        encoder: RowEncoder = importlib.import_module(self.module).make_encoder(schema, settings)
        return encoder


def need_pyarrow(what: str, least: int = 0) -> None:
    """See to it that pyarrow can be imported.

    :param what: what needs it.
    :param least: the first major version that can do it.
    :raises MissingDependencyError: it is not installed, or an older one.
    """
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} needs pyarrow, which is not installed",
            where="pyarrow",
            remedy="Install it with: pip install 'airflow-provider-xacct[sql]'",
        ) from error
    if int(pyarrow.__version__.partition(".")[0]) < least:
        raise MissingDependencyError(
            f"{what} need pyarrow {least} or later, and {pyarrow.__version__} is installed",
            where="pyarrow",
            remedy=f"Install it with: pip install 'pyarrow>={least}', or do without.",
        )
