"""What OpenLineage is told of a delivery: what was read, and the dataset it became."""

from __future__ import annotations

import socket
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

__all__ = ["delivery_lineage"]


def delivery_lineage(source: Any, result: dict[str, Any] | None) -> OperatorLineage[Any, Any]:
    """The lineage of one delivery.

    :param source: as the task names it; ``None`` for data given in the DAG.
    :param result: what the task returned; ``None`` when it delivered nothing.
    """
    # both come with the OpenLineage provider, without which nobody asks
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    inputs = [Dataset(*name)] if (name := _source_name(source)) else []
    outputs = []
    if result and result.get("objects"):
        uri = urlsplit(str(result["uri"]))
        outputs.append(Dataset(namespace=f"s3://{uri.netloc}", name=uri.path.strip("/") or "/"))
    return OperatorLineage(inputs=inputs, outputs=outputs)


def _source_name(source: Any) -> tuple[str, str] | None:
    """Namespace and name as OpenLineage's naming rules have them: a file belongs to its host."""
    if isinstance(source, PathLike):
        source = fspath(source)
    text = str(source or "")
    if "://" in text:
        parts = urlsplit(text)
        return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/"
    return (f"file://{socket.gethostname()}", text) if text else None
