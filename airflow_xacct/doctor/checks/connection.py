"""What can be checked without asking anybody: the connection and the one that it builds on."""

from __future__ import annotations

from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding, Remedy
from airflow_xacct.exceptions import ConfigurationError, InvalidConnectionError

__all__ = ["Connection", "SourceConnection"]


class Connection(Check):
    """Every problem of the connection at once."""

    id = "connection"
    title = "The connection is valid"
    proves = "It exists, is of type aws_xacct, and each of its extras is known and legal."

    def examine(self, facts: Facts) -> Finding:
        """Read it."""
        try:
            to = facts.destination
        except InvalidConnectionError as error:
            remedies = [Remedy("A", "", problem) for problem in error.problems]
            return self.failed(f"{error.what}.", *remedies)
        except ConfigurationError as error:
            return self.failed(f"{error.what} (looked in {error.where}).", Remedy("A", "", error.remedy))
        where = f"bucket {to.bucket}, prefix {to.prefix!r}" if to.bucket else "no bucket: each task names its own"
        return self.passed(f"role {to.role}, {where}, expected owner {to.bucket_owner}.")


class SourceConnection(Check):
    """Whoever assumes the role is known; with a chain, all the way to its beginning."""

    id = "source-connection"
    title = "Who assumes the role is configured"
    proves = "The source connection exists, is of a type that has an AWS identity, and the chain of roles ends."
    needs = ("connection",)

    def examine(self, facts: Facts) -> Finding:
        """Follow the sources; nobody is asked."""
        try:
            source = facts.access.source
        except InvalidConnectionError as error:
            return self.failed(f"{error.what}.", *(Remedy("A", "", problem) for problem in error.problems))
        except ConfigurationError as error:
            return self.failed(f"{error.what}.", Remedy("A", "", error.remedy))
        return self.passed(f"{source.description}.")
