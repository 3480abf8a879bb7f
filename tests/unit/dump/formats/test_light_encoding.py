"""What a dump takes beside its rows, measured in processes of their own: no pandas, and no more memory than is said."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_xacct.dump.formats.text_rows import BATCH_BYTES
from airflow_xacct.dump.pipeline import OBJECT_AHEAD_BYTES, SOURCE_AHEAD_BYTES

MiB = 1024 * 1024


def light(path: Path, *ways: str) -> dict[str, Any]:
    """What the other process tells."""
    script = Path(__file__).with_name("light_encoding.py")
    command = [sys.executable, "-W", "error", str(script), str(path), *ways]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    return told


def write(path: Path, *batches: pa.RecordBatch) -> Path:
    with pa.ipc.new_file(path, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path


def many(rows: int) -> pa.RecordBatch:
    """About 100 bytes a row of ordinary columns."""
    numbers = pa.array(range(rows), pa.int64())
    note = pa.array([f'said "no", left by door {i % 1000}' if i % 5 else None for i in range(rows)])
    return pa.record_batch(
        {
            "id": numbers,
            "price": numbers.cast(pa.decimal128(19, 0)),
            "weight": numbers.cast(pa.float64()),
            "sold_at": numbers.cast(pa.timestamp("us")),
            "note": note,
            "paid": pa.array([i % 3 == 0 for i in range(rows)]),
        }
    )


def test_no_format_needs_pandas(tmp_path: Path, every_type: pa.RecordBatch) -> None:
    """pyarrow imports it for every Python value it is given, wherever it is installed."""
    assert importlib.util.find_spec("pandas"), "without pandas this test shows nothing"
    assert light(write(tmp_path / "rows.arrow", every_type))["pandas"] == []


@pytest.mark.parametrize("way", ["csv", "jsonl"])
def test_text_takes_five_times_a_piece(tmp_path: Path, way: str) -> None:
    """However large a batch is, it is encoded in pieces; and what that takes is not left to Arrow's own allocator."""
    batch = many(600_000)
    assert batch.nbytes > 10 * BATCH_BYTES
    told = light(write(tmp_path / "rows.arrow", batch), way)
    assert told["pool"] <= 5 * BATCH_BYTES + OBJECT_AHEAD_BYTES + 2 * MiB
    assert told["default"] < MiB


@pytest.mark.parametrize(("way", "ahead_bytes"), [("jsonl", SOURCE_AHEAD_BYTES), ("parquet", 16 * MiB)])
def test_no_more_waits_than_is_said(tmp_path: Path, way: str, ahead_bytes: int) -> None:
    """Rows ahead of the encoder, text ahead of the upload: the limit, and less than one item above it."""
    batch = many(10_000)
    told = light(write(tmp_path / "rows.arrow", *[batch] * 60), way)
    assert told["waiting"] < max(ahead_bytes, OBJECT_AHEAD_BYTES) + 2 * MiB
