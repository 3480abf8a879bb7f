"""What the checks conclude from, as far as STS tells it: the connection, who asks, the role and its sessions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from airflow_xacct.access.policy import TaskNeeds, task_policy
from airflow_xacct.access.session import RoleAccess
from airflow_xacct.destination import DeploymentOptions, Destination
from airflow_xacct.destination.readers import AUTO, OFF
from airflow_xacct.doctor.answer import Answer, ask
from airflow_xacct.doctor.owner import OwnerView
from airflow_xacct.doctor.watched import WatchedAccess, impatient, watch
from airflow_xacct.exceptions import InvalidArgumentError, XacctError

__all__ = ["Doors", "RoleFacts", "Trial", "Wishes"]

_T = TypeVar("_T")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Doors:
    """How connections are read and roles are reached: Airflow's edge, handed in.

    :param load: the destination of a connection.
    :param open: the access of a destination, without a session policy.
    :param options: what the deployment allows.
    """

    load: Callable[[str], Destination]
    open: Callable[[Destination], RoleAccess]
    options: DeploymentOptions = field(default_factory=DeploymentOptions)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person asked for.

    :param prove_external_id: try the role without its External ID, which leaves a denied event in both accounts.
    :param write: begin an upload, send a few bytes and remove it.
    :param show_external_id: show all of it, not only its last four characters.
    """

    prove_external_id: bool = False
    write: bool = True
    show_external_id: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """What AssumeRole answered, in full and without the parts that need rights of their own.

    :param access: the one that worked; the full one where none did.
    :param answer: to the request that ``access`` made.
    :param refused: the extras whose requests were refused alone, with the answers.
    """

    access: WatchedAccess
    answer: Answer
    refused: dict[str, Answer] = field(default_factory=dict)


class RoleFacts:
    """What is known of a connection's role.

    :param owner: eyes of B's owner, where the person has them.
    :param clock: the time now, with its zone.
    """

    def __init__(
        self,
        conn_id: str,
        doors: Doors,
        wishes: Wishes | None = None,
        owner: OwnerView | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.conn_id = conn_id
        self.wishes = wishes or Wishes()
        self.clock = clock
        self.options = doors.options
        self._doors = doors
        self._owner = owner
        self._kept: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """Something that is asked once and that several checks conclude from."""
        if name not in self._kept:
            self._kept[name] = make()
        kept: _T = self._kept[name]
        return kept

    # the connection

    @cached_property
    def destination(self) -> Destination:
        """What the connection says, with little patience.

        :raises ConfigurationError: with every problem.
        """
        return impatient(self._doors.load(self.conn_id))

    @cached_property
    def access(self) -> WatchedAccess:
        """The role with all its own rights: no session policy.

        :raises ConfigurationError: the source connection cannot be used.
        """
        return watch(self._doors.open(self.destination), self.destination, "")

    @cached_property
    def owner(self) -> OwnerView | None:
        """B's owner, looking at this connection's endpoints."""
        if self._owner is not None:
            self._owner.look_at(self.destination, self.options, self.access.region())
        return self._owner

    @property
    def role_account(self) -> str:
        """The account of the role; empty without a valid connection."""
        with contextlib.suppress(XacctError):
            return self.destination.role.account
        return ""

    @property
    def source_account(self) -> str:
        """The account of whoever asks; empty where STS does not say."""
        with contextlib.suppress(XacctError):
            return str(self.identity.data.get("Account", ""))
        return ""

    @property
    def external_id_shown(self) -> str:
        """The External ID for a person: its end, or all of it."""
        known = self.destination.external_id or ""
        return f"{known!r}" if self.wishes.show_external_id else f"that ends in {known[-4:]!r}"

    # STS

    @cached_property
    def sts_reached(self) -> Answer:
        """What STS says to a stranger: enough to know that it is there, and what time it has."""
        return ask(lambda: self.access.anonymous_client("sts").get_caller_identity(), self.access.explain)

    @cached_property
    def skew(self) -> timedelta | None:
        """How far the local clock is ahead of AWS's; ``None`` without an answer."""
        date = self.sts_reached.date
        return None if date is None else self.clock() - date

    @cached_property
    def identity(self) -> Answer:
        """Who the source is."""
        # an endpoint that is silent is waited for once, not by every question
        return self.access.identity_answer() if self.sts_reached.answered else self.sts_reached

    @cached_property
    def trial(self) -> Trial:
        """The role, assumed as a task does; and where that is refused, without tags and source identity."""
        if not self.identity.ok and self.identity.code != "AccessDenied":
            return Trial(self.access, self.identity)
        answer = self.access.assume_answer()
        extras = {
            name: self._without(name)
            for name, is_set in (
                ("session_tags", self.destination.tags_sessions),
                ("source_identity", bool(self.destination.source_identity)),
            )
            if is_set
        }
        if answer.ok or not answer.answered or not extras:
            return Trial(self.access, answer)
        plain = watch(self.access, self._without(*extras), "")
        plain_answer = plain.assume_answer()
        if not plain_answer.ok:
            return Trial(self.access, answer)
        if len(extras) == 1:
            return Trial(plain, plain_answer, {next(iter(extras)): answer})
        refused = {}
        for name in extras:
            alone = watch(self.access, self._without(*(other for other in extras if other != name)), "")
            alone_answer = alone.assume_answer()
            if not alone_answer.ok:
                refused[name] = alone_answer
        return Trial(plain, plain_answer, refused or dict.fromkeys(extras, answer))

    def _without(self, *extras: str) -> Destination:
        bare: dict[str, Any] = {}
        if "session_tags" in extras:
            bare |= {"tags_sessions": False, "extra_session_tags": ()}
        if "source_identity" in extras:
            bare["source_identity"] = None
        return replace(self.destination, **bare)

    @cached_property
    def without_external_id(self) -> Answer:
        """What STS says to somebody who does not know the External ID."""
        return self.trial.access.assume_without_external_id()

    # sessions

    @cached_property
    def task_policy(self) -> str:
        """The session policy of a task that writes below the prefix.

        :raises InvalidArgumentError: it does not fit.
        """
        chosen = self.destination.session_policy
        if chosen != AUTO:
            return "" if chosen == OFF else chosen
        if self.destination.bucket is None:
            raise InvalidArgumentError("the connection names no bucket, so a task's policy is not known here")
        return task_policy(self.destination, TaskNeeds((self.destination.prefix,)), region=self.role.region())

    @property
    def role(self) -> WatchedAccess:
        """The role with all its own rights."""
        return self.trial.access

    @cached_property
    def task(self) -> WatchedAccess:
        """The role as a task has it.

        :raises InvalidArgumentError: its session policy does not fit.
        """
        policy = self.task_policy
        return watch(self.role, self.role.destination, policy) if policy else self.role

    @cached_property
    def task_answer(self) -> Answer:
        """What STS says to the session policy of a task."""
        return self.task.assume_answer()

    @cached_property
    def writer(self) -> WatchedAccess:
        """The task's session, or the role's own where that was refused: the other checks go on."""
        with contextlib.suppress(XacctError):
            if self.task_answer.ok:
                return self.task
        return self.role
