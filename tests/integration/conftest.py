"""Servers that several modules read from, one for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases import Server, ServerMissing, postgres_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A PostgreSQL of the module's own; without one, its tests are skipped with the reason."""
    try:
        with postgres_server() as server:
            yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))
