"""Where the demo's Airflow lives for its minute, and what a user who keeps it finds there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from airflow_xacct.demo import refusals
from airflow_xacct.demo.dag_files import dag_file
from airflow_xacct.demo.processes import interrupts_held
from airflow_xacct.exceptions import InvalidArgumentError

__all__ = ["DAG_ID", "demo_folder", "temporary_folder"]

#: The DAG that the demo runs.
DAG_ID = "xacct_chained_dumps"


@contextmanager
def demo_folder(keep: Path | None) -> Iterator[Path]:
    """Make an Airflow home with the demo's two DAGs in it; a temporary one is removed at the end.

    :param keep: a folder that does not exist or is empty.
    :raises InvalidArgumentError: it holds something, or cannot be made or used.
    """
    with temporary_folder("xacct-demo-") if keep is None else nullcontext(_empty_folder(keep)) as home:
        for name in ("dags", "logs", "manifests", "tmp"):
            (home / name).mkdir()
        shutil.copy(dag_file(DAG_ID), home / "dags")
        shutil.copy(Path(__file__).with_name("refusals_dag.py"), home / "dags" / f"{refusals.DAG_ID}.py")
        yield home


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder that is gone when the block ends, also when that is interrupted twice."""
    with interrupts_held() as release:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            release()
            yield folder
        finally:
            with interrupts_held():
                shutil.rmtree(folder, ignore_errors=True)


def _empty_folder(keep: Path) -> Path:
    folder = keep.expanduser().absolute()
    if any(mark in str(folder) for mark in "?$"):
        # the one ends the path of a SQLAlchemy URL, the other begins a variable in Airflow's configuration
        raise InvalidArgumentError(
            f"Airflow cannot live in {folder}, for the '?' or '$' in it", where="--keep", remedy="Name another folder."
        )
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
