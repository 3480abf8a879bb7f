"""Dates and times that Python has none for, kept as text: a driver would move them, or fail without saying where.

psycopg2 makes the last day of the year 9999 of ``infinity``, and midnight of ``24:00:00``.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["keep_odd_dates"]

_DATE, _TIME, _TIMESTAMP, _TIMESTAMPTZ = 1082, 1083, 1114, 1184
_PLAIN = re.compile(r"(\d{4}-\d\d-\d\d)? ?((?!24)\d\d:\d\d:\d\d[0-9.:+-]*)?")


def keep_odd_dates(cursor: Any, *, is_psycopg3: bool) -> None:
    """Have the cursor return, as the server's text, those that are no plain ones."""
    if is_psycopg3:
        _in_psycopg3(cursor)
    else:
        _in_psycopg2(cursor)


def _in_psycopg2(cursor: Any) -> None:
    from psycopg2 import extensions

    casters = {
        _DATE: extensions.PYDATE,
        _TIME: extensions.PYTIME,
        _TIMESTAMP: extensions.PYDATETIME,
        _TIMESTAMPTZ: extensions.PYDATETIMETZ,
    }
    for oid, caster in casters.items():

        def cast(text: str | None, cursor: Any, caster: Any = caster) -> Any:
            return caster(text, cursor) if text is None or _PLAIN.fullmatch(text) else text

        extensions.register_type(extensions.new_type((oid,), f"XACCT_{oid}", cast), cursor)


def _in_psycopg3(cursor: Any) -> None:
    import psycopg
    from psycopg.adapt import Loader

    for oid in (_DATE, _TIME, _TIMESTAMP, _TIMESTAMPTZ):
        usual = cursor.adapters.get_loader(oid, psycopg.pq.Format.TEXT)

        class OrText(Loader):
            """The usual value, or the text that it cannot be made of."""

            def __init__(self, oid: int, context: Any = None, usual: Any = usual) -> None:
                super().__init__(oid, context)
                self._usual = usual(oid, context)

            def load(self, data: Any) -> Any:
                try:
                    return self._usual.load(data)
                except psycopg.DataError:
                    return bytes(data).decode()

        cursor.adapters.register_loader(oid, OrText)
