"""The plan of a dump of what Python makes: a function, and the objects that its rows or bytes become."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_xacct.delivery.payload import ObjectPlan
from airflow_xacct.destination import Destination
from airflow_xacct.dump.contents import BYTES, ContentDump, check_contents, content_suffix
from airflow_xacct.dump.dump_keys import wrapper_suffix
from airflow_xacct.dump.dump_spec import DumpSpec
from airflow_xacct.dump.formats import need_pyarrow
from airflow_xacct.dump.landing import Landing, LandingSpec
from airflow_xacct.dump.pipeline import ObjectDump, dump_objects
from airflow_xacct.dump.plan import DeliveryPlan
from airflow_xacct.dump.schema import DumpSchema
from airflow_xacct.dump.sources.python.digest import declaration_digest
from airflow_xacct.dump.sources.python.made import Made, call
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["PythonDumpSpec", "open_python_dump"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonDumpSpec:
    """What a task declares, after its templates were rendered; see ``CrossAccountDumpOperator``.

    :param name: of the function, or whatever makes the data; used in messages.
    :param make: calls it; called once, and only if there is something to deliver.
    :param declared: what the function and its arguments are, for the digest of the declaration.
    :param objects: format, compression, partitions and sizes.
    :param schema: see ``CrossAccountDumpOperator``.
    :param landing: the manifest, what S3 stores beside the objects, and what happens where objects are already.
    """

    name: str
    make: Callable[[], Any] = field(repr=False)
    declared: tuple[Any, ...] = field(default=(), repr=False)
    objects: DumpSpec
    schema: Any = None
    landing: LandingSpec = field(default_factory=LandingSpec)


@contextmanager
def open_python_dump(spec: PythonDumpSpec, destination: Destination) -> Iterator[DeliveryPlan]:
    """Plan the objects; what the function made is closed with the block.

    The function is called when the first object is asked for: not for a delivery that an earlier try has committed,
    and not when the declaration cannot be right. It runs in the thread that reads the objects.

    :raises InvalidArgumentError: arguments that contradict each other or cannot be used.
    :raises OutsideDestinationError: a key that leads out of the connection's prefix.
    :raises MissingDependencyError: rows need pyarrow.
    """
    objects = spec.objects
    landing = Landing(spec.landing, destination, key=objects.key, partitions=objects.partitions, suffix=_check(spec))

    def made() -> Made:
        return call(spec.name, spec.make)

    dump: ContentDump | _LaterDump
    if objects.format == BYTES:
        dump = ContentDump(made, objects, destination, landing.attributes)
    else:
        from airflow_xacct.dump.sources.python.source import PythonSource

        dump = _LaterDump(
            lambda: dump_objects(
                PythonSource(made(), spec.schema), objects, destination, landing.attributes, in_place=True
            )
        )
    with closing(dump):
        yield landing.plan(dump, declaration_digest(spec.declared, repr(objects), str(spec.schema)))


def _check(spec: PythonDumpSpec) -> str:
    """Refuse what cannot be right, whatever the function makes; returns the suffix of the compression."""
    if spec.objects.format == BYTES:
        _check_bytes(spec)
        return content_suffix(spec.objects)
    form = spec.objects.check()
    need_pyarrow(spec.name)
    from airflow_xacct.dump.sources.python.declared import declared_columns

    declared_columns(spec.schema)
    return wrapper_suffix(form, spec.objects.kind(form))


def _check_bytes(spec: PythonDumpSpec) -> None:
    check_contents(spec.objects)
    for name, value in (("schema", spec.schema), ("schema_file", spec.landing.schema_file)):
        if value:
            raise InvalidArgumentError(
                "bytes have no columns", where=name, remedy="Leave it out, or choose another format."
            )


class _LaterDump:
    """A dump that begins with its first object."""

    def __init__(self, begin: Callable[[], ObjectDump]) -> None:
        self._begin = begin
        self._begun: ObjectDump | None = None

    @property
    def schema(self) -> DumpSchema:
        """What the objects hold."""
        return self._dump().schema

    def __iter__(self) -> Iterator[ObjectPlan]:
        return iter(self._dump())

    def of_version(self, name: str) -> Iterable[ObjectPlan]:
        """The same objects in a folder of their own."""
        return self._dump().of_version(name)

    def stand_in(self, key: str) -> ObjectPlan | None:
        """An object without rows, in the place of one that an earlier dump had and this one has not."""
        return self._dump().stand_in(key)

    def close(self) -> None:
        """Close the source, if it was opened."""
        if self._begun is not None:
            self._begun.close()

    def _dump(self) -> ObjectDump:
        if self._begun is None:
            self._begun = self._begin()
        return self._begun
