"""What CSV and JSON Lines share: text that can be cut after any row, and the object around it. No pyarrow here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_xacct.dump.blocks import Data, Slice
from airflow_xacct.dump.formats.compressors import HELD_BACK_BYTES, Compressor, compressor_maker

__all__ = ["TextEncoder", "TextObject", "TextPiece", "WholeText"]

BLOCK_BYTES = 1024 * 1024
"""How much text goes into a compressor at once, and between two chances to roll."""


class TextPiece(Protocol):
    """Encoded rows."""

    @property
    def rows(self) -> int:
        """How many."""
        ...

    def size_bytes(self, rows: int, /) -> int:
        """The size of the first ``rows`` rows."""
        ...

    def cut(self, start: int, stop: int, /) -> Data:
        """The text of the rows from ``start`` to before ``stop``."""
        ...


@dataclass(frozen=True, slots=True)
class WholeText:
    """Text whose rows end nobody knows where; it stays in one piece."""

    data: Data
    rows: int

    def size_bytes(self, rows: int, /) -> int:
        """See :class:`TextPiece`."""
        return len(self.data) if rows else 0

    def cut(self, start: int, stop: int, /) -> Data:  # noqa: ARG002 - there is only one way to cut it
        """See :class:`TextPiece`."""
        return self.data


class TextObject:
    """One object of text. See :class:`~airflow_xacct.dump.formats.spec.ObjectEncoder`."""

    def __init__(self, header: bytes, compressor: Compressor | None) -> None:
        self._header = header
        self._compressor = compressor

    def start(self) -> Data:
        """The header."""
        return self._header if self._compressor is None else self._compressor.compress(self._header)

    def add(self, block: Sequence[Slice[TextPiece]], /) -> Sequence[Data]:
        """The rows of a block; as they lie, unless a compressor must have them in one piece."""
        parts = [held.piece.cut(held.start, held.stop) for held in block]
        if self._compressor is None:
            return parts
        return [self._compressor.compress(parts[0] if len(parts) == 1 else b"".join(parts))]

    def finish(self) -> Data:
        """What the compressor kept to itself."""
        return b"" if self._compressor is None else self._compressor.flush()


class TextEncoder:
    """Makes objects of text. Formats add how rows become text.

    :param header: what every object begins with.
    """

    block_bytes = BLOCK_BYTES
    block_rows: int | None = None

    def __init__(self, header: bytes, compression: str, level: int | None) -> None:
        self._header = header
        self._new_compressor: Callable[[], Compressor] | None = compressor_maker(compression, level)

    def open(self) -> TextObject:
        """See :class:`~airflow_xacct.dump.formats.spec.RowEncoder`."""
        return TextObject(self._header, None if self._new_compressor is None else self._new_compressor())

    def bound_bytes(self, size_bytes: int, blocks: int, /) -> int:  # noqa: ARG002 - text has no index of them
        """See :class:`~airflow_xacct.dump.formats.spec.RowEncoder`."""
        if self._new_compressor is None:
            return size_bytes
        return size_bytes + size_bytes // 8 + HELD_BACK_BYTES
