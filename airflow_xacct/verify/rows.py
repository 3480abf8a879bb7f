"""How many rows the bytes of an object hold, as far as its name says what they are. Memory stays flat.

A CSV file does not say whether its first record is a header: the manifest of a dump does, and without it both readings
are allowed.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import zstandard

from airflow_xacct.verify.described import CsvForm
from airflow_xacct.verify.reading import BLOCK_SIZE_BYTES

__all__ = ["Counted", "NotCountedError", "RowCounter", "parquet_footer_bytes", "parquet_rows", "row_format"]

#: A footer above this is none that a writer of ours makes.
PARQUET_FOOTER_MAX_BYTES = 64 * 1024 * 1024
_PARQUET_END = b"PAR1"
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_UNPACKED = {".gz": "gzip", ".zst": "zstd"}
_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


class NotCountedError(Exception):
    """The bytes are not what the name of their object says."""


class _Readable(Protocol):
    def read(self, size_bytes: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of records.

    :param may_have_header: whether the first record may be a header and no row.
    :param has_header: whether it is one.
    """

    records: int
    may_have_header: bool = False
    has_header: bool = False

    @property
    def rows(self) -> int:
        """How many rows there are, as far as is known; -1 where not even the header is there."""
        return self.records - self.has_header

    def is_for(self, rows: int) -> bool:
        """Whether that many rows can be in it."""
        return rows == self.rows or (self.may_have_header and rows == self.records - 1)


def row_format(key: str) -> tuple[str, str] | None:
    """Format and compression that a key's suffixes name, such as ``("csv", "gzip")``; ``None`` for others."""
    name = key.lower()
    packed = next((suffix for suffix in _UNPACKED if name.endswith(suffix)), "")
    inner = name.removesuffix(packed)
    found = next((form for suffix, form in _FORMATS.items() if inner.endswith(suffix)), "")
    if not found or (packed and found == "parquet"):
        return None
    return found, _UNPACKED.get(packed, "")


class RowCounter:
    """Counts the records of CSV or JSON Lines.

    :param form: ``"csv"`` or ``"jsonl"``.
    :param compression: ``"gzip"``, ``"zstd"`` or empty.
    :param csv: how the CSV is written.
    """

    def __init__(self, form: str, compression: str, csv: CsvForm | None = None) -> None:
        self._form = form
        self._compression = compression
        self._csv = csv if csv is not None else CsvForm()
        self._decoder = codecs.getincrementaldecoder(self._csv.encoding)() if self._csv.encoding else None
        self._escape = b""
        self._records = 0
        self._quoted = False
        self._open_line = False

    def count(self, stream: _Readable) -> Counted:
        """Read a stream to its end.

        :raises NotCountedError: it does not unpack.
        """
        add = self._add_csv if self._form == "csv" else self._add_lines
        try:
            read = _unpacked(stream, self._compression)
            while block := read(BLOCK_SIZE_BYTES):
                add(block)
        except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise NotCountedError(f"it is not the {self._compression} file its name says ({error})") from error
        except UnicodeDecodeError as error:
            raise NotCountedError(f"it is not the {self._csv.encoding} its manifest says") from error
        if self._quoted:
            raise NotCountedError("it is not the CSV its name says: a quote is never closed")
        if self._form != "csv":
            return Counted(self._records + self._open_line)
        header = self._csv.header
        return Counted(self._records + self._open_line, may_have_header=header is None, has_header=header is True)

    def _add_lines(self, block: bytes) -> None:
        self._records += block.count(b"\n")
        self._open_line = not block.endswith(b"\n")

    def _add_csv(self, block: bytes) -> None:
        """Line ends between quotes belong to a value (RFC 4180); a doubled quote closes and opens again."""
        if self._decoder is not None:
            block = self._decoder.decode(block).encode()
        if self._csv.escapes:
            block = self._without_escapes(block)
        if not block:
            return
        if not self._csv.quote:
            self._add_lines(block)
            return
        pieces = block.split(self._csv.quote)
        outside = pieces[1::2] if self._quoted else pieces[0::2]
        self._records += sum(piece.count(b"\n") for piece in outside)
        self._quoted ^= len(pieces) % 2 == 0
        self._open_line = not block.endswith(b"\n")

    def _without_escapes(self, block: bytes) -> bytes:
        """Each escape and what stands behind it, as one that means nothing; the end of a block may cut a pair."""
        block = _ESCAPED.sub(b"x", self._escape + block)
        self._escape = b"\\" if block.endswith(b"\\") else b""
        return block.removesuffix(self._escape) if self._escape else block


def _unpacked(stream: _Readable, compression: str) -> Callable[[int], bytes]:
    """A way to read at most so many unpacked bytes, however few packed ones they come from."""
    source: Any = stream  # read() is all that they need
    if compression == "gzip":
        return gzip.GzipFile(fileobj=source).read
    if compression == "zstd":
        # by default a frame may ask for a window of 128 MiB at most
        return zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True, closefd=False).read
    return stream.read


def parquet_footer_bytes(end: bytes, size_bytes: int) -> int:
    """How many bytes at the end of a Parquet file are its footer.

    :param end: its last eight bytes or more.
    :param size_bytes: of the whole file.
    :raises NotCountedError: it is no Parquet, or its footer is absurd.
    """
    length = int.from_bytes(end[-8:-4], "little") + 8
    if len(end) < 8 or not end.endswith(_PARQUET_END) or length > min(size_bytes, PARQUET_FOOTER_MAX_BYTES):
        raise NotCountedError("it is not the Parquet file its name says: it has no footer")
    return length


def parquet_rows(footer: bytes) -> Counted | None:
    """The rows a Parquet footer tells of; ``None`` when pyarrow is not installed.

    :raises NotCountedError: it is no footer.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return None
    try:
        return Counted(int(pq.read_metadata(pa.BufferReader(footer)).num_rows))
    except (pa.ArrowException, OSError) as error:
        raise NotCountedError("it is not the Parquet file its name says: its footer does not parse") from error
