"""The content type of an object, from its name.

The table is Python's own list of defaults and the data formats below, never the host's ``/etc/mime.types``: a
worker with another base image must not store other metadata.
"""

from __future__ import annotations

import posixpath
from mimetypes import MimeTypes

__all__ = ["DEFAULT_CONTENT_TYPE", "guess_content_type"]

DEFAULT_CONTENT_TYPE = "application/octet-stream"

_DATA_FORMATS = {
    ".7z": "application/x-7z-compressed",
    ".arrow": "application/vnd.apache.arrow.file",
    ".arrows": "application/vnd.apache.arrow.stream",
    ".avro": "application/avro",
    ".bz2": "application/x-bzip2",
    ".csv": "text/csv",
    ".feather": "application/vnd.apache.arrow.file",
    ".geojson": "application/geo+json",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".ndjson": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".sql": "application/sql",
    ".sqlite": "application/vnd.sqlite3",
    ".tgz": "application/gzip",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}

_STRICT = 1  # MimeTypes keeps two tables: the non-standard types, then the registered ones
_TYPES = {**MimeTypes(filenames=()).types_map[_STRICT], **_DATA_FORMATS}


def guess_content_type(name: str) -> str:
    """The content type by the last suffix of a key or file name.

    ``flights.csv.gz`` is ``application/gzip``: objects carry no Content-Encoding
    (:mod:`airflow_xacct.dump.compression`).
    """
    _, suffix = posixpath.splitext(posixpath.basename(name))
    return _TYPES.get(suffix.lower(), DEFAULT_CONTENT_TYPE)
