"""The commit logs that are kept in Variables, as whoever runs Airflow sees them: in the metadata database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_xacct.delivery.paged_log import PREFIX, PageFacts, facts_of

__all__ = ["KeptLog", "delete_logs", "kept_logs"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class KeptLog:
    """The log of one delivery.

    :param scope: DAG, task, run and map index, as the log names them.
    :param written_at: when it was written last.
    :param keys: of its Variables.
    :param size_bytes: of their values.
    """

    scope: dict[str, str | int]
    written_at: datetime
    keys: tuple[str, ...]
    size_bytes: int


def kept_logs() -> list[KeptLog]:
    """Every commit log, the oldest first. What cannot be decrypted, or is no log, is left out.

    :raises sqlalchemy.exc.SQLAlchemyError: the database cannot be read.
    """
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import select

    pages: dict[str, dict[str, tuple[PageFacts, int]]] = {}
    with create_session() as session:
        for variable in session.scalars(select(Variable).where(Variable.key.startswith(PREFIX, autoescape=True))):
            text: str = variable.get_val() or ""  # type: ignore[no-untyped-call]
            facts = facts_of(text)
            if facts is not None:
                log = pages.setdefault(variable.key.rpartition(".")[0], {})
                log[variable.key] = facts, len(text)
    return sorted((_joined(log) for log in pages.values()), key=lambda log: log.written_at)


def delete_logs(logs: Iterable[KeptLog]) -> None:
    """Delete logs, all of them with all of their Variables or nothing.

    :raises sqlalchemy.exc.SQLAlchemyError: nothing is deleted.
    """
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    keys = [key for log in logs for key in log.keys]
    with create_session() as session:
        for at in range(0, len(keys), _AT_ONCE):
            session.execute(delete(Variable).where(Variable.key.in_(keys[at : at + _AT_ONCE])))


def _joined(pages: dict[str, tuple[PageFacts, int]]) -> KeptLog:
    first = next(iter(pages.values()))[0]
    return KeptLog(
        scope=first.scope,
        written_at=max(facts.written_at for facts, _ in pages.values()),
        keys=tuple(sorted(pages)),
        size_bytes=sum(size for _, size in pages.values()),
    )
