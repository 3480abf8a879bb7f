"""``python -m tests.benchmarks``: dumps, uploads, fixed cost and memory, ours beside what others use."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.cases import FORMATS, Peers, dump_cases, fixed_cases, memory_cases, upload_cases
from tests.benchmarks.files import big_file, small_files
from tests.benchmarks.measure import Case, interleave, middle, run_client
from tests.benchmarks.sink import NoCompiler, Sink, sink
from tests.benchmarks.source_table import Database, database
from tests.benchmarks.surroundings import environment
from tests.benchmarks.tables import memory_table, table
from tests.databases import ServerMissing

_PARTS = ("dumps", "uploads", "fixed", "memory")
#: for a part of 8 MiB: 80 MB/s with four in flight, less than any of our dumps makes
_SLOW_SECONDS = 0.4
_SUFFIXES = {"k": 1_000, "m": 1_000_000}


@dataclass(frozen=True)
class Bench:
    """One run of the benchmarks.

    :param bare_bytes: resident after the bare import of Airflow.
    """

    asked: argparse.Namespace
    sink: Sink
    source: Database | None
    folder: Path
    bare_bytes: int

    def run(self, cases: Sequence[Case], rounds: int, show: Callable[..., str] = table) -> None:
        """Measure cases and print their table."""
        only = [word.strip().lower() for word in self.asked.only.split(",")] if self.asked.only else []
        chosen = [case for case in cases if not only or any(word in case.tool.lower() for word in only)]
        variables = environment(self.sink, self.source, self.folder)
        print(show(interleave(chosen, rounds, variables, self.sink), self.bare_bytes), flush=True)

    def dumps(self) -> None:
        """Tables of PostgreSQL as objects in S3."""
        assert self.source is not None
        for rows in self.asked.rows:
            facts = self._facts(rows)
            for name in self.asked.formats:
                self.run(list(dump_cases(rows, [name], facts, Peers(self.asked.peers))), self.asked.rounds)

    def memory(self) -> None:
        """The peak of our dumps at each size: where parts are taken at once, and where they have to wait."""
        for wait_seconds in (0, _SLOW_SECONDS):
            with sink(wait_seconds=wait_seconds) as target:
                bench = replace(self, sink=target)
                cases = [
                    case
                    for rows in self.asked.rows
                    for case in memory_cases(rows, self.asked.formats, bench._facts(rows))
                ]
                print(f"\nA bucket that takes {wait_seconds:g} s for a part:", flush=True)
                bench.run(cases, self.asked.rounds, memory_table)

    def uploads(self) -> None:
        """One large file, and many small ones."""
        size_mib, count = (64, 200) if self.asked.quick else (2048, 5000)
        peers = Peers(self.asked.peers)
        facts = {"sink": self.sink.url}
        with big_file(self.asked.files, size_mib) as path:
            self.run(list(upload_cases(f"one file of {size_mib:,} MiB", path, facts, peers)), self.asked.rounds)
        with small_files(self.asked.files, count) as path:
            self.run(list(upload_cases(f"{count:,} files of 20 KB", path, facts, peers)), self.asked.rounds)

    def fixed(self) -> None:
        """What a task pays before it does anything."""
        self.run(list(fixed_cases()), self.asked.rounds * 3)

    def _facts(self, rows: int) -> dict[str, object]:
        assert self.source is not None
        table_name = self.source.need(rows)
        return {
            "table": table_name,
            "server": self.source.describe(),
            "url": self.source.url,
            "sink": self.sink.url,
        }


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 unless something that every benchmark needs is missing."""
    asked = _arguments(words)
    # an end by SIGTERM shall leave no server behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parts = asked.part or [part for part in _PARTS if part != "memory"]
    print(_machine(), flush=True)
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xacct-bench-home-")))
            target = stack.enter_context(sink())
            needs_database = {"dumps", "memory"} & set(parts)
            source = stack.enter_context(database(asked.database)) if needs_database else None
        except (NoCompiler, ServerMissing) as missing:
            print(f"the benchmarks cannot run here: {missing}", file=sys.stderr)
            return 1
        bare = Case(work="", tool="bare Airflow", client="bare_airflow", asked={})
        variables = environment(target, source, folder)
        bare_bytes = middle([run_client(bare, variables, target) for _ in range(3)]).peak
        bench = Bench(asked, target, source, folder, bare_bytes)
        for part in parts:
            getattr(bench, part)()
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(_PARTS)}; all but memory when left out")
    parser.add_argument("--rows", type=_sizes, help="sizes of tables, such as 1m,5m (default: 1m; memory: 1m,5m)")
    parser.add_argument("--formats", type=_formats, default=list(FORMATS), help=f"of {','.join(FORMATS)}")
    parser.add_argument("--only", default="", help="tools whose names hold one of these words, such as ours,duckdb")
    parser.add_argument("--rounds", type=int, help="how often each tool runs, in turns (default: 3; --quick: 1)")
    parser.add_argument("--quick", action="store_true", help="little data, once: does it all still run?")
    parser.add_argument("--peers", type=Path, default=Path(sys.prefix) / "peers", help="see peers.txt")
    parser.add_argument("--database", help="the URL of a PostgreSQL to make the tables in; by default one of our own")
    parser.add_argument("--files", type=Path, help="a folder for the files to be uploaded (default: a temporary one)")
    asked = parser.parse_args(words)
    if unknown := set(asked.part) - set(_PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose of {', '.join(_PARTS)}")
    if asked.rows is None:
        asked.rows = [100_000] if asked.quick else [1_000_000, 5_000_000] if asked.part == ["memory"] else [1_000_000]
    if asked.rounds is None:
        asked.rounds = 1 if asked.quick else 3
    return asked


def _sizes(text: str) -> list[int]:
    return [int(float(word.rstrip("km")) * _SUFFIXES.get(word[-1], 1)) for word in text.lower().split(",")]


def _formats(text: str) -> list[str]:
    names = text.lower().split(",")
    if unknown := set(names) - set(FORMATS):
        raise argparse.ArgumentTypeError(f"no format {', '.join(sorted(unknown))}: choose of {', '.join(FORMATS)}")
    return names


def _machine() -> str:
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    packages = ("apache-airflow", "apache-airflow-providers-amazon", "boto3", "pandas", "pyarrow")
    facts = [
        f"{os.cpu_count()} cores",
        f"{memory_gib:.0f} GiB",
        f"Python {platform.python_version()}",
        *(f"{name} {importlib.metadata.version(name)}" for name in packages),
        f"load {os.getloadavg()[0]:.1f}",
    ]
    return ", ".join(facts)


if __name__ == "__main__":
    sys.exit(main())
