"""The package as a whole: pure, with sorted names, and one table that its documentation repeats."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import airflow_xacct.destination as package
from airflow_xacct.destination import FIELDS
from airflow_xacct.destination.docs_table import extras_table, main, regenerated, settings_table

FOLDER = Path(package.__file__).parent
PAGE = Path(__file__).parents[3] / "docs" / "connection.md"


def imports_of(path: Path) -> set[str]:
    """Return the modules a file imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_the_package_imports_the_standard_library_and_our_errors_alone(path: Path) -> None:
    for module in imports_of(path):
        ours = module == "airflow_xacct.exceptions" or module.startswith("airflow_xacct.destination")
        assert ours or module.partition(".")[0] in sys.stdlib_module_names, module


def test_the_public_names_are_sorted_and_exist() -> None:
    constants = [name for name in package.__all__ if name.isupper()]
    others = [name for name in package.__all__ if not name.isupper()]
    classes = [name for name in others if name[0].isupper()]
    assert package.__all__ == [
        *sorted(constants),
        *sorted(classes),
        *sorted(name for name in others if name not in classes),
    ]
    assert all(hasattr(package, name) for name in package.__all__)


def test_the_page_holds_the_tables_of_the_code() -> None:
    """Run ``python -m airflow_xacct.destination.docs_table docs/connection.md`` after a change of the table."""
    text = PAGE.read_text(encoding="utf-8")
    assert regenerated(text) == text


def test_every_extra_is_a_row_of_the_same_width() -> None:
    for table, width in ((extras_table(), 4), (settings_table(), 2)):
        assert {line.count(" | ") for line in table.splitlines() if " | " in line} == {width - 1}
    assert extras_table().count("\n") == len(FIELDS) + 1
    assert FIELDS[1].example not in extras_table()


def test_the_tables_are_written_between_their_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    marked = "<!-- {0}: generated -->\nold\n<!-- {0}: end -->\n"
    page.write_text("before\n" + marked.format("extras") + marked.format("settings") + "after\n", encoding="utf-8")
    assert main([str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert extras_table() in text
    assert settings_table() in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table of extras"):
        regenerated("nothing")
