"""Which trail of CloudTrail, if any, records what is written to the bucket (AWS: *Logging data events*)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.owner import OwnerView

__all__ = ["recording_trail", "records_writes"]

_OBJECT_TYPE = "AWS::S3::Object"


def recording_trail(facts: Facts) -> str | None:
    """The name of a trail that records writes; empty for none, ``None`` where nobody may look."""
    return facts.once("trail", lambda: _find(facts))


def _find(facts: Facts) -> str | None:
    owner = facts.owner
    if owner is None or owner.account != facts.destination.bucket_owner:
        return None
    trails = owner.ask("cloudtrail", lambda client: client.describe_trails())
    if not trails.ok:
        return None
    objects = facts.objects_arn.removesuffix("*")
    selectors = {
        str(trail.get("Name")): _selectors(owner, str(trail["TrailARN"])) for trail in trails.data.get("trailList", [])
    }
    found = next((name for name, told in selectors.items() if told.ok and records_writes(told.data, objects)), "")
    if not found and not all(told.ok for told in selectors.values()):
        return None  # one that could not be read may be the one
    return found


def _selectors(owner: OwnerView, trail: str) -> Answer:
    return owner.ask("cloudtrail", lambda client: client.get_event_selectors(TrailName=trail))


def records_writes(told: Mapping[str, Any], objects: str) -> bool:
    """Whether selectors of the basic or the advanced form cover writes to these objects."""
    for basic in told.get("EventSelectors", []):
        arns = [
            arn for data in basic.get("DataResources", []) if data.get("Type") == _OBJECT_TYPE for arn in data["Values"]
        ]
        if basic.get("ReadWriteType") != "ReadOnly" and _covers(arns, objects):
            return True
    for advanced in told.get("AdvancedEventSelectors", []):
        fields = {field["Field"]: field for field in advanced.get("FieldSelectors", [])}
        arn_field = fields.get("resources.ARN", {})
        arns = [*arn_field.get("StartsWith", []), *arn_field.get("Equals", [])] if arn_field else ["arn:"]
        if (
            _OBJECT_TYPE in fields.get("resources.type", {}).get("Equals", [])
            and "true" not in fields.get("readOnly", {}).get("Equals", [])
            and _covers(arns, objects)
        ):
            return True
    return False


def _covers(arns: Iterable[str], objects: str) -> bool:
    return any(objects.startswith(arn.removesuffix("/")) for arn in arns)
