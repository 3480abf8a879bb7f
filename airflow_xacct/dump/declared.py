"""The plan of a dump as far as it is declared: where it would land, before anybody asks for its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from airflow_xacct.delivery.payload import ObjectPlan
from airflow_xacct.destination import Destination
from airflow_xacct.dump.contents import BYTES, check_contents, content_suffix
from airflow_xacct.dump.dump_keys import DumpKeys, wrapper_suffix
from airflow_xacct.dump.dump_spec import DumpSpec
from airflow_xacct.dump.landing import Landing, LandingSpec
from airflow_xacct.dump.naming import VERSIONS_FOLDER
from airflow_xacct.dump.plan import DeliveryPlan

__all__ = ["declared_dump"]


def declared_dump(
    objects: DumpSpec, landing: LandingSpec, destination: Destination
) -> tuple[DeliveryPlan, Sequence[str]]:
    """The plan of a dump without its rows, and what the key of its first object looks like.

    What only the data knows stands in capitals: ``flights/month=MONTH/part-00000.parquet``.

    :raises InvalidArgumentError: arguments that contradict each other or cannot be used.
    :raises OutsideDestinationError: a key that leads out of the connection's prefix.
    """
    if objects.format == BYTES:
        check_contents(objects)
        suffix = content_suffix(objects)
        name = "NAME" + suffix
    else:
        form = objects.check()
        kind = objects.kind(form)
        suffix = wrapper_suffix(form, kind)
        first = DumpKeys(objects.key, form, kind, objects.partitions, objects.part_prefix, destination).of("", 0)
        name = first[first.rfind("/") + 1 :]
    plan = Landing(landing, destination, key=objects.key, partitions=objects.partitions, suffix=suffix).plan(
        _None(), ""
    )
    if objects.key and not objects.key.endswith("/"):
        return plan, [plan.root]
    version = f"{VERSIONS_FOLDER}VERSION/" if landing.layout == "versioned" else ""
    partitions = "".join(f"{column}={column.upper()}/" for column in objects.partition_by)
    return plan, [plan.root + version + partitions + name]


class _None:
    """Stands for the objects."""

    schema = None

    def __iter__(self) -> Iterator[ObjectPlan]:
        return iter(())

    def of_version(self, name: str) -> Iterable[ObjectPlan]:  # noqa: ARG002 - the protocol of dumps
        """None either."""
        return ()

    def stand_in(self, key: str) -> ObjectPlan | None:  # noqa: ARG002 - likewise
        """None at all."""
        return None
