"""Runs a client in a process of its own, and keeps what it measured."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.sink import Sink

__all__ = ["Case", "ClientFailed", "Sample", "interleave", "middle", "run_client"]

_ROOT = Path(__file__).parents[2]
_LONGEST_SECONDS = 1800


class ClientFailed(Exception):  # noqa: N818 - it becomes a line of the table
    """A client ended badly; the end of what it printed is the message."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One way to do one piece of work.

    :param work: what is done, such as ``5,000,000 rows as CSV``; cases of the same work are compared.
    :param tool: who does it.
    :param client: a module of :mod:`tests.benchmarks.clients`.
    :param asked: its arguments.
    :param python: that runs it; other tools may live in an environment of their own.
    :param in_airflow: it runs where Airflow is loaded already, so that its memory is counted above Airflow's.
    :param missing: why it cannot run here; empty if it can.
    :param rounds: at most so many, for those who take long.
    """

    work: str
    tool: str
    client: str
    asked: Mapping[str, Any]
    python: str = sys.executable
    in_airflow: bool = True
    missing: str = ""
    rounds: int = 1000


@dataclass(frozen=True)
class Sample:
    """One run.

    :param wall: seconds.
    :param cpu: seconds of user and system time, of the client and the processes it started.
    :param peak: bytes resident.
    :param requests: that reached the sink.
    :param stored: bytes that reached the sink.
    """

    wall: float
    cpu: float
    peak: int
    requests: int
    stored: int
    facts: Mapping[str, Any] = field(default_factory=dict)


def run_client(case: Case, environment: Mapping[str, str], sink: Sink) -> Sample:
    """Run a case once.

    Nothing that it starts outlives this call.

    :raises ClientFailed: it did.
    """
    requests, stored = sink.counts()
    with tempfile.TemporaryDirectory(prefix="xacct-bench-") as folder:
        result, output = Path(folder, "result.json"), Path(folder, "output")
        command = [case.python, "-m", f"tests.benchmarks.clients.{case.client}", json.dumps(dict(case.asked))]
        variables = {**environment, "BENCHMARK_RESULT": str(result)}
        with output.open("wb") as printed:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                env=variables,
                cwd=_ROOT,
                start_new_session=True,
            )
            try:
                status = process.wait(_LONGEST_SECONDS)
            finally:
                # its whole group: what it started as well
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status or not result.exists():
            raise ClientFailed(f"{case.client} ended with {status}: {output.read_text(errors='replace')[-2000:]}")
        facts = json.loads(result.read_text())
    after_requests, after_stored = sink.counts()
    wall, cpu, peak = (facts.pop(name) for name in ("wall", "cpu", "peak"))
    # the question how many requests there were is one itself
    return Sample(wall, cpu, peak, after_requests - requests - 1, after_stored - stored, facts)


def interleave(
    cases: Sequence[Case], rounds: int, environment: Mapping[str, str], sink: Sink
) -> dict[Case, list[Sample] | str]:
    """Run every case once, then every case again: whatever else happens on the machine happens to all of them.

    :return: what was measured, or why it was not.
    """
    found: dict[Case, list[Sample] | str] = {case: case.missing or [] for case in cases}
    for number in range(rounds):
        for case in cases:
            samples = found[case]
            if isinstance(samples, str) or number >= case.rounds:
                continue
            try:
                sample = run_client(case, environment, sink)
            except ClientFailed as failed:
                print(failed, flush=True)
                found[case] = f"it failed: {str(failed).strip().rpartition(chr(10))[2]}"
                continue
            samples.append(sample)
            print(
                f"{case.work:32} {case.tool:32} {sample.wall:8.2f} s {sample.cpu:8.2f} s CPU "
                f"{sample.peak / 2**20:8.0f} MiB {sample.stored / 2**20:8.0f} MiB stored",
                flush=True,
            )
    return found


def middle(samples: Sequence[Sample]) -> Sample:
    """The median of each figure."""

    def of(name: str) -> float:
        return float(median(getattr(sample, name) for sample in samples))

    return Sample(of("wall"), of("cpu"), int(of("peak")), int(of("requests")), int(of("stored")), samples[0].facts)
