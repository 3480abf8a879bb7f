"""The engine: one delivery from its plan to its result, by the commit protocol.

1. *Intent.* The attempt is named in the log: its token, the run's generation, the keys that are ours already.
2. *Stage.* Upload ids are logged before their first part; every part is in the bucket; nothing is visible.
3. *Commit.* Part lists and "committing" are logged; every upload is completed; the manifest is written last;
   "committed" and the result are logged.

A later try reads the log first (:mod:`airflow_xacct.delivery.recovery`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from typing import Literal, get_args

from airflow_xacct.delivery.attempt import Attempt, AttemptHead
from airflow_xacct.delivery.cleanup import abort_uploads, listed, tell
from airflow_xacct.delivery.completion import Again, Completion, UploadGone, unknown_outcome
from airflow_xacct.delivery.evidence import Evidence
from airflow_xacct.delivery.finish import Finish
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.log import LogStore
from airflow_xacct.delivery.payload import ObjectPlan
from airflow_xacct.delivery.plan import PlanSource, SmallObject, first_of
from airflow_xacct.delivery.progress import NoProgress, ProgressListener
from airflow_xacct.delivery.recovery import Recovery, Start
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.delivery.settings import TransferSettings
from airflow_xacct.delivery.staging import Staging
from airflow_xacct.delivery.store import ObjectAttributes, ObjectStore
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import InvalidArgumentError, StaleObjectsError, XacctError

__all__ = ["DeliveryEngine", "IfExists", "ManifestWish"]

IfExists = Literal["error", "replace", "skip"]
ManifestWish = Literal["auto", "always", "never"]

_MANIFEST_ATTRIBUTES = ObjectAttributes(content_type="application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What :meth:`DeliveryEngine.deliver` was asked for."""

    if_exists: IfExists
    manifest_key: str
    manifest: ManifestWish
    manifest_attributes: ObjectAttributes
    allow_delete: bool
    tombstone: bool
    signature: str


class DeliveryEngine:
    """Delivers objects whole or not at all, once for each run, whatever happened to earlier tries.

    :param store: the bucket, through the role's session.
    :param log: what survives this try; ``None`` where there is no such place (Airflow before 3.3).
    :param identity: who delivers, and where to.
    :param clock: seconds since the epoch.
    :param sleep: waits that many seconds; by default a wait that ends when the work is given up.
    :param new_nonce: a string that no other attempt has.
    """

    def __init__(
        self,
        store: ObjectStore,
        log: LogStore | None,
        identity: DeliveryIdentity,
        settings: TransferSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] | None = None,
        new_nonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._store = store
        self._log = log
        self._identity = identity
        self._settings = settings if settings is not None else TransferSettings()
        self._clock = clock
        self._sleep = sleep
        self._new_nonce = new_nonce

    def deliver(
        self,
        objects: Iterable[ObjectPlan],
        *,
        if_exists: IfExists = "error",
        manifest_key: str | None = None,
        manifest: ManifestWish = "auto",
        manifest_attributes: ObjectAttributes = _MANIFEST_ATTRIBUTES,
        allow_delete: bool = False,
        tombstone: bool = True,
        signature: str = "",
        progress: ProgressListener | None = None,
    ) -> DeliveryResult:
        """Deliver.

        :param objects: a sequence, whose payloads are read side by side in several threads (each in one); or any
            other iterable, which is drawn and read in the calling thread, one object after the other.
        :param if_exists: what happens when an object that is not ours holds a key; S3 decides it with the write.
        :param manifest_key: where the manifest goes; ``None`` for none.
        :param manifest: ``"auto"`` writes one when there is more than one object.
        :param manifest_attributes: what S3 stores beside it.
        :param allow_delete: objects of an earlier delivery of this task that have no place in this one may be
            deleted, and so may the visible ones of a delivery that fails.
        :param tombstone: empty the manifest before objects it may name are replaced. Not needed when every delivery
            has keys of its own.
        :param signature: says what is delivered, as far as the keys do not: a query's digest, for example. When it
            differs from that of a committed try, the delivery is made anew.
        :param progress: is told what happens.
        :raises InvalidArgumentError: two objects have one key, or an argument is none of those above; nothing becomes
            visible.
        :raises ObjectExistsError: a foreign object holds a key (``"error"``).
        :raises StaleObjectsError: objects of an earlier delivery would stay beside the new ones.
        :raises OutcomeUnknownError: whether it landed cannot be known.
        :raises CommitLogError: the log failed.
        :raises SourceError: a payload cannot be read, or changed.
        :raises AccessError: AWS refused.
        :raises TransportError: AWS did not answer; the next try goes on from there.
        """
        request = Request(
            if_exists=if_exists,
            manifest_key="" if manifest_key is None or manifest == "never" else manifest_key,
            manifest=manifest if manifest_key is not None else "never",
            manifest_attributes=manifest_attributes,
            allow_delete=allow_delete,
            tombstone=tombstone,
            signature=signature,
        )
        _check(request, manifest)
        source = PlanSource(objects, request.manifest_key)
        source.check_sizes(self._settings)
        listener = progress if progress is not None else NoProgress()
        listener.expect(len(source.known) if source.known is not None else None, source.total_bytes())
        log = DeliveryLog(self._log, f"xacct/{self._identity.name}", self._clock, self._settings.log_flush_seconds)
        head = self._head(request, source)
        with Transfer(self._store, self._settings, listener, self._sleep) as transfer:
            return _Delivery(transfer, log, self._identity, request, source, head, self._clock).run()

    def _head(self, request: Request, source: PlanSource) -> AttemptHead:
        identity = self._identity
        return AttemptHead(
            token=identity.token(self._new_nonce()),
            generation=identity.generation,
            if_exists=request.if_exists,
            destination=(identity.bucket, identity.account, identity.dataset, request.manifest_key),
            signature=source.signature(request.signature),
            created_at=self._clock(),
            session_arn=identity.session_arn,
            allow_delete=request.allow_delete,
            tombstone=request.tombstone,
        )


class _Delivery:
    """One call of :meth:`DeliveryEngine.deliver`."""

    def __init__(
        self,
        transfer: Transfer,
        log: DeliveryLog,
        identity: DeliveryIdentity,
        request: Request,
        source: PlanSource,
        head: AttemptHead,
        clock: Callable[[], float],
    ) -> None:
        self._transfer = transfer
        self._log = log
        self._identity = identity
        self._request = request
        self._source = source
        self._head = head
        self._clock = clock
        self._evidence = Evidence(transfer, identity, clock)
        self._recovery = Recovery(transfer, log, identity, self._evidence, head, clock)

    def run(self) -> DeliveryResult:
        """From the log of the last try to the result of this one."""
        start = self._recovery.start()
        if start.roll_forward:
            start = self._roll_forward()
        if start.result is not None:
            return start.result
        if start.resume:
            self._log.adopt(self._head)
        else:
            self._log.begin(Attempt(self._head), start.inherited)
        staging = Staging(self._transfer, self._log, self._clock)
        try:
            single, manifest = self._stage(staging)
        except BaseException as error:
            self._abandon(error)
            raise
        finish = self._finish(staging, staging.again)
        return finish.commit(manifest=manifest) if single is None else finish.put_single(single)

    def _roll_forward(self) -> Start:
        staging = Staging(self._transfer, self._log, self._clock)
        try:
            self._finish(staging, None).commit(manifest=self._log.attempt.head.manifest)
        except UploadGone:
            # it must be made again, and its bytes are gone with the try that had them
            return self._recovery.anew(self._recovery.give_up())
        return self._recovery.after_commit()

    def _finish(self, staging: Staging, again: Again | None) -> Finish:
        completion = Completion(self._transfer, self._log, self._identity, self._evidence, again)
        attributes = self._request.manifest_attributes
        return Finish(self._transfer, self._log, self._identity, self._recovery, staging, completion, attributes)

    def _stage(self, staging: Staging) -> tuple[SmallObject | None, bool]:
        """Bring everything into the bucket; or find that there is one small object, which needs no staging.

        :returns: that object, or ``None``; and whether a manifest is to be written.
        """
        attempt = self._log.attempt
        known = self._source.known
        if known is not None:
            self._check_keys({plan.key for plan in known}, len(known))
        plans, opened = iter(self._source), None
        if self._may_put():
            single, opened, plans = first_of(plans, self._transfer.settings)
            if single is not None:
                self._check_keys({single.plan.key}, 1)
                return single, False
        with closing(opened[1]) if opened is not None else nullcontext():
            if attempt.phase == "new":
                self._log.advance("staging")
            if opened is not None:
                staging.stage_one(*opened)
        staging.stage(plans, side_by_side=known is not None)
        count = len(staging.plans)
        self._check_keys(set(staging.plans), count)
        staging.drop_leftovers()
        manifest = self._wants_manifest(count)
        if manifest and not attempt.manifest_by_put:
            staging.open_manifest(attempt.manifest_key, self._request.manifest_attributes)
        return None, manifest

    def _may_put(self) -> bool:
        """Whether a single small object could go without staging: it replaces, and nothing depends on it."""
        known = self._source.known
        return (
            self._request.if_exists == "replace"
            and (known is None or len(known) == 1)
            and not self._wants_manifest(1)
            and not self._log.attempt.objects
        )

    def _wants_manifest(self, count: int) -> bool:
        """A manifest that an earlier try wrote must not stay behind, so it is written again."""
        if not self._request.manifest_key:
            return False
        earlier = self._request.manifest_key in self._log.attempt.own_keys
        return self._request.manifest == "always" or count > 1 or earlier

    def _check_keys(self, keys: set[str], count: int) -> None:
        """Refuse, before anything is visible, what would leave readers with a mix of two deliveries."""
        attempt = self._log.attempt
        written = keys | ({self._request.manifest_key} if self._wants_manifest(count) else set())
        stale = attempt.own_keys - written
        if stale and not self._request.allow_delete:
            raise StaleObjectsError(
                f"objects of an earlier delivery of this task would stay beside the new ones: {listed(stale)}",
                where=self._identity.uri(self._identity.dataset),
                remedy="Allow deleting (allow_delete=True, and s3:DeleteObject for the role), or delete them, or "
                "deliver under keys that stay the same.",
            )
        for key in attempt.unsure_manifests(keys):
            earlier = self._evidence.from_earlier_try(key)
            if earlier is None:
                raise unknown_outcome(self._identity, key)
            if earlier:
                self._log.record(["k", key])

    def _abandon(self, error: BaseException) -> None:
        """Staging failed, so nothing is visible: leave nothing behind.

        No Complete was ever sent, so that an abort needs no record to be safe: a later try that goes on with these
        uploads finds them gone when it sends their last parts again.
        """
        attempt = self._log.attempt
        if attempt.phase == "new":
            return
        try:
            self._log.advance("aborted")
        except XacctError as exc:
            tell(error, f"And the commit log could not be written: {exc}")
        left = abort_uploads(self._transfer, attempt.to_abort())
        if left:
            tell(error, f"Unfinished uploads that could not be aborted: {listed(o.key for o in left)}.")
        else:
            with suppress(XacctError):
                self._log.advance("aborted", clean=True)


def _check(request: Request, wish: ManifestWish) -> None:
    for name, given, allowed in (("if_exists", request.if_exists, IfExists), ("manifest", wish, ManifestWish)):
        if given not in get_args(allowed):
            raise InvalidArgumentError(
                f"{given!r} is not possible", where=name, remedy=f"Choose one of {', '.join(get_args(allowed))}."
            )
    if wish == "always" and not request.manifest_key:
        raise InvalidArgumentError("a manifest needs a key", where="manifest_key", remedy="Give one.")
