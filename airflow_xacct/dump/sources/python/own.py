"""Values of numpy and pandas as Python's own. Neither is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["owned", "owned_value"]

_MISSING = ("NAType", "NaTType")
_KINDS_OF_TIME = "mM"
"""numpy's dates and times would become what their unit says, a whole number among it."""


def owned(values: Sequence[Any]) -> Sequence[Any]:
    """The values, those of numpy as Python's own, ``pandas.NA`` and ``NaT`` as ``None``."""
    if any(_is_foreign(kind) for kind in set(map(type, values))):
        return [owned_value(value) for value in values]
    return values


def owned_value(value: Any) -> Any:
    """One of them; what has no equal in Python stays as it is."""
    kind = type(value)
    if not _is_foreign(kind):
        return value
    if kind.__name__ in _MISSING:
        return None
    dtype = getattr(value, "dtype", None)
    if dtype is None or dtype.kind in _KINDS_OF_TIME:
        return value
    return value.tolist()


def _is_foreign(kind: type) -> bool:
    return kind.__module__ == "numpy" or (kind.__name__ in _MISSING and kind.__module__.startswith("pandas"))
