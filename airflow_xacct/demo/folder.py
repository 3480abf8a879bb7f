"""Where the demo's Airflow lives for its minute, and what a user who keeps it finds there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_xacct.demo import refusals
from airflow_xacct.demo.dag_files import dag_file
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["DAG_ID", "demo_folder"]

#: The DAG that the demo runs.
DAG_ID = "xacct_chained_dumps"


@contextmanager
def demo_folder(keep: Path | None) -> Iterator[Path]:
    """Make an Airflow home with the demo's two DAGs in it; a temporary one is removed at the end.

    :param keep: a folder that does not exist or is empty.
    :raises InvalidArgumentError: it holds something, or cannot be made.
    """
    home = Path(tempfile.mkdtemp(prefix="xacct-demo-")) if keep is None else _empty_folder(keep)
    try:
        for name in ("dags", "logs", "tmp"):
            (home / name).mkdir()
        shutil.copy(dag_file(DAG_ID), home / "dags")
        shutil.copy(Path(__file__).with_name("refusals_dag.py"), home / "dags" / f"{refusals.DAG_ID}.py")
        yield home
    finally:
        if keep is None:
            shutil.rmtree(home, ignore_errors=True)


def _empty_folder(keep: Path) -> Path:
    folder = keep.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise InvalidArgumentError(
            f"the folder cannot be used: {error}", where="--keep", remedy="Name one that can be made, or an empty one."
        ) from error
    if taken:
        raise InvalidArgumentError(
            f"the folder {folder} is not empty", where="--keep", remedy="Name a new one, or an empty one."
        )
    return folder
