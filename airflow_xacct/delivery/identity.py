"""Who delivers what where: the names a delivery is known by, and the token its objects carry."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

__all__ = ["TOKEN_METADATA", "DeliveryIdentity"]

TOKEN_METADATA = "xacct-token"  # noqa: S105 - a name, not a secret
"""The metadata key under which every object carries its delivery's token (``x-amz-meta-xacct-token``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryIdentity:
    """The task instance that delivers and the place it delivers to.

    Two tries of one task instance have equal identities but for ``session_arn``, which says who asks this time.
    ``generation`` and ``run_mark`` say on which occasion, and are no part of what the delivery is either.

    :param conn_id: the connection; for messages.
    :param bucket: the bucket's name, as in the URIs of the result.
    :param account: the account that owns the bucket, 12 digits.
    :param map_index: -1 for a task that is not mapped, as Airflow has it.
    :param generation: how often the run was cleared (``clear_number``): a later one delivers anew.
    :param run_mark: changes when the run was cleared, or was deleted and made again under the same name, as far as
        ``generation`` does not say it; another one delivers anew.
    :param session_arn: the assumed role session; named in the manifest.
    :param dataset: the key or key prefix that all objects of the delivery share; names the delivered dataset.
    :param name: tells apart several deliveries of one task instance; each has its own log.
    """

    conn_id: str
    bucket: str
    account: str
    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    generation: int = 0
    run_mark: str = ""
    session_arn: str = ""
    dataset: str = ""
    name: str = "delivery"

    @property
    def digest(self) -> str:
        """What all tries of this task instance to this destination have in common: 32 hexadecimal digits.

        It is the first half of the token, so that an object of an earlier try can be recognised when its log is gone.
        """
        facts = [
            self.dag_id, self.task_id, self.run_id, self.map_index,
            self.account, self.bucket, self.dataset, self.name,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def token(self, nonce: str) -> str:
        """The token of one attempt: the digest and a nonce that no other attempt has."""
        return f"{self.digest}.{nonce}"

    def owns(self, token: str) -> bool:
        """Whether a token was made by a try of this task instance to this destination."""
        return token.partition(".")[0] == self.digest

    def uri(self, key: str) -> str:
        """The ``s3://`` URI of a key in the bucket."""
        return f"s3://{self.bucket}/{key}"
