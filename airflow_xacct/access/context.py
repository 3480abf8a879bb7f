"""Who asked, and for which destination: what every translated refusal names."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RefusalContext"]


@dataclass(frozen=True, slots=True)
class RefusalContext:
    """Named in each error, so that its reader knows whose policy to look at.

    :param role_account: the account that owns the role, 12 digits.
    :param bucket_owner: the account that owns the bucket, 12 digits.
    :param source: who assumed the role, in words.
    """

    conn_id: str
    role_arn: str
    role_account: str
    bucket_owner: str
    external_id: str | None
    source: str

    @property
    def where(self) -> str:
        """The connection and the role."""
        return f"connection {self.conn_id!r}, role {self.role_arn}"

    def at(self, resource: str) -> str:
        """The resource, the connection and the role."""
        return f"{resource}, {self.where}" if resource else self.where
