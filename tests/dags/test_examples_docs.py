"""``docs/examples.md`` shows the example DAGs as they are."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from airflow_xacct.demo.dag_files import dag_file, dags_folder

PAGE = (Path(__file__).parents[2] / "docs" / "examples.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"<!-- dags/(\w+)\.py: (\w+) -->\n```python\n(.*?)\n```\n", PAGE, re.DOTALL)


def _region(dag_id: str, name: str) -> str:
    """What stands between the two marks in a DAG file."""
    found = re.search(
        rf"^ *# \[START {name}\]\n(.*?)^ *# \[END {name}\]",
        dag_file(dag_id).read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert found is not None, f"{dag_id} has no region {name}"
    return textwrap.dedent(found[1]).strip("\n")


@pytest.mark.parametrize(("dag_id", "name", "quoted"), QUOTES, ids=[name for _, name, _ in QUOTES])
def test_a_quote_is_the_code(dag_id: str, name: str, quoted: str) -> None:
    """Change the DAG, and the page has to follow."""
    assert quoted == _region(dag_id, name)


def test_every_dag_and_every_region_is_on_the_page() -> None:
    """Nothing is left out, and nothing is marked for no reader."""
    marked = {
        (path.stem, name)
        for path in dags_folder().glob("*.py")
        for name in re.findall(r"# \[START (\w+)\]", path.read_text(encoding="utf-8"))
    }
    assert {(dag_id, name) for dag_id, name, _ in QUOTES} == marked
    for path in dags_folder().glob("*.py"):
        assert f"`{path.stem}`" in PAGE


def test_the_pages_commands_do_what_it_says(tmp_path: Path) -> None:
    """The folder that Airflow is to read, and a database with its connection, as the shell makes them."""
    lines = [line for line in PAGE.splitlines() if line.startswith("export ")]
    assert len(lines) == 2
    script = "\n".join([*lines, 'printf "%s\\n" "$AIRFLOW__CORE__DAGS_FOLDER" "$AIRFLOW_CONN_WAREHOUSE"'])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # -P: not the current folder, which is searched for packages by `python -c`
    environment = {**os.environ, "PATH": path, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    folder, connection = done.stdout.splitlines()
    assert folder == str(dags_folder())
    database = json.loads(connection)
    assert database == {"conn_type": "sqlite", "host": str(tmp_path / "nycflights13.db")}
    with closing(sqlite3.connect(database["host"])) as opened:
        assert opened.execute("SELECT count(*) FROM flights").fetchone() == (336_776,)
