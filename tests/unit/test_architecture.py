"""The shape of the house: arrows go one way, heavy things load late, public names are kept in order."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_xacct

PACKAGE = Path(airflow_xacct.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "example_dags" not in path.parts)

#: What each room may import of the others; ``airflow_xacct.exceptions``, ``_lazy`` and ``_startup`` are everybody's.
MAY_IMPORT: dict[str, set[str]] = {
    "destination": set(),
    "access": {"destination"},
    "delivery": {"destination", "access"},
    "dump": {"destination"},
    # these join what the rooms below keep apart
    "dump/contents.py": {"destination", "delivery", "dump"},
    "dump/declared.py": {"destination", "delivery", "dump"},
    "dump/landing.py": {"destination", "delivery", "dump"},
    "dump/pipeline.py": {"destination", "delivery", "dump"},
    "dump/plan.py": {"destination", "delivery", "dump"},
    "dump/python.py": {"destination", "delivery", "dump"},
    "dump/sql.py": {"destination", "delivery", "dump"},
    "dump/upload.py": {"destination", "delivery", "dump"},
    "connection_form.py": {"destination"},
    "get_provider_info.py": {"destination", "connection_form"},
    "links": {"destination"},
    "hooks": {"destination", "access", "dump", "connection_form"},
    "hooks/commit_log.py": {"delivery"},
    "hooks/kept_logs.py": {"delivery"},
    "hooks/variables.py": {"delivery"},
    "operators": {"destination", "access", "delivery", "dump", "hooks", "links"},
    "decorators": {"operators"},
    "policies": {"destination", "access"},
    "doctor": {"destination", "access", "hooks", "policies"},
    "audit": {"destination", "access", "delivery"},
    "verify": {"destination", "access", "delivery"},
    "sandbox": set(),
    "demo": {"destination", "access", "delivery", "dump", "hooks", "operators", "sandbox", "verify"},
    "cli/dag_task.py": {"operators"},
    "cli": {"access", "audit", "demo", "destination", "doctor", "hooks", "policies", "sandbox", "verify"},
}
EVERYBODYS = {"exceptions", "_lazy", "_startup", "__version__"}
AIRFLOWS_EDGE = {
    "decorators",
    "hooks",
    "operators",
    "links",
    "demo",
    "connection_form.py",
    "get_provider_info.py",
    "cli/airflow_commands.py",
    "cli/asset_events.py",
    "cli/dag_task.py",
}
BOTO3S_EDGE = {
    "access",
    "audit",
    "cli",
    "delivery/boto3_store.py",
    "delivery/lean_sign.py",
    "delivery/lean_wire.py",
    "demo",
    "doctor",
    "hooks",
    "sandbox",
}


def _imports(path: Path) -> Iterator[str]:
    """Each module a file imports, also inside functions and for type checkers."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module == "airflow_xacct":
                yield from (f"airflow_xacct.{alias.name}" for alias in node.names)


def _relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _room(path: Path) -> str:
    relative = _relative(path)
    return relative if relative in MAY_IMPORT else relative.split("/")[0]


def _in(path: Path, places: set[str]) -> bool:
    relative = _relative(path)
    return relative in places or relative.split("/")[0] in places


@pytest.mark.parametrize("path", MODULES, ids=_relative)
def test_arrows_go_one_way(path: Path) -> None:
    """destination <- access <- delivery <- dump.upload <- hooks <- operators, and nothing the other way."""
    room = _room(path)
    own = room.split("/")[0]
    for name in _imports(path):
        if name.startswith("airflow_xacct."):
            other = name.split(".")[1]
            if other in EVERYBODYS or other == own:
                continue
            allowed = MAY_IMPORT.get(room, set()) | MAY_IMPORT.get(own, set()) if room != own else MAY_IMPORT[room]
            assert other in allowed, f"{_relative(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=_relative)
def test_airflow_and_boto3_stay_at_the_edges(path: Path) -> None:
    """What does the work knows neither, so that it can be tested, and used, without."""
    for name in _imports(path):
        top = name.split(".")[0]
        if top == "airflow":
            assert _in(path, AIRFLOWS_EDGE), f"{_relative(path)} imports {name}"
        if top in ("boto3", "botocore", "aiobotocore"):
            assert _in(path, BOTO3S_EDGE), f"{_relative(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=_relative)
def test_public_names_are_sorted(path: Path) -> None:
    """``__all__`` is there wherever something is public, in one order, and names what exists."""
    tree = ast.parse(path.read_text())
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    defines = any(
        isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_") for node in tree.body
    )
    is_dag_file = path.name.endswith("_dag.py")
    assert listed or is_dag_file or not defines, f"{_relative(path)} has public names and no __all__"
    for names in listed:
        upper = [name for name in names if name.isupper()]
        rest = sorted(name for name in names if not name.isupper())
        assert names in (sorted(names), sorted(upper) + rest), f"{_relative(path)}: __all__ is not sorted"


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("airflow_xacct.hooks", ["CrossAccountHook", "CrossAccountS3Hook"]),
        ("airflow_xacct.decorators", ["cross_account_dump_task"]),
        (
            "airflow_xacct.operators",
            ["CrossAccountDumpOperator", "CrossAccountSqlDumpOperator", "CrossAccountUploadOperator"],
        ),
    ],
)
def test_the_public_surface(module: str, names: list[str]) -> None:
    """What users import; a change here is a change for them."""
    loaded = importlib.import_module(module)
    assert loaded.__all__ == names
    for name in names:
        assert getattr(loaded, name).__name__ == name
    with pytest.raises(AttributeError):
        loaded.NoSuchName  # noqa: B018


def _loaded_after(statement: str) -> set[str]:
    script = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"boto3", "botocore", "aiobotocore", "awscrt", "pyarrow", "pandas", "polars", "duckdb"} | {
    "psycopg",
    "psycopg2",
    "MySQLdb",
}


@pytest.mark.parametrize(
    "statement",
    [
        "import airflow_xacct.operators",
        "import airflow_xacct.decorators",
        "import airflow_xacct.hooks",
        "import airflow_xacct.cli.airflow_commands",
    ],
)
def test_dag_files_load_nothing_heavy(statement: str) -> None:
    """A DAG file is parsed every few seconds: no boto3, no pyarrow, no database driver, no sandbox."""
    loaded = _loaded_after(statement)
    assert not loaded & HEAVY
    assert not [
        name for name in loaded if name.startswith(("airflow_xacct.sandbox", "airflow_xacct.demo", "ministack"))
    ]


def test_the_package_itself_loads_nothing() -> None:
    """``import airflow_xacct`` is free."""
    assert not _loaded_after("import airflow_xacct, airflow_xacct.exceptions") & (HEAVY | {"airflow"})


def test_a_running_task_never_loads_the_sandbox() -> None:
    """Everything a task imports, imported."""
    statement = "import airflow_xacct.operators._delivery, airflow_xacct.dump.upload, airflow_xacct.hooks.s3"
    loaded = _loaded_after(statement)
    assert not [
        name for name in loaded if name.startswith(("airflow_xacct.sandbox", "airflow_xacct.demo", "ministack"))
    ]


def test_the_package_is_typed_and_versioned_once() -> None:
    """``py.typed`` tells type checkers, and the version stands in one place."""
    assert (PACKAGE / "py.typed").exists()
    assert importlib.metadata.version("airflow-provider-xacct") == airflow_xacct.__version__
