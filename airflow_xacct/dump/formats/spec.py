"""What a format is to the rest of the package: one spec, and the encoder it makes for the rows of one query."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_xacct.dump.blocks import Data, Piece, Slice
from airflow_xacct.dump.formats.options import FormatOptions
from airflow_xacct.exceptions import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FormatSpec", "ObjectEncoder", "RowEncoder", "check_choice", "need_pyarrow"]


class ObjectEncoder(Protocol):
    """The bytes of one object, block by block. Everything it returns may be empty."""

    def start(self) -> Data:
        """What stands before the first row."""
        ...

    def add(self, block: Sequence[Slice[Any]], /) -> Data:
        """More rows: a block of pieces that the same format made."""
        ...

    def finish(self) -> Data:
        """What stands after the last row."""
        ...


class RowEncoder(Protocol):
    """The rows of one query in one format.

    :ivar block_bytes: the size of the blocks that its objects take best.
    :ivar block_rows: the most rows they should have; ``None`` for any number.
    """

    block_bytes: int
    block_rows: int | None

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

    def encoder(
        self,
        schema: pa.Schema,
        *,
        compression: str = "none",
        level: int | None = None,
        options: FormatOptions | None = None,
        max_object_bytes: int | None = None,
    ) -> RowEncoder:
        """The encoder for rows of a schema.

        :param compression: one of :attr:`compressions`.
        :param level: of the compression; ``None`` for its fastest that still pays.
        :param options: ``None`` for the defaults.
        :param max_object_bytes: objects roll at this size, so that blocks should be a good deal smaller.
        :raises InvalidArgumentError: a column whose type the format cannot hold, or a level out of range.
        :raises MissingDependencyError: pyarrow is not installed.
        """
        need_pyarrow(f"the format {self.name!r}")
        module = importlib.import_module(self.module)
        chosen = options if options is not None else self.options_type()
        encoder: RowEncoder = module.make_encoder(schema, chosen, compression, level, max_object_bytes)
        return encoder


def check_choice(value: object, known: Iterable[str], where: str) -> str:
    """The value, if it is one of those that are known.

    :raises InvalidArgumentError: it is not.
    """
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise InvalidArgumentError(
            f"{value!r} is not known here",
            where=where,
            remedy=f"Use one of {', '.join(repr(name) for name in names)}.",
        )
    return value


def need_pyarrow(what: str) -> None:
    """See to it that pyarrow can be imported.

    :param what: what needs it.
    :raises MissingDependencyError: it is not installed.
    """
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} needs pyarrow, which is not installed",
            where="pyarrow",
            remedy="Install it with: pip install 'airflow-provider-xacct[sql]'",
        ) from error
