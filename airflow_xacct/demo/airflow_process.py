"""Airflow's own command line, in processes that know nothing of the user's Airflow and nothing of their AWS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["AirflowProcess", "airflow_environment", "without_foreign_settings"]

# nothing of it is worth more patience: its folder goes away, or is kept as it is
_STOP_TIMEOUT_SECONDS = 3.0
# a proxy would be asked for 127.0.0.1; the other prefixes hold somebody's real accounts, tracing and lineage
_FOREIGN_PREFIXES = ("AIRFLOW", "_AIRFLOW", "AWS_", "BOTO", "OPENLINEAGE", "OTEL_", "SENTRY")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY")


def airflow_environment(home: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of an Airflow that lives below ``home`` alone.

    :param home: becomes ``AIRFLOW_HOME``; its folder ``dags`` is the one Airflow reads.
    :param base: the environment to start from. What belongs to another Airflow, to real AWS credentials, or to a proxy
        is left out, so that nothing outside of this machine can be reached by accident.
    """
    kept = {name: value for name, value in base.items() if not _is_foreign(name)}
    temporary = home / "tmp"
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # no file of the user's, no instance profile: what is not exported to it does not exist
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(temporary),
    }


@contextmanager
def without_foreign_settings() -> Iterator[None]:
    """Hide the same settings from this process, whose own clients boto3 configures from the environment."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if _is_foreign(name)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _is_foreign(name: str) -> bool:
    return name.upper().startswith(_FOREIGN_PREFIXES) or name.upper() in _PROXIES


@dataclass(frozen=True)
class AirflowProcess:
    """Runs commands of Airflow one after the other; none outlives :meth:`run`, whatever interrupts it.

    :param environment: of the processes, as a whole.
    :param on_line: told of each line of their output.
    """

    environment: Mapping[str, str]
    on_line: Callable[[str], None] = field(default=lambda _: None)

    def run(self, arguments: Sequence[str], *, log: Path, on_line: Callable[[str], None] | None = None) -> int:
        """Run ``airflow ARGUMENTS`` to its end and return its exit status.

        :param log: a file for its whole output.
        :param on_line: told of each line too, beside the one of this object.
        """
        with log.open("w", encoding="utf-8") as file, _interrupts_held() as release:
            process = self._start(arguments)
            try:
                release()
                for line in process.stdout or ():
                    file.write(line)
                    self.on_line(line)
                    if on_line is not None:
                        on_line(line)
                return process.wait()
            finally:
                _end(process)

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            # the module and not the script: the scripts of an environment need not be on PATH
            [sys.executable, "-m", "airflow", *arguments],
            env=dict(self.environment),
            # not the user's folder, which `-m` would search before the installed packages
            cwd=self.environment.get("AIRFLOW_HOME"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # a session of its own, so that Ctrl-C reaches us alone and we end the whole group
            start_new_session=True,
        )


@contextmanager
def _interrupts_held() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C and SIGTERM back until what is yielded is called, or the block ends.

    One that came while a process was being started would leave it to itself: nobody had its id yet.
    """
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread alone
        yield lambda: None
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def release() -> None:
        restore()
        if came:
            raise KeyboardInterrupt

    try:
        yield release
    finally:
        restore()


def _end(process: subprocess.Popen[str]) -> None:
    """End a process, and whatever it started, by its id."""
    try:
        if process.poll() is None:
            _signal_group(process.pid, signal.SIGTERM)
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_TIMEOUT_SECONDS)
            finally:
                # also when a second Ctrl-C ends the wait, and for what outlived its parent
                _signal_group(process.pid, signal.SIGKILL)
                process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
