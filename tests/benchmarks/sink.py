"""The S3 endpoint of the benchmarks: ``sink.c``, compiled when it is needed and ended with its block."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["NoCompiler", "Sink", "sink"]

_SOURCE = Path(__file__).with_name("sink.c")


class NoCompiler(Exception):  # noqa: N818 - what is missing is for a skip, not a failure
    """There is no C compiler on this machine."""


@dataclass(frozen=True)
class Sink:
    """A sink that runs.

    :param folder: where it keeps what it is sent; ``None`` when it keeps nothing.
    """

    url: str
    folder: Path | None = None

    def counts(self) -> tuple[int, int]:
        """How many requests, and how many bytes in their bodies, came so far."""
        with urllib.request.urlopen(f"{self.url}/?counts", timeout=30) as answer:  # noqa: S310 - our own, http
            requests, size_bytes = answer.read().split()
        return int(requests), int(size_bytes)

    def objects(self) -> dict[str, bytes]:
        """What a bucket would hold now, by key: whole puts, and multipart uploads that were completed."""
        assert self.folder is not None
        parts: dict[str, dict[int, bytes]] = {}
        found: dict[str, bytes] = {}
        for number in sorted(int(path.stem) for path in self.folder.glob("*.head")):
            method, target, *encoding = (self.folder / f"{number}.head").read_text().split()
            body = (self.folder / str(number)).read_bytes()
            body = _without_chunks(body) if "aws-chunked" in "".join(encoding) else body
            url = urlsplit(target)
            query = parse_qs(url.query, keep_blank_values=True)
            key = unquote(url.path).lstrip("/").partition("/")[2]
            upload_id = query.get("uploadId", [""])[0]
            if method == "PUT" and upload_id:
                parts.setdefault(upload_id, {})[int(query["partNumber"][0])] = body
            elif method == "PUT":
                found[key] = body
            elif method == "POST" and upload_id:
                found[key] = b"".join(part for _, part in sorted(parts.pop(upload_id, {}).items()))
        return found


@contextlib.contextmanager
def sink(*, keeps: bool = False, wait_seconds: float = 0) -> Iterator[Sink]:
    """A sink on a free port of loopback.

    :param keeps: write down what it is sent, so that a test can look at it.
    :param wait_seconds: how long it takes for a part.
    :raises NoCompiler: there is no ``cc``.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompiler("no C compiler: the sink is compiled with cc")
    with tempfile.TemporaryDirectory(prefix="xacct-sink-") as name:
        program, folder = Path(name, "sink"), Path(name, "kept") if keeps else None
        subprocess.run([compiler, "-O2", "-pthread", "-o", program, _SOURCE], check=True, timeout=120)
        if folder is not None:
            folder.mkdir()
        command = [str(program), str(folder or ""), str(round(wait_seconds * 1000))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield Sink(f"http://127.0.0.1:{int(process.stdout.readline())}", folder)
            finally:
                process.kill()


def _without_chunks(body: bytes) -> bytes:
    """Undo aws-chunked (AWS: *Transferring payload in multiple chunks*)."""
    found: list[bytes] = []
    at = 0
    while True:
        line_end = body.index(b"\r\n", at)
        size = int(body[at:line_end].split(b";")[0], 16)
        if not size:
            return b"".join(found)
        found.append(body[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2
