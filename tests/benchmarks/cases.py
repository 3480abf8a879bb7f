"""What is compared with what."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Case
from tests.benchmarks.surroundings import psql

__all__ = ["FORMATS", "Peers", "dump_cases", "fixed_cases", "memory_cases", "upload_cases"]

#: name: (format, compression)
FORMATS = {
    "csv": ("csv", "none"),
    "csv-gzip": ("csv", "gzip"),
    "csv-zstd": ("csv", "zstd"),
    "jsonl": ("jsonl", "none"),
    "parquet": ("parquet", "zstd"),
}
_TITLES = {
    "csv": "CSV",
    "csv-gzip": "CSV gzip",
    "csv-zstd": "CSV zstd",
    "jsonl": "JSON Lines",
    "parquet": "Parquet zstd",
}
#: SqlToS3Operator holds the whole result, about 1.6 GiB for each million of these rows
_MOST_ROWS_OF_PANDAS = 5_000_000


@dataclass(frozen=True)
class Peers:
    """The environment that tools outside Airflow live in.

    :param folder: made as ``peers.txt`` says.
    """

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    def missing(self, *modules: str) -> str:
        """Why these modules cannot be used; empty if they can."""
        if not Path(self.python).exists():
            return f"there is no {self.folder}: see tests/benchmarks/peers.txt"
        code = f"import {', '.join(modules)}"
        run = subprocess.run([self.python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        return run.stderr.strip().rpartition("\n")[2] if run.returncode else ""


def dump_cases(rows: int, formats: Sequence[str], asked: dict[str, Any], peers: Peers) -> Iterator[Case]:
    """A table to S3, in each format.

    :param asked: ``table``, ``server`` and ``url`` of the database, ``sink``.
    """
    duckdb_missing = peers.missing("duckdb", "duckdb_extension_httpfs", "duckdb_extension_postgres_scanner")
    psql_path = psql()
    for name in formats:
        form, compression = FORMATS[name]
        work = f"{rows:,} rows, {_TITLES[name]}"
        common = {**asked, "format": form, "compression": compression}
        for count in (1, 2, 3):
            tool = f"ours, {count} connections" if count > 1 else "ours"
            more = {"more": {"connections": count}} if count > 1 else {}
            yield Case(work=work, tool=tool, client="xacct_dump", asked={**common, **more})
        yield Case(
            work=work,
            tool="DuckDB",
            client="duckdb_copy",
            asked=common,
            python=peers.python,
            in_airflow=False,
            missing=duckdb_missing,
        )
        yield Case(
            work=work,
            tool="psql to boto3",
            client="psql_pipe",
            asked={**common, "psql": psql_path},
            in_airflow=False,
            missing="psql writes no Parquet" if form == "parquet" else "" if psql_path else "there is no psql here",
        )
        yield Case(
            work=work,
            tool="SqlToS3Operator",
            client="sql_to_s3",
            asked=common,
            missing=_pandas_refuses(rows, name),
            rounds=1 if rows > 1_000_000 else 2,
        )


def _pandas_refuses(rows: int, name: str) -> str:
    if name == "csv-zstd":
        return "it writes no CSV zstd"
    if rows > _MOST_ROWS_OF_PANDAS:
        return "it holds all rows, which needs more memory than there is"
    return ""


def memory_cases(rows: int, formats: Sequence[str], asked: dict[str, Any]) -> Iterator[Case]:
    """Our dumps alone, for their peak."""
    for name in formats:
        form, compression = FORMATS[name]
        work = f"{rows:,} rows, {_TITLES[name]}"
        yield Case(
            work=work, tool="ours", client="xacct_dump", asked={**asked, "format": form, "compression": compression}
        )


def upload_cases(work: str, source: Path, asked: dict[str, Any], peers: Peers) -> Iterator[Case]:
    """A file, or the files of a folder, to S3."""
    common = {**asked, "source": str(source)}
    for policy in ("error", "replace"):
        more = {"more": {"if_exists": policy}}
        yield Case(work=work, tool=f'ours, if_exists="{policy}"', client="xacct_upload", asked={**common, **more})
    for replace in (False, True):
        tool = f"S3Hook.load_file, replace={replace}"
        yield Case(work=work, tool=tool, client="s3hook_upload", asked={**common, "replace": replace})
    yield Case(work=work, tool="boto3 upload_file", client="boto3_upload", asked=common, in_airflow=False)
    yield Case(
        work=work,
        tool="s5cmd",
        client="s5cmd_upload",
        asked=common,
        python=peers.python,
        in_airflow=False,
        missing=_s5cmd_missing(peers),
    )


def _s5cmd_missing(peers: Peers) -> str:
    program = Path(peers.python).with_name("s5cmd")
    return "" if program.exists() else f"there is no {program}: see tests/benchmarks/peers.txt"


def fixed_cases() -> Iterator[Case]:
    """What every DAG file, and every task, pays before it does anything."""
    named = {
        "ours": "airflow_xacct.operators.CrossAccountSqlDumpOperator",
        "SqlToS3Operator": "airflow.providers.amazon.aws.transfers.sql_to_s3.SqlToS3Operator",
    }
    for tool, name in named.items():
        yield Case(work="a DAG file's import of an operator", tool=tool, client="imports", asked={"name": name})
    needed = {
        "ours": "airflow_xacct.hooks.connections.open_access",
        "CrossAccountS3Hook": "airflow_xacct.hooks.s3.CrossAccountS3Hook",
        "S3Hook": "airflow.providers.amazon.aws.hooks.s3.S3Hook",
    }
    for tool, name in needed.items():
        yield Case(work="what a task imports for a client", tool=tool, client="imports", asked={"name": name})
    for tool in needed:
        yield Case(work="the first S3 client of a role", tool=tool, client="first_client", asked={"way": tool})
