"""``CrossAccountDumpOperator``: what a Python function makes into a bucket of another AWS account."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from airflow.providers.common.compat.sdk import determine_kwargs

from airflow_xacct.operators._dump import DumpOperator

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pyarrow as pa
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_xacct.destination import Destination
    from airflow_xacct.dump.plan import DeliveryPlan

__all__ = ["CrossAccountDumpOperator"]


class CrossAccountDumpOperator(DumpOperator):
    """
    Stream what a Python function makes into the bucket of an ``aws_xacct`` connection, whole or not at all.

    The function yields or returns rows (dicts, tuples, lists of those), Arrow tables or record batches, or pandas or
    polars DataFrames; or, with ``format="bytes"``, bytes and files. It may yield any number of them: memory does not
    grow. Its schema is given, or that of the first rows; a later value that does not fit is an error that names row and
    column. A retry calls the function anew. The role needs ``s3:PutObject`` and ``s3:AbortMultipartUpload`` and nothing
    else. The function runs in the task's own thread; its generator is closed when the delivery fails or is killed.

    :param python_callable: the function, which gets the context's values by name as in ``PythonOperator``.
    :param op_args: its positional arguments. (templated)
    :param op_kwargs: its keyword arguments. (templated)
    :param data: instead of a function: a list of rows, a frame, or bytes. (templated)
    :param schema: a ``pyarrow.Schema``; a mapping of names to types such as ``{"id": "int64", "day": "date32"}``, with
        ``None`` for a type that the first rows tell; or a list of names. Needed where the function yields tuples that
        are no named tuples, and where an empty dump shall have columns.
    :param format: ``"csv"``, ``"jsonl"``, ``"parquet"``; or ``"bytes"``, to deliver what comes as it is: one object of
        an exact key, or below a prefix the pairs of a name and bytes or a file.

    All other arguments are those of every dump (:class:`~airflow_xacct.operators._dump.DumpOperator`) and every
    delivery (:class:`~airflow_xacct.operators._base.DeliveryOperator`); ``docs/python-dump.md`` has them in one table.
    """

    template_fields: Sequence[str] = ("op_args", "op_kwargs", "data", *DumpOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "op_args": "py",
        "op_kwargs": "py",
        **DumpOperator.template_fields_renderers,
    }
    # what a person hands over may be no thing to be copied deeply: a client, a frame
    shallow_copy_attrs: Sequence[str] = ("python_callable", "op_args", "op_kwargs", "data", "schema")

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any] | None = None,
        op_args: Collection[Any] | XComArg | None = None,
        op_kwargs: Mapping[str, Any] | XComArg | None = None,
        data: Any = None,
        schema: pa.Schema | Mapping[str, Any] | Sequence[str] | None = None,
        format: Literal["csv", "jsonl", "parquet", "bytes"] = "csv",  # noqa: A002 - what everybody calls it
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.format: Any = format  # of which there is one more than for other dumps
        self.python_callable: Any = python_callable
        # an XComArg is a value by the time execute() runs
        self.op_args: Any = op_args or ()
        self.op_kwargs: Any = op_kwargs or {}
        self.data: Any = data
        self.schema = schema
        self._context: Context | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Deliver; see :meth:`~airflow_xacct.operators._base.DeliveryOperator.execute`."""
        self._context = context
        return super().execute(context)

    def sources(self) -> list[str]:
        """The function, or what was given; see :meth:`~airflow_xacct.operators._dump.DumpOperator.sources`."""
        name, _, _ = self._maker()
        return [name]

    def open_plan(self, destination: Destination) -> AbstractContextManager[DeliveryPlan]:
        """Get ready to call the function; see :meth:`~airflow_xacct.operators._base.DeliveryOperator.open_plan`."""
        # what a task needs and a DAG file does not: pyarrow among it
        from airflow_xacct.dump.python import PythonDumpSpec, open_python_dump

        name, make, declared = self._maker()
        spec = PythonDumpSpec(
            name=name,
            make=make,
            declared=declared,
            objects=self.dump_spec(),
            schema=self.schema,
            landing=self.landing_spec(),
        )
        return open_python_dump(spec, destination)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What it became, for the OpenLineage provider; what a function reads is not known."""
        from airflow_xacct.operators._lineage import delivery_lineage

        return delivery_lineage(None, task_instance.xcom_pull(task_ids=self.task_id, key="return_value"))

    def _maker(self) -> tuple[str, Callable[[], Any], tuple[Any, ...]]:
        """Its name, what makes the data, and what says whether that changed.

        :raises InvalidArgumentError: there is no function and no data, or both; or data that can be read once only.
        """
        from airflow_xacct.dump.sources.python.made import check_data, check_function

        function = self.python_callable
        check_data(self.data, has_function=function is not None)
        if function is None:
            return "data", lambda: self.data, (self.data,)
        check_function(function)
        asked_for = determine_kwargs(function, self.op_args, cast("Mapping[str, Any]", self._context or {}))
        kwargs = {**asked_for, **self.op_kwargs}
        name = f"function {getattr(function, '__name__', type(function).__name__)}"
        return name, partial(function, *self.op_args, **kwargs), (function, self.op_args, self.op_kwargs)
