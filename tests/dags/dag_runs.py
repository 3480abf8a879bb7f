"""What a run of an example DAG gives back to its test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Ran:
    """One ``airflow dags test``."""

    exit_status: int
    output: str


class RunDag(Protocol):
    """The fixture ``run_dag``."""

    def __call__(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, day: str = "") -> Ran: ...
