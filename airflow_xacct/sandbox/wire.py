"""HTTP messages as the sandbox sees them, between the socket and the rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

__all__ = ["DropConnection", "Handler", "Request", "Response"]


class DropConnection(Exception):  # noqa: N818 - it is an order to the server, not an error
    """Close the connection without an answer."""


@dataclass(slots=True)
class Request:
    """One HTTP request, read whole.

    ``raw_path`` is the path as sent, which S3 signs; ``headers`` have lower-case names. ``service``, ``operation``,
    ``bucket`` and ``key`` are what :mod:`airflow_xacct.sandbox.operations` made of it.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: dict[str, str]
    body: bytes = b""
    service: str = ""
    operation: str = ""
    bucket: str = ""
    key: str = ""
    signed_region: str = ""
    access_key_id: str = ""
    caller_arn: str = ""
    query: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.query:
            self.query = parse_qs(self.raw_query, keep_blank_values=True)

    @property
    def path(self) -> str:
        """The path with its percent-encoding undone."""
        return unquote(self.raw_path)

    def argument(self, name: str) -> str:
        """The first value of a query parameter, empty when it is absent."""
        return self.query.get(name, [""])[0]

    def header(self, name: str) -> str:
        """A header, or the query parameter that stands for it in a presigned URL; empty when it is absent."""
        return self.headers.get(name) or self.argument(name)


@dataclass(slots=True)
class Response:
    """One HTTP response; ``head`` marks the answer to a HEAD, whose length describes what GET would send."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """A header by its name in any case, empty when it is absent."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    def drop(self, *names: str) -> None:
        """Take headers away, whatever their case."""
        lowered = {name.lower() for name in names}
        self.headers = {key: value for key, value in self.headers.items() if key.lower() not in lowered}


Handler = Callable[[Request], Awaitable[Response]]
