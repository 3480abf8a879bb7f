"""``CrossAccountSqlDumpOperator``: the rows of a query into a bucket of another AWS account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_xacct.operators._dump import DumpOperator

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.providers.common.compat.sdk import XComArg

    from airflow_xacct.destination import Destination
    from airflow_xacct.dump.plan import DeliveryPlan

__all__ = ["CrossAccountSqlDumpOperator"]


class CrossAccountSqlDumpOperator(DumpOperator):
    """
    Stream the rows of a query into the bucket of an ``aws_xacct`` connection, in flat memory, whole or not at all.

    The query may return any number of rows. Nothing becomes visible before the last one was read and stored; then all
    objects appear together, and the manifest last. A retry asks the query anew. The role needs ``s3:PutObject`` and
    ``s3:AbortMultipartUpload`` and nothing else. With ``partition_by`` the database sorts by those columns.

    :param sql: one statement that returns rows, or the path of a ``.sql`` file. (templated)
    :param sql_conn_id: the connection of the database. (templated)
    :param parameters: values of the query's placeholders, bound by the driver. (templated)
    :param fast_path: ``"auto"``, or ``"require"`` or ``"forbid"`` the database's own fast way.
    :param connections: PostgreSQL: so many connections read the query between them, as of one moment, where it is of
        one table and neither sorted nor limited; the log says when one must do, and why.
    :param fetch_rows: rows asked for at a time; by default what is fastest with the driver.
    :param read_only: let the database refuse to write, where it has such a transaction.
    :param statement_timeout_seconds: for the whole statement, reading included.
    :param column_types: Arrow types of columns by name, where the declared one does not fit.

    All other arguments are those of every dump (:class:`~airflow_xacct.operators._dump.DumpOperator`) and every
    delivery (:class:`~airflow_xacct.operators._base.DeliveryOperator`); ``docs/sql-dump.md`` has them in one table.
    """

    template_fields: Sequence[str] = ("sql", "sql_conn_id", "parameters", *DumpOperator.template_fields)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "sql": "sql",
        "parameters": "json",
        **DumpOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        sql: str | XComArg,
        sql_conn_id: str | XComArg,
        parameters: Sequence[Any] | Mapping[str, Any] | XComArg | None = None,
        fast_path: Literal["auto", "forbid", "require"] = "auto",
        connections: int = 1,
        fetch_rows: int | None = None,
        read_only: bool = True,
        statement_timeout_seconds: float | None = None,
        column_types: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # an XComArg is a value by the time execute() runs
        self.sql: Any = sql
        self.sql_conn_id: Any = sql_conn_id
        self.parameters: Any = parameters
        self.fast_path = fast_path
        self.connections = connections
        self.fetch_rows = fetch_rows
        self.read_only = read_only
        self.statement_timeout_seconds = statement_timeout_seconds
        self.column_types = column_types

    def sources(self) -> list[str]:
        """The query; see :meth:`~airflow_xacct.operators._dump.DumpOperator.sources`."""
        given = len(self.parameters or ())
        bound = f", with {given} bound parameter{'' if given == 1 else 's'}" if given else ""
        return [f"connection {self.sql_conn_id!r}{bound}: {' '.join(self.sql.split())}"]

    def open_plan(self, destination: Destination) -> AbstractContextManager[DeliveryPlan]:
        """Ask the query; see :meth:`~airflow_xacct.operators._base.DeliveryOperator.open_plan`."""
        # what a task needs and a DAG file does not: pyarrow and drivers among it
        from airflow_xacct.dump.sources.sql.session import ReadOptions
        from airflow_xacct.dump.sql import SqlDumpSpec, open_sql_dump
        from airflow_xacct.hooks.database import database_hook

        spec = SqlDumpSpec(
            sql=self.sql,
            parameters=self.parameters,
            objects=self.dump_spec(),
            read=ReadOptions(
                connections=self.connections,
                fetch_rows=self.fetch_rows,
                read_only=self.read_only,
                statement_timeout_seconds=self.statement_timeout_seconds,
                column_types=self.column_types or {},
            ),
            fast_path=self.fast_path,
            landing=self.landing_spec(),
        )
        return open_sql_dump(database_hook(self.sql_conn_id), spec, destination)
