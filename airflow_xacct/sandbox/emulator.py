"""ministack, held in memory and behind our rules.

The sandbox keeps ministack as the store (buckets, objects, users, roles, keys) and decides for itself who may do what
in S3 and STS. Every other service is forwarded whole and stays under ministack's own enforcement (``AUTH=true``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

from awscrt import checksums

from airflow_xacct.exceptions import ConfigurationError
from airflow_xacct.sandbox.dependencies import require_ministack
from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["Emulator"]

_IN_MEMORY = {
    "AUTH": "true",
    "S3_PERSIST": "0",
    "PERSIST_STATE": "0",
    "LOCALSTACK_PERSISTENCE": "0",
    "BIND_HOST": "127.0.0.1",
    "SERVICES": "",
    "MINISTACK_REGION": "us-east-1",
    "LOG_LEVEL": "WARNING",
}
_ACCOUNT_ID = re.compile(r"\d{12}")
_held = threading.Lock()
_quiet = logging.getLogger(__name__)
_quiet.setLevel(logging.ERROR)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """ministack reads its switches when it is imported and some later; ours must not outlive that."""
    before = {name: os.environ.get(name) for name in _IN_MEMORY}
    os.environ.update(_IN_MEMORY)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _root_logger_untouched() -> Iterator[None]:
    """ministack configures the root logger on import, which is the business of the embedding program."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _is_root(access_key_id: str) -> bool:
    """ministack takes the key in ``AWS_ACCESS_KEY_ID`` for root, and that is the worker's key in a DAG's process.

    What remains is the sandbox's own, and the unsigned calls that :mod:`strict.principals` lets through.
    """
    return not access_key_id or bool(_ACCOUNT_ID.fullmatch(access_key_id))


class Emulator:
    """One in-memory ministack; there can be one open per process, since its state is global.

    :param verbose: keep its log messages.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        require_ministack()
        self._verbose = verbose
        self._replaced: list[tuple[ModuleType, str, Any]] = []
        self._modules_seen = 0

    def open(self) -> None:
        """Take the process's ministack and empty it.

        :raises ConfigurationError: another sandbox of this process is still open.
        """
        if not _held.acquire(blocking=False):
            raise ConfigurationError(
                "another sandbox is open in this process",
                remedy="The emulator's state is global: close the other one first, or share it.",
            )
        try:
            self._load()
            self._patch()
            self.reset()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Empty it and give the process back as it was."""
        if hasattr(self, "s3"):
            self.reset()
        for module, name, original in self._replaced:
            setattr(module, name, original)
        self._replaced.clear()
        self._modules_seen = 0
        _held.release()

    def _load(self) -> None:
        with _environment(), _root_logger_untouched():
            from ministack import app
            from ministack.core import iam_evaluator, responses, sigv4
            from ministack.services import iam, kms, s3, sts
        if not app.AUTH or s3.S3_PERSIST:
            raise ConfigurationError(
                "ministack was imported earlier in this process with other settings",
                remedy="Import airflow_xacct.sandbox first, or do not import ministack yourself.",
            )
        self.application, self.s3, self.iam, self.sts, self.kms = app, s3, iam, sts, kms
        self.evaluator, self.responses, self.sigv4 = iam_evaluator, responses, sigv4

    def _patch(self) -> None:
        for module in [m for name, m in sys.modules.items() if name.startswith("ministack.") and m]:
            if hasattr(module, "is_root_access_key"):
                self._replace(module, "is_root_access_key", _is_root)
        # the same arithmetic, three hundred times as fast as a loop in Python
        self._replace(self.s3, "_crc64nvme", checksums.crc64nvme)
        self._replace(self.s3, "_crc32c", checksums.crc32c)
        self._quieten()

    def _quieten(self) -> None:
        """Let ministack's services log to a logger of ours: theirs have names such as "s3", and tell every bucket.

        Services are imported on first use, so this is done again whenever there are new modules.
        """
        if self._verbose or len(sys.modules) == self._modules_seen:
            return
        self._modules_seen = len(sys.modules)
        for name, module in list(sys.modules.items()):
            logger = getattr(module, "logger", None) if name.startswith("ministack.") else None
            if isinstance(logger, logging.Logger) and logger is not _quiet:
                self._replace(module, "logger", _quiet)

    def _replace(self, module: ModuleType, name: str, value: Any) -> None:
        self._replaced.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def reset(self) -> None:
        """Forget every resource of every account."""
        with _environment():
            self.application._reset_all_state()  # noqa: SLF001 - its own endpoint for this does the same

    def act_as(self, account: str, region: str = "") -> None:
        """Select the account whose resources the following look-ups of this task see."""
        self.responses.set_request_account_id(account)
        self.responses.set_request_region(region)

    async def call_s3(self, account: str, request: Request) -> Response:
        """Let S3 carry out a request that our rules allowed, with the rights of the owner of its bucket."""
        self.act_as(account, request.signed_region)
        status, headers, body = await self.s3.handle_request(
            request.method,
            request.path,
            dict(request.headers),
            request.body,
            request.query,
            enforce_bucket_region=False,
            internal=True,
        )
        if isinstance(body, str):
            body = body.encode()
        return Response(status, {str(name): str(value) for name, value in headers.items()}, body)

    async def call_application(self, request: Request) -> Response:
        """Forward a request whole, to be authenticated and decided by ministack."""
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        query = request.raw_query or urlencode(request.query, doseq=True)
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.path,
            "raw_path": request.raw_path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": [(name.encode(), value.encode()) for name, value in request.headers.items()],
            "client": ("127.0.0.1", 0),
            "scheme": "http",
        }
        await self.application.app(scope, receive, send)
        self._quieten()
        head = messages[0]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head["headers"]}
        return Response(head["status"], headers, b"".join(m.get("body", b"") for m in messages[1:]))
