"""``@task.cross_account_dump``: a function whose rows, frames or bytes are delivered into another AWS account."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DecoratedOperator, task_decorator_factory

from airflow_xacct.operators.dump import CrossAccountDumpOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskDecorator

__all__ = ["cross_account_dump_task"]


class _CrossAccountDumpDecoratedOperator(DecoratedOperator, CrossAccountDumpOperator):
    """The operator behind the decorator: its function is the one that was decorated."""

    template_fields = CrossAccountDumpOperator.template_fields
    template_fields_renderers = CrossAccountDumpOperator.template_fields_renderers
    shallow_copy_attrs = CrossAccountDumpOperator.shallow_copy_attrs
    custom_operator_name = "@task.cross_account_dump"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any],
        op_kwargs: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        function: dict[str, Any] = {"python_callable": python_callable, "op_args": op_args, "op_kwargs": op_kwargs}
        super().__init__(kwargs_to_upstream=function, **function, **kwargs)


def cross_account_dump_task(
    python_callable: Callable[..., Any] | None = None, multiple_outputs: bool = False, **kwargs: Any
) -> TaskDecorator:
    """
    Make a task of a function whose rows, frames or bytes are delivered into another AWS account.

    :param python_callable: the function.
    :param multiple_outputs: also push each field of the summary that the task returns (``uri``, ``rows``, ...) to XCom.
        It says nothing of what the function returns, so that it does not follow from the function's annotation.
    :param kwargs: those of :class:`~airflow_xacct.operators.dump.CrossAccountDumpOperator`.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=_CrossAccountDumpDecoratedOperator,
        **kwargs,
    )
