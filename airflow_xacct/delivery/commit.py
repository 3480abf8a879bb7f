"""The engine: one delivery from its plan to its result, by the commit protocol.

1. *Intent.* The attempt is named in the log: its token, the run's generation, the keys that are ours already.
2. *Stage.* Upload ids are logged before their first part; every part is in the bucket; nothing is visible.
3. *Commit.* Part lists and "committing" are logged; every upload is completed; the manifest is written last;
   "committed" and the result are logged.

A later try reads the log first (:mod:`airflow_xacct.delivery.recovery`). One try is a
:class:`~airflow_xacct.delivery.one_try.OneTry`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from airflow_xacct.delivery.attempt import AttemptHead
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.log import LogStore
from airflow_xacct.delivery.one_try import OneTry
from airflow_xacct.delivery.plan import Objects, PlanSource
from airflow_xacct.delivery.progress import NoProgress, ProgressListener
from airflow_xacct.delivery.request import Describe, IfExists, ManifestWish, Request, StandIn
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.delivery.settings import TransferSettings
from airflow_xacct.delivery.store import ObjectAttributes, ObjectStore
from airflow_xacct.delivery.transfer import Transfer

__all__ = ["DeliveryEngine", "IfExists", "ManifestWish"]

_MANIFEST_ATTRIBUTES = ObjectAttributes(content_type="application/json")


class DeliveryEngine:
    """Delivers objects whole or not at all, once for each run, whatever happened to earlier tries.

    :param store: the bucket, through the role's session.
    :param log: what survives this try; ``None`` where there is no such place.
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
        objects: Objects,
        *,
        if_exists: IfExists = "error",
        manifest_key: str | None = None,
        manifest: ManifestWish = "auto",
        manifest_attributes: ObjectAttributes = _MANIFEST_ATTRIBUTES,
        allow_delete: bool = False,
        tombstone: bool = True,
        whole: bool = False,
        success_key: str = "",
        stand_in: StandIn | None = None,
        describe: Describe | None = None,
        versions: str = "",
        signature: str = "",
        progress: ProgressListener | None = None,
    ) -> DeliveryResult:
        """Deliver.

        :param objects: a sequence, whose payloads are read side by side in several threads (each in one); or any
            other iterable, which is drawn and read in the calling thread, one object after the other; or a function
            that makes one of the name of this delivery's version, which all tries that go on with it share.
        :param if_exists: what happens when an object that is not ours holds a key; S3 decides it with the write.
        :param manifest_key: where the manifest goes; ``None`` for none.
        :param manifest: ``"auto"`` writes one when there is more than one object.
        :param manifest_attributes: what S3 stores beside it.
        :param allow_delete: objects of an earlier delivery of this task that have no place in this one may be
            deleted, and so may the visible ones of a delivery that fails.
        :param tombstone: empty the manifest before objects are replaced, since it may name them. Not needed when every
            delivery has keys of its own, below ``versions``.
        :param whole: no part may be left out. With ``manifest="always"`` the manifest's key then decides about the
            whole delivery: under ``"error"`` and ``"skip"`` it is claimed before anything else is visible.
        :param success_key: where an empty object says that all is there, as the last one to appear; empty for none.
        :param stand_in: makes what is put over objects of an earlier delivery that have no place in this one, where
            they may not be deleted; without it, such a delivery is refused.
        :param describe: asked when all objects were read; part of the manifest, under ``xacct.dump``.
        :param versions: the prefix below which the objects of deliveries with keys of their own lie. Older ones are
            deleted after the manifest names the new ones with ``allow_delete``, and otherwise left, and named in the
            log.
        :param signature: says what is delivered, as far as the keys do not: a query's digest, for example. When it
            differs from that of a committed try, the delivery is made anew.
        :param progress: is told what happens.
        :raises InvalidArgumentError: two objects have one key, or an argument is none of those above; nothing becomes
            visible.
        :raises ObjectExistsError: a foreign object holds a key (``"error"``; with ``whole`` also ``"skip"``, but for
            that of the manifest).
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
            manifest=manifest,
            manifest_attributes=manifest_attributes,
            allow_delete=allow_delete,
            tombstone=tombstone,
            whole=whole,
            success_key=success_key,
            stand_in=stand_in,
            describe=describe,
            versions=versions,
            signature=signature,
        )
        source = PlanSource(objects, request.manifest_key, success_key)
        source.check_sizes(self._settings)
        listener = progress if progress is not None else NoProgress()
        listener.expect(len(source.known) if source.known is not None else None, source.total_bytes())
        log = DeliveryLog(self._log, f"xacct/{self._identity.name}", self._clock, self._settings.log_flush_seconds)
        head = self._head(request, source)
        with Transfer(self._store, self._settings, listener, self._sleep) as transfer:
            return OneTry(transfer, log, self._identity, request, source, head, self._clock).run()

    def _head(self, request: Request, source: PlanSource) -> AttemptHead:
        identity = self._identity
        return AttemptHead(
            token=identity.token(self._new_nonce()),
            generation=identity.generation,
            run_mark=identity.run_mark,
            if_exists=request.if_exists,
            destination=(identity.bucket, identity.account, identity.dataset, request.manifest_key),
            signature=source.signature(request.signature),
            created_at=self._clock(),
            session_arn=identity.session_arn,
            allow_delete=request.allow_delete,
            tombstone=request.tombstone,
            whole=request.decided_by_manifest,
            versions=request.versions,
        )
