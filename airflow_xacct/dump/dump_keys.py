"""The keys of the objects of a dump."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_xacct.destination import Destination, resolve_key
from airflow_xacct.dump.compression import compression_suffix
from airflow_xacct.dump.formats import FormatSpec
from airflow_xacct.dump.naming import VERSIONS_FOLDER, PartitionValue, key_problem, partition_path
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["DumpKeys", "wrapper_suffix"]


def wrapper_suffix(form: FormatSpec, compression: str) -> str:
    """What the compression around a format adds to the name of an object: ``".gz"``, ``".zst"`` or nothing."""
    return compression_suffix(compression) if form.wraps and compression != "none" else ""  # type: ignore[arg-type]


class DumpKeys:
    """::

        flights/           flights/ + ds=2013-01-01/ + month=1/ + part- 00000 .csv .zst
        flights/all.csv    flights/ + ds=2013-01-01/            + all.csv          .zst

    Objects are numbered from 0 in each partition of the data, so that a partition that grows moves no other one.

    :raises InvalidArgumentError: a partition or name that cannot be used.
    :raises OutsideDestinationError: a key that leads out of the connection's prefix.
    """

    def __init__(
        self,
        key: str,
        form: FormatSpec,
        compression: str,
        partitions: Mapping[str, PartitionValue] | None,
        part_prefix: str,
        destination: Destination,
    ) -> None:
        if problem := key_problem(part_prefix + "0"):
            raise InvalidArgumentError(problem, where="part_prefix", remedy="Use letters, digits, '-' and '_'.")
        folder, slash, self._name = key.rpartition("/")
        self._folder = folder + slash + partition_path(partitions or {})
        self._part_prefix = part_prefix
        self._wrapper = wrapper_suffix(form, compression)
        self._suffix = form.suffix + self._wrapper
        self._destination = destination
        self.of("", 0)

    def check_single(self, *, rolls: bool) -> None:
        """An exact key is for one object.

        :raises InvalidArgumentError: there may be more.
        """
        if self._name and rolls:
            raise InvalidArgumentError(
                f"several objects cannot share the key {self._name!r}",
                where="key",
                remedy="End the key with '/', or leave partition_by and the limits of objects out.",
            )

    def fits(self, key: str) -> bool:
        """Whether a full key could be that of one of several objects: its name says the same format."""
        return not self._name and key.endswith(self._suffix)

    def of(self, partition: str, number: int, version: str = "") -> str:
        """The full key of an object.

        :param version: a folder of that name holds all objects of the delivery; empty for none.
        :raises OutsideDestinationError: it is too long.
        """
        if self._name:
            name = self._name if self._wrapper and self._name.endswith(self._wrapper) else self._name + self._wrapper
        else:
            name = f"{self._part_prefix}{number:05d}{self._suffix}"
        folder = f"{self._folder}{VERSIONS_FOLDER}{version}/" if version else self._folder
        return resolve_key(self._destination, folder + partition + name)
