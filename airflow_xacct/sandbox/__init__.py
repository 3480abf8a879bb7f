"""AWS accounts on this machine that refuse what AWS refuses: see ``docs/sandbox.md``.

The names below are loaded on first use, so that the pytest plugin of this package costs nothing where it is not used.
The first use asks for the optional packages::

    pip install 'airflow-provider-xacct[sandbox]'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_xacct.sandbox.accounts import AccessKey, Account
    from airflow_xacct.sandbox.faults import (
        FaultRule,
        Faults,
        call,
        deny,
        drop_request,
        drop_response,
        error_in_200,
        status,
    )
    from airflow_xacct.sandbox.records import AssumeRoleEvent, RequestRecord
    from airflow_xacct.sandbox.sandbox import Sandbox
    from airflow_xacct.sandbox.scenario import Partner, Scenario, two_accounts

__all__ = [
    "AccessKey",
    "Account",
    "AssumeRoleEvent",
    "FaultRule",
    "Faults",
    "Partner",
    "RequestRecord",
    "Sandbox",
    "Scenario",
    "call",
    "deny",
    "drop_request",
    "drop_response",
    "error_in_200",
    "status",
    "two_accounts",
]

_HOMES = {
    "accounts": ("AccessKey", "Account"),
    "faults": (
        "FaultRule",
        "Faults",
        "call",
        "deny",
        "drop_request",
        "drop_response",
        "error_in_200",
        "status",
    ),
    "records": ("AssumeRoleEvent", "RequestRecord"),
    "sandbox": ("Sandbox",),
    "scenario": ("Partner", "Scenario", "two_accounts"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_xacct.sandbox.dependencies import require_ministack

    require_ministack()
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
