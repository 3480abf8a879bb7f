"""Where the example DAGs are: inside the installed package, or beside it in a source checkout."""

from __future__ import annotations

from pathlib import Path

from airflow_xacct.exceptions import ConfigurationError

__all__ = ["dag_file", "dags_folder"]

_PACKAGE = Path(__file__).resolve().parents[1]


def dags_folder() -> Path:
    """The folder of the example DAGs.

    :raises ConfigurationError: neither place has it.
    """
    # a wheel carries the repository's folder under this name
    for folder in (_PACKAGE / "example_dags", _PACKAGE.parent / "dags"):
        if (folder / "xacct_chained_dumps.py").is_file():
            return folder
    raise ConfigurationError(
        "the example DAGs are not there",
        where=str(_PACKAGE),
        remedy="Install the package again: pip install --force-reinstall 'airflow-provider-xacct[demo]'",
    )


def dag_file(dag_id: str) -> Path:
    """The file of one example DAG, which is named like it."""
    return dags_folder() / f"{dag_id}.py"
