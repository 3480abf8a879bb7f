"""Every error of this package, in one tree.

::

    XacctError
    ├── ConfigurationError (also ValueError)
    │   ├── InvalidConnectionError        one connection, all of its problems at once
    │   ├── ConnectionNotFoundError       the connection, or its source connection, does not exist
    │   ├── RoleChainError                a cycle of source connections, or one that is too deep
    │   ├── InvalidArgumentError          an argument of an operator, hook or command
    │   ├── OutsideDestinationError       a key above the prefix, or a bucket other than the connection's
    │   └── MissingDependencyError        an optional package that this feature needs
    ├── SourceError                       what should be delivered
    │   ├── SourceNotFoundError
    │   ├── SourceUnreadableError
    │   ├── SourceChangedError            it changed while it was read
    │   └── ObjectTooLargeError           above what S3 can hold
    ├── AccessError                       what the other account refused
    │   ├── NoCredentialsError            the worker has no identity to assume the role with
    │   ├── AssumeRoleError               STS refused the role
    │   ├── AccessDeniedError             S3, KMS or another service refused an action
    │   ├── ExpiredCredentialsError
    │   ├── BucketNotFoundError
    │   ├── WrongRegionError
    │   └── RefusedError                  any other refusal, with AWS's own words
    ├── TransportError                    no answer, or an answer that says "later"
    │   ├── EndpointUnreachableError
    │   └── ThrottledError
    └── DeliveryError                     how it landed
        ├── ObjectExistsError             a foreign object holds the key (if_exists="error")
        ├── OutcomeUnknownError           whether it landed cannot be known: never a success on a guess
        ├── ChecksumMismatchError
        ├── StaleObjectsError             an earlier delivery left objects that this one would not replace
        └── CommitLogError                the log of the delivery cannot be read or written

Every message says what happened, where, and what to do about it. Errors survive pickling, since Airflow moves
them between processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "AccessDeniedError",
    "AccessError",
    "AssumeRoleError",
    "BucketNotFoundError",
    "ChecksumMismatchError",
    "CommitLogError",
    "ConfigurationError",
    "ConnectionNotFoundError",
    "DeliveryError",
    "EndpointUnreachableError",
    "ExpiredCredentialsError",
    "InvalidArgumentError",
    "InvalidConnectionError",
    "MissingDependencyError",
    "NoCredentialsError",
    "ObjectExistsError",
    "ObjectTooLargeError",
    "OutcomeUnknownError",
    "OutsideDestinationError",
    "RefusedError",
    "RoleChainError",
    "SourceChangedError",
    "SourceError",
    "SourceNotFoundError",
    "SourceUnreadableError",
    "StaleObjectsError",
    "ThrottledError",
    "TransportError",
    "WrongRegionError",
    "XacctError",
]


def _rebuild(cls: type[XacctError], state: dict[str, Any]) -> XacctError:
    """Recreate an error that was pickled, whatever its constructor asks for."""
    error = cls.__new__(cls)
    error.__dict__.update(state)
    Exception.__init__(error, error.what)
    return error


class XacctError(Exception):
    """Base of all errors raised by this package.

    :param what: what happened, as a sentence without its full stop.
    :param where: the connection, URL, file or setting it concerns; may be empty.
    :param remedy: what to do, and in whose account; may be empty.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = self.what.rstrip(".")
        if self.where:
            text += f" ({self.where})"  # no square brackets: rich, and so Airflow's CLI, would take them for markup
        text += "."
        if self.remedy:
            text += f" {self.remedy}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.__dict__.copy())


class ConfigurationError(XacctError, ValueError):
    """What was declared cannot be right, whatever AWS answers."""


class InvalidConnectionError(ConfigurationError):
    """A connection of type ``aws_xacct`` that cannot be used.

    :param conn_id: the connection.
    :param problems: one sentence for each thing that is wrong, each with its remedy; at least one.
    """

    def __init__(self, conn_id: str, problems: Sequence[str]) -> None:
        self.conn_id = conn_id
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"connection {conn_id!r} has {count}")

    def __str__(self) -> str:
        return "\n".join([f"{self.what}:", *(f"  - {problem}" for problem in self.problems)])


class ConnectionNotFoundError(ConfigurationError):
    """The connection named by the task, or the source connection it names, does not exist."""


class RoleChainError(ConfigurationError):
    """Source connections that form a cycle, or a chain that is too deep."""


class InvalidArgumentError(ConfigurationError):
    """An argument of an operator, hook or command that cannot be used."""


class OutsideDestinationError(ConfigurationError):
    """A key outside the connection's prefix, or a bucket other than the connection's."""


class MissingDependencyError(ConfigurationError, ImportError):
    """An optional package that the requested feature needs is not installed."""


class SourceError(XacctError):
    """What should be delivered cannot be read."""


class SourceNotFoundError(SourceError):
    """No file, or no file that matches."""


class SourceUnreadableError(SourceError):
    """A file that exists and cannot be read."""


class SourceChangedError(SourceError):
    """A file that changed while it was read, so that what was sent would be a mix."""


class ObjectTooLargeError(SourceError):
    """More bytes than one S3 object can hold."""


class AccessError(XacctError):
    """AWS refused."""


class NoCredentialsError(AccessError):
    """There is no identity to assume the role with."""


class AssumeRoleError(AccessError):
    """STS did not hand out credentials for the role."""


class AccessDeniedError(AccessError):
    """A service refused an action to the assumed role.

    :param action: the IAM action, such as ``s3:PutObject``; may be empty when AWS does not say.
    :param resource: the ARN it was asked for; may be empty.
    :param policy_kind: the kind of policy that decided, such as ``"session policy"``; empty when AWS does not say.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        remedy: str = "",
        action: str = "",
        resource: str = "",
        policy_kind: str = "",
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.action = action
        self.resource = resource
        self.policy_kind = policy_kind


class ExpiredCredentialsError(AccessError):
    """The credentials are no longer valid, and a fresh set was refused."""


class BucketNotFoundError(AccessError):
    """No bucket of that name."""


class WrongRegionError(AccessError):
    """The bucket lives in another region than the one that was asked."""


class RefusedError(AccessError):
    """Any other refusal of a service, with its own words."""


class TransportError(XacctError):
    """No answer, or an answer that says "later"."""


class EndpointUnreachableError(TransportError):
    """The service could not be reached: name, route, TLS or time-out."""


class ThrottledError(TransportError):
    """The service asked to slow down, and went on asking after our retries."""


class DeliveryError(XacctError):
    """The delivery did not land as asked."""


class ObjectExistsError(DeliveryError):
    """An object that this delivery did not write holds the key."""


class OutcomeUnknownError(DeliveryError):
    """Whether the object landed cannot be known with the permissions at hand."""


class ChecksumMismatchError(DeliveryError):
    """S3 computed another checksum than we did."""


class StaleObjectsError(DeliveryError):
    """Objects of an earlier delivery of this task would stay beside the new ones."""


class CommitLogError(DeliveryError):
    """The log of the delivery cannot be read or written."""
