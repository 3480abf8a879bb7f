"""Collecting problems, so that a person fixes a connection in one round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_xacct.exceptions import ConfigurationError

__all__ = ["Problems"]


class Problems:
    """The problems of one connection, each a sentence that begins with the extra it concerns."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, what: str) -> None:
        """Add one problem.

        :param where: the extra, such as ``role_arn`` or ``endpoint_url.sts``.
        """
        self.found.append(f"{where}: {what}")

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Turn an error of the enclosed block into a problem; the rest of the block is skipped."""
        try:
            yield
        except ConfigurationError as error:
            self.add(where, str(error))
