"""What a try does with the log of the one before it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_xacct.delivery.attempt import Attempt, AttemptHead, Item, LoggedObject
from airflow_xacct.delivery.cleanup import abort_uploads, listed
from airflow_xacct.delivery.evidence import Evidence, Verdict
from airflow_xacct.delivery.identity import DeliveryIdentity
from airflow_xacct.delivery.journal import DeliveryLog
from airflow_xacct.delivery.result import DeliveryResult
from airflow_xacct.delivery.transfer import Transfer
from airflow_xacct.exceptions import CommitLogError

__all__ = ["Recovery", "Start"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a try begins.

    :param result: of an earlier try that delivered all of it: there is nothing to do.
    :param roll_forward: the log's attempt was being committed: finish that first.
    :param resume: the log's attempt was being staged: go on with it.
    :param inherited: otherwise, items for the log of the next attempt: keys that hold objects of ours, keys of which
        nobody could tell, uploads that could not be aborted.
    """

    result: DeliveryResult | None = None
    roll_forward: bool = False
    resume: bool = False
    inherited: tuple[Item, ...] = ()


class Recovery:
    """Reads the log, and brings what an earlier try left to an end.

    :param wanted: the attempt that this try would begin.
    """

    def __init__(
        self,
        transfer: Transfer,
        log: DeliveryLog,
        identity: DeliveryIdentity,
        evidence: Evidence,
        wanted: AttemptHead,
        clock: Callable[[], float],
    ) -> None:
        self._transfer = transfer
        self._log = log
        self._identity = identity
        self._evidence = evidence
        self._wanted = wanted
        self._clock = clock

    def start(self) -> Start:
        """Read the log and decide.

        :raises CommitLogError: the log cannot be read, or lost a part of what was being committed.
        """
        attempt = self._log.load()
        if attempt is None:
            return Start()
        if attempt.torn:
            self._refuse_torn(attempt)
        if attempt.head.destination != self._wanted.destination:
            return self._moved(attempt)
        if attempt.phase == "committed":
            return self.after_commit()
        if attempt.phase == "staging":
            return Start(resume=True)
        if attempt.phase == "committing":
            if attempt.head.occasion == self._wanted.occasion:
                return Start(roll_forward=True)
            return self.anew(self.give_up())
        return self.anew(self._abort(attempt))

    def after_commit(self) -> Start:
        """The log's attempt is committed: it is the answer, unless the run was cleared or asks for something else."""
        attempt = self._log.attempt
        same = (attempt.head.occasion, attempt.head.signature) == (self._wanted.occasion, self._wanted.signature)
        if same and attempt.summary is not None:
            return Start(result=DeliveryResult.from_json(attempt.summary))
        return self.anew(list(attempt.discarded.values()))

    def anew(self, left: Iterable[LoggedObject], *, elsewhere: bool = False) -> Start:
        """Another attempt after the log's, which is over.

        :param left: uploads of it that are still open.
        :param elsewhere: it delivers to another place, where none of our objects stand.
        """
        attempt = self._log.attempt
        inherited: list[Item] = [["z", upload.key, upload.upload_id] for upload in left]
        if not elsewhere:
            ours = attempt.keys_of_ours()
            inherited += [["k", key] for key in sorted(ours)]
            inherited += [["q", key] for key in sorted(attempt.doubted - ours)]
            manifests = (attempt.old_manifests | {attempt.manifest_key}) & (attempt.doubted | ours)
            inherited += [["m", key] for key in sorted(manifests - {self._wanted.destination[-1]})]
        return Start(inherited=tuple(inherited))

    def give_up(self) -> list[LoggedObject]:
        """End an attempt whose commit had begun: find out what is visible, then abort the rest.

        What was found is durable before the first abort: an upload that is gone since we aborted it must never be
        taken for one that was completed.

        :returns: the uploads that could not be aborted.
        """
        attempt = self._log.attempt
        self._transfer.each(self._settle, [o for o in attempt.undecided() if o.sent])
        self._log.advance("aborted")
        return self._abort(attempt)

    def _settle(self, upload: LoggedObject) -> None:
        verdict = self._evidence.verdict(self._log.attempt, upload)
        if verdict is Verdict.OURS:
            self._log.record(["d", upload.index, "", ""])
        elif verdict is Verdict.UNKNOWN:
            self._log.record(["q", upload.key])

    def _abort(self, attempt: Attempt) -> list[LoggedObject]:
        """Abort what an attempt left open, and note when nothing is left; returns what could not be aborted."""
        if attempt.head.clean:
            return []
        left = abort_uploads(self._transfer, attempt.to_abort())
        if left:
            logger.warning("Unfinished uploads could not be aborted: %s.", listed(o.key for o in left))
        elif attempt.phase == "aborted":
            self._log.advance("aborted", clean=True)
        return left

    def _moved(self, attempt: Attempt) -> Start:
        """The task delivers somewhere else than it did before: what it left there is given up."""
        bucket, account, dataset, _ = attempt.head.destination
        over = attempt.phase == "committed"
        if (bucket, account) != self._wanted.destination[:2]:
            open_keys = [] if over else [o.key for o in attempt.to_abort()]
            if open_keys:
                logger.warning(
                    "An earlier try of this task delivered to the bucket %s. Unfinished uploads of it remain there "
                    "until the bucket's lifecycle rule ends them: %s.",
                    bucket,
                    listed(open_keys),
                )
            return Start()
        if attempt.phase == "committing":
            left = self.give_up()
        else:
            left = list(attempt.discarded.values()) if over else self._abort(attempt)
        elsewhere = dataset != self._wanted.destination[2]
        ours = attempt.keys_of_ours()
        if elsewhere and ours:
            logger.warning(
                "An earlier try of this task delivered to another place. Its objects stay there: %s.", listed(ours)
            )
        return self.anew(left, elsewhere=elsewhere)

    def _refuse_torn(self, attempt: Attempt) -> None:
        if attempt.phase == "committing" and attempt.head.occasion == self._wanted.occasion:
            raise CommitLogError(
                "the log of a delivery that was being committed has lost entries",
                where=f"{self._log.place}, of {self._identity.dag_id}.{self._identity.task_id}",
                remedy="Some of its objects may be visible. Look at them, then clear the task: it will deliver anew.",
            )
        logger.warning("The log of an earlier try of this task has lost entries; what it left cannot be told in full.")
