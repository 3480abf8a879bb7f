"""The benchmarks run, and what their clients deliver is what was asked for: a wrong figure is worse than none."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.benchmarks.cases import Peers, dump_cases, upload_cases
from tests.benchmarks.measure import Case, ClientFailed, Sample, interleave, run_client
from tests.benchmarks.sink import NoCompiler, Sink, sink
from tests.benchmarks.source_table import Database, database
from tests.benchmarks.surroundings import environment
from tests.benchmarks.tables import memory_table, table
from tests.databases import ServerMissing

ROWS = 2_000


@pytest.fixture(scope="module")
def source() -> Iterator[Database]:
    """A PostgreSQL with a small source table; skipped with the reason where there is none."""
    try:
        context = database()
        server = context.__enter__()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    server.need(ROWS)
    yield server
    context.__exit__(None, None, None)


@pytest.fixture
def target() -> Iterator[Sink]:
    """A sink that keeps what it is sent; skipped with the reason where it cannot be compiled."""
    try:
        context = sink(keeps=True)
        found = context.__enter__()
    except NoCompiler as missing:
        pytest.skip(str(missing))
    yield found
    context.__exit__(None, None, None)


def server_csv(source: Database) -> bytes:
    """What the server itself writes."""
    statement = f"COPY (SELECT * FROM source_{ROWS}) TO STDOUT (FORMAT csv, HEADER)"
    with psycopg.connect(source.url) as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(copy)


@pytest.mark.parametrize("tool", ["ours", "psql to boto3", "SqlToS3Operator"])
def test_a_dump_delivers_the_table(tool: str, source: Database, target: Sink, tmp_path: Path) -> None:
    """Every row, compressed as asked; ours and psql's are the server's own bytes."""
    asked = {
        "table": f"source_{ROWS}",
        "server": source.describe(),
        "url": source.url,
        "sink": target.url,
    }
    cases = dump_cases(ROWS, ["csv-gzip"], asked, Peers(tmp_path))
    case = next(case for case in cases if case.tool == tool)
    if case.missing:
        pytest.skip(case.missing)
    sample = run_client(case, environment(target, source, tmp_path), target)
    bodies = [body for key, body in target.objects().items() if key.startswith("orders") and "manifest" not in key]
    text = gzip.decompress(b"".join(bodies))
    wanted = server_csv(source)
    if tool == "SqlToS3Operator":  # pandas has a spelling of its own for most values
        assert len(text.splitlines()) == len(wanted.splitlines()) == ROWS + 1
    else:
        assert text == wanted
    assert sample.wall > 0
    assert sample.cpu > 0
    assert sample.peak > 10 * 2**20
    assert sample.stored >= len(bodies[0])


@pytest.mark.parametrize("tool", ['ours, if_exists="error"', "S3Hook.load_file, replace=False", "boto3 upload_file"])
def test_an_upload_delivers_the_files(tool: str, target: Sink, tmp_path: Path) -> None:
    """Byte by byte, also in several parts."""
    folder = tmp_path / "files"
    folder.mkdir()
    files = {"small.bin": b"a", "large.bin": bytes(range(256)) * 4096 * 9}
    for name, body in files.items():
        (folder / name).write_bytes(body)
    cases = upload_cases("files", folder, {"sink": target.url}, Peers(tmp_path))
    case = next(case for case in cases if case.tool == tool)
    run_client(case, environment(target, None, tmp_path), target)
    landed = {key: body for key, body in target.objects().items() if "manifest" not in key}
    assert landed == {f"files/{name}": body for name, body in files.items()}


def test_a_client_that_fails_is_a_line_and_not_a_figure(target: Sink, tmp_path: Path) -> None:
    """Its message is there, the others still run, and what is missing says why."""
    file = tmp_path / "file"
    file.write_bytes(b"a")
    bad = Case(work="w", tool="bad", client="no_such_client", asked={})
    good = Case(work="w", tool="good", client="boto3_upload", asked={"source": str(file)})
    absent = Case(work="w", tool="absent", client="boto3_upload", asked={}, missing="it is not installed")
    variables = environment(target, None, tmp_path)
    with pytest.raises(ClientFailed, match="no_such_client ended with 1"):
        run_client(bad, variables, target)
    text = table(interleave([good, bad, absent], 1, variables, target), bare_bytes=0)
    assert "| good | 1 | " in text
    assert "bad: not run, it failed: " in text
    assert "absent: not run, it is not installed." in text
    assert target.objects() == {"files/file": b"a"}


def test_the_tables_hold_medians_and_the_highest_peak() -> None:
    """Time is a median; memory is a promise, so that its highest peak counts."""
    case = Case(work="1,000 rows, CSV", tool="ours", client="", asked={})
    samples = [Sample(wall, wall, peak * 2**20, 5, 2**20) for wall, peak in ((1, 200), (9, 210), (2, 205))]
    assert "| ours | 3 | 2.00 | 1.00 | 2.00 | 1.00 | 205 | 105 | 5 | 1 |" in table({case: samples}, 100 * 2**20)
    assert memory_table({case: samples}, 100 * 2**20).endswith("| format | 1,000 rows |\n|---|---|\n| CSV | 110 |")


def test_the_command_knows_its_words() -> None:
    """A part or format that does not exist is named before anything is started."""
    for words, wanted in ((["nothing"], "there is no part nothing"), (["--formats", "xml"], "no format xml")):
        command = [sys.executable, "-m", "tests.benchmarks", *words]
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        assert run.returncode == 2
        assert wanted in run.stderr
