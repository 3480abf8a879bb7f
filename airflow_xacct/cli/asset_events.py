"""What Airflow's asset events tell of deliveries, read from the database of this Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from airflow_xacct.access.task_identity import TaskIdentity
from airflow_xacct.audit.deliveries import Delivery, delivery_of_event
from airflow_xacct.audit.names import SessionNames
from airflow_xacct.destination import Destination
from airflow_xacct.exceptions import ConfigurationError

__all__ = ["deliveries_of_airflow"]


def deliveries_of_airflow(
    destination: Destination, names: SessionNames, since: datetime, until: datetime
) -> list[Delivery]:
    """The deliveries through one connection in a time range.

    An asset's event and those of the outlets that a user declared tell of the same delivery: each is returned once.

    :raises ConfigurationError: the database cannot be read.
    """
    found: dict[tuple[str, str], Delivery] = {}
    try:
        for event in _events(since, until):
            extra = event.extra or {}
            if extra.get("xacct_conn_id") != destination.conn_id:
                continue
            identity = TaskIdentity(
                event.source_dag_id or "", event.source_task_id or "", event.source_run_id or "", event.source_map_index
            )
            one = delivery_of_event(extra, identity, event.timestamp, destination, names)
            found.setdefault((one.session_arn, one.uri), one)
    except Exception as error:
        raise ConfigurationError(
            f"Airflow's asset events cannot be read ({type(error).__name__})",
            where="--deliveries",
            remedy="Run it where Airflow's own commands work, with access to its database; or give --manifest.",
        ) from error
    return list(found.values())


def _events(since: datetime, until: datetime) -> Iterator[Any]:
    from airflow.utils.session import create_session
    from sqlalchemy import select

    model = _model()
    with create_session() as session:
        yield from session.scalars(
            select(model).where(model.timestamp >= since, model.timestamp <= until).order_by(model.timestamp)
        )


def _model() -> Any:
    try:
        from airflow.models.asset import AssetEvent
    except ImportError:  # Airflow 2.11
        from airflow.models.dataset import DatasetEvent  # type: ignore[attr-defined,import-not-found,unused-ignore]

        return DatasetEvent
    return AssetEvent
