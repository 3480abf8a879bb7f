"""What a delivery tells Airflow: the dataset it belongs to, and an event with its summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_xacct.delivery.result import DeliveryResult
    from airflow_xacct.destination import Destination

__all__ = ["as_list", "asset_alias_name", "dataset_prefix", "emit_delivery"]


def as_list(outlets: Any) -> list[Any]:
    """The outlets a user gave: none, one, or several."""
    if outlets is None:
        return []
    return list(outlets) if isinstance(outlets, (list, tuple)) else [outlets]


def asset_alias_name(xacct_conn_id: Any) -> str:
    """The alias of everything delivered through one connection; what is mapped or templated shares one name."""
    if not isinstance(xacct_conn_id, str) or "{{" in xacct_conn_id:
        return "xacct"
    return f"xacct:{xacct_conn_id}"


def dataset_prefix(dataset: Any, key: Any) -> str:
    """The part of a key that is the same on all days: up to the last ``/`` before its first template.

    :param dataset: given by the user; wins.
    :param key: the operator's ``key`` before rendering.
    """
    if isinstance(dataset, str):
        return dataset
    if not isinstance(key, str):
        return ""
    fixed = key.split("{{", 1)[0].split("{%", 1)[0]
    return fixed[: fixed.rfind("/") + 1]


def emit_delivery(
    context: Context, *, alias: str, destination: Destination, dataset: str, key: str, delivery: DeliveryResult
) -> None:
    """Add the delivered dataset to the alias, and the summary to the event's extra.

    One asset stands for all days of a dataset, ``s3://bucket/prefix``; which day it was is in the extra. Assets that
    the user declared as outlets get the same extra.
    """
    if not delivery.objects:
        return
    events = context["outlet_events"]
    summary = {name: value for name, value in delivery.to_json().items() if name != "skipped_keys"}
    # single values only: Airflow 2.11 hashes the extra of an alias's event
    extra = {"xacct_conn_id": destination.conn_id, "key": key, **summary}
    asset = Asset(uri=f"s3://{destination.bucket!s}/{destination.prefix}{dataset}".rstrip("/"))
    events[AssetAlias(alias)].add(asset, extra=extra)
    for outlet in context["task"].outlets:
        if isinstance(outlet, Asset):
            events[outlet].extra.update(extra)
