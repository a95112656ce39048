"""One job a module, under a name that says it: sizes, names, docstrings, and what `__init__` may do."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT, modules, project_files, short

MOST_LINES = 400
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "managers", "tools", "stuff"}
# Parts of a package's protocol with Python or gunicorn, not names that anybody imports.
GIVEN = {"__init__", "__main__"}
STANDARD = sys.stdlib_module_names - GIVEN
PYTHON_FILES = [path for path in project_files() if path.suffix == ".py"]


@pytest.mark.parametrize("path", modules(), ids=short)
def test_a_module_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_module_has_a_vague_name() -> None:
    parts = {short(path): set(path.relative_to(ROOT).with_suffix("").parts) for path in PYTHON_FILES}
    assert {name for name, words in parts.items() if words & VAGUE} == set()


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    assert {short(path) for path in modules() if path.stem in STANDARD} == set()


def test_every_module_says_why_it_exists() -> None:
    silent = {short(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))}
    assert silent == set()


def has_code(path: Path) -> bool:
    """Whether there is more in it than words and imports."""
    return not all(is_plain(part) for part in ast.parse(path.read_text(encoding="utf-8")).body)


def test_every_module_postpones_the_evaluation_of_annotations() -> None:
    first = "from __future__ import annotations"
    eager = {short(path) for path in PYTHON_FILES if has_code(path) and first not in path.read_text(encoding="utf-8")}
    assert eager == set()


def is_plain(statement: ast.stmt) -> bool:
    """An import, also one for type checkers or when a name is asked for; the docstring, or a name given to a constant."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name.startswith("__")
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.FunctionDef(name="__getattr__"):
            return True
    return False


def test_a_package_does_nothing_but_name_what_it_offers() -> None:
    busy = set()
    for path in modules():
        if path.name == "__init__.py":
            statements = ast.parse(path.read_text(encoding="utf-8")).body
            busy |= {short(path) for statement in statements if not is_plain(statement)}
    assert busy == set()


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in modules()}
    assert {short(folder) for folder in folders if not (folder / "__init__.py").exists()} == set()
    assert set(PACKAGES.values()) <= folders
