"""Airflow's own command line, in processes that know nothing of the user's Airflow and nothing of their AWS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from airflow_xacct.demo.processes import running

__all__ = ["AirflowProcess", "airflow_environment", "without_foreign_settings"]

# a proxy would be asked for 127.0.0.1; the other prefixes hold somebody's real accounts, databases, tracing and lineage
_FOREIGN_PREFIXES = ("AIRFLOW", "_AIRFLOW", "AWS_", "BOTO", "OPENLINEAGE", "OTEL_", "PG", "SENTRY")
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
        with log.open("w", encoding="utf-8") as file, self._started(arguments) as process:
            for line in process.stdout or ():
                file.write(line)
                self.on_line(line)
                if on_line is not None:
                    on_line(line)
            return process.wait()

    def _started(self, arguments: Sequence[str]) -> AbstractContextManager[subprocess.Popen[str]]:
        return running(
            # the module and not the script: the scripts of an environment need not be on PATH
            [sys.executable, "-m", "airflow", *arguments],
            env=dict(self.environment),
            # not the user's folder, which `-m` would search before the installed packages
            cwd=self.environment.get("AIRFLOW_HOME"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
