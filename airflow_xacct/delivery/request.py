"""What a delivery was asked for, beside its objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from airflow_xacct.delivery.payload import ObjectPlan
from airflow_xacct.delivery.store import ObjectAttributes
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["Describe", "IfExists", "ManifestWish", "Request", "StandIn"]

IfExists = Literal["error", "replace", "skip"]
ManifestWish = Literal["auto", "always", "never"]

StandIn = Callable[[str], ObjectPlan | None]
"""Plans an object without rows that goes with the others, of the role ``"stand_in"``, for a key of an earlier delivery;
``None`` where there can be none. Asked when all objects were read."""

Describe = Callable[[], Mapping[str, Any]]
"""What the manifest says of the data as a whole, as JSON; asked when all of it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """See :meth:`~airflow_xacct.delivery.commit.DeliveryEngine.deliver`, whose arguments these are.

    :raises InvalidArgumentError: one of them is none of the words there are, or two contradict each other.
    """

    if_exists: IfExists
    manifest_key: str
    manifest: ManifestWish
    manifest_attributes: ObjectAttributes
    allow_delete: bool
    tombstone: bool
    whole: bool
    success_key: str
    stand_in: StandIn | None
    describe: Describe | None
    versions: str
    signature: str

    def __post_init__(self) -> None:
        for name, allowed in (("if_exists", IfExists), ("manifest", ManifestWish)):
            given = getattr(self, name)
            if given not in get_args(allowed):
                raise InvalidArgumentError(
                    f"{given!r} is not possible", where=name, remedy=f"Choose one of {', '.join(get_args(allowed))}."
                )
        if self.manifest == "always" and not self.manifest_key:
            raise InvalidArgumentError("a manifest needs a key", where="manifest_key", remedy="Give one.")

    @property
    def manifest_wanted(self) -> bool:
        """Whether there may be a manifest."""
        return bool(self.manifest_key) and self.manifest != "never"

    @property
    def decided_by_manifest(self) -> bool:
        """Whether the manifest's key decides about all of it, so that no part may be left out."""
        return self.whole and self.manifest == "always"
