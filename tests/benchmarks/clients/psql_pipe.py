"""``psql`` with COPY into a pipe, read by boto3's ``upload_fileobj``: what a careful person writes by hand."""

from __future__ import annotations

import subprocess
from typing import IO, Any

from tests.benchmarks.clients.report import arguments, measured

_CHUNK_BYTES = 1024 * 1024


class Gzipped:
    """A stream, compressed by the fastest gzip there is while it is read."""

    def __init__(self, source: IO[bytes]) -> None:
        from isal import isal_zlib

        self._source = source
        self._packer = isal_zlib.compressobj(level=1, wbits=31)
        self._waiting = bytearray()
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """That many bytes, fewer only at the end; all of them without a size."""
        while (size < 0 or len(self._waiting) < size) and not self._ended:
            text = self._source.read(_CHUNK_BYTES)
            self._waiting += self._packer.compress(text) if text else self._packer.flush()
            self._ended = not text
        size = len(self._waiting) if size < 0 else size
        found = bytes(self._waiting[:size])
        del self._waiting[:size]
        return found


def main() -> None:
    import boto3
    import zstandard
    from botocore.config import Config

    asked = arguments()
    copies = {
        "csv": "COPY (SELECT * FROM {table}) TO STDOUT (FORMAT csv, HEADER)",
        # as CSV with a quote and a delimiter that no JSON text holds: nothing is escaped twice
        "jsonl": r"COPY (SELECT row_to_json(r) FROM {table} r) TO STDOUT "
        r"(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')",
    }
    command = [asked["psql"], "-qX", "-d", asked["url"], "-c", copies[asked["format"]].format(table=asked["table"])]
    client = boto3.client("s3", config=Config(s3={"payload_signing_enabled": False, "addressing_style": "path"}))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as psql:
        assert psql.stdout is not None
        stream: Any = psql.stdout
        if asked["compression"] == "gzip":
            stream = Gzipped(stream)
        elif asked["compression"] == "zstd":
            stream = zstandard.ZstdCompressor(level=1).stream_reader(stream)
        client.upload_fileobj(stream, "partner-b-landing", "orders")
    assert psql.returncode == 0


with measured():
    main()
