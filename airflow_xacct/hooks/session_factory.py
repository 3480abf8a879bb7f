"""``CrossAccountSessionFactory``: what the Amazon provider runs, through the assumed role.

``[aws] session_factory = airflow_xacct.hooks.session_factory.CrossAccountSessionFactory``
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_xacct.hooks._session_factory import CrossAccountSessionFactory

__all__ = ["CrossAccountSessionFactory"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The provider's module asks for this very name while it loads, and the class needs that module: whoever is first
    # here lets it load, so that the name is there when it asks.
    importlib.import_module("airflow.providers.amazon.aws.hooks.base_aws")
    return getattr(importlib.import_module("airflow_xacct.hooks._session_factory"), name)
