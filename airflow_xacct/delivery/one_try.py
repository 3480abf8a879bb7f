"""One try of a delivery: from the log of the last one to the result of this one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext, suppress

from airflow_xacct.delivery.attempt import Attempt, AttemptHead
from airflow_xacct.delivery.cleanup import abort_uploads, listed, tell
from airflow_xacct.delivery.completion import Again, Completion, UploadGone, unknown_outcome
from airflow_xacct.delivery.evidence import Evidence
from airflow_xacct.delivery.finish import Finish, success_plan
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.payload import ObjectPlan
from airflow_xacct.delivery.plan import PlanSource, SmallObject, first_of
from airflow_xacct.delivery.pointer import claim_plan
from airflow_xacct.delivery.recovery import Recovery, Start
from airflow_xacct.delivery.request import Request
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.delivery.staging import Staging
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import StaleObjectsError, XacctError

__all__ = ["OneTry"]


class OneTry:
    """One call of :meth:`~airflow_xacct.delivery.commit.DeliveryEngine.deliver`.

    :param head: of the attempt that is begun where none is to be continued.
    """

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
        """Deliver, as far as the tries before have not."""
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
        if known is not None and self._request.stand_in is None:
            self._check_keys({plan.key for plan in known}, len(known), may_replace=False)
        plans, opened = self._source.of_version(attempt.head.version), None
        if self._may_put():
            single, opened, plans = first_of(plans, self._transfer.settings)
            if single is not None:
                self._check_keys({single.plan.key}, 1, may_replace=False)
                return single, False
        with closing(opened[1]) if opened is not None else nullcontext():
            if attempt.phase == "new":
                self._log.advance("staging")
            if opened is not None:
                staging.stage_one(*opened)
        staging.stage(plans, side_by_side=known is not None)
        return None, self._stage_rest(staging)

    def _stage_rest(self, staging: Staging) -> bool:
        """Stage what follows from the objects; returns whether a manifest is to be written."""
        attempt, request = self._log.attempt, self._request
        planned = list(staging.plans.values())
        count = sum(plan.role == "data" for plan in planned)
        manifest = self._wants_manifest(count)
        rest = self._check_keys({plan.key for plan in planned}, count, may_replace=True)
        if request.success_key:
            rest.append(success_plan(request.success_key, request.manifest_attributes))
        claims = manifest and attempt.head.whole and not attempt.manifest_by_put
        if claims:
            rest.append(claim_plan(attempt, self._identity, request.manifest_attributes))
        staging.stage(iter(rest), side_by_side=True)
        staging.drop_leftovers()
        if manifest and request.describe is not None:
            self._log.describe(request.describe())
        if manifest and not attempt.manifest_by_put and not claims:
            staging.open_manifest(attempt.manifest_key, request.manifest_attributes)
        return manifest

    def _may_put(self) -> bool:
        """Whether a single small object could go without staging: it replaces, and nothing depends on it."""
        known, request, attempt = self._source.known, self._request, self._log.attempt
        return (
            request.if_exists == "replace"
            and (known is None or len(known) == 1)
            and not request.success_key
            and not self._wants_manifest(1)
            and not attempt.old_manifests
            and not attempt.objects
        )

    def _wants_manifest(self, count: int) -> bool:
        """A manifest that an earlier try wrote must not stay behind, so it is written again."""
        request = self._request
        if not request.manifest_wanted:
            return False
        return request.manifest == "always" or count > 1 or request.manifest_key in self._log.attempt.own_keys

    def _check_keys(self, keys: set[str], count: int, *, may_replace: bool) -> list[ObjectPlan]:
        """Refuse, before anything is visible, what would leave readers with a mix of two deliveries.

        :param keys: what is to be written, but for the manifest and the success marker.
        :param count: how much of it is data.
        :param may_replace: whether objects of earlier deliveries may be replaced by some without rows.
        :returns: these.
        :raises StaleObjectsError: objects of an earlier delivery would stay.
        :raises OutcomeUnknownError: a manifest that may be ours may name what is to be replaced.
        """
        attempt, request = self._log.attempt, self._request
        written = keys | {request.success_key} | ({request.manifest_key} if self._wants_manifest(count) else set())
        surplus = attempt.surplus(written)
        stand_ins = self._stand_ins(surplus | attempt.unsure(written)) if may_replace else []
        stale = surplus - {plan.key for plan in stand_ins}
        if stale and not request.allow_delete:
            raise StaleObjectsError(
                f"objects of an earlier delivery of this task would stay beside the new ones: {listed(stale)}",
                where=self._identity.uri(self._identity.dataset),
                remedy="Allow deleting (allow_delete=True, and s3:DeleteObject for the role), or delete them, or "
                "deliver under keys that stay the same.",
            )
        for key in attempt.unsure_manifests(keys | surplus):
            earlier = self._evidence.from_earlier_try(key)
            if earlier is None:
                raise unknown_outcome(self._identity, key)
            if earlier:
                self._log.record(["k", key])
        return stand_ins

    def _stand_ins(self, surplus: set[str]) -> list[ObjectPlan]:
        make = self._request.stand_in
        if make is None:
            return []
        return [plan for plan in map(make, sorted(surplus)) if plan is not None]

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
